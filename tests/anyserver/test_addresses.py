"""Servers that search, retrieve and store at addresses of their own, as DICOMcloud does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicomdock.config.servers import Profiles, ServerProfile, load_profiles
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import Client, probe
from dicomdock.errors import ProfileError
from tests.builders import ct_series
from tests.dicomweb.clients import parts_of
from tests.servers.canned import answering
from tests.servers.forms import ByUri, Split, storing


def retrieved(client, resource) -> list[bytes]:
    return sorted(b"".join(part.chunks()) for part in client.retrieve(resource))


@pytest.mark.parametrize("pasted", ["", "/qidors", "/wadors", "/stowrs"])
def test_the_three_addresses_are_found_from_any_of_them(pasted, settings, run):
    made = ct_series(2)
    server = storing(Split(made))
    with answering(server) as canned:
        added = run("server", "add", "s", canned.url + pasted)
        assert added.code == 0, added.err
        profile = load_profiles(settings).get("s")
        assert (profile.url, profile.retrieve_url, profile.store_url) == (
            f"{canned.url}/qidors",
            f"{canned.url}/wadors",
            f"{canned.url}/stowrs",
        )
        with Client(profile, settings=settings) as client:
            assert retrieved(client, Resource(made[0].study)) == sorted(one.data for one in made)
            (result,) = client.store(parts_of(ct_series(1)))
            assert result.status == "stored"
            assert len([one for page in client.search(Query()) for one in page.matches]) == 2


@pytest.mark.parametrize(
    ("points", "at", "pasted", "habits"),
    [
        ("/wadors/studies/{study}", Split.at, "", {}),  # from the root
        ("../wadors/studies/{study}", Split.at, "", {}),  # from the list
        ("https://{host}/wadors/studies/{study}", Split.at, "", {}),  # TLS ends before it
        ("http://inside.example:8080/wadors/studies/{study}?x=1", Split.at, "", {}),
        (
            "http://inside.example/wadors/studies/{study}",
            ("pacs/qidors", "pacs/wadors", "pacs/stowrs"),
            "/pacs",
            {},
        ),
        ("http://{host}/wado/rs/studies/{study}", ("qido/rs", "wado/rs", "stow/rs"), "/qido/rs", {}),
        ("http://{host}/b/wado-rs/studies/{study}", ("a", "b/wado-rs", "b/stow-rs"), "/a", {}),
        ("http://{host}/wadors/studies/{study}", Split.at, "", {"point_in": ("series",)}),
        ("http://{host}/wadors/studies/{study}", Split.at, "", {"point_in": ("instances",)}),
        ("http://{host}/wadors/studies/{study}", Split.at, "", {"describes": False}),
    ],
)
def test_whatever_the_answers_point_with_the_path_is_found(points, at, pasted, habits, settings, run):
    """Relative, of another scheme, host or folder, or in other lists: only its path counts."""
    made = ct_series(2)
    server = storing(Split(made))
    server.points, server.at = points, at
    for habit, value in habits.items():
        setattr(server, habit, value)
    with answering(server) as canned:
        added = run("server", "add", "s", canned.url + pasted)
        assert added.code == 0, added.err
        profile = load_profiles(settings).get("s")
        assert (profile.url, profile.retrieve_url, profile.store_url) == tuple(
            f"{canned.url}/{one}" for one in at
        )
        pulled = run("pull", made[0].study, "--server", "s", "--json")
        assert pulled.code == 0, pulled.err
        assert pulled.json["instances"]["received"] == 2


@pytest.mark.parametrize(
    ("base", "service", "refusal"),
    [("/rs", "/wado", 404), ("", "/wado", 406), ("/rs", "/rs/wado-uri", 400), ("", "/", 501)],
)
def test_wado_uri_is_found_where_nothing_else_gives_instances(base, service, refusal, run, settings):
    made = ct_series(2)
    server = ByUri(made)
    server.refusal = refusal
    server.service = service.removeprefix(base) if service.startswith(f"{base}/") else service

    def reply(request):
        return server(replace(request, path=request.path.removeprefix(base) or "/"))

    with answering(reply) as canned:
        assert run("server", "add", "s", canned.url + base).code == 0
        pulled = run("pull", made[0].study, "--server", "s", "--json")
        assert pulled.code == 0, pulled.err
        assert pulled.json["instances"]["received"] == 2


def test_an_address_that_nothing_points_to_is_not_guessed(settings):
    server = Split(ct_series(1))
    server.points = None
    with answering(server) as canned:
        profile = ServerProfile("s", f"{canned.url}/qidors")
        with Client(profile, settings=settings) as client:
            assert "retrieve_url" not in probe.test(client).addresses


def test_a_login_is_sent_to_one_origin_alone(settings):
    profile = ServerProfile("s", "https://pacs.example/qidors", retrieve_url="https://other.example/wadors")
    with pytest.raises(ProfileError, match=r"retrieve_url of server 's' is not at https://pacs\.example"):
        Profiles().with_profile(profile)


def test_the_addresses_can_be_given(settings, run):
    made = ct_series(2)
    server = storing(Split(made))
    server.points = None
    with answering(server) as canned:
        services = {
            name: f"{canned.url}/{path}"
            for name, path in (("search", "qidors"), ("retrieve", "wadors"), ("store", "stowrs"))
        }
        options = [word for name, url in services.items() for word in (f"--{name}-url", url)]
        assert run("server", "add", "s", canned.url, *options).code == 0
        pulled = run("pull", made[0].study, "--server", "s", "--json")
        assert pulled.code == 0, pulled.err
        shown = run("server", "show", "s", "--json").json
        assert {name: shown[f"{name}_url"] for name in services} == services
