"""Which viewers end when all use too much memory, and how much one uses."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.dock.services.viewer_memory import Usage, machine_share, memory_of, viewers_to_end

USAGES = st.lists(
    st.builds(
        Usage,
        st.uuids().map(str),
        st.integers(0, 1000),
        st.sampled_from(["visible", "hidden", "lost", "closed"]),
        st.floats(0, 100),
    ),
    max_size=8,
    unique_by=lambda one: one.study,
)


@pytest.mark.slow
@given(USAGES, st.integers(0, 500), st.integers(0, 3000))
def test_no_more_end_than_must_and_none_that_is_in_sight(
    viewers: list[Usage], others: int, limit: int
) -> None:
    ended = viewers_to_end(viewers, others, limit)
    by_study = {one.study: one for one in viewers}
    assert all(by_study[study].page != "visible" for study in ended)
    used = others + sum(one.memory for one in viewers)
    before_last = used - sum(by_study[study].memory for study in ended[:-1])
    assert not ended or before_last > limit
    after = used - sum(by_study[study].memory for study in ended)
    stays = [one for one in viewers if one.study not in ended]
    assert after <= limit or all(one.page == "visible" for one in stays)


def test_who_has_no_page_ends_first_and_the_least_recently_looked_at_of_them() -> None:
    viewers = [
        Usage("in sight", 10, "visible", 0),
        Usage("hidden long ago", 10, "hidden", 1),
        Usage("closed now", 10, "closed", 9),
        Usage("lost before", 10, "lost", 5),
    ]
    order = ["lost before", "closed now", "hidden long ago"]
    for many in range(4):
        assert viewers_to_end(viewers, 0, 40 - 10 * many) == order[:many]


def test_what_a_process_uses_grows_with_what_it_allocates() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "taken = bytearray(b'1') * (64 << 20); print('ready', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        process.stdout.readline()
        assert 64 << 20 <= memory_of(process.pid) < 256 << 20
        process.stdin.close()
    assert memory_of(process.pid) == 0
    assert memory_of(os.getpid()) < machine_share() * 4
