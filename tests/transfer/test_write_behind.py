"""Parts that are stored while the next are received: their order, what fails, and how many may wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from dicomdock.errors import NoSpace, WireError
from dicomdock.sources import Part
from dicomdock.transfer.write_behind import LIGHT, SHARE, SHARES, WriteBehind

SMALL = 2000


def part(number: int, size: int = SMALL) -> Part:
    return Part("application/dicom", lambda: iter((b"%08d" % number, bytes(size - 8))), size)


def number_of(stored: Part) -> int:
    return int(next(stored.chunks()))


def test_parts_are_stored_in_their_order_whatever_their_size():
    stored: list[int] = []
    with WriteBehind(lambda one: stored.append(number_of(one))) as behind:
        for number in range(3 * SHARES):
            behind.put(part(number, 2 * LIGHT if number % 50 == 7 else LIGHT if number % 9 == 4 else SMALL))
    assert stored == list(range(3 * SHARES))


def test_what_fails_is_raised_and_the_rest_is_stored():
    stored: list[int] = []

    def store(one: Part) -> None:
        if number_of(one) == 5:
            raise NoSpace("The disk is full.")
        stored.append(number_of(one))

    put = 0
    with pytest.raises(NoSpace), WriteBehind(store) as behind:
        for put in range(10 * SHARES):
            behind.put(part(put))
    assert put <= 6 + SHARES  # no more than could wait by then
    assert stored == [one for one in range(put) if one != 5]


def test_what_came_whole_is_stored_when_the_stream_breaks():
    stored: list[int] = []

    def broken() -> Iterator[bytes]:
        yield bytes(SMALL)
        raise WireError("cut")

    with pytest.raises(WireError), WriteBehind(lambda one: stored.append(number_of(one))) as behind:
        for number in range(20):
            behind.put(part(number))
        behind.put(Part("application/dicom", broken))
    assert stored == list(range(20))


@pytest.mark.parametrize(("size", "most"), [(SMALL, SHARES), (LIGHT, SHARES // (1 + LIGHT // SHARE))])
def test_few_wait_where_storing_is_slow(size: int, most: int):
    released, blocked = threading.Event(), threading.Event()
    stored: list[int] = []
    received: list[int] = []

    def store(one: Part) -> None:
        assert released.wait(60)
        stored.append(number_of(one))

    def receive() -> None:
        with WriteBehind(store) as behind:
            for number in range(most + 1):
                if number == most:
                    blocked.set()
                behind.put(part(number, size))
                received.append(number)

    thread = threading.Thread(target=receive)
    thread.start()
    assert blocked.wait(60)
    assert received == list(range(most))  # the next one has no room: none was stored
    released.set()
    thread.join(60)
    assert stored == received == list(range(most + 1))
