"""The address of a viewer that has ended: its own page is led on, and nobody else."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator

import pytest

from dicomdock.dock.services import viewer_return as module
from dicomdock.dock.services.viewer_return import Reopen, ViewerReturn
from dicomdock.errors import NotInArchive

SECRET = "s3cret-of-the-page"
NEXT = "http://127.0.0.1:9/?secret=next"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def added(back: ViewerReturn, reopen: Reopen) -> int:
    while not back.add(port := free_port(), SECRET, reopen):
        pass  # another program has taken it meanwhile
    return port


@pytest.fixture
def port() -> Iterator[int]:
    """A port on which a viewer is awaited."""
    back = ViewerReturn()
    yield added(back, lambda: NEXT)
    back.close()


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, headers={key.replace("_", "-"): one for key, one in headers.items()})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("Location") or ""
    finally:
        connection.close()


def test_the_page_is_led_to_the_next_viewer_by_its_cookie_or_its_address(port: int) -> None:
    cookie = f"other=1; dicomdock-viewer-{port}={SECRET}"
    assert ask(port, "/", Cookie=cookie) == (302, NEXT)
    assert ask(port, "/index.html", Cookie=cookie, Sec_Fetch_Site="same-site") == (302, NEXT)
    assert ask(port, f"/?secret={SECRET}") == (302, NEXT)
    assert ask(port, "/__dicomdock/viewer.css", "HEAD", Cookie=cookie) == (410, "")
    assert ask(port, "/ws", Cookie=cookie) == (410, "")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Cookie": "dicomdock-viewer-PORT=wrong"},
        {"Cookie": f"dicomdock-viewer-1={SECRET}"},
        {"Cookie": f"dicomdock-viewer-PORT={SECRET}", "Host": "evil.example"},
        {"Cookie": f"dicomdock-viewer-PORT={SECRET}", "Sec_Fetch_Site": "cross-site"},
        {"Cookie": f"dicomdock-viewer-PORT={SECRET}", "Origin": "https://evil.example"},
    ],
)
def test_all_others_are_refused(port: int, headers: dict[str, str]) -> None:
    given = {name: value.replace("PORT", str(port)) for name, value in headers.items()}
    for method in ("GET", "HEAD"):
        assert ask(port, "/", method, **given) == (403, "")


def test_another_user_of_the_machine_gets_no_answer(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "peer_of", lambda *_: "other")
    with pytest.raises((http.client.HTTPException, OSError)):
        ask(port, f"/?secret={SECRET}")


def test_what_is_not_there_any_more_is_reported_and_the_oldest_addresses_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def deleted() -> str:
        raise NotInArchive("It was deleted.")

    monkeypatch.setattr(module, "MOST", 1)
    back = ViewerReturn()
    try:
        first = added(back, lambda: NEXT)
        second = added(back, deleted)
        assert ask(second, f"/?secret={SECRET}")[0] == 503
        with pytest.raises(OSError, match="refused"):
            ask(first, "/")
        assert not back.add(second, SECRET, lambda: NEXT)  # it is taken
    finally:
        back.close()
    with pytest.raises(OSError, match="refused"):
        ask(second, "/")
