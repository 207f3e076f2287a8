"""What must hold of an archive after a crash, looked at without the archive's own verification."""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from dicomdock.archive import Archive
from dicomdock.archive.journal_state import JournalState, records_of
from dicomdock.archive.journal_upkeep import records_of_index
from dicomdock.archive.storage.journal import Journal
from dicomdock.config.settings import Settings


@dataclass(frozen=True)
class Instance:
    """One row of the index."""

    digest: str
    size: int
    origin: str
    pinned: bool
    sent: tuple[str, ...]


_ROWS = """
select study.StudyInstanceUID, series.SeriesInstanceUID, instance.SOPInstanceUID, instance.digest,
    instance.size, instance.origin, instance.pinned or series.pinned or study.pinned,
    (select group_concat(server) from sent where sent.instance = instance.id)
from instance join series on instance.series = series.id join study on series.study = study.id
"""


def inspected(home: Path) -> dict[str, Instance]:
    """Open an archive, let it recover, and return its rows once all of this holds.

    Every row has its file with its size and digest, every file its row, nothing is left of the crash, counts
    are right, the database is sound, and the journal says the same as the index.
    """
    settings = Settings.load(home)
    with Archive.open(settings) as archive:
        files = archive._files
        with archive._index.reading() as connection:
            copy = Journal(home / "journal-of-the-index")
            copy.replace(records_of_index(connection))
        assert _lines(copy) == _lines(files.journal), "the journal and the index disagree"
        copy.path.unlink()
        # A folder that was made a moment before the kill, and not locked yet, stays for a minute.
        assert [path for folder in files.incoming.iterdir() for path in folder.iterdir()] == []
        stored = [files.folder / key for key in files.storage.listed()]
        paths = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in stored}
        assert not (settings.archive / "rebuilding").exists()
    database = sqlite3.connect(settings.archive / "index.sqlite")
    try:
        assert database.execute("pragma integrity_check").fetchall() == [("ok",)]
        assert database.execute("select count(*) from doomed").fetchone() == (0,)
        assert database.execute("select count(*) from replacing").fetchone() == (0,)
        rows = {
            "/".join(row[:3]): Instance(
                row[3], row[4], row[5], bool(row[6]), tuple((row[7] or "").split(","))
            )
            for row in database.execute(_ROWS)
        }
        counted = database.execute(
            "select coalesce(sum(NumberOfStudyRelatedInstances), 0) from study"
        ).fetchone()
        assert counted == (len(rows),)
        for level, part in PARTS.items():
            parts = database.execute(f"select {part}, count(*) from {level} group by 1").fetchall()
            kept = database.execute(f'select part, "rows" from {level}_count where "rows" <> 0').fetchall()
            assert sorted(kept) == sorted(parts), f"{level}_count does not count its rows"
    finally:
        database.close()
    names = {_path(settings, name): one for name, one in rows.items()}
    assert {path: one.digest for path, one in names.items()} == paths
    assert all(path.stat().st_size == one.size for path, one in names.items())
    return rows


PARTS = {"study": "StudyDate", "series": "id / 16384", "instance": "id / 16384"}
"""What the rows of a level are counted by, as the decision about offsets says."""


def _path(settings: Settings, name: str) -> Path:
    parts = [hashlib.sha256(uid.encode()).hexdigest()[:32] for uid in name.split("/")]
    return settings.archive.joinpath("files", *parts).with_suffix(".dcm")


def _lines(journal: Journal) -> list[object]:
    with JournalState(journal) as state:
        assert state.damaged == 0
        return [record.to_json() for record in records_of(state)]
