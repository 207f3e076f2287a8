"""Limits of processor time, which hold on a machine that is slower than the one that they were set on."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

OBJECTS, MADE = 200_000, 0.07  # that are made, and the seconds that they take where limits were set


class _Object:
    def __init__(self, number: int) -> None:
        self.number, self.listed = number, [number]
        self.known: dict[int, int] = {}


def slowness() -> float:
    """Return how many times as long this machine takes now: shared ones differ by more than two."""
    before = time.thread_time()
    for number in range(OBJECTS):
        _Object(number)
    return max(1.0, (time.thread_time() - before) / MADE)


@contextmanager
def processor_time(at_most: float) -> Iterator[None]:
    """Fail when the block takes more seconds of processor time, with the processes that it waits for.

    It is for what once took minutes, or grew faster than its input: set it to several times what is seen.
    """
    before = _spent()
    yield
    spent = _spent() - before
    if spent > at_most:
        slow = slowness()
        assert spent <= at_most * slow, (
            f"{spent:.1f} s of processor time on a machine {slow:.1f} times as slow"
        )


def _spent() -> float:
    return sum(os.times()[:4])
