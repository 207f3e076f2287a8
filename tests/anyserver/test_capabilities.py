"""What single servers do in bad moments: refused logins, partial answers, full stores, late indices."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dicomdock.config.dialects import DCM4CHEE, STANDARD, Dialect
from dicomdock.config.servers import ServerProfile
from dicomdock.config.settings import Settings
from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import Client
from dicomdock.errors import AuthenticationError, RemoteNotFound, TransactionError, WireError
from dicomdock.sources import Part, StoreResult
from dicomdock.web.auth import BasicAuth, BearerAuth, NoAuth
from tests.anyserver.conftest import head, news
from tests.builders import Made, changed, document
from tests.servers.canned import Answer, answering
from tests.servers.imitations import Aws, Azure, Dcm4chee, Dcmjs, Google, Imitation, Kheops, Slicer
from tests.servers.imitations.base import crowd, small
from tests.transfer.conftest import ended


@contextmanager
def client_of(
    server: Imitation, settings: Settings, auth: object = None, dialect: Dialect = STANDARD
) -> Iterator[Client]:
    with answering(server) as canned:
        profile = ServerProfile("there", canned.url + server.base, dialect=dialect)
        auth = auth or NoAuth()
        with Client(profile, settings=dataclasses.replace(settings, retries=1), auth=auth) as client:
            yield client


def sent(client: Client, *instances: Made, **options: str) -> dict[str, StoreResult]:
    parts = [Part("application/dicom", lambda one=one: iter([one.data])) for one in instances]
    return {result.sop_instance_uid: result for result in client.store(parts, **options)}


def bodies(client: Client, resource: Resource) -> list[bytes]:
    return [b"".join(part.chunks()) for part in client.retrieve(resource)]


def told(client: Client, **options: object) -> tuple[int, list[str]]:
    pages = list(client.search(Query(**options)))
    return sum(len(page.matches) for page in pages), [words for page in pages for words in page.warnings]


class TestDcm4chee:
    def test_keycloak_wants_its_token(self, settings):
        server = Dcm4chee(token="right")
        server.add(head())
        for auth in (NoAuth(), BearerAuth("wrong")):
            with client_of(server, settings, auth) as client, pytest.raises(AuthenticationError):
                told(client)
        with client_of(server, settings, BearerAuth("right")) as client:
            assert told(client)[0] == 1

    def test_more_than_a_thousand_come_although_answers_are_cut(self, settings):
        server = Dcm4chee(most=10)
        server.hold(crowd(35))
        with client_of(server, settings) as client:
            assert told(client)[0] == 35

    @pytest.mark.parametrize(
        "key", ["PatientID", "PatientName", "StudyDate", "NumberOfStudyRelatedInstances"]
    )
    def test_studies_are_sorted_or_it_is_said_that_they_are_not(self, settings, key):
        server = Dcm4chee()
        for number in (2, 3, 1):
            server.add(
                [
                    changed(
                        head()[0],
                        PatientID=f"{number}",
                        PatientName=f"{number}",
                        StudyInstanceUID=f"1.{number}",
                        SeriesInstanceUID=f"1.{number}.1",
                        SOPInstanceUID=f"1.{number}.2",
                        StudyDate=f"2024010{number}",
                    )
                ]
            )
        with client_of(server, settings, dialect=DCM4CHEE) as client:
            pages = list(client.search(Query(order=(f"-{key}",))))
        warnings = [words for page in pages for words in page.warnings]
        if key in ("PatientName", "StudyDate"):
            found = [text(one.attributes, "StudyInstanceUID") for page in pages for one in page.matches]
            assert found == ["1.3", "1.2", "1.1"]
            assert not warnings
        else:
            assert warnings == [f"there does not sort its answers by {key}; they are in its own order."]

    def test_a_search_that_is_too_broad_is_reported_as_the_server_says_it(self, settings):
        server = Dcm4chee(too_broad=10)
        server.hold(crowd(35))
        with client_of(server, settings) as client:
            with pytest.raises(TransactionError, match=r"413.*more specific"):
                told(client)
            assert told(client, match={"PatientID": "C0003"})[0] == 1

    def test_what_is_off_line_is_reported_after_what_came(self, settings):
        server = Dcm4chee(offline=frozenset({head()[1].instance}))
        server.add(head()[:3])
        came: list[Part] = []
        with client_of(server, settings) as client:
            with pytest.raises(WireError, match="206"):
                came.extend(client.retrieve(head()[0].resource.parent))
            assert len(came) == 2
            with pytest.raises(RemoteNotFound):
                bodies(client, head()[1].resource)

    def test_studies_that_must_be_rejected_first_are(self, settings):
        class Strict(Dcm4chee):
            def delete(self, place):
                return dataclasses.replace(super().delete(Resource("1.2")), status=403)

        server = Strict()
        server.add(head())
        with client_of(server, settings) as client:
            client.session.learn(rejection="113039^DCM", delete_levels=("study",))
            client.delete(Resource(head()[0].study))
        assert not server.below(Resource(head()[0].study))
        assert server.asked[-1].path.endswith("/reject/113039%5EDCM")


class TestGoogle:
    def test_the_same_bytes_are_no_error_and_others_are_a_duplicate(self, settings):
        server = Google()
        server.add(news())
        other = changed(news()[0], PatientComments="other")
        with client_of(server, settings) as client:
            same = sent(client, news()[1])
            different = sent(client, other)
        assert [one.status for one in same.values()] == ["stored"]
        assert [one.status for one in different.values()] == ["duplicate"]

    def test_an_upload_without_a_login_says_what_to_look_at(self, settings):
        with (
            client_of(Google(token="right"), settings) as client,
            pytest.raises(RemoteNotFound, match="login"),
        ):
            sent(client, news()[0])

    def test_too_many_requests_are_made_again(self, settings):
        server = Google(every=2)
        server.add(head())
        with client_of(server, settings) as client:
            assert sorted(bodies(client, Resource(head()[0].study))) == sorted(one.data for one in head())

    def test_fields_that_are_refused_are_left_out_and_the_others_come(self, settings):
        server = Google(refused_fields=frozenset({"NumberOfStudyRelatedSeries"}), every=0)
        server.add(head())
        fields = ("StudyDescription", "NumberOfStudyRelatedSeries")
        with client_of(server, settings) as client:
            (page, *_) = client.search(Query(fields=fields))
        assert text(page.matches[0].attributes, "StudyDescription") == "Christmas"


class TestKheops:
    @pytest.mark.parametrize(
        "auth", [BearerAuth("t0ken"), BasicAuth("anybody", "t0ken")], ids=["bearer", "basic"]
    )
    def test_the_token_opens_it_in_either_place(self, auth, settings):
        server = Kheops(token="t0ken")
        server.add(head())
        with client_of(server, settings, auth) as client:
            assert told(client)[0] == 1

    def test_a_token_that_only_reads_is_refused_an_upload(self, settings):
        server = Kheops(token="t0ken", may_write=False)
        with client_of(server, settings, BearerAuth("t0ken")) as client, pytest.raises(AuthenticationError):
            sent(client, news()[0])

    def test_what_contradicts_the_study_is_refused_with_its_reason(self, settings):
        server = Kheops()
        server.add(head())
        wrong = small(StudyInstanceUID=head()[0].study, PatientID="someone else")
        right = small(StudyInstanceUID=head()[0].study, PatientID="H1")
        with client_of(server, settings) as client:
            results = sent(client, wrong, right)
        assert results[right.instance].status == "stored"
        assert (results[wrong.instance].status, results[wrong.instance].reason_code) == ("failed", 0x0106)

    def test_its_count_of_matches_is_known_and_its_odd_warning_readable(self, settings):
        server = Kheops()
        server.hold(crowd(30))
        with client_of(server, settings) as client:
            (page, *_) = client.search(Query(limit=5))
        assert page.total == 30
        assert not any("{+service}" in words for words in page.warnings)


class TestDcmjs:
    def test_an_index_that_is_late_is_looked_at_again(self, settings):
        server = Dcmjs()
        server.add(head())
        with client_of(server, settings) as client:
            assert {one.status for one in sent(client, *news()).values()} == {"stored"}

    def test_rubbish_in_a_batch_costs_only_itself(self, settings):
        server = Dcmjs()
        unreadable = changed(news()[0], SOPInstanceUID="1.2.3.4")
        broken = Made(unreadable.dataset, unreadable.data[:-3])

        keep = server.store

        def keep_whole(request, study):
            failed = Answer(500, b"Error", {"Content-Type": "text/plain"})
            return failed if broken.data in request.body else keep(request, study)

        server.store = keep_whole
        with client_of(server, settings) as client:
            results = sent(client, news()[0], broken, news()[1])
        assert [results[one.instance].status for one in news()] == ["stored", "stored"]
        assert results["1.2.3.4"].status == "failed"


class TestSlicer:
    def test_a_series_that_it_does_not_a_list_comes_by_its_metadata(self, settings):
        from dicomdock.archive import Archive
        from dicomdock.transfer.pull import pull

        server = Slicer()
        pdf = document(StudyInstanceUID=head()[0].study, PatientID="H1")
        server.add([*head()[:3], pdf])
        with client_of(server, settings) as client, Archive.open(settings) as archive:
            report = ended(pull(client, archive, [Resource(head()[0].study)], settings))
        assert report.complete
        assert report.received == 4


class TestAws:
    def test_throttling_is_waited_out(self, settings):
        server = Aws(every=5)
        server.add(head())
        with client_of(server, settings) as client:
            assert sorted(bodies(client, Resource(head()[0].study))) == sorted(one.data for one in head())


class TestAzure:
    def test_what_lacks_a_patient_is_refused_with_a_reason(self, settings):
        nobody = small(PatientID="")
        with client_of(Azure(), settings) as client:
            results = sent(client, nobody, news()[0])
        assert results[news()[0].instance].status == "stored"
        assert (results[nobody.instance].status, results[nobody.instance].reason_code) == ("failed", 43264)
        assert "invalid" in results[nobody.instance].reason
