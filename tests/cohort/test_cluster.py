"""A cohort on a Dask cluster of real processes: what is killed costs nothing but time."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import distributed
import numpy as np
import pytest
from distributed.comm.core import CommClosedError

from dicomdock import Archive, archive
from dicomdock.cohort.cluster import Cluster
from dicomdock.cohort.folder import Cohorts
from dicomdock.cohort.state import Outcome
from dicomdock.cohort.table import Item
from dicomdock.config.servers import ServerProfile, load_profiles
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.errors import Unreachable
from tests.builders import ct_series
from tests.conftest import PROJECT
from tests.origin.running import serving
from tests.programs import Program
from tests.transfer.conftest import ended
from tests.waiting import until

SERIES = [Resource("1.2.777.1", f"1.2.777.1.{number}") for number in range(12)]
FUNCTION = """
def measure(volume):
    return {"sum": volume.array.sum(), "slices": volume.array.shape[0]}
"""
# Dask's client leaves sockets and loops of a killed peer to the garbage collector.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def case(settings: Settings, tmp_path: Path) -> Iterator[tuple[Archive, dict[Resource, dict[str, float]]]]:
    """Yield an archive with a cohort of twelve series, which a server has, and the numbers of each."""
    numbers = {}
    other = replace(settings, archive=tmp_path / "server", state=tmp_path / "server-state")
    with archive.Archive.open(other) as there, serving(there) as server, Archive.open(settings) as here:
        for number, series in enumerate(SERIES):
            made = ct_series(
                2 + number % 3,
                rows=8 + number,
                StudyInstanceUID=series.study,
                SeriesInstanceUID=series.series,
            )
            server.add(*(one.data for one in made))
            total = sum(float(np.sum(one.dataset.pixel_array - 1024.0)) for one in made)  # in HU
            numbers[series] = {"sum": total, "slices": len(made)}
        load_profiles(settings).with_profile(ServerProfile("hospital", server.url)).save(settings)
        Cohorts(settings).save("c", [Item(one, "hospital") for one in SERIES], {})
        yield here, numbers


def kill_the_workers(address: str) -> None:
    """Kill them when one has a result that nobody has fetched, which is lost until others have started."""
    with distributed.Client(address, set_as_default=False) as client:
        until(lambda: any(client.has_what().values()), "a result")
        processes = client.run(os.getpid)
        for process in processes.values():
            os.kill(process, signal.SIGKILL)
        until(lambda: not processes.keys() & client.has_what().keys(), "the end of the workers")


def test_workers_and_the_scheduler_are_killed_and_the_numbers_are_the_same(case, tmp_path):
    here, numbers = case
    cohort = here.cohort("c")
    code = tmp_path / "own.py"
    code.write_text(FUNCTION)
    function = f"{code}:measure"
    with Program([sys.executable, "-m", "tests.cohort.cluster"], cwd=PROJECT) as program:
        address = program.line().strip()
        with Cluster(address, patience=10) as cluster:
            assert cluster.workers == 2
            work = cohort.pulling(cluster=cluster)
            while next(work).done < 3:
                pass
            kill_the_workers(address)
            report = ended(work)
            assert report.complete, report
            assert {one: len(here.present(one)) for one in SERIES} == {
                one: numbers[one]["slices"] for one in SERIES
            }
            assert [one.resource for one in report.outcomes] == SERIES

            work = cohort.running(function, cluster=cluster)
            while next(work).done < 3:
                pass
            kill_the_workers(address)
            answers = {
                one.resource: one for one in cohort.map(lambda found: found.array.shape, cluster=cluster)
            }
            assert {one: answer.value[0] for one, answer in answers.items()} == {
                one: numbers[one]["slices"] for one in SERIES
            }
            while next(work).done < 6:
                pass
            program.kill()
            stopped = ended(work)
            assert "scheduler" in stopped.stopped
            assert stopped.count("failed") == 0
    rest = ended(cohort.running(function, workers=1))  # here, without a cluster
    assert rest.complete
    assert rest.now == 12 - stopped.count("done")
    assert {one.resource: one.result for one in rest.outcomes} == numbers
    with pytest.raises(Unreachable, match="No Dask scheduler"):
        Cluster("tcp://127.0.0.1:1")


def test_a_worker_that_ends_as_work_begins_or_ends_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask raises what the connection to it raised, after it has asked every worker."""

    def asked_of_all(change: Callable[..., object]) -> Callable[..., object]:
        def changed(*args: object, **options: object) -> object:
            change(*args, **options)
            raise CommClosedError("in <TCP (closed)>: Stream is closed")

        return changed

    for name in ("register_plugin", "unregister_worker_plugin"):
        monkeypatch.setattr(distributed.Client, name, asked_of_all(getattr(distributed.Client, name)))
    with (
        distributed.LocalCluster(processes=False, n_workers=1, dashboard_address=None) as local,
        Cluster(local.scheduler_address) as cluster,
    ):
        outcomes = list(cluster.run(partial(nullcontext, done), [Item(one) for one in SERIES[:3]], {}))
    assert {one.resource: one.state for one in outcomes} == dict.fromkeys(SERIES[:3], "done")


def test_work_waits_for_the_first_worker() -> None:
    with (
        distributed.LocalCluster(processes=False, n_workers=0, dashboard_address=None) as local,
        Cluster(local.scheduler_address) as cluster,
    ):
        assert cluster.workers == 0
        local.scale(1)
        outcomes = list(cluster.run(partial(nullcontext, done), [Item(one) for one in SERIES[:3]], {}))
    assert {one.resource: one.state for one in outcomes} == dict.fromkeys(SERIES[:3], "done")


def done(item: Item) -> Outcome:
    return Outcome(item.resource, "done")
