"""Which dialect an address gets, and that the built-in ones are whole."""

from dataclasses import replace

import pytest

from dicomdock.dicomweb import dialects
from dicomdock.dicomweb.dialects import Facts, choose
from dicomdock.profile import Dialect


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
