"""Receive files from the browser in bounded chunks, into a folder of their own outside the archive."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from dicomdock.config.home import make_folders, private
from dicomdock.dock.services.archive import LocalArchive
from dicomdock.dock.services.events import ArchiveChanged, Events, UploadChanged
from dicomdock.dock.services.threads import Run
from dicomdock.dock.services.uploads.batch import Batch, compact, store
from dicomdock.dock.services.uploads.inspect import InspectedFile, SeriesGroup, inspect_file
from dicomdock.errors import DicomdockError, NoSpace

if TYPE_CHECKING:
    from dicomdock.dock.services.transfers import Transfers

BLOCK = 1 << 20  # bytes gathered before they are written
MAX_BATCHES = 8  # batches whose page can still be looked at
MAX_NAME = 1024
MAX_FILES = 200_000


class Uploads:
    """The batches of one dock, and the address that the browser sends files to.

    Parameters
    ----------
    run : does blocking work.
    local : where the files are stored.
    transfers : send them on.
    events : inform the pages.
    """

    def __init__(self, run: Run, local: LocalArchive, transfers: Transfers, events: Events) -> None:
        self._run = run
        self._local = local
        self._transfers = transfers
        self._events = events
        self._folder = local.settings.state / "uploads"
        self._batches: dict[str, Batch] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        shutil.rmtree(self._folder, ignore_errors=True)  # an earlier dock's, that it could not remove

    def get(self, key: str) -> Batch | None:
        """Return a batch by its key."""
        with self._lock:
            return self._batches.get(key)

    async def begin(self, _: Request) -> Response:
        """Answer ``POST /uploads``: a new batch."""
        return JSONResponse({"batch": await self._run(self._new)}, status_code=201)

    async def receive(self, request: Request) -> Response:
        """Answer ``POST /uploads/BATCH?name=NAME``: one file, its bytes as the body."""
        batch = self.get(request.path_params["batch"])
        if batch is None or batch.stage != "arrived":
            return _refused(404, "This upload has ended; drop the files again.")
        if len(batch.files) >= MAX_FILES:
            return _refused(413, f"More than {MAX_FILES:,} files at once are too many; drop fewer folders.")
        path = batch.folder / f"{next(self._numbers):08}"
        name = request.query_params.get("name", "")[:MAX_NAME]
        try:
            await self._write(request, path)
            batch.files.append(await self._run(inspect_file, name, path))
        except ClientDisconnect:
            path.unlink(missing_ok=True)
            return _refused(400, "The file arrived incomplete.")
        except DicomdockError as error:
            path.unlink(missing_ok=True)
            return _refused(507 if isinstance(error, NoSpace) else 500, str(error))
        return Response(status_code=204)

    async def _write(self, request: Request, path: Path) -> None:
        waiting = bytearray()
        file = await self._run(self._open, path)
        try:
            async for chunk in request.stream():
                waiting += chunk
                if len(waiting) >= BLOCK:
                    await self._run(self._put, file, bytes(waiting))
                    waiting.clear()
            await self._run(self._put, file, bytes(waiting))
        finally:
            await asyncio.shield(self._run(file.close))

    def _open(self, path: Path) -> BinaryIO:
        from dicomdock.archive.storage.local import disk_errors

        with disk_errors("Receiving files"):
            return open(path, "xb", opener=private)

    def _put(self, file: BinaryIO, block: bytes) -> None:
        from dicomdock.archive.storage.local import disk_errors

        if shutil.disk_usage(self._folder).free - len(block) < self._local.settings.free_space_floor:
            raise NoSpace(
                "The disk is nearly full; these files were not received.",
                remedy="Free some space, or lower the space that must stay free in the settings.",
            )
        with disk_errors("Receiving files"):
            file.write(block)

    def _new(self) -> str:
        key = secrets.token_urlsafe(12)
        folder = self._folder / key
        make_folders(folder)
        with self._lock:
            self._batches[key] = Batch(key, folder)
            old = [batch for batch in self._batches.values() if batch.stage != "storing"]
            for batch in old[: max(0, len(self._batches) - MAX_BATCHES)]:
                del self._batches[batch.key]
                shutil.rmtree(batch.folder, ignore_errors=True)
        return key

    def drop(self, batch: Batch) -> None:
        """Forget a batch and its files."""
        with self._lock:
            self._batches.pop(batch.key, None)
        shutil.rmtree(batch.folder, ignore_errors=True)

    def store(self, batch: Batch, groups: list[SeriesGroup], rest: list[InspectedFile], server: str) -> None:
        """Store these series in the archive and send them on; blocks until they are stored.

        The batch's own page shows what goes wrong.

        Parameters
        ----------
        batch : whose files they are; it has begun.
        groups, rest : what can be stored, and what cannot.
        server : where it goes then; empty for nowhere.
        """
        batch.server = server

        def publish() -> None:
            self._events.publish(UploadChanged(batch.key))

        try:
            stored = store(batch, groups, rest, self._local.archive, publish)
            if server and stored:
                batch.transfer = self._transfers.push(server, compact(self._local.archive, stored)).id
        except DicomdockError as error:
            batch.message = str(error)
        finally:
            batch.stage = "stored"
            shutil.rmtree(batch.folder, ignore_errors=True)
            publish()
            for study in {group.resource.study for group in groups}:
                self._events.publish(ArchiveChanged(study))


def _refused(status: int, reason: str) -> Response:
    return JSONResponse({"error": reason}, status_code=status)
