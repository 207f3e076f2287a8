"""The process that reads mutated inputs: ``python -m tests.fuzz.worker TARGET FIRST COUNT FOLDER``.

It writes lines of JSON: where it begins, each fault, where it ends. The input that is being read lies in
``current`` of the folder, with its length before it: where the process is ended, that input did it.
"""

from __future__ import annotations

import faulthandler
import json
import mmap
import os
import resource
import secrets
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random

from dicomdock.errors import DicomdockError
from tests.fuzz import elements
from tests.fuzz.targets import Target, input_of, make
from tests.machine import slowness

SECONDS = 5.0  # of processor time, for one input, on a machine that is not a slow one
MEMORY = 500 << 20  # bytes that one input may add to the process
PATIENCE = 200.0  # seconds of the clock until an input counts as a hang, on any machine
SPACE = 8 << 30  # bytes of address space
LARGEST = 2 << 20  # bytes of an input


def main(name: str, first: int, count: int, folder: Path, seed: int) -> None:
    """Read inputs ``first`` to ``first + count``; the target's cases have numbers below 0."""
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (SPACE, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.register(signal.SIGALRM, all_threads=False, chain=True)  # which then ends the process
    faulthandler.dump_traceback_later(2 * PATIENCE, exit=True)  # what hangs outside of an input, too
    secrets.randbelow = Random(f"{name}:{seed}").randrange  # pydicom's UIDs: the same seeds in each run
    work = folder / f"{name}-{os.getpid()}"
    work.mkdir()
    target = make(name, work)
    trees = (
        [elements.parse(seed) for seed in target.seeds if seed[128:132] == b"DICM"] if target.trees else []
    )
    for seed_input in target.seeds:
        read_one(target, seed_input)  # what is loaded on first use counts for no input
    cases = target.cases() if first < 0 else ()
    numbers = range(max(first, -len(cases)), first + count)
    print(json.dumps({"begin": numbers.start}), flush=True)
    with (folder / "current").open("r+b") as file, mmap.mmap(file.fileno(), LARGEST + 16) as current:
        for number in numbers:
            faulthandler.dump_traceback_later(2 * PATIENCE, exit=True)
            data = cases[number] if number < 0 else input_of(target, trees, Random(f"{name}:{seed}:{number}"))
            current[:16] = number.to_bytes(8, "little", signed=True) + len(data).to_bytes(8, "little")
            current[16 : 16 + len(data)] = data
            if fault := read_one(target, data):
                print(json.dumps({"number": number, "data": data.hex(), **fault}), flush=True)
                if fault["kind"] == "memory":
                    return  # the peak stays with the process
    print(json.dumps({"end": numbers.stop}), flush=True)


def read_one(target: Target, data: bytes) -> dict[str, str] | None:
    """Read one input by all readers, and return what is wrong with how the first of them ended."""
    return next(filter(None, (_read(read, data) for read in target.readers)), None)


def _read(read: Callable[[bytes], object], data: bytes) -> dict[str, str] | None:
    before, memory = time.process_time(), _peak()
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    found = None
    try:
        read(data)
    except DicomdockError:
        pass
    except BaseException as error:  # this is what is looked for
        frames = traceback.extract_tb(error.__traceback__)
        last = ([frame for frame in frames if "/dicomdock/" in frame.filename] or list(frames))[-1]
        where = f"{last.filename.rpartition('/src/')[2]}:{last.lineno}"
        found = {"kind": type(error).__name__, "where": where, "text": str(error)[:200]}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    used = _peak() - memory
    seconds = time.process_time() - before
    if found is None and used > MEMORY:
        found = {"kind": "memory", "where": f"{used >> 20} MB", "text": ""}
    if found is None and seconds > SECONDS and seconds > SECONDS * slowness():
        found = {"kind": "time", "where": f"{seconds:.1f} s", "text": ""}
    return found


def _peak() -> int:
    """Return the most memory that this program has had, in bytes; ``ru_maxrss`` counts its parent's too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), int(sys.argv[5]))
