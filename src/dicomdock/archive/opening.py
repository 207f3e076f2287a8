"""Open an archive, whatever state its folder and its index are in."""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from dicomdock.archive.index.engine import FILE, Index
from dicomdock.archive.index.migrations import MIGRATIONS, migrate, version_of
from dicomdock.archive.index.schema import TABLES
from dicomdock.archive.index_faults import Fault, Judge, has_studies, is_unfinished, seen_whole
from dicomdock.archive.journal_upkeep import see_journal
from dicomdock.archive.recovery import recover
from dicomdock.archive.storage.files import Files
from dicomdock.archive.storage.journal import private_file
from dicomdock.archive.storage.local import disk_errors
from dicomdock.config.home import private_folder
from dicomdock.config.settings import Settings
from dicomdock.errors import ArchiveError, IndexDamaged

log = logging.getLogger(__name__)

SEEN = "archives"  # file of the state folder: the folders, and the mounted disks, with instances in them
_LATEST = len(MIGRATIONS)
_ALL = {table.name for table in TABLES}
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"


def open_archive(settings: Settings) -> tuple[Files, Index]:
    """Return the files and the index of the archive that the settings name; made where there is none.

    An index that is damaged or missing is rebuilt from the files.

    Raises
    ------
    ArchiveTooNew, ArchiveLocked, NoSpace, ArchiveError
    """
    seen = settings.state / SEEN
    objects = None
    if settings.object_store:
        from dicomdock.archive.storage.object_cache import ObjectCache
        from dicomdock.archive.storage.object_store import ObjectStore

        cache = ObjectCache(settings.archive / "cache", settings.cache_limit)
        objects = ObjectStore(settings.object_store, cache)
    first = partial(_remember, seen, settings.archive)
    files = Files(settings.archive, settings.free_space_floor, first, objects)
    if objects is not None and settings.database.startswith("postgresql"):
        # Others add to the same archive on other machines, of which a journal here would know nothing.
        files.journal = replace(files.journal, read_only=True)
    if objects is None:
        _see_that_it_is_mounted(files, seen)
    if files.read_only:
        return files, _read_only_index(settings, files)
    if objects is None and not files.folder.is_dir():
        _see_that_none_is_lost(settings, files, seen)
    files.make()
    index = Index(settings.database, files.root)
    try:
        fault = partial(_fault, files, index)
        if seen_whole(index, fault) is not None:
            _rebuild(files, index, fault)
        files.reached("open: index ready")
        index.on_damage = lambda inode: _rebuild(files, index, fault, inode)
        try:
            _finish(files, index)
        except IndexDamaged:  # which has been rebuilt
            _finish(files, index)
        _warn_of_none(files, index)
    except BaseException:
        index.close()
        raise
    return files, index


def _rebuild(files: Files, index: Index, fault: Judge, damaged: int | None = None) -> None:
    from dicomdock.archive.rebuild import rebuild  # seldom needed, and with much of its own

    rebuild(files, index, fault, damaged)


def _finish(files: Files, index: Index) -> None:
    recover(files, index)
    if not files.journal.read_only:
        see_journal(files, index)


def _fault(files: Files, index: Index, damaged: int | None) -> Fault | None:
    """Return what is wrong with an index, after it was migrated where possible.

    Parameters
    ----------
    damaged : inode of a file that is known to be damaged.
    """
    if damaged is not None and index.inode() == damaged:
        return "damaged"
    try:
        migrate(index)
        with index.reading() as connection:
            if connection.dialect == "sqlite" and not {*connection.column(_TABLES)} >= _ALL:
                return "damaged"
            # Who knows of files that could not be deleted is empty, not lost.
            found = connection.first("SELECT id FROM study LIMIT 1") or connection.first(
                "SELECT path FROM doomed LIMIT 1"
            )
    except IndexDamaged:
        return "damaged"
    if is_unfinished(index):
        return "not whole"
    return "missing" if found is None and has_studies(files) else None


