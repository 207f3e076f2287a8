"""An index that is damaged or missing is rebuilt from the files and the journal, and nothing is forgotten."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dicomdock.archive import Archive, opening
from dicomdock.archive.journal_state import JournalState, records_of
from dicomdock.archive.journal_upkeep import records_of_index
from dicomdock.archive.storage.files import Files
from dicomdock.archive.storage.journal import Journal, Removed
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.errors import ArchiveError, ArchiveTooNew, IndexDamaged
from tests.builders import Made, changed, ct_series, document, write
from tests.waiting import join


def facts(archive: Archive) -> dict[str, tuple[object, ...]]:
    """Everything that the archive knows of each instance."""
    with archive._index.reading() as connection:
        studies = connection.column('SELECT "StudyInstanceUID" FROM study')
    return {
        str(one.resource): (
            one.digest,
            one.size,
            one.origin,
            one.sent,
            one.pinned,
            one.made_here,
            one.remarks,
        )
        for study in studies
        for one in archive.instances(Resource(study))
    }


def agrees(archive: Archive) -> bool:
    """Return whether the journal and the index say the same."""

    def lines(journal: Journal) -> list[object]:
        with JournalState(journal) as state:
            return [record.to_json() for record in records_of(state)]

    with archive._index.reading() as connection:
        copy = Journal(archive._files.root / "copy")
        copy.replace(records_of_index(connection))
    try:
        return lines(copy) == lines(archive._files.journal)
    finally:
        copy.path.unlink()


@pytest.fixture
def full(settings: Settings, tmp_path: Path) -> dict[str, tuple[object, ...]]:
    """Make an archive with all that an index can know; return that."""
    pulled, ours, replaced = ct_series(3), ct_series(2), document()
    with Archive.open(settings) as archive:
        for origin, instances in (("pacs", pulled), ("", [replaced])):
            list(archive.import_paths(write(tmp_path / (origin or "x"), instances), origin=origin))
        with archive.writer(made_here=True) as writer:
            for path in write(tmp_path / "ours", ours):
                from dicomdock.sources import Part

                writer.add(Part.from_file(path))
        later = write(tmp_path / "later", [changed(replaced, PatientComments="corrected")])
        archive.retention.record_sent([replaced.resource], "old")  # of bytes that are replaced
        list(archive.import_paths(later, replace=True))
        archive.retention.record_sent([ours[0].resource, replaced.resource], "clinic")
        archive.retention.pin(Resource(pulled[0].study))
        archive.retention.pin(ours[1].resource)
        archive.retention.pin(replaced.resource)
        archive.retention.unpin(Resource(replaced.study))
        archive.remove(pulled[2].resource)
        assert agrees(archive)
        return facts(archive)


def delete(settings: Settings) -> None:
    for path in settings.archive.glob("index.sqlite*"):
        path.unlink()


def truncate(settings: Settings) -> None:
    path = settings.archive / "index.sqlite"
    path.write_bytes(path.read_bytes()[:5000])


def empty(settings: Settings) -> None:
    (settings.archive / "index.sqlite").write_bytes(b"")


def overwrite(settings: Settings) -> None:
    (settings.archive / "index.sqlite").write_bytes(b"no database at all" * 1000)


def drop(settings: Settings) -> None:
    with sqlite3.connect(settings.archive / "index.sqlite") as database:
        database.executescript("drop table sent; drop table instance")
    database.close()


def lose_log(settings: Settings) -> None:
    delete(settings)
    (settings.archive / "index.sqlite-wal").write_bytes(b"of another time" * 1000)


HARMS = [delete, truncate, empty, overwrite, drop, lose_log]


@pytest.mark.slow
@pytest.mark.parametrize("harm", HARMS)
def test_everything_is_there_again(
    settings: Settings,
    full: dict[str, tuple[object, ...]],
    harm: Callable[[Settings], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    harm(settings)
    with Archive.open(settings) as archive:
        assert facts(archive) == full
        assert agrees(archive)
        assert {finding.status for finding in archive.verify()} == {"intact"}
    assert f"The index is rebuilt: {len(full)} instances of 3 studies." in caplog.text
    moved = [*settings.archive.glob("index-damaged-*")]
    assert bool(moved) == (harm in (truncate, overwrite, drop))
    caplog.clear()
    with Archive.open(settings) as archive:  # once is enough
        assert facts(archive) == full
    assert caplog.text == ""


def damage_inside(settings: Settings) -> None:
    path = settings.archive / "index.sqlite"
    database = sqlite3.connect(path)
    root, page = database.execute(
        "select rootpage, (select page_size from pragma_page_size) from sqlite_master where name = 'instance'"
    ).fetchone()
    database.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * page)
        file.write(b"\xff" * page)


@pytest.mark.slow
def test_damage_inside_is_found_when_it_is_read(
    settings: Settings, full: dict[str, tuple[object, ...]]
) -> None:
    damage_inside(settings)
    with Archive.open(settings) as archive:
        with pytest.raises(IndexDamaged, match="has been rebuilt"):
            facts(archive)
        assert facts(archive) == full


@pytest.mark.slow
def test_an_index_that_goes_while_it_is_open_is_rebuilt(
    settings: Settings, full: dict[str, tuple[object, ...]]
) -> None:
    with Archive.open(settings) as archive:
        delete(settings)
        assert facts(archive) == full


@pytest.mark.slow
def test_files_that_are_damaged_or_gone_are_not_taken_for_what_was_stored(
    settings: Settings, full: dict[str, tuple[object, ...]], tmp_path: Path
) -> None:
    with Archive.open(settings) as archive:
        one, two, three = (Resource.parse(name) for name in sorted(full)[:3])
        paths = [archive.instances(each)[0].path for each in (one, two, three)]
        good = {each: path.read_bytes() for each, path in zip((one, two, three), paths, strict=True)}
        gone, cut, altered = paths
        gone.unlink()
        cut.write_bytes(b"")
        altered.write_bytes(good[three][:-1] + b"\xee")
    delete(settings)
    with Archive.open(settings) as archive:
        assert facts(archive) == full
        statuses = {
            finding.resource: finding.status for finding in archive.verify() if finding.status != "intact"
        }
        assert statuses == {one: "missing", two: "changed", three: "changed"}
        for number, data in enumerate(good.values()):
            (tmp_path / f"{number}.dcm").write_bytes(data)
        list(archive.import_paths([tmp_path / f"{number}.dcm" for number in range(3)]))
        assert {finding.status for finding in archive.verify()} == {"intact"}
        assert facts(archive) == full
        for each in (one, two, three):
            (match,) = [m for page in archive.search(_query(each)) for m in page.matches]
            assert match.attributes["00080016"]["Value"]  # SOP Class UID is known again


def _query(resource: Resource):  # type: ignore[no-untyped-def]
    from dicomdock.dicom.query import Query

    uids = dict(
        zip(
            ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"), str(resource).split("/"), strict=True
        )
    )
    return Query("instances", uids)


@pytest.mark.slow
def test_a_journal_that_is_torn_or_damaged_costs_only_its_own_lines(
    settings: Settings, full: dict[str, tuple[object, ...]]
) -> None:
    journal = settings.archive / "journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole + whole[: len(whole) // 3].rpartition(b"\n")[2] + b"0badc0de {")
    with Archive.open(settings) as archive:
        archive.retention.pin(Resource.parse(sorted(full)[0]))
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"size"', b"'size'").replace(b"pacs", b"pact")
    journal.write_bytes(b"".join(lines))
    delete(settings)
    with Archive.open(settings) as archive:
        known = facts(archive)
        assert set(known) == set(full)
        assert known[sorted(full)[0]][4]
        origins = {name: (known[name][2], full[name][2]) for name in full}
        assert {pair for pair in origins.values() if pair[0] != pair[1]} == {("", "pacs")}


@pytest.mark.slow
def test_a_journal_of_a_later_version_is_not_misread(
    settings: Settings, full: dict[str, tuple[object, ...]]
) -> None:
    import zlib

    text = b'{"format":2}'
    (settings.archive / "journal").write_bytes(b"%08x %s\n" % (zlib.crc32(text), text))
    delete(settings)
    with pytest.raises(ArchiveTooNew):
        Archive.open(settings)


@pytest.mark.slow
def test_a_journal_that_has_grown_is_compacted(
    settings: Settings, full: dict[str, tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomdock.archive.journal_upkeep.GROWN", 4000)
    journal = settings.archive / "journal"
    with Archive.open(settings) as archive:
        with archive._index.writing():
            for number in range(5000):
                archive._files.journal.append([Removed([f"{number}"])], sync=False)
        large = journal.stat().st_size
    with Archive.open(settings) as archive:
        small = journal.stat().st_size
        assert small < large / 10
        assert agrees(archive)
    with Archive.open(settings):
        assert journal.stat().st_size == small
    delete(settings)
    with Archive.open(settings) as archive:
        assert facts(archive) == full


@pytest.mark.slow
def test_an_archive_without_a_journal_gets_one(
    settings: Settings, full: dict[str, tuple[object, ...]]
) -> None:
    (settings.archive / "journal").unlink()
    with Archive.open(settings) as archive:
        assert agrees(archive)
    delete(settings)
    with Archive.open(settings) as archive:
        assert facts(archive) == full


@pytest.mark.slow
def test_two_that_find_it_damaged_rebuild_it_once(
    settings: Settings, full: dict[str, tuple[object, ...]]
) -> None:
    overwrite(settings)
    opened: list[dict[str, tuple[object, ...]]] = []

    def look() -> None:
        with Archive.open(settings) as archive:
            opened.append(facts(archive))

    threads = [threading.Thread(target=look, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        join(thread)
    assert opened == [full] * 4
    assert len([*settings.archive.glob("index-damaged-*.sqlite")]) == 1


@pytest.mark.slow
def test_one_that_is_opened_while_another_rebuilds_it_sees_all(
    settings: Settings, full: dict[str, tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    overwrite(settings)

    def late(*_: object) -> None:
        """Fail as SQLite does where another process renames the files of a database meanwhile."""
        monkeypatch.undo()
        with Archive.open(settings):
            pass
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
        raise error

    monkeypatch.setattr("dicomdock.archive.index.engine.use_write_ahead_log", late)
    with Archive.open(settings) as archive:
        assert facts(archive) == full


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment",
    ["rebuild: announced", "rebuild: moved aside", "rebuild: tables made", "rebuild: some adopted"],
)
def test_one_that_reads_while_another_rebuilds_it_waits_and_sees_all(
    settings: Settings,
    full: dict[str, tuple[object, ...]],
    moment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither an error nor a part of the archive is what the reader gets."""
    seen: list[dict[str, tuple[object, ...]]] = []
    with Archive.open(settings) as reader:
        facts(reader)  # it has connections to the file that is moved
        reading = threading.Thread(target=lambda: seen.append(facts(reader)), daemon=True)
        overwrite(settings)

        def reached(_: Files, name: str) -> None:
            if name == moment:
                monkeypatch.undo()
                reading.start()

        monkeypatch.setattr(Files, "reached", reached)
        with Archive.open(settings):
            join(reading)
    assert seen == [full]
    assert len([*settings.archive.glob("index-damaged-*.sqlite")]) == 1


