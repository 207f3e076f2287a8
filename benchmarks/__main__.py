"""Run all benchmarks, or those named, and write docs/benchmarks.md: ``python -m benchmarks [NAME ...]``.

``--smoke`` runs all that needs no browser, once and on little data: it fails where something does not run,
and says nothing of times.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import annotating, click, local, pages, pull, push, segments, viewer, viewers
from benchmarks.place import Place, place
from benchmarks.rounds import FULL, SMOKE, STEADY

NAMES = ("pull", "push", "local", "click", "segments", "pages", "viewer", "annotating")
WITHOUT_BROWSER = ("pull", "push", "local")
MARK = "<!-- made by `make bench` from here on -->"
DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"


def sections(here: Place, wanted: set[str]) -> list[str]:
    """Run what is wanted and return its tables."""
    ct = here.series[0]
    ends = [ct] if here.series[-1].name.startswith("CT") else [ct, here.series[-1]]
    found: list[str] = []
    if "pull" in wanted:
        found += [pull.warm(here, one, title="Pull, warm", limit=1.3, faster=2.3) for one in ends]
        found += [pull.as_process(here, one) for one in ends]
        found.append(pull.study(here))
        found += [pull.far(here, one) for one in ends]
    if "push" in wanted:
        found += push.all_sections(here)
    if "local" in wanted:
        found += local.all_sections(here)
    if "click" in wanted:
        found.append(click.section(here.folder))
    if "segments" in wanted:
        found.append(segments.section(here.folder))
    if "pages" in wanted:
        found.append(pages.section(here))
    if "viewer" in wanted:
        found += [viewer.section(here), viewers.section(here)]
    if "annotating" in wanted:
        found.append(annotating.section(here))
    return found


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
    arguments = parser.parse_args()
    wanted = set(arguments.names) or set(WITHOUT_BROWSER if arguments.smoke else NAMES)
    if unknown := wanted.difference(NAMES):
        parser.error(f"There is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}.")
    loaded, began = load(), time.monotonic()
    sys.stderr.write(f"{loaded}\n\n")
    with (
        tempfile.TemporaryDirectory(prefix="dicomdock-bench-", dir="/var/tmp") as folder,
        place(Path(folder), SMOKE if arguments.smoke else FULL) as here,
    ):
        tables = sections(here, wanted)
    minutes = (time.monotonic() - began) / 60
    sys.stderr.write(f"{minutes:.1f} minutes.\n")
    if arguments.smoke or wanted != set(NAMES):
        return  # a part is printed, the document states the whole
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
