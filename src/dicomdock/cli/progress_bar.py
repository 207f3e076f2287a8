"""A progress bar on standard error."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

from dicomdock.cli.formatting import plain, size

if TYPE_CHECKING:
    from dicomdock.transfer import Progress

Report = TypeVar("Report")


def show(work: Generator[Progress, None, Report], what: str) -> Report:
    """Run a transfer to its report and draw its progress: instances, bytes and rate."""
    bar = Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[moved]}", markup=False),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task(plain(what), total=None, moved="")
        while True:
            try:
                now = next(work)
            except StopIteration as end:
                report: Report = end.value
                return report
            moved = f"{size(now.bytes)}, {size(now.rate)}/s" if now.bytes else Text(plain(now.doing)).plain
            bar.update(task, completed=now.done, total=now.expected, moved=moved)
