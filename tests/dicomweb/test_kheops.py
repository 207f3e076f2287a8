"""Kheops: a token by either scheme, and the album that searches and uploads are about."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, urlsplit

import pytest

from dicomdock.config.dialects import KHEOPS, Dialect
from dicomdock.config.secrets import Secrets
from dicomdock.config.servers import Login, ServerProfile
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import Client, connect, urls
from dicomdock.dicomweb.auth.kheops import KheopsAuth
from dicomdock.errors import AuthenticationError, InvalidInput, ProfileError
from tests.builders import changed, ct_series, mr_series
from tests.dicomweb.clients import parts_of
from tests.servers.canned import Answer, answering
from tests.servers.imitations import Kheops
from tests.servers.imitations.base import small

TOKEN = "abcDEF123456tok"


@dataclass
class AlbumKheops(Kheops):
    """The imitation, with the parameters that choose an album or the inbox: known where Kheops knows them."""

    token: str = TOKEN
    scopes: list = field(default_factory=list)

    def __call__(self, request):
        url = urlsplit(request.path)
        pairs = parse_qsl(url.query)
        scope = [pair for pair in pairs if pair[0] in ("album", "inbox")]
        self.scopes.append((request.method, url.path.removeprefix(self.base), *scope))
        rest = "&".join(piece for piece in url.query.split("&") if not piece.startswith(("album=", "inbox=")))
        return super().__call__(replace(request, path=f"{url.path}?{rest}" if rest else url.path))


@pytest.mark.parametrize(
    ("login", "scheme", "scope"),
    [
        (Login("kheops"), "Bearer", ()),
        (Login("kheops", "anyone"), "Basic", ()),
        (Login("kheops", options={"album": "Aa1"}), "Bearer", (("album", "Aa1"),)),
        (Login("kheops", options={"inbox": "true"}), "Bearer", (("inbox", "true"),)),
    ],
)
def test_searches_and_uploads_are_about_the_album(login, scheme, scope, settings):
    server, series = AlbumKheops(), ct_series(2)
    with answering(server) as canned:
        dialect = replace(Dialect(), root_levels=("studies",))
        profile = ServerProfile("album", urls.repair(f"{canned.url}/view/{TOKEN}").url, login, dialect)
        Secrets(settings).set("album", profile.origin, TOKEN)
        with connect(profile, settings) as client:
            list(client.store(parts_of(series)))
            assert [page.matches for page in client.search(Query()) if page.matches]
            list(client.search(Query.from_params("series", [], study=series[0].study)))
            got = [b"".join(one.chunks()) for one in client.retrieve(Resource(series[0].study))]
            client.delete(Resource(series[0].study))
    assert sorted(got) == sorted(one.data for one in series)
    assert {request.headers["Authorization"].split()[0] for request in server.asked} == {scheme}
    by_path = {(method, path): found for method, path, *found in server.scopes}
    assert by_path["GET", "/studies"] == list(scope)
    assert by_path["POST", "/studies"] == list(scope)
    assert by_path["GET", f"/studies/{series[0].study}/series"] == list(scope)
    assert by_path["GET", f"/studies/{series[0].study}"] == []
    assert by_path["DELETE", f"/studies/{series[0].study}"] == []


def test_a_token_that_has_ended_is_refused_in_words(settings):
    with answering(AlbumKheops()) as canned:
        profile = ServerProfile("album", f"{canned.url}/api", Login("kheops", options={"album": "Aa1"}))
        Secrets(settings).set("album", profile.origin, "another-token")
        with (
            connect(profile, settings) as client,
            pytest.raises(AuthenticationError, match="Kheops token for album Aa1") as caught,
        ):
            list(client.search(Query()))
    assert "another-token" not in str(caught.value)


def test_an_album_and_the_inbox_are_never_asked_for_together():
    for options, words in (
        ({"album": "Aa1", "inbox": "true"}, "one"),
        ({"album": "a&inbox=true"}, "not the ID"),
    ):
        profile = ServerProfile("album", "https://k.example/api", Login("kheops", options=options))
        with pytest.raises(ProfileError, match=words):
            KheopsAuth.of(profile, TOKEN)


def test_what_cannot_be_a_token_is_refused():
    with pytest.raises(InvalidInput):
        KheopsAuth("two words")
    assert TOKEN not in repr(KheopsAuth(TOKEN)) + KheopsAuth(TOKEN).describe()


# ---- what Kheops does with searches below a study, and with frames


def test_a_filter_that_matches_nothing_is_no_failure(settings):
    server = Kheops()
    made = [small(PatientID="K1", Modality="CT") for _ in range(2)]
    server.add(made)
    with answering(server) as canned:
        profile = ServerProfile("kheops", canned.url + server.base, dialect=KHEOPS)
        with Client(profile, settings=settings) as client:
            below = {"StudyInstanceUID": made[0].study}
            nothing = list(client.search(Query("series", {**below, "Modality": "MR"})))
            found = list(client.search(Query("series", {**below, "Modality": "CT\\MR"})))
    assert [len(page.matches) for page in nothing if page.matches] == []
    assert sum(len(page.matches) for page in found) == 1
    assert len(server.asked) < 8


@pytest.mark.slow
def test_every_instance_of_a_study_is_listed(settings):
    server = Kheops()
    series = [mr_series(7) for _ in range(3)]
    series = [[changed(one, StudyInstanceUID=series[0][0].study) for one in some] for some in series]
    for some in series:
        server.add(some)
    with answering(server) as canned:
        profile = ServerProfile("kheops", canned.url + server.base, dialect=KHEOPS)
        with Client(profile, settings=settings) as client:
            for limit in (None, 5, 20):
                query = Query("instances", {"StudyInstanceUID": series[0][0].study}, limit=limit)
                found = [one for page in client.search(query) for one in page.matches]
                assert len(found) == min(limit or 21, 21)


def test_frames_come_one_by_one_where_an_address_holds_one_number(settings):
    def reply(request):
        number = request.path.rpartition("/")[2]
        if not number.isdecimal():
            return Answer(404)  # no route: ReverseProxy/locations.conf wants one number
        body = f"--xx\r\nContent-Type: application/octet-stream\r\n\r\nframe {number}\r\n--xx--\r\n"
        label = 'multipart/related; type="application/octet-stream"; boundary=xx'
        return Answer(200, body.encode(), {"Content-Type": label})

    with answering(reply) as canned, Client(ServerProfile("kheops", canned.url), settings=settings) as client:
        parts = client.frames(Resource("1.2", "1.2.3", "1.2.3.4", frames=(3, 1, 2)))
        assert [b"".join(part.chunks()) for part in parts] == [b"frame 3", b"frame 1", b"frame 2"]
