"""Run targets in child processes with limits, and gather what they find."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.worker import LARGEST

AT_ONCE = 5000  # inputs of one process
MOST_CASES = 1000  # of one target


@dataclass(frozen=True)
class Fault:
    """One fault: what kind, where, and the input that shows it."""

    target: str
    kind: str
    where: str
    text: str
    data: bytes = field(repr=False)


@dataclass
class Outcome:
    """The number of inputs that were read, and the first fault of each kind and location."""

    read: int = 0
    faults: dict[tuple[str, str], Fault] = field(default_factory=dict)


def run(target: str, inputs: int, folder: Path, *, seed: int = 0, first: int = 0) -> Outcome:
    """Read a target's cases, where it is read from the first input on, and mutated inputs.

    Parameters
    ----------
    inputs : how many mutated ones.
    folder : of this run alone.
    first : number of the first one.
    """
    outcome = Outcome()
    end = first + inputs
    begin = -MOST_CASES if first == 0 else first
    while begin < end:
        upto = min(max(begin, 0) + AT_ONCE, end)
        _read(outcome, target, range(begin, upto), folder, seed)
        begin = upto
    return outcome


def _read(outcome: Outcome, target: str, numbers: range, folder: Path, seed: int) -> None:
    """Read numbered inputs, in a new process after each that ended one."""
    while numbers:
        reached = numbers.start
        for begin, end, fault in _child(target, numbers, folder, seed):
            outcome.read += end - begin
            reached = end
            if fault is not None:
                place = fault.where if fault.kind not in ("memory", "time") else str(len(outcome.faults))
                outcome.faults.setdefault((fault.kind, place), fault)
        assert reached > numbers.start, f"the process of {target} read nothing"
        numbers = range(reached, numbers.stop)


def _child(target: str, numbers: range, folder: Path, seed: int) -> Iterator[tuple[int, int, Fault | None]]:
    """Yield which inputs were read, from one number to before another, and the fault of the last of them."""
    current = folder / "current"
    current.write_bytes(bytes(LARGEST + 16))
    command = [sys.executable, "-m", "tests.fuzz.worker", target, str(numbers.start), str(len(numbers))]
    command += [str(folder), str(seed)]
    ended = False
    with (
        (folder / "errors").open("w+b") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        assert process.stdout is not None
        begin = numbers.start
        for line in process.stdout:
            found = json.loads(line)
            if "begin" in found:
                begin = found["begin"]
            elif "end" in found:
                ended = True
                yield begin, found["end"], None
            else:
                data = bytes.fromhex(found["data"])
                number = found["number"] + 1
                yield begin, number, Fault(target, found["kind"], found["where"], found["text"], data)
                begin = number
                ended = found["kind"] == "memory"
        process.wait()
        if not ended:
            number, data = _current(current)
            errors.seek(0)
            trace = errors.read()[-1500:].decode("utf-8", "replace")
            where = next((line.strip() for line in trace.splitlines() if "/dicomdock/" in line), "")
            yield begin, number + 1, Fault(target, f"ended with {process.returncode}", where, trace, data)


def _current(path: Path) -> tuple[int, bytes]:
    with path.open("rb") as file:
        number = int.from_bytes(file.read(8), "little", signed=True)
        return number, file.read(int.from_bytes(file.read(8), "little"))
