# ruff: noqa: SIM117 - server, client and expected error read best as levels
"""Certificates, proxies, and names that were judged before."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

import pytest

from dicomdock.config.servers import ServerProfile
from dicomdock.errors import ProfileError, Unreachable
from dicomdock.web.auth import BearerAuth
from dicomdock.web.transport import Http
from tests.dicomweb.sockets import Connection, listening
from tests.servers.canned import Answer, answering, own_certificate
from tests.waiting import join
from tests.web.connecting import SECRET, again_and_again, answers, line, target


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return own_certificate(tmp_path_factory.mktemp("tls"))


@pytest.mark.slow
def test_a_certificate_that_nobody_knows_is_refused(quick, certificate):
    with answering(answers(Answer(200, b"ok")), certificate=certificate) as server:
        with line(server.url, quick, BearerAuth(SECRET)) as http:
            with pytest.raises(Unreachable, match=r"certificate .* is not trusted.*ca_file"):
                http.request("GET", "/")
        assert not server.asked
        with line(server.url, quick, ca_file=str(certificate)) as http:
            assert http.request("GET", "/").read() == b"ok"
        with line(server.url, quick, ca_file=str(certificate), client_certificate=str(certificate)) as http:
            assert http.request("GET", "/").read() == b"ok"


def pinned(server, settings, name="pacs.test", addresses=("127.0.0.1",), **more):
    """Return a connection by a name that only ``addresses`` lead to."""
    return Http(
        ServerProfile("pacs", server.url.replace("127.0.0.1", name), **more).endpoint,
        BearerAuth(SECRET),
        settings.connection,
        addresses=addresses,
    )


@pytest.mark.slow
def test_a_name_that_was_judged_is_not_looked_up_again(quick, certificate):
    with answering(answers(Answer(200, b"ok"))) as server:
        # The first address refuses; no name server knows this name.
        with pinned(server, quick, addresses=("127.0.0.2", "127.0.0.1")) as http:
            assert http.request("GET", "/").read() == b"ok"
        assert server.asked[0].headers["Host"] == server.url.replace("http://127.0.0.1", "pacs.test")
        with pinned(server, quick, addresses=()) as http, pytest.raises(Unreachable, match="No machine"):
            http.request("GET", "/")
        assert len(server.asked) == 1
    with answering(answers(Answer(200, b"ok")), certificate=certificate) as server:
        with pinned(server, quick, ca_file=str(certificate)) as http:
            assert http.request("GET", "/").read() == b"ok"
        with pinned(server, quick, "other.test", ca_file=str(certificate)) as http:
            with pytest.raises(Unreachable, match="not trusted"):
                http.request("GET", "/")
        assert len(server.asked) == 1


def test_https_to_a_plain_port(quick):
    with listening(lambda c: c.sock.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")) as server:
        with line(server.url.replace("http:", "https:"), quick) as http:
            with pytest.raises(Unreachable, match="does not speak TLS"):
                http.request("GET", "/")


def test_certificate_files_that_cannot_be_used(quick, tmp_path):
    broken = tmp_path / "broken.pem"
    broken.write_text("nothing")
    for files in ({"ca_file": str(broken)}, {"client_certificate": str(tmp_path / "missing.pem")}):
        with pytest.raises(ProfileError, match="certificate file"):
            line("https://127.0.0.1", quick, **files)


def test_a_certificate_with_a_protected_key_does_not_ask_on_the_terminal(quick, tmp_path, certificate):
    import subprocess

    key = tmp_path / "key.pem"
    make = ["openssl", "rsa", "-aes128", "-passout", "pass:secret", "-in", certificate, "-out", key]
    subprocess.run(make, check=True, capture_output=True)
    with pytest.raises(ProfileError, match="protected by a password"):
        line("https://127.0.0.1", quick, client_certificate=str(certificate), client_key=str(key))


def test_the_profiles_proxy_is_used_and_its_login_stays_there(quick):
    def proxy(connection: Connection) -> None:
        while connection.request():
            connection.say(body=b"by proxy")

    with listening(proxy) as server:
        address = server.url.replace("/dicom-web", "").replace("http://", "http://bob:pw%40@")
        with line("http://pacs.invalid/dicom-web", quick, BearerAuth(SECRET), proxy=address) as http:
            assert http.request("GET", "/studies", query=[("PatientName", "A^B")]).read() == b"by proxy"
    request = server.asked[0].decode()
    assert target(server.asked[0]) == "http://pacs.invalid/dicom-web/studies?PatientName=A^B"
    assert "proxy-authorization: Basic Ym9iOnB3QA==" in request
    assert "Host: pacs.invalid\r\n" in request


@pytest.mark.slow
def test_https_goes_through_a_tunnel_that_sees_no_login(quick, certificate):
    def tunnel(connection: Connection) -> None:
        request = connection.request()
        port = int(target(request).split(":")[1])
        with socket.create_connection(("127.0.0.1", port)) as onward:
            connection.sock.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")

            def back() -> None:
                with suppress(OSError):
                    while data := onward.recv(1 << 16):
                        connection.sock.sendall(data)

            returning = threading.Thread(target=back, daemon=True)
            returning.start()
            while data := connection.sock.recv(1 << 16):
                onward.sendall(data)
            onward.shutdown(socket.SHUT_RDWR)
            join(returning)

    reply = answers(Answer(200, b"inside"))
    with answering(reply, certificate=certificate) as server, listening(tunnel) as proxy:
        options = {"ca_file": str(certificate), "proxy": proxy.url.replace("/dicom-web", "")}
        with line(server.url, quick, BearerAuth(SECRET), **options) as http:
            assert http.request("GET", "/studies", query=[("PatientName", "A^B")]).read() == b"inside"
        assert server.asked[0].path == "/studies?PatientName=A^B"
        assert SECRET.encode() not in b"".join(proxy.asked)


def test_a_proxy_that_refuses_the_tunnel_is_named(quick):
    with listening(lambda c: (c.request(), c.say("407 Login Required"))) as proxy:
        with line("https://pacs.invalid", quick, proxy=proxy.url.replace("/dicom-web", "")) as http:
            with pytest.raises(Unreachable, match=r"proxy on the way to pacs.invalid .*407"):
                http.request("GET", "/")


def test_the_environments_proxy_is_used_but_not_for_this_machine(quick, monkeypatch):
    with listening(again_and_again) as proxy, answering(answers(Answer(200, b"direct"))) as server:
        monkeypatch.setenv("http_proxy", proxy.url.replace("/dicom-web", ""))
        monkeypatch.delenv("no_proxy", raising=False)
        with line(server.url, quick) as http:
            assert http.request("GET", "/").read() == b"direct"
        with line("http://pacs.invalid", quick) as http:
            assert http.request("GET", "/").read() == b"[]"
        monkeypatch.setenv("no_proxy", "pacs.invalid")
        with line("http://pacs.invalid", quick) as http, pytest.raises(Unreachable):
            http.request("GET", "/")


def test_a_proxy_that_refuses_is_named_without_its_login(quick):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        proxy = f"http://bob:{SECRET}@127.0.0.1:{taken.getsockname()[1]}"
        with line("http://pacs.invalid", quick, proxy=proxy) as http:
            with pytest.raises(Unreachable, match="The proxy on the way") as caught:
                http.request("GET", "/")
    assert SECRET not in str(caught.value)
