"""Load a series from the archive into a volume while it is still arriving.

A thread reads what is in the archive, makes the plan, allocates the volume and fills it outwards from the
slice that is shown. It never touches the scene: its results are passed to the event loop.

Metadata that the dock has of a series that is being retrieved (``expect``) give the plan before the pixels
arrive. Without them one image is shown at once, alone, and the whole when all of it has arrived.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

from dicomdock.archive import Archive, ArchivedInstance
from dicomdock.dicom.json_model import DicomJson
from dicomdock.dicom.read_errors import READ_ERRORS
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DicomdockError, GeometryError
from dicomdock.imaging.geometry import VolumePlan, split_series
from dicomdock.imaging.volume import allocate, check_claim
from dicomdock.viewer.expected import plans_by_metadata
from dicomdock.viewer.loaded import Loaded
from dicomdock.viewer.study import read_instance

LOOK = 0.12  # seconds between two looks into the archive while instances arrive
FILLERS = 2  # threads; decoding outside the interpreter's lock gains from a second one
QUIET = 5.0  # seconds in which nothing came of a series although its study is being fetched: it is all here
CACHED_BYTES = 192 << 20  # of a series whose files are read once, for plan and pixels; a larger one's twice


@dataclass(frozen=True)
class Events:
    """The callbacks of a loader, on the loop that it was given, else in its threads.

    Parameters
    ----------
    planned : the volumes of the series are known; the first is the largest.
    allocated : a volume can be shown; slices follow.
    filled : more of it has arrived, or the last of those whose first is shown alone.
    ended : nothing more will come.
    failed : the series cannot be shown, and why.
    """

    planned: Callable[[Sequence[VolumePlan]], None] = lambda _: None
    allocated: Callable[[Loaded], None] = lambda _: None
    filled: Callable[[Loaded], None] = lambda _: None
    ended: Callable[[Loaded], None] = lambda _: None
    failed: Callable[[str], None] = lambda _: None


class Loader:
    """Loads one series; ``close`` ends it, and no event is called on the loop from then on.

    Parameters
    ----------
    archive : where the instances are, or will be.
    series : which.
    events : what to call.
    loop : where to call it; None for the loader's own threads.
    arriving : returns whether more of the series may still arrive.
    expected : the server's metadata of all instances (PS3.18 §F.2), where they were retrieved.
    due : how many instances the server has; 0 where that is not known.
    choice : which volume of the series, by its place among the plans.
    suv_type : returns the SUV Type (0054,1006) that PET is shown in, as of ``Uptake``.
    plans : the plans, when they are known already.
    """

    def __init__(
        self,
        archive: Archive,
        series: Resource,
        events: Events,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        arriving: Callable[[], bool] = lambda: False,
        expected: Sequence[DicomJson] = (),
        due: int = 0,
        choice: int = 0,
        suv_type: Callable[[], str] = lambda: "",
        plans: Sequence[VolumePlan] = (),
    ) -> None:
        self.series = series
        self._archive, self._events, self._loop, self._arriving = archive, events, loop, arriving
        self._expected, self._due = expected, due
        self._choice, self._suv_type, self._plans = choice, suv_type, list(plans)
        self._instances: dict[str, ArchivedInstance] = {}
        self._unreadable: dict[str, str] = {}
        self._read: dict[str, Dataset] = {}
        self._bytes = 0  # of the instances that are here
        self._looked = 0.0
        self._focus: int | None = None
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="loading", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End as soon as the slice in hand is done."""
        self._closed.set()
        self._wake.set()

    def expect(self, metadata: Sequence[DicomJson]) -> None:
        """Receive the server's metadata of all instances, some of which are still to arrive."""
        self._expected = metadata
        self._wake.set()

    def look_at(self, k: int) -> None:
        """Fill from this slice outwards."""
        self._focus = k

    def _call(self, event: Callable[[Any], None], fact: Any) -> None:
        if self._loop is None:
            event(fact)
        else:  # where what it replaces may have closed it by the time that its turn comes
            self._loop.call_soon_threadsafe(self._call_unless_closed, event, fact)

    def _call_unless_closed(self, event: Callable[[Any], None], fact: Any) -> None:
        if not self._closed.is_set():
            event(fact)

    def _run(self) -> None:
        try:
            self._load()
        except DicomdockError as error:
            if not self._closed.is_set():
                self._call(self._events.failed, str(error))
        except MemoryError:
            self._call(self._events.failed, "This machine has too little memory for the series.")

    def _load(self) -> None:
        plans = self._plans or self._plan()
        if not plans or self._closed.is_set():
            return
        self._call(self._events.planned, plans)
        plan = plans[min(self._choice, len(plans) - 1)]
        if not self._expected:
            check_claim(plan, self._bytes)
        loaded = Loaded(plan, allocate(plan), failed=dict(self._unreadable))
        self._fill(loaded)
        if loaded.failed and self._expected and not self._closed.is_set():
            # The server announced what did not arrive, or described it wrongly: use what has arrived.
            self._expected, self._due = (), 0
            self._load()
            return
        self._read.clear()
        _return_memory()
        if not self._closed.is_set():
            loaded.read_headers()
            loaded.uptake = loaded.uptake_by(self._suv_type())
            self._call(self._events.ended, loaded)

    def _plan(self) -> list[VolumePlan]:
        """Wait until it is known what the series consists of; show one image meanwhile."""
        shown: Loaded | None = None
        headers: dict[str, Dataset] = {}
        quiet = 0.0
        while not self._closed.is_set():
            before = len(self._instances)
            coming = self._coming(quiet)
            self._look()
            quiet = quiet + LOOK if self._instances and len(self._instances) == before else 0.0
            if shown is None and (len(self._instances) > 1 or (self._instances and coming)):
                shown = self._show_one(arriving=coming)
            if shown is not None and shown.arriving and not coming:
                shown.arriving = False
                self._call(self._events.filled, shown)
            if self._expected and (plans := plans_by_metadata(self._expected)):
                return plans
            for uid in list(self._instances):
                if self._closed.is_set():
                    return []
                if uid not in headers and uid not in self._unreadable:
                    try:
                        headers[uid] = self._header(uid)
                    except (DicomdockError, OSError) as error:
                        self._unreadable[uid] = str(error)
            if not coming and len(headers) + len(self._unreadable) >= len(self._instances):
                if headers:
                    return split_series(headers.values())
                if self._unreadable:
                    raise GeometryError(next(iter(self._unreadable.values())), list(self._unreadable))
                raise GeometryError("The series is not on this computer; download it first.")
            self._pause()
        return []

    def _coming(self, quiet: float) -> bool:
        """Return whether more of the series may come, after so many seconds in which nothing did."""
        if self._due:
            return self._arriving() and len(self._instances) < self._due
        return self._arriving() and quiet < QUIET

    def _pause(self) -> None:
        self._wake.wait(LOOK)
        self._wake.clear()

    def _look(self) -> None:
        self._looked = time.monotonic()
        for one, _ in self._archive.files(self.series):  # objects are downloaded side by side
            uid = one.resource.instance
            if uid is not None and uid not in self._instances:
                self._instances[uid] = one
                self._bytes += one.size

    def _show_one(self, *, arriving: bool) -> Loaded | None:
        uid = list(self._instances)[len(self._instances) // 2]
        try:
            dataset = read_instance(self._archive, self._instances[uid])
            plan = split_series([dataset])[0]
            check_claim(plan, self._instances[uid].size)
            loaded = Loaded(plan, allocate(plan), provisional=True, arriving=arriving)
            loaded.fill(dataset)
        except (DicomdockError, *READ_ERRORS):
            return None
        self._call(self._events.allocated, loaded)
        return loaded

    def _header(self, uid: str) -> Dataset:
        instance = self._instances[uid]
        cache = self._bytes <= CACHED_BYTES
        dataset = read_instance(self._archive, instance, pixels=cache)
        if cache:
            self._read[uid] = dataset
        return dataset

    def _fill(self, loaded: Loaded) -> None:
        waiting = set(loaded.plan.instances)
        order = {uid: min(loaded.plan.places(uid).values()) for uid in waiting}
        middle = loaded.plan.geometry.shape[0] // 2
        quiet = 0.0
        allocated = not waiting & self._instances.keys()
        if allocated:
            self._call(self._events.allocated, loaded)  # where images will be is shown before they arrive
        with ThreadPoolExecutor(FILLERS, thread_name_prefix="filling") as pool:
            while waiting and not self._closed.is_set():
                ready = [uid for uid in waiting if uid in self._instances]
                if not ready:
                    coming = self._arriving()
                    self._look()
                    if not waiting & self._instances.keys():
                        if not coming:
                            quiet += LOOK
                            if quiet > 3 * LOOK:
                                break
                        self._pause()
                    continue
                focus = middle if self._focus is None else self._focus
                ready.sort(key=lambda uid: abs(order[uid] - focus))
                batch = ready[: 4 * FILLERS]
                list(pool.map(lambda uid: self._fill_one(loaded, uid), batch))
                waiting.difference_update(batch)
                self._call(self._events.filled if allocated else self._events.allocated, loaded)
                allocated = True
                if self._arriving() and time.monotonic() - self._looked > LOOK:
                    self._look()
        for uid in waiting:
            loaded.failed[uid] = "it has not arrived"

    def _fill_one(self, loaded: Loaded, uid: str) -> None:
        if self._closed.is_set():
            return
        try:
            dataset = self._read.pop(uid, None)
            if dataset is None:
                dataset = read_instance(self._archive, self._instances[uid])
            loaded.fill(dataset)
        except DicomdockError as error:
            loaded.failed[uid] = str(error)
        except READ_ERRORS as error:
            loaded.failed[uid] = str(error)


def _return_memory() -> None:
    """Return to the system the memory that reading the files took, up to 200 MB, which glibc would keep."""
    with suppress(AttributeError, OSError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)
