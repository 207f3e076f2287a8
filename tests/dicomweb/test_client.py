"""The client as a whole: what it composes, what it learns, deleting and pictures."""

import pytest

from dicomdock import dicomweb
from dicomdock.config.servers import Login, Profiles, ServerProfile
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import Client
from dicomdock.errors import (
    AuthenticationError,
    ProfileError,
    RemoteNotFound,
    Unreachable,
    UnsupportedByServer,
)
from dicomdock.sources import Part
from tests import builders
from tests.dicomweb.awkward import Answer, Awkward, refused, rows
from tests.dicomweb.clients import client_of, orthanc_client

JPEG = b"\xff\xd8\xff\xe0picture"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def head():
    return builders.ct_series(3)


def test_the_whole_way_with_real_orthanc(orthanc, head, settings):
    with orthanc_client(orthanc, settings) as client:
        assert client.name == "orthanc"
        sent = [Part("application/dicom", lambda one=one: iter([one.data])) for one in head]
        assert {result.status for result in client.store(sent)} == {"stored"}
        (page, *_) = client.search(Query("series", {"StudyInstanceUID": head[0].study}))
        assert len(page.matches) == 1
        back = [b"".join(part.chunks()) for part in client.retrieve(Resource(head[0].study))]
        assert sorted(back) == sorted(one.data for one in head)
        with pytest.raises(UnsupportedByServer):  # the plugin has no DELETE
            client.delete(Resource(head[0].study))
    assert orthanc.instance_count() == 3


def test_a_wrong_password_is_reported_with_the_login_that_was_tried(orthanc, settings):
    from dicomdock.web.auth import BasicAuth

    profile = ServerProfile("orthanc", orthanc.url, Login("basic", "alice"))
    client = Client(profile, settings=settings, auth=BasicAuth("alice", "wrong-secret"))
    with client, pytest.raises(AuthenticationError) as error:
        next(client.search(Query()))
    assert "alice" in str(error.value)
    assert "wrong-secret" not in f"{error.value!r} {error.value.login}"


def test_connect_takes_a_profile_or_its_name(orthanc, settings):
    from dicomdock.config.secrets import Secrets

    profile = ServerProfile("hospital", orthanc.url, Login("basic", "alice"))
    Profiles().with_profile(profile).save(settings)
    with pytest.raises((AuthenticationError, ProfileError)):
        dicomweb.connect("hospital", settings)
    Secrets(settings).set("hospital", profile.origin, "secret")
    for server in ("hospital", profile):
        with dicomweb.connect(server, settings) as client:
            assert next(client.search(Query())).matches == ()
    with pytest.raises(ProfileError):
        dicomweb.connect("nowhere", settings)


def test_making_a_client_asks_nothing(settings):
    with Client(ServerProfile("gone", "http://127.0.0.1:9"), settings=settings) as client:
        assert client.name == "gone"


def test_a_host_that_is_down_is_unreachable(settings):
    from dataclasses import replace

    profile = ServerProfile("gone", "http://127.0.0.1:9")
    with Client(profile, settings=replace(settings, retries=0)) as client, pytest.raises(Unreachable):
        next(client.search(Query()))


# Deleting


@pytest.mark.parametrize("level", ["study", "series", "instance"])
@pytest.mark.parametrize("status", [200, 204])
def test_what_the_server_deletes_is_deleted(level, status, head, settings):
    one = head[0].resource
    place = {"study": Resource(one.study), "series": one.parent, "instance": one}[level]
    asked = []

    def reply(request):
        asked.append((request.method, request.path))
        return Answer(status, b"deleted" if status == 200 else b"")

    with client_of(reply, settings) as client:
        client.delete(place)
    assert asked == [("DELETE", place.path)]


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_server_without_deleting_is_reported_and_not_asked_twice(status, head, settings):
    class Keeps(Awkward):
        def __call__(self, request):
            answer = super().__call__(request)
            return refused(status) if request.method == "DELETE" else answer

    server = Keeps(head)
    with client_of(server, settings) as client:
        for _ in range(2):
            with pytest.raises(UnsupportedByServer):
                client.delete(Resource(head[0].study))
    assert [request.method for request in server.asked].count("DELETE") == 1


