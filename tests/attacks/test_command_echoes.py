"""A server repeats the login in every place of an answer, to every command and page that talks to it."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, expect
from pydicom.dataset import Dataset

from dicomdock.cohort import report
from dicomdock.config.dialects import ORTHANC
from dicomdock.config.secrets import Secrets
from dicomdock.config.servers import Login, ServerProfile, load_profiles
from dicomdock.config.settings import Settings
from dicomdock.dicomweb import Client
from dicomdock.origin.workers import Workers
from dicomdock.web import call
from dicomdock.web.auth import BasicAuth
from tests.attacks.test_raw_echoes import ALL, BASIC, JSON, SECRET, answer, head, shown
from tests.builders import Made, ct_series
from tests.cli.conftest import Run, run  # noqa: F401
from tests.dock.running import running
from tests.dock.using import open_at, rows
from tests.origin.running import serving
from tests.servers.raw import RawRequest, answering_raw

Reply = Callable[[RawRequest], list[bytes]]
STEP = "1.2.3.4.5"
XML = "Content-Type: application/dicom+xml\r\n"
FORMS = (
    ALL,
    f"{ALL} {base64.b64encode(SECRET.encode()).decode()} {quote(SECRET, safe='')} {quote(BASIC, safe='')}"
    f" {json.dumps(SECRET)} {SECRET.encode().hex()}",
)
EVERYTHING = " ".join(FORMS)
NAMES = ("Server", "Warning", "WWW-Authenticate", "Retry-After", "Link", "ETag", "Date", "X-Powered-By")
FIELDS = f"Set-Cookie: session={SECRET}\r\nLocation: /x/{quote(SECRET, safe='')}\r\n"
FIELDS += "".join(f"{name}: {ALL}\r\n" for name in (*NAMES, "Content-Location"))


def text_of(request: RawRequest) -> str:
    """Return the request as a server may repeat it, with the login in all forms."""
    return f"{request.head}\r\n{EVERYTHING}"


def broken(status: str) -> Reply:
    return lambda request: answer(status, text_of(request).encode(), "Content-Type: text/plain\r\n")


def problem(request: RawRequest) -> list[bytes]:
    document = {"title": EVERYTHING, "detail": text_of(request), "message": EVERYTHING, SECRET: [BASIC]}
    return answer("400 B", json.dumps(document).encode(), "Content-Type: application/problem+json\r\n")


def native(status: str) -> Reply:
    body = f"""<?xml version="1.0"?><NativeDicomModel><DicomAttribute tag="00000902" vr="LO">
    <Value number="1">{SECRET} {BASIC}</Value></DicomAttribute><{SECRET[:4]}/></NativeDicomModel>"""
    return lambda _: answer(status, body.encode(), XML)


class Pleasant:
    """A server that does what it is asked, and repeats the login beside what it says."""

    def __init__(self, image: Made) -> None:
        self._image = image

    def __call__(self, request: RawRequest) -> list[bytes]:
        path, _, query = request.target.partition("?")
        accept = request.header("Accept")
        if request.method in ("POST", "PUT") and "/workitems" in path:
            status = "201 C" if request.target.count("/") == 1 else "200 O"
            return answer(status, b"", FIELDS)
        if request.method == "POST":
            return answer("202 A", json.dumps(self._stored()).encode(), JSON + FIELDS)
        if "/workitems" in path:
            step = self._step()
            found = [step] if path.endswith("/workitems") else step
            return answer("200 O", json.dumps(found).encode(), JSON + FIELDS)
        if path.endswith("/metadata"):
            document = self._image.dataset.to_json_dict()
            document["7FE00010"] = {"vr": "OW", "BulkDataURI": f"/bulk/{quote(SECRET, safe='')}"}
            return answer("200 O", json.dumps([document]).encode(), JSON + FIELDS)
        if "multipart" in accept or "requestType=WADO" in query or path.endswith(self._image.instance):
            return self._whole()
        if "image/" in accept:
            return answer("200 O", EVERYTHING.encode(), f"Content-Type: image/{SECRET}\r\n{FIELDS}")
        return answer("200 O", json.dumps([self._match()]).encode(), JSON + FIELDS)

    def _whole(self) -> list[bytes]:
        part = f"--b\r\nContent-Type: application/dicom; transfer-syntax={SECRET}\r\n{FIELDS}\r\n".encode()
        kind = 'Content-Type: multipart/related; type="application/dicom"; boundary=b\r\n'
        return answer("200 O", part + self._image.data + b"\r\n--b--", kind + FIELDS)

    def _match(self) -> dict[str, object]:
        match = Dataset()
        for element in self._image.dataset:
            if element.keyword != "PixelData":
                match.add(element)
        odd = {
            "00081190": {"vr": "UR", "Value": [f"/{quote(SECRET, safe='')}"]},
            "00080056": {"vr": "CS", "Value": [BASIC]},
            "00081030": {"vr": "LO", "Value": [f"Head of {SECRET}"]},
            "00080054": {"vr": "AE", "Value": [SECRET]},
            "00201208": {"vr": SECRET, "Value": [SECRET]},
            "00201209": {"vr": "IS", "Value": [SECRET]},
            SECRET: {"vr": "LO", "Value": [BASIC]},
        }
        return {**match.to_json_dict(), **odd}

    def _stored(self) -> dict[str, object]:
        reference = {
            "00081150": {"vr": "UI", "Value": [str(self._image.dataset.SOPClassUID)]},
            "00081155": {"vr": "UI", "Value": [self._image.instance]},
            "00081190": {"vr": "UR", "Value": [SECRET]},
            "00081196": {"vr": "US", "Value": [SECRET]},
            "00000902": {"vr": "LO", "Value": [EVERYTHING]},
        }
        failed = {**reference, "00081197": {"vr": "US", "Value": [BASIC]}}
        return {
            "00081190": {"vr": "UR", "Value": [BASIC]},
            "00081199": {"vr": "SQ", "Value": [reference]},
            "00081198": {"vr": "SQ", "Value": [failed]},
            "0008119A": {"vr": "SQ", "Value": [{"00081197": {"vr": "LO", "Value": [EVERYTHING]}}]},
        }

    def _step(self) -> dict[str, object]:
        return {
            "00080018": {"vr": "UI", "Value": [STEP]},
            "00741000": {"vr": "CS", "Value": ["SCHEDULED"]},
            "00741204": {"vr": "LO", "Value": [f"Read {BASIC}"]},
            "00081190": {"vr": "UR", "Value": [SECRET]},
        }


REPLIES: dict[str, Reply | None] = {
    **{status: broken(f"{status} {ALL}") for status in ("400", "401", "403", "404", "409", "500")},
    "the headers of an error": lambda _: answer("500 S", b"", FIELDS),
    "a problem in JSON": problem,
    "a refusal in XML": native("409 C"),
    "an answer in XML": native("200 O"),
    "a redirect to another path": lambda request: (
        broken("404 N")(request)
        if "pA55" in request.target
        else [head("307 T", f"Location: /x/{quote(SECRET, safe='')}?q={BASIC}\r\n")]
    ),
    "a redirect elsewhere": lambda _: [head("302 F", f"Location: http://127.0.0.1:9/{SECRET}?{BASIC}\r\n")],
    "text instead of an answer": lambda request: answer("200 O", text_of(request).encode(), JSON),
    "parts of text": lambda request: answer(
        "200 O",
        f"--b\r\nContent-Type: application/dicom\r\n{FIELDS}\r\n{text_of(request)}\r\n--b--".encode(),
        'Content-Type: multipart/related; type="application/dicom"; boundary=b\r\n',
    ),
    "an answer that succeeds": None,
}


def commands(image: Made, file: Path, table: Path) -> Iterator[tuple[object, ...]]:
    """Yield every command that talks to a server."""
    series = f"{image.study}/{image.series}"
    yield ("server", "test", "pacs", "-v")
    yield ("server", "test", "pacs", "--write", "--json")
    yield ("doctor", "pacs", "-v")
    for level in ("studies", "series", "instances"):
        yield ("search", level, f"StudyInstanceUID={image.study}", "--server", "pacs", "-v")
    yield ("search", "--all", "--json", "--field", "RetrieveURL", "--field", "InstanceAvailability")
    for resource in (image.study, series, image.resource, f"StudyInstanceUID={image.study}"):
        yield ("pull", resource, "--server", "pacs", "-v")
    yield ("pull", "1.2.3", "--server", "pacs", "--json")
    yield ("pull", "1.2.3", "--server", "old", "-v")
    yield ("push", file, "--server", "pacs", "--json")
    yield ("push", image.study, "--server", "pacs", "--verify", "-v", "--on-duplicate", "send")
    yield ("push", image.study, "--server", "pacs", "--on-duplicate", "fail")
    yield ("push", image.study, "--server", "pacs", "--deidentify", "basic", "--json")
    yield ("remove", image.study, "--server", "pacs", "--yes", "-v")
    yield ("evict", "--limit", "0GB", "-v")
    yield ("cohort", "make", "found", "--server", "pacs", "-v")
    yield ("cohort", "make", "listed", "--from", table, "--server", "pacs", "--json")
    for name in ("found", "listed"):
        for word in ("pull", "push", "retry"):
            yield ("cohort", word, name, *(("--server", "pacs") if word == "push" else ()), "-v")
        yield ("cohort", "status", name, "--json")
        yield ("cohort", "report", name, file.with_suffix(f".{name}.html"))
    worklist = ("worklist",)
    yield (*worklist, "list", "--server", "pacs", "--json")
    yield (*worklist, "show", STEP, "--server", "pacs", "-v")
    yield (*worklist, "create", "Read", "--server", "pacs", "-v")
    yield (*worklist, "claim", STEP, "--server", "pacs", "-v")
    yield (*worklist, "complete", STEP, "--server", "pacs", "-v")
    yield (*worklist, "cancel", STEP, "--server", "pacs", "--json")
    yield ("transfers", "list", "-v")
    yield ("transfers", "list", "--json")
    yield ("transfers", "resume", "1", "-v")
    yield ("list", image.study, "--json")
    yield ("server", "list", "--json")
    yield ("server", "show", "pacs", "--json")
    yield ("server", "add", "again", "{url}", "--user", "alice", "--password-stdin", "-v")
    yield ("server", "login", "pacs", "--secret-stdin", "-v")
    yield ("open", "{link}", "--yes", "--no-view", "-v")
    yield ("open", "{link}", "--yes", "--json")
    yield ("server", "logout", "pacs", "-v")


@pytest.fixture
def image() -> Made:
    return ct_series(1)[0]


@pytest.fixture
def replied(image: Made) -> Callable[[str], Reply]:
    return lambda form: REPLIES[form] or Pleasant(image)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    """Yield workers for all reports; each report would start a process of its own for one picture."""
    started = Workers(1)
    yield started
    started.close()


def stored_in(home: Path) -> Iterator[tuple[Path, str]]:
    for file in home.rglob("*"):
        if file.is_file() and file.name != "secrets.json":
            for found in shown(SECRET, file.read_bytes().decode("latin-1")):
                yield file, found


@pytest.mark.slow
@pytest.mark.parametrize("form", REPLIES)
def test_no_command_shows_or_stores_it(
    form: str,
    replied: Callable[[str], Reply],
    image: Made,
    run: Run,  # noqa: F811
    workers: Workers,
    home: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(call, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(report, "Workers", lambda: Mock(call=workers.call))
    caplog.set_level(logging.DEBUG)
    file, table = tmp_path / "image.dcm", tmp_path / "table.csv"
    file.write_bytes(image.data)
    table.write_text(f"StudyInstanceUID,SeriesInstanceUID\n{image.study},{image.series}\n")
    leaks = []
    with answering_raw(replied(form)) as server:
        link = f"slicer://viewer/?studyUID=1.2.3.4&access_token={quote(SECRET, safe='')}"
        link += f"&dicomweb_endpoint={quote(server.url, safe='')}"
        login = ("--user", "alice", "--password-stdin", "--untested")
        for name in ("pacs", "old"):
            run("server", "add", name, server.url, *login, stdin=SECRET)
        profiles = load_profiles(Settings.load())
        old = replace(profiles.get("old"), dialect=ORTHANC)
        profiles.with_profile(old).save(Settings.load())
        run("import", file)
        for words in commands(image, file, table):
            caplog.clear()
            filled = [str(word).format(url=server.url, link=link) for word in words]
            ran = run(*filled, stdin=SECRET)
            if set(shown(SECRET, caplog.text + ran.out + ran.err)):
                leaks.append((words, [*shown(SECRET, caplog.text + ran.out + ran.err)][:3]))
    assert not leaks
    assert not [*stored_in(home)]
    assert not [*shown(SECRET, "".join(page.read_text() for page in tmp_path.glob("*.html")))]


ASKED = (
    ("/studies", "application/dicom+json"),
    ("/series", "application/dicom+json"),
    ("/studies/1.2.3", 'multipart/related; type="application/dicom"'),
    ("/studies/1.2.3/metadata", "application/dicom+json"),
    ("/studies/1.2.3/series/1.2.4/instances/1.2.5/frames/1", "multipart/related"),
    ("/studies/1.2.3/series/1.2.4/instances/1.2.5/rendered", "image/png"),
    ("/studies/1.2.3/series/1.2.4/thumbnail", "image/jpeg"),
)


@pytest.mark.slow
@pytest.mark.parametrize("form", REPLIES)
def test_who_passes_a_server_on_shows_it_to_nobody(
    form: str, image: Made, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """``serve --source``: what asks us is not who the login belongs to."""
    caplog.set_level(logging.DEBUG)
    settings = replace(settings, retries=0)
    auth = BasicAuth("alice", SECRET)
    with (
        answering_raw(REPLIES[form] or Pleasant(image)) as server,
        Client(ServerProfile("pacs", server.url), settings=settings, auth=auth) as client,
        serving(client) as proxy,
    ):
        seen = []
        for path, accept in ASKED:
            response = proxy.ask(f"/dicom-web{path}", accept)
            seen.append(f"{response.status} {response.headers} {response.data.decode('latin-1')}")
        image_body = proxy.ask(
            "/dicom-web/studies",
            "application/dicom+json",
            "POST",
            body=b"--b\r\nContent-Type: application/dicom\r\n\r\n" + image.data + b"\r\n--b--",
            headers={"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'},
        )
        seen.append(f"{image_body.headers} {image_body.data.decode('latin-1')}")
        seen.append(str(proxy.ask("/dicom-web/studies/1.2.3", method="DELETE").data))
    assert len(server.asked) >= len(ASKED)
    assert not [*shown(SECRET, "".join(seen) + caplog.text)]


@pytest.mark.browser
def test_no_page_shows_it(home: Path, page: Page, image: Made) -> None:
    folder = home / "mine"
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "settings.toml").write_text("retries = 0\n")
    reply: list[Reply] = [Pleasant(image)]
    seen: list[str] = []

    def look(what: Locator) -> None:
        expect(what).to_be_visible()
        seen.append(page.content())

    with answering_raw(lambda request: reply[0](request)) as server, running(folder) as dock:
        profile = ServerProfile("pacs", server.url, Login("basic", "alice"))
        Secrets(dock.settings).set("pacs", profile.origin, SECRET)
        load_profiles(dock.settings).with_profile(profile).save(dock.settings)
        open_at(page, dock, "/?source=pacs")
        look(rows(page).first)
        page.get_by_test_id("studies").focus()
        expect(page.get_by_test_id("action-download")).to_be_enabled()
        page.keyboard.press("d")
        look(page.get_by_label("on this computer and on the server").first)
        page.goto(f"{dock.url}/study/{image.study}?source=pacs")
        look(page.get_by_test_id("status"))
        page.goto(f"{dock.url}/servers")
        page.get_by_test_id("test-pacs").click()
        look(page.get_by_test_id("servers").get_by_text("Studies can be searched"))
        reply[0] = broken(f"500 {ALL}")
        page.get_by_test_id("test-pacs").click()
        look(page.get_by_test_id("trial-error"))
        page.goto(f"{dock.url}/?source=pacs")
        look(page.get_by_text("500 Internal Server Error").first)
        page.goto(f"{dock.url}/transfers")
        rows(page, "transfers").first.click()
        look(page.get_by_test_id("transfer-words"))
        seen.append(dock.log)
    assert len(server.asked) > 10
    assert not [*shown(SECRET, "".join(seen))]
    assert not [*stored_in(home)]
