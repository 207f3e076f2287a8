"""Which dialect an address gets, and that the built-in ones are whole."""

from dataclasses import fields, replace

import pytest

from dicomdock.config import dialects
from dicomdock.config.dialects import Dialect, Facts, choose
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource, resource_in
from tests import builders
from tests.dicomweb.awkward import Awkward, refused, rows, studies
from tests.dicomweb.clients import client_of


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://h:8080/dcm4chee-arc/aets/DCM4CHEE/rs", "dcm4chee"),
        ("https://pacs.example.org/aets/VIEW/rs", "dcm4chee"),
        (
            "https://healthcare.googleapis.com/v1/projects/p/locations/l/datasets/d/dicomStores/s/dicomWeb",
            "google",
        ),
        (
            "https://proxy.imaging.datacommons.cancer.gov/current/viewer-only-no-downloads/dicomWeb",
            "idc",
        ),
        ("https://dicom-medical-imaging.eu-west-1.amazonaws.com/datastore/abc", "aws"),
        ("https://w-s.dicom.azurehealthcareapis.com/v2/partitions/p", "azure"),
        ("https://demo.kheops.online/api", "kheops"),
        ("http://localhost:2016/dicom", "slicer"),
        ("http://localhost:5985", "dcmjs"),
        ("http://localhost:5000/dicomweb", "static-wado"),
        # These prove nothing: many servers answer at such addresses.
        ("http://localhost:8042/dicom-web", "standard"),
        ("https://pacs.example.org/rs", "standard"),
        ("https://pacs.example.org/api", "standard"),
        # Nobody gets another's habits by a name in a path or user part.
        ("https://evil.example/healthcare.googleapis.com/v1/projects/", "standard"),
    ],
)
def test_the_address_tells_only_where_it_is_sure(url, name):
    assert choose(url).name == name


def test_what_a_probe_saw_goes_before_the_address():
    assert choose("http://h:5985", Facts(orthanc=True)).name == "orthanc"
    assert choose("https://h/api", Facts(kheops=True)).name == "kheops"


def test_the_ten_servers_of_the_reference_are_there():
    assert set(dialects.BUILT_IN) == {
        *("standard", "orthanc", "dcm4chee", "google", "kheops", "dcmjs", "slicer"),
        *("aws", "azure", "idc", "static-wado"),
    }


@pytest.mark.parametrize("name", dialects.BUILT_IN)
def test_a_dialect_is_whole(name):
    dialect = dialects.BUILT_IN[name]
    assert dialect.name == name
    assert set(dialect.page_limit) == {"studies", "series", "instances"}
    assert "studies" in dialect.root_levels
    assert replace(Dialect(), name=name) != dialect or name == "standard"


def _octets_by_default(accept):
    return accept != "*/*"


# Servers that behave as the reference describes; what is not named is as PS3.18 has it.
BEHAVIOUR = {
    "orthanc": {},
    "dcm4chee": {
        "nothing": refused(204),
        "cap": 1000,
        "takes": lambda accept: accept.startswith("multipart/related"),
    },
    "google": {
        "nothing": refused(204),
        "wildcard": False,
        "refuses": frozenset({"StudyDescription", "StudyTime", "StudyID"}),
    },
    "kheops": {
        "nothing": refused(204),
        "total": True,
        "lists": ("studies", "studies/series", "studies/series/instances"),
        "takes": _octets_by_default,
    },
    "dcmjs": {
        "offset": False,
        "wildcard": True,
        "honours": frozenset({"PatientID", "StudyInstanceUID"}),
        "label": "application/json",
        "lists": ("studies", "studies/series", "studies/series/instances"),
    },
    "slicer": {
        "honours": frozenset(),
        "longer": 2,
        "label": "application/json",
        "nothing": rows([{}]),
        "lists": ("studies", "studies/series", "studies/series/instances"),
        "levels": ("instance",),
        "single": True,
        "takes": lambda accept: accept == "application/dicom",
    },
    "aws": {
        "offset": False,
        "lists": ("studies", "studies/series", "studies/series/instances"),
        "levels": ("instance",),
        "single": True,
        "takes": lambda accept: accept.startswith("application/dicom"),
    },
    "azure": {"nothing": refused(204), "wildcard": False, "cap": 200},
    "idc": {"nothing": refused(204), "wildcard": False},
    "static-wado": {
        "offset": False,
        "limit": False,
        "honours": frozenset(),
        "label": "application/json; charset=utf-8",
        "nothing": refused(404),
        "lists": ("studies", "studies/series", "studies/series/instances"),
        "levels": ("instance",),
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False], ids=["with its dialect", "unknown"])
@pytest.mark.parametrize("name", BEHAVIOUR)
def test_a_server_that_behaves_so_is_searched_and_pulled(name, known, settings):
    """With the built-in dialect, and also by a client that must learn everything on the way."""
    head = builders.ct_series(4, PatientName="Head^Ada", PatientID="H1", StudyDate="20231224")
    others = studies(12)
    server = Awkward([*others, *head], **BEHAVIOUR[name])
    dialect = dialects.BUILT_IN[name] if known else Dialect()
    habits = {item.name: getattr(dialect, item.name) for item in fields(dialect) if item.name != "name"}
    with client_of(server, settings, **habits) as client:
        every = [
            match for page in client.search(Query(fields=("StudyDescription",))) for match in page.matches
        ]
        query = Query(match={"PatientName": "head*", "StudyDate": "20231201-20231231"})
        (found,) = [match for page in client.search(query) for match in page.matches]
        study = resource_in(found.attributes)
        series = list(client.search(Query("series", {"PatientID": "H1"})))
        pulled = [b"".join(part.chunks()) for part in client.retrieve(study)]
    assert len(every) == 13
    assert study == Resource(head[0].study)
    assert sum(len(page.matches) for page in series) == 1
    assert sorted(pulled) == sorted(one.data for one in head)
