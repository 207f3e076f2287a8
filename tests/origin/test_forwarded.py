"""The address of a reverse proxy in answers: stated by a trusted proxy, ignored from anybody else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.errors import InvalidInput
from dicomdock.origin.app import create_app
from dicomdock.origin.forwarded import stated
from tests import builders
from tests.origin.running import serving

JSON = "application/dicom+json"
FORWARDED = [
    ({"Forwarded": "host=my-domain;proto=https"}, "https://my-domain"),
    ({"Forwarded": 'for=10.0.0.1;proto=https;host="my-domain:8443"'}, "https://my-domain:8443"),
    ({"Forwarded": "host=evil.example, for=1.2.3.4;host=my-domain;proto=http"}, "http://my-domain"),
    ({"X-Forwarded-Host": "my-domain", "X-Forwarded-Proto": "https"}, "https://my-domain"),
    (
        {"X-Forwarded-Host": "evil.example, my-domain", "X-Forwarded-Proto": "http, https"},
        "https://my-domain",
    ),
    (
        {"X-Forwarded-Host": "my-domain", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "8443"},
        "https://my-domain:8443",
    ),
    ({"X-Forwarded-Host": "[2001:db8::1]:8042"}, "http://[2001:db8::1]:8042"),
    ({"X-Forwarded-Host": "localhost", "X-Forwarded-Proto": "https"}, "https://localhost"),
]
NOT_A_HOST = [
    "my-domain/path",
    "a b",
    "user@my-domain",
    "",
    "my-domain:99999",
    "my-domain:0",
    "ümlaut",
    'a"b',
    "?x",
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forwarded")
    settings = Settings(folder / "config", folder / "archive", folder / "state", free_space_floor=0)
    with Archive.open(settings) as archive:
        yield archive


@pytest.fixture(scope="module")
def behind(archive):
    """Serve behind proxies on loopback."""
    with serving(archive, proxies=("127.0.0.0/8", "::1")) as running:
        yield running


@pytest.fixture(scope="module")
def made(behind):
    (one,) = builders.ct_series(1)
    behind.add(one.data)
    return one


def bulk_address(server, made, headers):
    (described,) = server.ask(f"/dicom-web{made.resource.path}/metadata", JSON, headers=headers).json()
    return described["7FE00010"]["BulkDataURI"]


@pytest.mark.parametrize(("headers", "root"), FORWARDED)
def test_a_trusted_proxy_states_the_address_that_it_was_reached_by(behind, made, headers, root):
    address = bulk_address(behind, made, headers)
    assert address == f"{root}/dicom-web{made.resource.path}/bulk/7FE00010"
    (match,) = behind.ask("/dicom-web/studies", JSON, headers=headers).json()
    assert match["00081190"]["Value"] == [f"{root}/dicom-web/studies/{made.study}"]


@pytest.mark.parametrize("host", NOT_A_HOST)
def test_what_is_not_a_host_changes_nothing(behind, made, host):
    headers = {"X-Forwarded-Host": host.encode("latin-1")}
    assert bulk_address(behind, made, headers).startswith(behind.url)


@pytest.mark.parametrize("proxies", [(), ("192.0.2.1", "10.0.0.0/8")])
def test_nobody_else_is_believed(archive, made, proxies):
    with serving(archive, proxies=proxies) as server:
        for headers, _ in FORWARDED:
            assert bulk_address(server, made, headers).startswith(server.url)


def test_the_address_that_the_client_wrote_stands_where_nothing_is_stated(behind, made):
    assert bulk_address(behind, made, {}).startswith(behind.url)
    assert bulk_address(behind, made, {"Host": "my-domain"}).startswith("http://my-domain/dicom-web/")


@pytest.mark.parametrize("address", ["proxy.example.org", "10.0.0.0/40", ""])
def test_a_proxy_that_is_not_an_address_is_refused(archive, address):
    with pytest.raises(InvalidInput):
        create_app(archive, proxies=(address,))


@pytest.mark.slow
@given(st.text(max_size=200), st.text(max_size=80))
def test_any_header_is_read_without_failing(forwarded, host):
    for name, value in (("forwarded", forwarded), ("x-forwarded-host", host)):
        headers = Headers(raw=[(name.encode(), value.encode("utf-8"))])
        assert all(isinstance(text, str) for text in stated(headers).values())