def _see_that_none_is_lost(settings: Settings, files: Files, seen: Path) -> None:
    """See that the folder of the files is missing because there never were any.

    Raises
    ------
    ArchiveError
        Instances were stored there.
    """
    lost = files.journal.path.exists() or str(files.root) in _remembered(seen)
    if settings.database or (files.root / FILE).exists():
        index = Index(settings.database, files.root)
        try:
            migrate(index)
            with index.reading() as connection:
                lost = connection.first("SELECT id FROM study LIMIT 1") is not None
        except IndexDamaged:
            lost = True
        finally:
            index.close()
    if lost and not files.folder.is_dir():  # else another process has made the archive in this moment
        raise ArchiveError(
            f"The archive's folder {files.folder} is gone, and instances were stored there: perhaps its disk "
            "is not mounted.",
            remedy=f"Mount it; or, to begin a new archive there, make the folder {files.folder}.",
        )


def _see_that_it_is_mounted(files: Files, seen: Path) -> None:
    """See that a folder which was the mount point of a disk with instances is one still.

    Raises
    ------
    ArchiveError
        It is empty, and no mount point: what is stored there would be hidden once the disk is mounted.
    """
    if files.folder.is_mount():
        if has_studies(files):
            _remember(seen, files.folder)
    elif str(files.folder) in _remembered(seen) and not has_studies(files):
        raise ArchiveError(
            f"The archive's folder {files.folder} is empty, and was a disk of its own when instances were "
            "stored there: it is not mounted.",
            remedy=f"Mount it; or, if the disk is lost, delete the line {files.folder} in {seen}.",
        )


def _warn_of_none(files: Files, index: Index) -> None:
    """Warn where no instance is there at all, as in the mount point of a disk that is not mounted.

    It is not an error: whoever lost the files begins with an empty folder, and retrieves them into it. Where
    it is known to have been a mount point, ``_see_that_it_is_mounted`` has raised one.
    """
    if files.objects is not None or has_studies(files):
        return
    with index.reading() as connection:
        row = connection.first('SELECT COALESCE(SUM("NumberOfStudyRelatedInstances"), 0) FROM study')
    if row and row[0]:
        log.warning(
            "The archive's folder %s is empty, and %d instances were stored there: perhaps its disk is not "
            "mounted. What is retrieved now is stored in the folder as it is.",
            files.folder,
            row[0],
        )


def _read_only_index(settings: Settings, files: Files) -> Index:
    """Open the index of a folder that cannot be written: as it is, or else as a copy of it."""
    if not files.folder.is_dir() and ((files.root / FILE).exists() or files.journal.path.exists()):
        raise ArchiveError(f"The archive's folder {files.folder} is gone: perhaps its disk is not mounted.")
    if settings.database:
        index = Index(settings.database, files.root)
        migrate(index)
        return index
    log = files.root / f"{FILE}-wal"
    for parameters in ("mode=ro", "mode=ro&immutable=1"):
        if "immutable" in parameters and log.exists() and log.stat().st_size:
            break  # the log holds rows that would not be seen
        index = Index("", files.root, read_only=parameters)
        with suppress(ArchiveError), index.reading() as connection:
            if version_of(connection) == _LATEST and not is_unfinished(index):
                return index
        index.close()
    return _copied_index(files)


def _copied_index(files: Files) -> Index:
    """Return a copy of an index that is of an earlier version, has a log, is damaged or is missing."""
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="dicomdock-index-"))
    index = Index("", folder)
    index.on_close = partial(shutil.rmtree, folder, ignore_errors=True)
    try:
        with disk_errors("Copying the archive's index"):
            for ending in ("", "-wal"):
                source = files.root / f"{FILE}{ending}"
                if source.exists():
                    shutil.copyfile(source, folder / f"{FILE}{ending}")
        fault = partial(_fault, files, index)
        if seen_whole(index, fault) is not None:
            _rebuild(files, index, fault)
    except BaseException:
        index.close()
        raise
    return index


def _remembered(seen: Path) -> list[str]:
    try:
        return seen.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return []


def _remember(seen: Path, root: Path) -> None:
    """Record that instances are stored in a folder, so that it is missed when it is gone."""
    if str(root) in _remembered(seen):
        return
    with suppress(OSError):
        private_folder(seen.parent)
        with private_file(seen, os.O_APPEND) as file:
            file.write(f"{root}\n".encode("utf-8", "surrogateescape"))
