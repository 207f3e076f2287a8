"""A part of the storm over a cohort: the database restarts, and a command is killed; nothing is lost."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.conftest import unavailable
from tests.storms.cohort import prepared
from tests.tutorials.servers import missing

pytestmark = pytest.mark.servers


def test_a_cohort_is_done_once_whatever_happens(tmp_path: Path) -> None:
    if remedies := missing():
        unavailable("What the storm needs", "; ".join(remedies))
    with prepared(tmp_path, 3, on_cluster=False) as storm:
        storm.round(random.Random(1), ("database", "command"))
