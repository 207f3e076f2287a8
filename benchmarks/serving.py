"""The origin server under load, beside Orthanc: requests a second, latencies, processor time and memory."""

from __future__ import annotations

import base64
import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.uid import generate_uid
from tests.builders import Made, changed, image_series
from tests.servers import orthanc as orthanc_server
from tests.servers.process import ServerProcess, answers_http, free_port

from benchmarks.goals import record
from benchmarks.load import Load
from benchmarks.place import Place
from dicomdock.archive import Archive
from dicomdock.sources import Part

SECONDS = 1.0  # of each load; the mixture is given twice as long
ROUNDS = 3
OURS, SEVERAL, THEIRS = "dicomdock", "dicomdock --workers 2", "Orthanc"
STUDIES, SLICES = 40, 10
ANY = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_MADE_UID = "1.2.826.0.1.3680043.8.498.1{:019}"


@dataclass(frozen=True)
class Server:
    """A server under load.

    Parameters
    ----------
    pid : of its process; children count too.
    authorization : what a request carries to be let in.
    synced : an Orthanc that waits for the disk, which matters to stores alone.
    """

    name: str
    port: int
    pid: int
    authorization: str = ""
    synced: bool = False


def get(server: Server, path: str, accept: str) -> bytes:
    """Return a GET request."""
    lines = [f"GET /dicom-web{path} HTTP/1.1", "Host: 127.0.0.1", f"Accept: {accept}", *_login(server)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def post(server: Server, instance: bytes) -> bytes:
    """Return a Store request of one instance."""
    body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + instance + b"\r\n--b--\r\n"
    lines = [
        "POST /dicom-web/studies HTTP/1.1", "Host: 127.0.0.1", "Accept: application/dicom+json",
        'Content-Type: multipart/related; type="application/dicom"; boundary=b',
        f"Content-Length: {len(body)}", *_login(server),
    ]  # fmt: skip
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def _login(server: Server) -> list[str]:
    return [f"Authorization: {server.authorization}"] if server.authorization else []


class NewInstances:
    """Small instances, each with a UID that no server has seen."""

    def __init__(self) -> None:
        self._count = random.Random().randrange(10**17)
        self._templates = [
            changed(made, SOPInstanceUID=_MADE_UID.format(0))
            for _ in range(8)
            for made in image_series(1, rows=64, columns=64)
        ]

    def take(self, count: int) -> Iterator[bytes]:
        """Return so many instances."""
        old = _MADE_UID.format(0).encode()
        for number in range(count):
            self._count += 1
            yield self._templates[number % 8].data.replace(old, _MADE_UID.format(self._count).encode())


def studies() -> list[Made]:
    """Return the instances that the servers begin with."""
    found: list[Made] = []
    for number in range(STUDIES):
        found += image_series(
            SLICES, rows=128, columns=128, StudyInstanceUID=generate_uid(),
            PatientID=f"P{number:04}", PatientName=f"Patient^{number}", StudyDate="20240101",
        )  # fmt: skip
    return found


def load(server: Server, requests: Sequence[bytes], *, clients: int, seconds: float, once: bool) -> Load:
    """Put a load on a server, from a process of its own."""
    plan = {
        "port": server.port, "clients": clients, "seconds": seconds, "once": once,
        "requests": [base64.b64encode(one).decode() for one in requests],
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=json.dumps(plan),
        text=True,
        stdout=subprocess.PIPE,
        check=True,
    )
    return Load(**json.loads(done.stdout))


def family(pid: int) -> list[int]:
    """Return a process and all below it."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found += map(int, task.read_text().split())
            except OSError:
                continue
    return found


def cpu_of(pid: int) -> float:
    """Return the processor seconds of a process and its children."""
    ticks = 0
    for one in family(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> int:
    """Return the peak resident bytes of a process and its children."""
    total = 0
    for one in family(pid):
        try:
            lines = Path(f"/proc/{one}/status").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    return total


@contextmanager
def ours(folder: Path, held: Sequence[Made], *arguments: str) -> Iterator[Server]:
    """Run `dicomdock serve` over an archive that holds the instances."""
    from dicomdock.config.settings import Settings

    home = folder / "serving"
    settings = Settings(home / "config", home / "archive", home / "state")
    with Archive.open(settings) as archive, archive.writer() as writer:
        for made in held:
            writer.add(Part("application/dicom", lambda made=made: iter((made.data,)), len(made.data)))
    port = free_port()
    argv = [
        sys.executable,
        "-m",
        "dicomdock.cli",
        "--home",
        str(home),
        "serve",
        "--without-token",
        "--port",
        str(port),
    ]
    with ServerProcess(
        [*argv, *arguments], log=folder / "serve.log", ready=lambda: answers_http(port)
    ) as running:
        assert running.process is not None
        yield Server(" ".join((OURS, *arguments)), port, running.process.pid)


def requests_of(
    server: Server, kind: str, held: Sequence[Made], new: NewInstances, count: int
) -> list[bytes]:
    """Return the requests of one kind of load."""
    chance = random.Random(3)
    some = chance.choices(held, k=400)
    if kind == "search":
        return [
            get(server, f"/studies?PatientID={one.dataset.PatientID}", "application/dicom+json")
            for one in some
        ]
    if kind == "retrieve":
        return [get(server, one.resource.path, ANY) for one in some]
    if kind == "metadata":
        return [get(server, one.resource.path + "/metadata", "application/dicom+json") for one in some]
    if kind in ("store", ONE_CLIENT):
        return [post(server, one) for one in new.take(count)]
    parts = {"search": 1, "retrieve": 4, "metadata": 2}
    mixed = [one for part, times in parts.items() for one in requests_of(server, part, held, new, 0) * times]
    mixed = (mixed * (1 + count // len(mixed)))[: count * 7 // 8] + requests_of(
        server, "store", held, new, count // 8
    )
    chance.shuffle(mixed)
    return mixed


ONE_CLIENT = "store, one after the other"
LOADS = {"search": 16, "retrieve": 16, "metadata": 16, "store": 16, ONE_CLIENT: 1, "mixed": 64}
"""Kinds of load, and how many clients put it on."""


@dataclass
class Measured:
    """What one server did under one kind of load, round by round."""

    loads: list[Load] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)  # CPU milliseconds a request
    peak: int = 0  # bytes

    def row(self, kind: str, name: str) -> str:
        """Return the row of the table: medians of the rounds, and the most of all."""
        middle = statistics.median
        times = (
            middle(one.median for one in self.loads),
            middle(one.quantile(0.99) for one in self.loads),
            max(one.latencies[-1] for one in self.loads),
        )
        shown = " | ".join(f"{seconds * 1000:.0f}" for seconds in times)
        rate, errors = middle(one.rate for one in self.loads), sum(one.errors for one in self.loads)
        cost = f"{middle(self.costs):.2f} | {self.peak / 1e6:.0f}"
        return f"| {kind} | {name} | {rate:.0f} | {shown} | {errors} | {cost} |"


def measure(
    servers: Sequence[Server],
    held: Sequence[Made],
    kinds: Sequence[str],
    seconds: float,
    rounds: int = ROUNDS,
) -> dict[str, dict[str, Measured]]:
    """Put each kind of load on each server in turn, several times; return what they did, by kind and name."""
    new = NewInstances()
    found: dict[str, dict[str, Measured]] = {}
    for kind in kinds:
        some = [one for one in servers if not one.synced or "store" in kind]
        by_name = found[kind] = {one.name: Measured() for one in some}
        for server in some:
            load(server, requests_of(server, kind, held, new, 100), clients=4, seconds=0.5, once=False)
        for number in range(rounds):
            turn = number % len(some)
            for server in some[turn:] + some[:turn]:
                once = kind in ("store", ONE_CLIENT, "mixed")
                requests = requests_of(server, kind, held, new, int(2000 * seconds))
                before = cpu_of(server.pid)
                time = seconds * (2 if kind == "mixed" else 1)
                done = load(server, requests, clients=LOADS[kind], seconds=time, once=once)
                one = by_name[server.name]
                one.loads.append(done)
                one.costs.append((cpu_of(server.pid) - before) / max(1, done.requests) * 1000)
                one.peak = memory_of(server.pid)
        for name, one in by_name.items():
            sys.stderr.write(one.row(kind, name) + "\n")
    return found


def table_of(found: Mapping[str, Mapping[str, Measured]]) -> str:
    """Return the table of all loads."""
    lines = [
        "| load | server | requests/s | median ms | p99 ms | most ms | errors | CPU ms/request | peak MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [one.row(kind, name) for kind, by_name in found.items() for name, one in by_name.items()]
    return "\n".join(lines)


def note_goals(title: str, found: Mapping[str, Mapping[str, Measured]]) -> None:
    """Note the goals: Orthanc's rates, and under the mixture its latencies, errors and memory."""
    for kind in ("retrieve", "store", "mixed"):
        theirs = found[kind][THEIRS].loads
        for name in (OURS, SEVERAL):
            mine = found[kind][name].loads
            times = [one.rate / other.rate for one, other in zip(mine, theirs, strict=True)]
            record(title, f"{kind}, {name}: requests/s beside Orthanc", 1, times, unit="x", at_least=True)
    for name in (OURS, SEVERAL):
        mixed = found["mixed"][name]
        late = [one.quantile(0.99) for one in mixed.loads]
        record(title, f"mixed, {name}: 99th percentile", 0.5, late, unit=" s")
        record(title, f"mixed, {name}: errors", 0, [sum(one.errors for one in mixed.loads)])
        record(title, f"mixed, {name}: memory", 300, [mixed.peak / 1e6], unit=" MB")


def section(here: Place) -> str:
    """Put all loads on one and two processes of the server, and on Orthanc; stores also on one that syncs."""
    brief = here.effort.rounds == 1
    held = studies()
    with ExitStack() as stack:
        servers = [
            stack.enter_context(ours(here.empty(f"serving{number}"), held, *arguments))
            for number, arguments in enumerate(((), ("--workers", "2")))
        ]
        for synced in (False, True):
            folder = here.empty(f"orthanc-{synced}")
            servers.append(stack.enter_context(orthanc_of(folder, held, synced)))
        kinds = [kind for kind in LOADS if kind != "metadata"]  # a part of the mixture
        found = measure(servers, held, kinds, 0.5 if brief else SECONDS, 1 if brief else ROUNDS)
    title = "Origin server under load"
    note_goals(title, found)
    return f"### {title}, instances of 33 KB (stored ones 9 KB)\n\n{table_of(found)}\n"


@contextmanager
def orthanc_of(folder: Path, held: Sequence[Made], synced: bool) -> Iterator[Server]:
    """Run an Orthanc that holds the instances."""
    with orthanc_server.running(folder, synced=synced) as orthanc:
        orthanc.add(*(made.data for made in held))
        login = "Basic " + base64.b64encode(f"{orthanc.user}:{orthanc.password}".encode()).decode()
        found = ["pgrep", "-f", f"{folder}/"]
        pids = subprocess.run(found, stdout=subprocess.PIPE, text=True, check=False).stdout.split()
        pid = next(int(one) for one in pids if "Orthanc" in Path(f"/proc/{one}/cmdline").read_text())
        yield Server(THEIRS + (", synced" if synced else ""), orthanc.port, pid, login, synced)


def main() -> None:
    """Measure alone: ``python -m benchmarks.serving [--workers N] [KIND ...]``."""
    import argparse
    import tempfile

    parser = argparse.ArgumentParser()
    parser.add_argument("kinds", nargs="*", default=list(LOADS))
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--serve", action="append", default=[])
    parser.add_argument("--alone", action="store_true")
    chosen = parser.parse_args()
    held = studies()
    with tempfile.TemporaryDirectory(prefix="dicomdock-bench-", dir="/var/tmp") as name, ExitStack() as stack:
        folders = [Path(name) / kind for kind in ("ours", "plain", "synced")]
        for folder in folders:
            folder.mkdir()
        servers = [stack.enter_context(ours(folders[0], held, *chosen.serve))]
        if not chosen.alone:
            servers += [
                stack.enter_context(orthanc_of(folder, held, folder.name == "synced"))
                for folder in folders[1:]
            ]
        print(table_of(measure(servers, held, chosen.kinds, chosen.seconds)))


if __name__ == "__main__":
    main()
