"""A report of a cohort as one HTML page: what was done, what failed and why, and what it looks like."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path

from dicomdock.archive import Archive
from dicomdock.cohort.state import State
from dicomdock.cohort.table import Item
from dicomdock.cohort.task import TaskReport
from dicomdock.config.home import write_private
from dicomdock.dicom.sop_classes import kind_of
from dicomdock.errors import DicomdockError, InvalidInput
from dicomdock.origin.rendering import render
from dicomdock.origin.view import View, Viewport
from dicomdock.origin.workers import Workers

SIZE = Viewport(96, 96)
PICTURES = 200  # series that are shown; a page of thousands would take minutes to make, and to open
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { padding: .25rem .8rem; border-bottom: 1px solid #ccc; }
th { text-align: left; } td.number { text-align: right; }
ul.series { display: flex; flex-wrap: wrap; gap: .8rem; list-style: none; padding: 0; }
ul.series li { width: 8rem; font-size: 12px; overflow-wrap: anywhere; }
img { background: #000; display: block; }
"""


def write(
    path: Path, name: str, items: Sequence[Item], tasks: Sequence[TaskReport], archive: Archive
) -> None:
    """Write the report.

    It needs nothing from elsewhere, runs no script, and names patients as the archive does.

    Raises
    ------
    InvalidInput
        The file exists, or cannot be written.
    """
    if path.exists():
        raise InvalidInput(f"{path} exists already.")
    try:
        write_private(path, _page(name, items, tasks, archive).encode())
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}.") from None


def _page(name: str, items: Sequence[Item], tasks: Sequence[TaskReport], archive: Archive) -> str:
    studies = len({item.resource.study for item in items})
    patients = len({item.patient for item in items if item.patient})
    modalities = Counter(item.modality or "unknown" for item in items)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in modalities.most_common())
    parts = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(name)}</title>',
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:;'
        " style-src 'unsafe-inline'\">",
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>Cohort {escape(name)}</h1>",
        f"<p>{len(items):,} series of {studies:,} studies, {patients:,} patients: {escape(kinds)}.</p>",
        "<h2>Tasks</h2>",
        "<table><tr><th>Task</th><th>Done</th><th>Failed</th><th>Not proved complete</th>",
        "<th>Passed over</th><th>Left</th></tr>",
        *(_task(report) for report in tasks),
        "</table>",
        *(_failures(report) for report in tasks if report.count("failed")),
        "<h2>Series</h2>",
        *_pictures(items, archive),
        "</body></html>",
    ]
    return "\n".join(parts)


def _task(report: TaskReport) -> str:
    states: tuple[State, ...] = ("done", "failed", "unproven", "passed over")
    counts = (*map(report.count, states), report.left)
    cells = "".join(f'<td class="number">{count:,}</td>' for count in counts)
    return f"<tr><td>{escape(report.task)}</td>{cells}</tr>"


def _failures(report: TaskReport) -> str:
    """Group the failures of a task by their reason, without what differs from one series to the next."""
    reasons: dict[str, list[str]] = {}
    for one in report.outcomes:
        if one.state == "failed":
            reason = one.reason
            for uid in (one.resource.study, one.resource.series or ""):
                reason = reason.replace(uid, "…")
            reasons.setdefault(reason, []).append(str(one.resource))
    rows = "".join(
        f'<tr><td class="number">{len(series):,}</td><td>{escape(reason)}</td>'
        f"<td>{escape(series[0])}</td></tr>"
        for reason, series in sorted(reasons.items(), key=lambda one: -len(one[1]))
    )
    return (
        f"<h2>What failed: {escape(report.task)}</h2>"
        f"<table><tr><th>Series</th><th>Reason</th><th>For example</th></tr>{rows}</table>"
    )


def _pictures(items: Sequence[Item], archive: Archive) -> list[str]:
    workers = Workers()
    try:
        shown = [_shown(item, archive, workers) for item in items[:PICTURES]]
    finally:
        workers.close()
    more = len(items) - PICTURES
    return [
        f'<ul class="series">{"".join(shown)}</ul>',
        *([f"<p>The first {PICTURES} are shown; there are {more:,} more.</p>"] if more > 0 else []),
    ]


def _shown(item: Item, archive: Archive, workers: Workers) -> str:
    picture = _picture(item, archive, workers)
    image = (
        f'<img alt="" width="96" src="data:image/jpeg;base64,{base64.b64encode(picture).decode()}">'
        if picture
        else ""
    )
    words = " ".join(filter(None, (item.patient, item.modality, item.description)))
    return f"<li>{image}{escape(words)}</li>"


def _picture(item: Item, archive: Archive, workers: Workers) -> bytes:
    """Return the picture of the middle image of a series; nothing where there is none."""
    instances = [one for one in archive.instances(item.resource) if kind_of(one.sop_class_uid) == "image"]
    if not instances:
        return b""
    try:
        return workers.call(
            render, archive.intact_path(instances[len(instances) // 2]), 1, View(viewport=SIZE)
        )
    except DicomdockError:
        return b""
