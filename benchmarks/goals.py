"""Goals: what was to be reached, what was measured, and why it was not reached where it was not."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.reasons import REASONS
from benchmarks.rounds import Runs, ratios, spread_of
from dicomdock.imaging.numbers import number_text


@dataclass(frozen=True)
class Outcome:
    """A goal, and what was measured of it, in words.

    Parameters
    ----------
    title : of the table that has the rest.
    reached : whether it was.
    """

    title: str
    what: str
    goal: str
    measured: str
    spread: str
    reached: bool


outcomes: list[Outcome] = []
"""Of this run, in the order in which they were measured."""


def record(
    title: str, what: str, limit: float, values: Sequence[float], *, unit: str = "", at_least: bool = False
) -> bool:
    """Note what was measured of a goal; return whether its median reaches it.

    Parameters
    ----------
    limit : at most, or at least.
    values : of the rounds.
    unit : of both.
    """
    middle = statistics.median(values)
    reached = middle >= limit if at_least else middle <= limit
    goal = f"{'at least' if at_least else 'at most'} {number_text(limit, 3)}{unit}"
    noise = _noise(values) or "one round"
    outcomes.append(Outcome(title, what, goal, f"{number_text(middle, 3)}{unit}", noise, reached))
    return reached


def _noise(values: Sequence[float]) -> str:
    """Return the spread of a median for a cell; empty where there are too few values for one."""
    return spread_of(values).removeprefix("spread ") if len(values) > 2 else ""


def summary() -> str:
    """Return the table of all goals of this run, and under it why those that were not reached were not."""
    lines = ["### Goals", "", "| what | goal | measured | spread | |", "|---|---|---|---|---|"]
    reasons: list[str] = []
    for one in outcomes:
        what = f"{one.title}: {one.what}"
        reason = "" if one.reached else _reason(what)
        if reason and reason not in reasons:
            reasons.append(reason)
        verdict = "reached" if one.reached else "**not reached**"
        verdict += f" ({reasons.index(reason) + 1})" if reason else ""
        lines.append(f"| {what} | {one.goal} | {one.measured} | {one.spread} | {verdict} |")
    count = sum(one.reached for one in outcomes)
    lines += ["", f"{count} of {len(outcomes)} goals were reached."]
    if reasons:
        lines += ["", "Why the others were not, by profile:", ""]
        lines += [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
    return "\n".join([*lines, ""])


def _reason(what: str) -> str:
    return next((reason for words, reason in REASONS.items() if all(one in what for one in words)), "")


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

    def note(self, title: str, runs: Mapping[str, Runs]) -> None:
        """Note what was reached, as the median of the ratios of the rounds."""
        times = ratios(runs[self.contender], runs[self.other], processor=self.processor)
        if self.at_least:
            times, what = [1 / one for one in times], f"{self.contender}, times as fast as {self.other}"
        else:
            kind = "processor time" if self.processor else "time"
            what = f"{kind} of {self.contender}, beside {self.other}"
        record(title, what, self.limit, times, unit="x", at_least=self.at_least)


def table(title: str, runs: Mapping[str, Runs], goals: Sequence[Goal] = ()) -> str:
    """Give a Markdown section, one row a contender with ratios to the first, and note the goals."""
    names = list(runs)
    first = runs[names[0]]
    rounds = len(first.seconds)
    lines = [
        f"### {title}",
        "",
        f"| contender | median s of {rounds} | ratio to the first (min - max) | CPU s | peak MB |",
        "|---|---|---|---|---|",
    ]
    for name in names:
        times = ratios(runs[name], first)
        peak = f"{max(runs[name].peak) / 1e6:.0f}" if runs[name].peak else ""
        middle = f"{statistics.median(times):.2f} ({min(times):.2f} - {max(times):.2f})"
        used = statistics.median(runs[name].processor)
        lines.append(f"| {name} | {runs[name].median:.3f} | {middle} | {used:.2f} | {peak} |")
    for goal in goals:
        goal.note(title, runs)
    return shown([*lines, ""])


def goals_table(title: str, measured: dict[str, tuple[list[float], float]]) -> str:
    """Give a Markdown section: what was measured, and whether its median reaches the goal, which is noted."""
    lines = [f"### {title}", "", "| what | median (min - max) | spread | goal |", "|---|---|---|---|"]
    for name, (values, goal) in measured.items():
        reached = "" if record(title, name, goal, values) else " **not reached**"
        middle, least, most = (
            number_text(one, 3) for one in (statistics.median(values), min(values), max(values))
        )
        lines.append(
            f"| {name} | {middle} ({least} - {most}) | {_noise(values)} | {number_text(goal, 3)}{reached} |"
        )
    return shown([*lines, ""])


def shown(lines: Sequence[str]) -> str:
    """Return lines as one text, and print it while the rest is measured."""
    text = "\n".join(lines)
    sys.stderr.write(f"{text}\n")
    return text
