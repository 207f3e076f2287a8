"""Run contenders in alternation and state their times as ratios to the first, round by round."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

STEADY = 0.1  # spread of a median from which on it is called noisy


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Parameters
    ----------
    rounds : of every table; 0 for each table's own number.
    most : rounds of a table at most, where its ratios are noisy.
    seconds : that a table may take before it is repeated no more.
    series, slices, size : series of the study, slices of each, and the rows and columns of a slice.
    studies : of the large archive.
    many : studies that are pulled at once.
    """

    rounds: int = 0
    most: int = 15
    seconds: float = 12.0
    series: int = 6
    slices: int = 150
    size: int = 512
    studies: int = 100_000
    many: int = 200


FULL = Effort()
SMOKE = Effort(rounds=1, most=1, seconds=0.0, series=2, slices=8, size=64, studies=500, many=3)


@dataclass
class Runs:
    """The rounds of one contender: wall and processor seconds, and peak resident bytes of a process."""

    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    peak: list[int] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


Contender = Callable[[], "int | None"]
"""Does the work once; a process gives its peak resident memory in bytes."""


def alternate(
    contenders: Mapping[str, Contender],
    *,
    effort: Effort,
    rounds: int = 5,
    before: Callable[[], None] | None = None,
) -> dict[str, Runs]:
    """Run all contenders in each round, the order turning, after one round that does not count.

    More rounds follow while a ratio to the first is noisy and the effort allows it.
    """
    runs = {name: Runs() for name in contenders}
    names = list(contenders)
    least, end = effort.rounds or rounds, time.monotonic() + effort.seconds
    number = -1
    while number < least or (number < effort.most and time.monotonic() < end and _is_noisy(runs)):
        number += 1
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            if before is not None:
                before()
            os.sync()  # else who syncs pays for what the others left unwritten
            began, used = time.perf_counter(), _processor()
            peak = contenders[name]()
            seconds, used = time.perf_counter() - began, _processor() - used
            if number:
                runs[name].seconds.append(seconds)
                runs[name].processor.append(used)
                if peak:
                    runs[name].peak.append(peak)
    return runs


def _processor() -> float:
    """Return the processor seconds of this process and of all that it has waited for."""
    both = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def _ratios(mine: Runs, first: Runs, *, processor: bool = False) -> list[float]:
    own, others = (one.processor if processor else one.seconds for one in (mine, first))
    return [one / max(other, 1e-3) for one, other in zip(own, others, strict=True)]


def _is_noisy(runs: Mapping[str, Runs]) -> bool:
    first, *others = runs.values()
    return any(spread(_ratios(one, first)) > STEADY for one in others)


def spread(values: Sequence[float]) -> float:
    """Return the half width of the median's 95 % interval as a part of the median.

    The notch of a box plot: 1.58 times the interquartile range over the root of the number (McGill, Tukey and
    Larsen, The American Statistician 32, 1978). Infinite for fewer than three values.
    """
    if len(values) < 3:
        return float("inf")
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return 1.58 * (high - low) / len(values) ** 0.5 / middle


def spread_of(values: Sequence[float]) -> str:
    """Return the spread of a median in words."""
    found = spread(values)
    if found == float("inf"):
        return "spread not known"
    return f"spread {found:.0%}" + ("" if found <= STEADY else ", **noisy**")


def process(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> int:
    """Run a program to its end and give its peak resident memory in bytes."""
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            list(argv), stdout=subprocess.DEVNULL, stderr=said, env={**os.environ, **(env or {})}
        )
        peak = 0
        while True:
            try:
                child.wait(0.005)
                break
            except subprocess.TimeoutExpired:
                peak = max(peak, _high_water(child.pid))
        if child.returncode:
            said.seek(0)
            words = said.read().decode(errors="replace")[-800:]
            raise RuntimeError(f"{argv[0]} ended with {child.returncode}: {words}")
    return peak


def _high_water(pid: int) -> int:
    """Give the peak of a running process; the kernel's figure at its end would count our own."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return 0


@dataclass(frozen=True)
class Goal:
    """A ratio to reach: at most (or, for a peer to be beaten, at least) so many times the other.

    Parameters
    ----------
    processor : of the processor seconds, which are steadier than those of the clock.
    """

    contender: str
    other: str
    limit: float
    at_least: bool = False
    processor: bool = False

    def verdict(self, runs: Mapping[str, Runs]) -> str:
        """Say what was reached, as the median of the ratios of the rounds."""
        ratios = _ratios(runs[self.contender], runs[self.other], processor=self.processor)
        if self.at_least:
            ratios = [1 / ratio for ratio in ratios]
            reached = statistics.median(ratios)
            word, ok = f"at least {self.limit:g}x faster than {self.other}", reached >= self.limit
        else:
            reached = statistics.median(ratios)
            kind = "the processor time of " if self.processor else ""
            word, ok = f"at most {self.limit:g}x {kind}{self.other}", reached <= self.limit
        mark = "reached" if ok else "**not reached**"
        rounds = f"{len(ratios)} rounds {min(ratios):.2f}-{max(ratios):.2f}"
        return f"- {self.contender}, {word}: {reached:.2f}x ({mark}; {spread_of(ratios)}; {rounds})"


def table(title: str, runs: Mapping[str, Runs], goals: Sequence[Goal] = ()) -> str:
    """Give a Markdown section: one row a contender, ratios to the first, then the goals."""
    names = list(runs)
    first = runs[names[0]]
    lines = [
        f"### {title}",
        "",
        "| contender | median s | ratio to the first (min - max) | CPU s | peak MB |",
        "|---|---|---|---|---|",
    ]
    for name in names:
        ratios = _ratios(runs[name], first)
        peak = f"{max(runs[name].peak) / 1e6:.0f}" if runs[name].peak else ""
        middle = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f})"
        used = statistics.median(runs[name].processor)
        lines.append(f"| {name} | {runs[name].median:.3f} | {middle} | {used:.2f} | {peak} |")
    lines.extend(["", *(goal.verdict(runs) for goal in goals), ""])
    sys.stderr.write("\n".join(lines) + "\n")
    return "\n".join(lines)


def goals_table(title: str, measured: dict[str, tuple[list[float], float]]) -> str:
    """Give a Markdown section: what was measured, and whether its median reaches the goal."""
    lines = [f"### {title}", "", "| what | median (min - max) | spread | goal |", "|---|---|---|---|"]
    for name, (values, goal) in measured.items():
        reached = "" if statistics.median(values) <= goal else " **not reached**"
        middle = f"{statistics.median(values):.3g} ({min(values):.3g} - {max(values):.3g})"
        noise = spread_of(values).removeprefix("spread ") if len(values) > 2 else ""
        lines.append(f"| {name} | {middle} | {noise} | {goal:g}{reached} |")
    lines.append("")
    sys.stderr.write("\n".join(lines) + "\n")
    return "\n".join(lines)
