"""Cohort: many series of the archive and of servers at once."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from dicomdock.api import cohort_bids as bids
from dicomdock.api.cohort_arrays import INSTALL, lazy_array
from dicomdock.api.cohort_export import Exporter, Form, staging
from dicomdock.api.cohort_map import Answer, Function, MapWork
from dicomdock.api.cohort_map import opened as opened_map
from dicomdock.api.home import LocalHome, OpenArchive, resource_of
from dicomdock.cohort import pull as pulling
from dicomdock.cohort import results
from dicomdock.cohort.engine import run_in_threads
from dicomdock.cohort.folder import Cohorts
from dicomdock.cohort.function import FunctionRun, FunctionWork, opened
from dicomdock.cohort.push import Pusher
from dicomdock.cohort.state import Outcome
from dicomdock.cohort.table import Item
from dicomdock.cohort.task import Per, TaskReport, carry_out, report_of, studies_of
from dicomdock.config.settings import Settings
from dicomdock.deidentify import Deidentifier
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import Client
from dicomdock.errors import InvalidInput, MissingDependency
from dicomdock.sources import JsonValue
from dicomdock.transfer.progress import Progress

if TYPE_CHECKING:  # Dask takes long to import, and is often not installed
    import pandas
    import xarray

    from dicomdock.cohort.cluster import Cluster

NOTHING: Mapping[str, JsonValue] = MappingProxyType({})
SLICES = 32  # in a chunk of an array: some 16 MB of CT, read in a tenth of a second
WORKERS = 4  # series that are pulled side by side
PROCESSES = 2  # in which a function runs side by side
SECONDS = 600.0  # that a function may take for one series
DIGEST = 8  # hexadecimal digits of the digest of a function's file, enough to see that it has changed


class Cohort:
    """A cohort of the user's, in its last version or an earlier one.

    Parameters
    ----------
    archive : has the series that are here.
    open_archive : opens it again, in another process.
    name : of the cohort.
    version : of its table; None for the last one.

    Attributes
    ----------
    items : its series, one ``Item`` each.

    Raises
    ------
    NotFound
        There is none.
    """

    def __init__(
        self,
        archive: LocalHome,
        settings: Settings,
        open_archive: OpenArchive,
        name: str,
        version: int | None = None,
    ) -> None:
        cohorts = Cohorts(settings)
        self._archive, self._settings, self._open = archive, settings, open_archive
        self.name = name
        self.items: tuple[Item, ...] = tuple(cohorts.items(name, version))
        self._outcomes = cohorts.outcomes(name)

    def items_per(self, per: Per) -> Sequence[Item]:
        """Return what is worked on one by one: the series of the cohort, or its studies."""
        return studies_of(self.items) if per == "study" else self.items

    def pulling(
        self, *, workers: int = WORKERS, requests: int = pulling.REQUESTS, cluster: Cluster | None = None
    ) -> Generator[Progress, None, TaskReport]:
        """Retrieve every series that is not whole in the archive; yield progress and return the report.

        Parameters
        ----------
        workers : series side by side, on this machine.
        requests : to one server at a time, by all workers together.
        cluster : does the work, instead of this machine; its workers open the same archive.
        """
        most, each = pulling.shares(cluster.at_once if cluster else workers, requests)
        limits = {item.server: most for item in self.items if item.server}

        def run(items: Sequence[Item]) -> Generator[Outcome, None, None]:
            if cluster is not None:
                yield from cluster.run(partial(pulling.opened, self._settings, each), items, limits)
                return
            with closing(pulling.Puller(self._archive.local, self._settings, each)) as puller:
                yield from run_in_threads(puller, items, workers, limits, puller.close)

        def holds(item: Item, outcome: Outcome) -> bool:
            return len(self._archive.local.present(item.resource)) >= int(
                outcome.result.get("instances") or 0
            )

        options: dict[str, JsonValue] = {"workers": workers, "requests": requests}
        return carry_out(self._outcomes, pulling.TASK, self.items, run, options=options, holds=holds)

    def running(
        self,
        function: str,
        *,
        workers: int = PROCESSES,
        seconds: float = SECONDS,
        memory: int = 0,
        again: bool = False,
        per: Per = "series",
        cluster: Cluster | None = None,
        noted: Mapping[str, JsonValue] = NOTHING,
    ) -> Generator[Progress, None, TaskReport]:
        """Run a function on every series or study, in processes of its own.

        The function's code runs with the rights of the user. What it returned for a series is stored,
        until the file that it is in changes.

        Parameters
        ----------
        function : ``module:function`` or ``file.py:function``. It receives a ``Volume`` and returns a number,
            a mapping of numbers and texts, a ``Segmentation``, a ``Volume``, or a list of these.
        workers : processes side by side, on this machine.
        seconds : for one series or study, after which its process is killed.
        memory : bytes that each process may allocate, on Linux alone; 0 for no limit.
        again : compute everything anew.
        per : ``study`` calls it once for each study, with a list of the volumes of its series in the cohort.
        cluster : does the work, instead of this machine; its workers open the same archive and find the same
            module.
        noted : what else the task is to be repeated with.

        Raises
        ------
        InvalidInput
            The function cannot be imported, or memory is limited elsewhere than on Linux.
        """
        if memory and sys.platform != "linux":
            raise InvalidInput("The memory of a function can be limited on Linux alone.")
        studies: dict[str, list[str]] = {}
        if per == "study":
            for item in self.items:
                studies.setdefault(item.resource.study, []).append(item.resource.series or "")
        chosen = FunctionRun(self._settings, function, (str(Path.cwd()), *sys.path), seconds, studies, memory)
        with chosen.children() as children:
            digest = str(children.greeting()["digest"])[:DIGEST]
            task = f"run {'per study ' if studies else ''}{function} {digest}".rstrip()
            generation = int(str(self._outcomes.tasks().get(task, {}).get("generation", 0)))
            if again:
                generation += 1
                self._outcomes.forget(task)
            seed = f"{task}|{generation}"

            def run(items: Sequence[Item]) -> Generator[Outcome, None, None]:
                if cluster is not None:
                    return cluster.run(partial(opened, chosen, seed), items, {})
                return run_in_threads(FunctionWork(chosen, children, seed), items, workers, {}, children.stop)

            options: dict[str, JsonValue] = {"function": function, "generation": generation}
            options |= {"seconds": seconds, "memory": memory, "workers": workers, "per": per, **noted}
            report = yield from carry_out(self._outcomes, task, self.items_per(per), run, options=options)
            return replace(report, per=per)

    def exporting(
        self,
        folder: Path,
        form: Form,
        *,
        deidentifier: Deidentifier | None = None,
        straighten: bool = False,
        workers: int = WORKERS,
        noted: Mapping[str, JsonValue] = NOTHING,
    ) -> Generator[Progress, None, TaskReport]:
        """Write every series as files; yield progress and return the report.

        Each series appears whole or not at all, under a name that no other series has. Of one that is written
        already nothing is done, until its files are removed.

        Parameters
        ----------
        folder : created where it is missing.
        form : ``dicom``, ``nifti``, ``nrrd`` or ``bids``.
        deidentifier : lets only de-identified copies leave; a series of which an instance is held back fails.
        straighten : as in ``Archive.export_as``.
        workers : series side by side.
        noted : what else the task is to be repeated with.

        Raises
        ------
        InvalidInput
            The folder cannot be written, or another export is writing there.
        """
        profile = str(deidentifier.profile) if deidentifier else ""
        task = " ".join(filter(None, ("export", form, profile, str(folder.absolute()))))

        def run(items: Sequence[Item]) -> Generator[Outcome, None, None]:
            with staging(folder) as stage:
                exporter = Exporter(
                    self._archive, self._settings, folder, stage, form, self._open, deidentifier, straighten
                )
                if form == "bids":
                    bids.begin(folder, self.name)
                yield from run_in_threads(exporter, items, workers, {})
                if form == "bids":
                    bids.finish(folder, self.name)

        def holds(_item: Item, outcome: Outcome) -> bool:
            return all((folder / path).exists() for path in str(outcome.result.get("path") or "").split("|"))

        options: dict[str, JsonValue] = {
            "folder": str(folder.absolute()),
            "format": form,
            "deidentify": profile,
            "straighten": straighten,
            "workers": workers,
            **noted,
        }
        return carry_out(self._outcomes, task, self.items, run, options=options, holds=holds)

    def pushing(
        self,
        client: Client,
        *,
        deidentifier: Deidentifier | None = None,
        workers: int = PROCESSES,
        noted: Mapping[str, JsonValue] = NOTHING,
    ) -> Generator[Progress, None, TaskReport]:
        """Send every series to a server; what it has already is not sent again.

        Parameters
        ----------
        client : the server.
        deidentifier : lets only de-identified copies leave; a series of which an instance is held back fails.
        workers : series side by side.
        noted : what else the task is to be repeated with.

        Raises
        ------
        AuthenticationError
            The server refuses the login.
        """
        profile = str(deidentifier.profile) if deidentifier else ""
        task = " ".join(filter(None, ("push", client.name, profile)))
        pusher = Pusher(self._archive.local, client, self._settings, deidentifier)

        def run(items: Sequence[Item]) -> Generator[Outcome, None, None]:
            return run_in_threads(pusher, items, workers, {}, client.close)

        options: dict[str, JsonValue] = {"server": client.name, "deidentify": profile}
        options |= {"workers": workers, **noted}
        return carry_out(self._outcomes, task, self.items, run, options=options)

    def map(
        self, function: Function, *, workers: int = WORKERS, cluster: Cluster | None = None
    ) -> Generator[Answer, None, None]:
        """Call a function with the volume of every series, and yield each answer as soon as it is known.

        Nothing is stored or remembered; ``running`` does that, in processes that can be killed. A series on
        which the function raises is an answer whose ``state`` is ``failed``, with the ``reason``.

        Parameters
        ----------
        function : receives a ``Volume``, and returns anything.
        workers : threads of this process.
        cluster : does the work instead, in processes of its own; function and answers are pickled.

        Raises
        ------
        Unreachable
            The cluster is gone.
        """
        if cluster is not None:
            outcomes = cluster.run(partial(opened_map, self._settings, self._open, function), self.items, {})
        else:
            outcomes = run_in_threads(MapWork(self._archive, function), self.items, workers, {})
        with closing(outcomes):
            for outcome in outcomes:  # on a cluster, also for a series whose workers ended
                yield (
                    outcome
                    if isinstance(outcome, Answer)
                    else Answer(outcome.resource, outcome.state, outcome.reason)
                )

    def array(
        self, series: Item | Resource | str, name: str | None = None, *, slices: int = SLICES
    ) -> xarray.DataArray:
        """Return a volume as a lazily loaded array: its headers are read now, its pixels when computed.

        Parameters
        ----------
        series : of the archive.
        name : of the volume, where the series holds several.
        slices : in a chunk; each chunk reads only the instances that it needs.

        Returns
        -------
        Dimensions k, j, i (and rgb in colour), over a Dask array that can be pickled; ``attrs`` has the UIDs,
        units, spacing in mm, and ``affine``, which takes (k, j, i, 1) to mm, LPS.

        Raises
        ------
        NotInArchive
            The series has not been pulled.
        GeometryError
            It holds no volume, or several and none is named.
        MissingDependency
            ``dicomdock[notebook]`` is not installed.
        """
        resource = series.resource if isinstance(series, Item) else resource_of(series, "series")
        return lazy_array(self._archive, self._settings, self._open, resource, name, slices)

    def to_dataframe(self, outcomes: Iterable[Outcome] = ()) -> pandas.DataFrame:
        """Return the table of the cohort, with what became of its series, as a DataFrame of pandas.

        Parameters
        ----------
        outcomes : answers of ``map``, or ``outcomes`` of a report of ``running`` or ``status``. Numbers of a
            mapping become columns of their names, any other value the column ``value``.

        Raises
        ------
        MissingDependency
            ``dicomdock[notebook]`` is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise MissingDependency("What makes DataFrames (pandas)", INSTALL) from None
        found = [*outcomes]
        per: Per = "study" if any(one.resource.series is None for one in found) else "series"
        return pandas.DataFrame(results.rows(self.items_per(per), found))

    def report(self, path: Path) -> None:
        """Write a report as one HTML page: counts, failures by reason, and a picture of each series.

        Raises
        ------
        InvalidInput
            The file exists, or cannot be written.
        """
        from dicomdock.cohort.report import write

        write(path, self.name, self.items, self.status(), self._archive.local)

    def incomplete(self) -> list[tuple[str, dict[str, JsonValue]]]:
        """Return the tasks of which something failed or is left, with their options, in the order of work.

        A pull comes first, since the others need it. Of a function only the last run counts: an earlier one
        was of a file that has changed.
        """
        tasks = self._outcomes.tasks()
        seen: set[str] = set()
        found = []
        for task, options in tasks.items():  # the last one first
            key = f"run {options.get('per')} {options.get('function')}" if task.startswith("run ") else task
            if key not in seen and self._report_of(task, options).unfinished:
                found.append((task, options))
            seen.add(key)
        order = (pulling.TASK, "run", "export", "push")
        return sorted(found, key=lambda one: order.index(one[0].split(" ")[0]))

    def status(self) -> list[TaskReport]:
        """Return what is known of each task that was begun, the last one first."""
        return [self._report_of(task, options) for task, options in self._outcomes.tasks().items()]

    def _report_of(self, task: str, options: Mapping[str, JsonValue]) -> TaskReport:
        per: Per = "study" if options.get("per") == "study" else "series"
        return report_of(self._outcomes, task, self.items_per(per), per)
