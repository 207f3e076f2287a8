"""A server that wants to see a certificate of the client's: nginx with its own authority, before Orthanc."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from dataclasses import replace

import pytest

from dicomdock.config.secrets import Secrets
from dicomdock.config.servers import Login, ServerProfile
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import connect
from dicomdock.errors import DicomdockError, ProfileError
from tests.builders import ct_series
from tests.conftest import unavailable
from tests.dicomweb.clients import parts_of
from tests.servers import nginx
from tests.servers.process import free_port

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    """An authority, a server's certificate and a client's, and one of a client that nobody knows."""
    folder = tmp_path_factory.mktemp("papers")

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    openssl(*new, "-subj", "/CN=Test authority", "-keyout", "ca.key", "-out", "ca.pem")
    openssl(*new, "-subj", "/CN=stranger", "-keyout", "stranger.key", "-out", "stranger.pem")
    for name, extension in (
        ("server", "subjectAltName=IP:127.0.0.1"),
        ("client", "extendedKeyUsage=clientAuth"),
    ):
        (folder / "extension").write_text(extension)
        request = ("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}")
        openssl(*request, "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signed = (
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "extension",
        )
        openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.pem")
    openssl("rsa", "-aes128", "-passout", "pass:x", "-in", "client.key", "-out", "locked.key")
    return folder


@contextmanager
def gate(orthanc, papers, folder):
    if remedy := nginx.missing():
        unavailable("nginx", remedy)
    port = free_port()
    directives = f"""
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {papers}/server.pem;
        ssl_certificate_key {papers}/server.key;
        ssl_client_certificate {papers}/ca.pem;
        ssl_verify_client on;
    """
    with nginx.before(orthanc.root, folder, directives=directives):
        yield f"https://127.0.0.1:{port}/dicom-web"


def profile_at(url, papers, name="client", key=""):
    profile = ServerProfile("pacs", url, Login("basic", "alice"), ca_file=str(papers / "ca.pem"))
    if not name:
        return profile
    files = {"client_certificate": f"{papers}/{name}.pem", "client_key": f"{papers}/{key or name}.key"}
    return replace(profile, **files)


def test_the_certificate_is_shown_in_every_transaction(orthanc, papers, tmp_path, settings):
    series = ct_series(3)
    with gate(orthanc, papers, tmp_path) as url:
        profile = profile_at(url, papers)
        Secrets(settings).set("pacs", profile.origin, orthanc.password)
        with connect(profile, settings) as client:
            list(client.store(parts_of(series)))
            assert [page.matches for page in client.search(Query()) if page.matches]
            got = [b"".join(one.chunks()) for one in client.retrieve(Resource(series[0].study))]
    assert sorted(got) == sorted(one.data for one in series)


@pytest.mark.parametrize("name", ["", "stranger"])
def test_without_the_right_certificate_the_server_says_why(name, orthanc, papers, tmp_path, settings):
    with gate(orthanc, papers, tmp_path) as url:
        profile = profile_at(url, papers, name)
        Secrets(settings).set("pacs", profile.origin, orthanc.password)
        with connect(profile, settings) as client, pytest.raises(DicomdockError, match="certificate"):
            list(client.search(Query()))


def test_a_key_under_a_password_is_refused_in_words(papers, settings):
    profile = profile_at("https://127.0.0.1:9", papers, key="locked")
    Secrets(settings).set("pacs", profile.origin, "x")
    with pytest.raises(ProfileError, match="protected by a password"):
        connect(profile, settings)
