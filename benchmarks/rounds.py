"""Run contenders in alternation and tell their times as ratios to the first, round by round."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Runs:
    """The rounds of one contender: wall seconds, and peak resident bytes where it was a process."""

    seconds: list[float] = field(default_factory=list)
    peak: list[int] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


Contender = Callable[[], "int | None"]
"""Does the work once; a process gives its peak resident memory in bytes."""


def alternate(
    contenders: Mapping[str, Contender], *, rounds: int = 5, before: Callable[[], None] | None = None
) -> dict[str, Runs]:
    """Run all contenders in each round, the order turning, after one round that does not count."""
    runs = {name: Runs() for name in contenders}
    names = list(contenders)
    for number in range(rounds + 1):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            if before is not None:
                before()
            os.sync()  # else who syncs pays for what the others left unwritten
            began = time.perf_counter()
            peak = contenders[name]()
            seconds = time.perf_counter() - began
            if number:
                runs[name].seconds.append(seconds)
                if peak:
                    runs[name].peak.append(peak)
    return runs


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
    """A ratio to reach: at most (or, for a peer to be beaten, at least) so many times the other."""

    contender: str
    other: str
    limit: float
    at_least: bool = False

    def verdict(self, runs: Mapping[str, Runs]) -> str:
        """Say what was reached, as the median of the ratios of the rounds."""
        pairs = zip(runs[self.contender].seconds, runs[self.other].seconds, strict=True)
        ratios = [mine / theirs for mine, theirs in pairs]
        if self.at_least:
            ratios = [1 / ratio for ratio in ratios]
            reached = statistics.median(ratios)
            word, ok = f"at least {self.limit:g}x faster than {self.other}", reached >= self.limit
        else:
            reached = statistics.median(ratios)
            word, ok = f"at most {self.limit:g}x {self.other}", reached <= self.limit
        mark = "reached" if ok else "**not reached**"
        return (
            f"- {self.contender}, {word}: {reached:.2f}x ({mark}; rounds {min(ratios):.2f}-{max(ratios):.2f})"
        )


def table(title: str, runs: Mapping[str, Runs], goals: Sequence[Goal] = ()) -> str:
    """Give a Markdown section: one row a contender, ratios to the first, then the goals."""
    names = list(runs)
    base = runs[names[0]].seconds
    lines = [
        f"### {title}",
        "",
        "| contender | median s | ratio to the first (min - max) | peak MB |",
        "|---|---|---|---|",
    ]
    for name in names:
        ratios = [mine / first for mine, first in zip(runs[name].seconds, base, strict=True)]
        peak = f"{max(runs[name].peak) / 1e6:.0f}" if runs[name].peak else ""
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f})"
        lines.append(f"| {name} | {runs[name].median:.3f} | {spread} | {peak} |")
    lines.extend(["", *(goal.verdict(runs) for goal in goals), ""])
    sys.stderr.write("\n".join(lines) + "\n")
    return "\n".join(lines)


def goals_table(title: str, measured: dict[str, tuple[list[float], float]]) -> str:
    """Give a Markdown section: what was measured, and whether its median reaches the goal."""
    lines = [f"### {title}", "", "| what | median (min - max) | goal |", "|---|---|---|"]
    for name, (values, goal) in measured.items():
        reached = "" if statistics.median(values) <= goal else " **not reached**"
        spread = f"{statistics.median(values):.3g} ({min(values):.3g} - {max(values):.3g})"
        lines.append(f"| {name} | {spread} | {goal:g}{reached} |")
    lines.append("")
    sys.stderr.write("\n".join(lines) + "\n")
    return "\n".join(lines)
