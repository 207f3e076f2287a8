"""Run all benchmarks, or those named, and write docs/benchmarks.md: ``python -m benchmarks [NAME ...]``.

``--smoke`` runs what needs neither a browser nor long, once and on little data: it fails where something does
not run, and says nothing of times. ``--apart`` runs what takes long, an archive of a million instances among
it, and prints its tables: what is measured there stands in the document with its date.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks import (
    annotating,
    click,
    local,
    pages,
    pull,
    push,
    remote,
    scale,
    searching,
    segments,
    serving,
    thousands,
    viewer,
    viewers,
)
from benchmarks.goals import summary
from benchmarks.place import Place, place
from benchmarks.rounds import FULL, SMOKE, STEADY

NAMES = ("pull", "push", "local", "serving", "click", "pages", "viewer", "viewers", "thousands", "remote")
BRIEFLY = ("pull", "push", "local")  # what a smoke run takes by default
APART = ("large", "grows", "segments", "annotating")  # what --apart runs
MARK = "<!-- made by `make bench` from here on -->"
DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"


def parts(here: Place) -> dict[str, list[Callable[[], str]]]:
    """Return what each name runs, a table each."""
    ct = here.series[0]
    ends = [ct] if here.series[-1].name.startswith("CT") else [ct, here.series[-1]]
    warm = partial(pull.warm, title="Pull, warm", limits=(1.25, 1.5), faster=2.3)
    return {
        "pull": [
            *(partial(warm, here, one) for one in ends),
            partial(pull.as_process, here, ct),
            partial(pull.study, here),
            partial(pull.many, here),
            *(partial(pull.far, here, one) for one in ends),
        ],
        "push": push.all_sections(here),
        "local": local.all_sections(here),
        "serving": [partial(serving.section, here)],
        "click": [partial(click.section, here.folder)],
        "segments": [partial(segments.section, here.folder)],
        "pages": [partial(pages.section, here)],
        "viewer": [partial(viewer.section, here)],
        "viewers": [partial(viewers.section, here)],
        "thousands": [partial(thousands.section, here)],
        "remote": [partial(remote.section, here)],
        "annotating": [partial(annotating.section, here)],
        "large": [partial(searching.section, here), partial(pages.large_archive, here)],
        "grows": [partial(scale.section, here)],
    }


def sections(here: Place, wanted: set[str]) -> tuple[list[str], list[str]]:
    """Run what is wanted; return its tables, and the names of what failed: the rest goes on."""
    found: list[str] = []
    failed: list[str] = []
    for name, tables in parts(here).items():
        began = time.monotonic()
        for table in tables if name in wanted else ():
            since = time.monotonic()
            try:
                found.append(table())
            except Exception:
                sys.stderr.write(traceback.format_exc())
                failed.append(name)
                found.append(f"### {name}\n\nA part of it **failed** and was not measured.\n")
            sys.stderr.write(f"That took {time.monotonic() - since:.0f} s.\n\n")
        if name in wanted:
            sys.stderr.write(f"{name}: {time.monotonic() - began:.0f} s.\n\n")
    return found, failed


def load() -> str:
    """Return how busy the machine is, in a sentence."""
    average, cores = os.getloadavg()[0], os.cpu_count() or 1
    busy = " **It was busy with other work: times say little, their ratios a little more.**"
    return f"Load before the start: {average:.1f} on {cores} cores." + (busy if average > cores / 2 else "")


def main() -> None:
    """Run, and write the document where all was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}; all by default")
    parser.add_argument("--smoke", action="store_true", help="see that they run; measures nothing")
    parser.add_argument("--apart", action="store_true", help=f"{', '.join(APART)}: printed alone")
    arguments = parser.parse_args()
    usual = BRIEFLY if arguments.smoke else APART if arguments.apart else NAMES
    wanted = set(arguments.names or usual)
    if unknown := wanted.difference(NAMES, APART):
        parser.error(f"There is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}.")
    loaded, began = load(), time.monotonic()
    sys.stderr.write(f"{loaded}\n\n")
    with (
        tempfile.TemporaryDirectory(prefix="dicomdock-bench-", dir="/var/tmp") as folder,
        place(Path(folder), SMOKE if arguments.smoke else FULL) as here,
    ):
        tables, failed = sections(here, wanted)
    minutes = (time.monotonic() - began) / 60
    goals = summary()
    sys.stderr.write(f"{goals}\n{minutes:.1f} minutes.\n")
    if not arguments.smoke and wanted == set(NAMES):  # a part is printed, the document states the whole
        _write([goals, *tables], loaded, minutes)
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}.")


def _write(tables: Sequence[str], loaded: str, minutes: float) -> None:
    """Write the document."""
    when = (
        f"Measured {datetime.date.today().isoformat()} on {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores, Python {platform.python_version()}, Orthanc of Debian 12 on loopback, in "
        f"{minutes:.0f} minutes. {loaded}\nThe spread is the half width of the median's 95 % interval; above "
        f"{STEADY:.0%} it is called noisy, after as many rounds as there was time for.\n\n"
    )
    explained, _, _ = DOCUMENT.read_text("utf-8").partition(MARK)
    DOCUMENT.write_text(f"{explained}{MARK}\n\n{when}" + "\n".join(tables), "utf-8")


if __name__ == "__main__":
    main()