@pytest.mark.slow
def test_a_writer_whose_index_was_rebuilt_meanwhile_loses_nothing(settings: Settings, tmp_path: Path) -> None:
    first, later = ct_series(2), ct_series(3)
    with Archive.open(settings) as archive:
        list(archive.import_paths(write(tmp_path / "first", first)))
        with pytest.raises(ArchiveError, match="rebuilt"), archive.writer(origin="pacs") as writer:
            from dicomdock.sources import Part

            for path in write(tmp_path / "later", later):
                writer.add(Part.from_file(path))
            moved = False

            def reached(moment: str) -> None:
                nonlocal moved
                if moment == "commit: renamed" and not moved:
                    moved = True
                    (settings.archive / "index.sqlite").rename(settings.archive / "aside.sqlite")
                    for ending in ("-wal", "-shm"):
                        (settings.archive / f"index.sqlite{ending}").unlink()
                    with Archive.open(settings):
                        pass

            archive._files.reached = reached  # type: ignore[method-assign]
    with Archive.open(settings) as archive:
        assert {one.origin for one in archive.instances(Resource(later[0].study))} == {"pacs"}
        assert len(archive.instances(Resource(first[0].study))) == 2
        assert {finding.status for finding in archive.verify()} == {"intact"}


@pytest.mark.slow
@pytest.mark.parametrize("below", ["files", ""])
def test_files_that_are_gone_with_their_disk_are_an_error(
    settings: Settings, full: dict[str, tuple[object, ...]], below: str
) -> None:
    folder = settings.archive / below
    folder.rename(settings.archive.parent / "away")
    if not below:
        settings.archive.mkdir()  # where the disk was mounted
    for _ in range(2):
        with pytest.raises(ArchiveError, match="not mounted"):
            Archive.open(settings)
    if not below:
        settings.archive.rmdir()
    (settings.archive.parent / "away").rename(folder)
    with Archive.open(settings) as archive:
        assert facts(archive) == full


