"""Run contenders in alternation and state their times as ratios to the first, round by round."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
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
    most: int = 9
    seconds: float = 8.0
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
    rounds: int = 3,
    before: Callable[[], None] | None = None,
    warm: bool = True,
) -> dict[str, Runs]:
    """Run all contenders in each round, the order turning.

    More rounds follow while a ratio to the first is noisy and the effort allows it.

    Parameters
    ----------
    rounds : at least.
    before : called before each contender, and not counted.
    warm : one round goes before that does not count; not where each takes long.
    """
    runs = {name: Runs() for name in contenders}
    names = list(contenders)
    least, end = effort.rounds or rounds, time.monotonic() + effort.seconds
    number = -1 if warm else 0
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


def ratios(mine: Runs, first: Runs, *, processor: bool = False) -> list[float]:
    """Return the times of one contender as parts of another's, round by round."""
    own, others = (one.processor if processor else one.seconds for one in (mine, first))
    return [one / max(other, 1e-3) for one, other in zip(own, others, strict=True)]


def _is_noisy(runs: Mapping[str, Runs]) -> bool:
    first, *others = runs.values()
    return any(spread(ratios(one, first)) > STEADY for one in others)


def spread(values: Sequence[float]) -> float:
    """Return the half width of the median's 95 % interval as a part of the median.

    The notch of a box plot: 1.58 times the interquartile range over the root of the number (McGill, Tukey and
    Larsen, The American Statistician 32, 1978). Infinite for fewer than three values.
    """
    if len(values) < 3:
        return float("inf")
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return 1.58 * (high - low) / len(values) ** 0.5 / middle


def enough(values: Sequence[float], effort: Effort, *, most: int = 5) -> bool:
    """Return whether a median needs no more rounds: it is steady, or there were as many as are worth it."""
    least, most = (effort.rounds,) * 2 if effort.rounds else (3, most)
    return len(values) >= most or (len(values) >= least and spread(values) <= STEADY)


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
