"""Run all benchmarks, or those named, and write docs/benchmarks.md: ``python -m benchmarks [NAME ...]``."""

from __future__ import annotations

import datetime
import os
import platform
import sys
import tempfile
from pathlib import Path

from benchmarks import click, local, pages, pull, push, segments, viewer
from benchmarks.place import Place, place

MARK = "<!-- made by `make bench` from here on -->"
DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"


def sections(here: Place, wanted: set[str]) -> list[str]:
    """Run what is wanted and give its tables."""
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
        found.append(viewer.section(here))
    return found


def main() -> None:
    """Run and write down."""
    names = ("pull", "push", "local", "click", "segments", "pages", "viewer")
    wanted = set(sys.argv[1:]) or set(names)
    if unknown := wanted.difference(names):
        raise SystemExit(f"There is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names)}.")
    with (
        tempfile.TemporaryDirectory(prefix="dicomdock-bench-", dir="/var/tmp") as folder,
        place(Path(folder)) as here,
    ):
        tables = sections(here, wanted)
    if wanted != set(names):
        return  # a part is printed, the document tells the whole
    when = (
        f"Measured {datetime.date.today().isoformat()} on {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores, Python {platform.python_version()}, Orthanc of Debian 12 on loopback.\n\n"
    )
    explained, _, _ = DOCUMENT.read_text("utf-8").partition(MARK)
    DOCUMENT.write_text(f"{explained}{MARK}\n\n{when}" + "\n".join(tables), "utf-8")


if __name__ == "__main__":
    main()
