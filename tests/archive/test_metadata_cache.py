"""The attributes of a file are read once, and again when the file is another."""

from __future__ import annotations

import pytest

from dicomdock.archive import Archive, metadata
from dicomdock.archive.metadata_cache import FILE, MetadataCache
from dicomdock.errors import ArchiveError
from tests.archive.conftest import part
from tests.builders import changed, ct_series


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the instances whose files are read for their attributes."""
    found: list[str] = []
    original = metadata.read_metadata

    def counted(path, resource):
        found.append(resource.instance)
        return original(path, resource)

    monkeypatch.setattr(metadata, "read_metadata", counted)
    return found


def store(archive: Archive, *instances, replace: bool = False) -> None:
    with archive.writer(replace=replace) as writer:
        for one in instances:
            writer.add(part(one.data))


def test_a_file_is_read_once_and_described_the_same(archive, archive_settings, read):
    made = ct_series(3)
    store(archive, *made)
    first = list(archive.metadata(made[0].resource.parent.parent))
    assert sorted(read) == sorted(one.instance for one in made)
    assert list(archive.metadata(made[0].resource.parent.parent)) == first
    with Archive.open(archive_settings) as another:
        assert list(another.metadata(made[0].resource.parent.parent)) == first
    assert len(read) == 3
    assert [one["00080018"]["Value"] for one in first] == [[one.instance] for one in made]


def test_what_replaced_a_file_is_read_anew(archive, read):
    (made,) = ct_series(1)
    store(archive, made)
    list(archive.metadata(made.resource))
    store(archive, changed(made, PatientID="NEW"), replace=True)
    (described,) = archive.metadata(made.resource)
    assert described["00100020"]["Value"] == ["NEW"]
    assert len(read) == 2


def test_a_file_that_is_gone_is_missed_although_it_is_cached(archive):
    (made,) = ct_series(1)
    store(archive, made)
    list(archive.metadata(made.resource))
    (one,) = archive.instances(made.resource)
    one.path.unlink()
    with pytest.raises(ArchiveError):
        list(archive.metadata(made.resource))


def test_a_damaged_cache_is_begun_anew(archive, archive_settings, read):
    (made,) = ct_series(1)
    (archive_settings.archive / FILE).write_bytes(b"no database" * 1000)
    store(archive, made)
    first = list(archive.metadata(made.resource))
    assert list(archive.metadata(made.resource)) == first
    assert len(read) == 1


@pytest.mark.slow
def test_it_stays_below_its_limit(tmp_path):
    cache = MetadataCache(tmp_path, limit=200_000)
    for number in range(0, 3000, 100):
        new = {
            f"{one:064}": {"00100020": {"vr": "LO", "Value": [f"{one * 7919:x}" * 40]}}
            for one in range(number, number + 100)
        }
        cache.put(new)
    size = (tmp_path / FILE).stat().st_size
    last = f"{2999:064}"
    assert cache.get([f"{0:064}", last]).keys() == {last}
    cache.close()
    assert size < 400_000
