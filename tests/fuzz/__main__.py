"""Fuzz targets: ``python -m tests.fuzz [--inputs 100000] [--seed 0] [--keep FOLDER] [target ...]``."""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from pathlib import Path

from tests.fuzz.runner import run
from tests.fuzz.targets import NAMES


def main() -> int:
    """Run the targets one after the other, print a line for each and each fault; 1 where there are faults."""
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    options.add_argument("targets", nargs="*", default=NAMES, metavar="target", help=", ".join(NAMES))
    options.add_argument("--inputs", type=int, default=100_000, help="mutated inputs of each target")
    options.add_argument("--first", type=int, default=0, help="number of the first input")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--keep", type=Path, help="folder that takes the inputs that showed a fault")
    chosen = options.parse_args()
    failed = False
    for target in chosen.targets:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            outcome = run(target, chosen.inputs, Path(folder), seed=chosen.seed, first=chosen.first)
        print(
            f"{target}: {outcome.read:,} inputs, {len(outcome.faults)} faults,"
            f" {time.monotonic() - begun:.0f} s",
            flush=True,
        )
        for fault in outcome.faults.values():
            failed = True
            print(
                f"  {fault.kind} at {fault.where}: {fault.text.splitlines()[0] if fault.text else ''}",
                flush=True,
            )
            if chosen.keep:
                chosen.keep.mkdir(parents=True, exist_ok=True)
                name = (
                    f"{target}-{fault.kind.replace(' ', '-')}-{hashlib.sha256(fault.data).hexdigest()[:10]}"
                )
                (chosen.keep / name).write_bytes(fault.data)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
