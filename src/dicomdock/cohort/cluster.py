"""Work on the series of a cohort on a Dask cluster: its workers do what threads do on one machine.

The process of the command gives out one series after the other, so that a server gets no more requests than
it may, and writes the outcomes. A worker that dies costs the series that it had in hand, which another one
gets.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import Any, TypeAlias

import distributed
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from dicomdock.cohort.engine import Line, Work, timed
from dicomdock.cohort.state import Outcome
from dicomdock.cohort.table import Item
from dicomdock.errors import DicomdockError, Unreachable

Opener: TypeAlias = Callable[[], AbstractContextManager[Work]]
"""Opens what does the work, on a worker; it must be possible to pickle it."""


class _Plugin(distributed.WorkerPlugin):
    """What a worker has open while a task runs; a worker that joins later gets it too."""

    def __init__(self, name: str, opener: Opener) -> None:
        self.name = name
        self._opener = opener

    def setup(self, worker: object) -> None:  # noqa: ARG002 - as Dask calls it
        """Open it."""
        self.stack = ExitStack()
        self.work = self.stack.enter_context(self._opener())

    def teardown(self, worker: object) -> None:  # noqa: ARG002 - as Dask calls it
        """Close it."""
        self.stack.close()


class Cluster:
    """A connection to a Dask cluster; use it in a ``with`` block.

    Parameters
    ----------
    address : of its scheduler, ``tcp://HOST:8786``.
    patience : seconds until a scheduler that does not answer is given up.

    Raises
    ------
    Unreachable
        There is none.
    """

    def __init__(self, address: str, patience: float = 30.0) -> None:
        self._address, self._patience = address, patience
        try:
            self._client = distributed.Client(address, timeout=patience, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise Unreachable(f"No Dask scheduler answers at {address}: {error}.") from None

    @property
    def workers(self) -> int:
        """The number of its workers' threads; 0 while no worker has joined."""
        return sum(int(count) for count in self._client.nthreads().values())

    @property
    def at_once(self) -> int:
        """The number of series to give out side by side: one waits for the first worker."""
        return max(1, self.workers)

    @property
    def dashboard(self) -> str:
        """The address of its dashboard, which not every scheduler runs."""
        return str(self._client.dashboard_link)

    def run(
        self, opener: Opener, items: Sequence[Item], limits: Mapping[str, int]
    ) -> Generator[Outcome, None, None]:
        """Work on series and yield each outcome when it is known.

        Parameters
        ----------
        opener : opens what does the work, once on each worker.
        limits : series of a server side by side.

        Raises
        ------
        Unreachable
            The scheduler is gone.
        DicomdockError
            What no series can go on after.
        """
        name = f"dicomdock-{uuid.uuid4().hex}"
        line = Line(items, limits)
        waiting: dict[str, Item] = {}
        running = distributed.as_completed(loop=self._client.loop)
        with suppress(CommClosedError):  # a worker that ends at this moment is not missed
            self._client.register_plugin(_Plugin(name, opener), name=name)
        try:
            while True:
                while len(waiting) < self.at_once and (item := line.next()) is not None:
                    future = self._client.submit(_do, name, item, key=f"{name}-{item.resource}", pure=False)
                    waiting[future.key] = item
                    running.add(future)
                if not waiting:
                    if line.wait():
                        continue
                    return
                future = next(running)
                item = waiting.pop(future.key)
                outcome = self._outcome(future, item)
                del future  # else the end of its worker would have the series done again
                line.ended(item.server, outcome)
                yield outcome
        except DicomdockError:
            raise
        except Exception as error:
            if self._answers():
                raise
            raise self._gone() from error
        finally:
            running.clear()
            self._end(name)

    def close(self) -> None:
        """End the connection; the cluster goes on."""
        self._client.close(timeout=self._patience)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _outcome(self, future: Any, item: Item) -> Outcome:
        try:
            # A result that was lost with its worker is waited for: another one does the series again.
            outcome: Outcome = future.result()
        except CancelledError:  # of all futures, when the scheduler is gone
            raise self._gone() from None
        except KilledWorker as error:
            reason = f"The workers that had it ended, the last one {error.last_worker.address}."
            return Outcome(item.resource, "failed", reason)
        except DicomdockError:
            raise
        except Exception as error:
            if not self._answers():
                raise self._gone() from error
            return Outcome(item.resource, "failed", f"{type(error).__name__}: {error}")
        return outcome

    def _answers(self) -> bool:
        """Return whether the scheduler is there; a lost one is waited for as long as Dask does."""
        try:
            self._client.nthreads()
        except Exception:  # noqa: BLE001 - a client that is closing raises almost anything
            return False
        return bool(self._client.status == "running")

    def _gone(self) -> Unreachable:
        return Unreachable(f"The Dask scheduler at {self._address} is gone.")

    def _end(self, name: str) -> None:
        if self._client.status == "running":
            with suppress(CommClosedError):  # likewise; what was done is done
                self._client.unregister_worker_plugin(name)


def _do(name: str, item: Item) -> Outcome:
    plugin: _Plugin = distributed.get_worker().plugins[name]
    return timed(plugin.work, item)
