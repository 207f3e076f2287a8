"""The same servers at their own addresses, where the built-in dialect is chosen without asking."""

from __future__ import annotations

import pytest

from dicomdock.config import dialects
from dicomdock.config.servers import ServerProfile
from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import Client
from dicomdock.errors import UnsupportedByServer
from dicomdock.sources import Part
from tests.anyserver.conftest import head, news
from tests.servers.canned import answering
from tests.servers.imitations import Aws, Azure, Dcm4chee, Dcmjs, Google, Kheops, Slicer, StaticWado
from tests.servers.imitations.base import crowd

SERVERS = {
    "dcm4chee": Dcm4chee,
    "google": Google,
    "idc": Google,
    "kheops": Kheops,
    "dcmjs": Dcmjs,
    "slicer": Slicer,
    "aws": Aws,
    "azure": Azure,
    "static-wado": StaticWado,
}


@pytest.fixture(params=SERVERS)
def there(request, settings):
    server = SERVERS[request.param]()
    server.hold(crowd(240))
    server.add(head()[:3])
    with answering(server) as canned:
        profile = ServerProfile("there", canned.url + server.base, dialect=dialects.BUILT_IN[request.param])
        with Client(profile, settings=settings) as client:
            yield client, server


def found(client: Client, **match: str) -> list[str]:
    query = Query("studies", match, fields=("StudyDescription", "NumberOfStudyRelatedSeries"))
    return [text(one.attributes, "StudyInstanceUID") for page in client.search(query) for one in page.matches]


@pytest.mark.slow
def test_it_is_searched(there):
    client, _ = there
    study = head()[0].study
    assert len(found(client)) == len(set(found(client))) == 241
    for match in ({"PatientName": "head^?da"}, {"StudyDate": "20231201-20231231"}, {"PatientID": "H1"}):
        assert found(client, **match) == [study], match
    assert found(client, PatientID="nobody") == []


def test_a_study_comes_as_stored_and_what_is_sent_is_reported(there):
    client, server = there
    parts = client.retrieve(Resource(head()[0].study))
    assert sorted(b"".join(part.chunks()) for part in parts) == sorted(one.data for one in head()[:3])
    sent = [Part("application/dicom", lambda one=one: iter([one.data])) for one in news()]
    if not client.dialect.store or isinstance(server, StaticWado):
        with pytest.raises(UnsupportedByServer):
            list(client.store(sent))
    else:
        assert [one.status for one in client.store(sent)] == ["stored", "stored"]
        assert all(server.below(one.resource) for one in news())


@pytest.mark.slow
def test_it_deletes_what_its_dialect_says(there):
    client, server = there
    study = Resource(head()[0].study)
    if "study" in client.dialect.delete_levels:
        client.delete(study)
        assert not server.below(study)
    else:
        with pytest.raises(UnsupportedByServer):
            client.delete(study)
        assert server.below(study)