def test_a_home_that_never_had_instances_is_no_error(settings: Settings) -> None:
    Archive.open(settings).close()
    shutil.rmtree(settings.archive)
    with Archive.open(settings) as archive:
        assert facts(archive) == {}


def test_an_archive_that_another_process_begins_meanwhile_is_not_lost(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remembered = opening._remembered

    def after_another_import(seen: Path) -> list[str]:
        monkeypatch.setattr(opening, "_remembered", remembered)
        with Archive.open(settings) as other:
            list(other.import_paths(write(tmp_path / "in", ct_series(2))))
        return remembered(seen)

    monkeypatch.setattr(opening, "_remembered", after_another_import)
    with Archive.open(settings) as archive:
        assert archive.summary().instances == 2


@pytest.fixture
def other_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of another file system."""
    here = tmp_path.stat().st_dev
    folders = map(Path, ("/dev/shm", "/var/tmp"))
    others = [one for one in folders if one.is_dir() and one.stat().st_dev != here]
    if not others:
        pytest.skip("there is no second file system here")
    folder = others[0] / f"dicomdock-{tmp_path.name}-{id(tmp_path)}"
    folder.mkdir()
    monkeypatch.setattr("dicomdock.archive.writer.GROUP_FILES", 2)
    return folder


@pytest.mark.slow
def test_files_on_another_disk(settings: Settings, tmp_path: Path, other_disk: Path) -> None:
    made: list[Made] = ct_series(5)
    try:
        settings.archive.mkdir(parents=True)
        (settings.archive / "files").symlink_to(other_disk)
        with Archive.open(settings) as archive:
            list(archive.import_paths(write(tmp_path / "in", made), origin="pacs"))
            new = [changed(one, PatientComments="new") for one in made]
            list(archive.import_paths(write(tmp_path / "new", new), replace=True))
            assert {finding.status for finding in archive.verify()} == {"intact"}
            assert archive.summary().instances == 5
            assert [*archive._files.incoming.iterdir()] == []
            assert {Path(key).suffix for key in Files(settings.archive, 0).storage.listed()} == {".dcm"}
        delete(settings)
        with Archive.open(settings) as archive:
            assert archive.summary().instances == 5
            assert archive.remove(Resource(made[0].study)) == 5
            assert [*archive._files.storage.listed()] == []
    finally:
        shutil.rmtree(other_disk)


def test_a_file_system_without_locks_is_named(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    fcntl = pytest.importorskip("fcntl")

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    with Archive.open(settings) as archive:
        monkeypatch.setattr(fcntl, "flock", no_locks)
        paths = write(tmp_path / "in", ct_series(1))
        assert list(archive.import_paths(paths))[-1].stored == 1  # a record lock does as well
        monkeypatch.setattr(fcntl, "lockf", no_locks)
        with pytest.raises(ArchiveError, match="has no locks"):
            list(archive.import_paths(paths))