def test_deleting_what_is_not_there_is_not_found(head, settings):
    with client_of(Awkward(head), settings) as client, pytest.raises(RemoteNotFound):
        client.delete(Resource("1.2.3"))


def test_a_dialect_without_deleting_asks_nothing(head, settings):
    server = Awkward(head)
    with client_of(server, settings, delete_levels=("study",)) as client, pytest.raises(UnsupportedByServer):
        client.delete(head[0].resource)
    assert server.asked == []


# Pictures


class Painter(Awkward):
    """A server with pictures at some paths."""

    paints = staticmethod(lambda request: refused(404))

    def __call__(self, request):
        path = request.path.partition("?")[0]
        if path.endswith(("/rendered", "/thumbnail")) or "requestType=WADO" in request.path:
            self.asked.append(request)
            return self.paints(request)
        return super().__call__(request)


def painted(request, *, only=""):
    if only and only not in request.path:
        return refused(404)
    return Answer(200, JPEG, {"Content-Type": "image/jpeg"})


def test_a_picture_is_asked_for_in_size_and_window(head, settings):
    server = Painter(head)
    server.paints = painted
    with client_of(server, settings) as client:
        assert client.rendered(head[0].resource, viewport=(64, 48), window=(40, 400.5)) == (
            "image/jpeg",
            JPEG,
        )
    assert server.asked[0].path.endswith("/rendered?window=40,400.5,linear&viewport=64,48")


def test_of_a_series_that_is_not_rendered_the_middle_instance_is_shown(head, settings):
    server = Painter(head)
    server.paints = lambda request: painted(request, only="/instances/")
    with client_of(server, settings) as client:
        assert client.rendered(Resource(head[0].study)) == ("image/jpeg", JPEG)
        assert head[1].instance in server.asked[-1].path


def test_a_missing_thumbnail_is_rendered_and_remembered(head, settings):
    server = Painter(head)
    server.paints = lambda request: painted(request, only="/rendered")
    with client_of(server, settings) as client:
        assert client.thumbnail(head[0].resource, viewport=(96, 96)) == ("image/jpeg", JPEG)
        assert client.thumbnail(head[1].resource) == ("image/jpeg", JPEG)
    assert sum("/thumbnail" in request.path for request in server.asked) == 1
    assert "viewport=96,96" in server.asked[1].path


def test_without_rendering_a_picture_comes_by_wado_uri_with_its_true_type(head, settings):
    server = Painter(head)
    server.paints = lambda request: (
        Answer(200, PNG, {"Content-Type": "image/jpeg"}) if "requestType" in request.path else refused(404)
    )
    with client_of(server, settings, rendered=False, thumbnail=False, wado_uri="wado") as client:
        assert client.thumbnail(Resource(head[0].study)) == ("image/png", PNG)
    assert f"objectUID={head[1].instance}" in server.asked[-1].path


def test_no_picture_at_all_is_reported(head, settings):
    with client_of(Painter(head), settings, rendered=False, thumbnail=False) as client:
        with pytest.raises(UnsupportedByServer):
            client.rendered(head[0].resource)
        with pytest.raises(UnsupportedByServer):
            client.thumbnail(Resource(head[0].study))


def test_a_picture_of_nothing_is_not_found(settings):
    with client_of(lambda _: rows([], status=404), settings) as client, pytest.raises(RemoteNotFound):
        client.rendered(Resource("1.2"))


def test_real_orthanc_paints(orthanc, head, settings):
    orthanc.add(*[one.data for one in head])
    with orthanc_client(orthanc, settings) as client:
        for place in (head[0].resource, head[0].resource.parent, Resource(head[0].study)):
            assert client.rendered(place)[0] == "image/jpeg"
            assert client.thumbnail(place)[1].startswith(b"\xff\xd8")
        assert client.rendered(head[0].resource, accept="image/png")[1].startswith(b"\x89PNG")
