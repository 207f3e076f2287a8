"""Small files that claim to be large ones, or lead elsewhere: zip members, DICOMDIRs, links, pipes."""

from __future__ import annotations

import bz2
import os
import struct
import threading
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest

from dicomdock.archive import Archive, packed
from dicomdock.archive.ingest import ImportProgress, import_paths
from dicomdock.archive.packed import members, named_by
from dicomdock.cohort import table
from dicomdock.cohort.table import read_rows
from dicomdock.errors import InvalidInput, WireError
from dicomdock.sources import CHUNK
from tests.builders import ct_series
from tests.waiting import join

BOMB = 64 << 20
BOUND = 24 << 20  # bytes in use at once


def imported(settings, path: Path) -> ImportProgress:
    with Archive.open(settings) as archive:
        *_, report = import_paths(archive.writer(), [path])
    return report


def zipped(path: Path, packed: bytes, method: int, size: int, checksum: int) -> Path:
    """Write a zip file whose one member has these packed bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.dcm", packed)
    data = bytearray(path.read_bytes())
    central = data.index(b"PK\1\2")
    for at in (0, central):
        fields = at + (8 if at == 0 else 10)
        data[fields : fields + 2] = struct.pack("<H", method)
        data[fields + 6 : fields + 10] = struct.pack("<L", checksum)
        data[fields + 14 : fields + 18] = struct.pack("<L", size)
    path.write_bytes(data)
    return path


@pytest.mark.slow
def test_a_member_is_unpacked_piece_by_piece(tmp_path):
    """zipfile unpacks all that it has read of a bzip2 member at once: gigabytes of a few bytes."""
    block = bytes(1 << 20)
    packer = bz2.BZ2Compressor()
    packed = b"".join(packer.compress(block) for _ in range(BOMB >> 20)) + packer.flush()
    path = zipped(tmp_path / "bomb.zip", packed, zipfile.ZIP_BZIP2, BOMB, 0)
    assert path.stat().st_size < 2000
    (member,) = members(path)
    tracemalloc.start()
    try:
        first = next(member.chunks())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(first) <= CHUNK
    assert peak < BOUND


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_DEFLATED])
def test_members_of_all_methods_are_imported_as_they_are(settings, tmp_path, method):
    image = ct_series(1)[0]
    path = tmp_path / "whole.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("whole.dcm", image.data)
    assert imported(settings, path).stored == 1
    with Archive.open(settings) as archive:
        (part,) = archive.retrieve(image.resource)
        assert b"".join(part.chunks()) == image.data


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_DEFLATED])
def test_a_damaged_member_is_named_and_the_rest_goes_on(settings, tmp_path, method):
    """LZMA's own error, and a checksum that is wrong, ended the whole import."""
    image = ct_series(1)[0]
    path = tmp_path / "damaged.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("broken.dcm", image.data)
        archive.writestr("whole.dcm", image.data)
    data = path.read_bytes()
    for at, value in ((60, b"\xff" * 200), (14, struct.pack("<L", 7))):
        broken = bytearray(data)
        broken[at : at + len(value)] = value
        if at == 14:
            central = data.index(b"PK\1\2") + 16
            broken[central : central + 4] = value
        path.write_bytes(broken)
        report = imported(settings, path)
        assert [failure.path.name for failure in report.failed] == ["broken.dcm"]
        assert report.stored + report.identical == 1


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED])
def test_an_encrypted_member_is_named_and_the_rest_goes_on(settings, tmp_path, method):
    secret, image = ct_series(2)
    path = tmp_path / "encrypted.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("secret.dcm", secret.data)
        archive.writestr("whole.dcm", image.data)
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    report = imported(settings, path)
    assert report.stored == 1
    (failure,) = report.failed
    assert failure.path.name == "secret.dcm"
    assert failure.reason == "It cannot be unpacked: It is encrypted."


def test_names_that_are_not_text_are_an_error_of_ours(settings, tmp_path):
    path = tmp_path / "names.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ä.dcm", b"x")
    path.write_bytes(path.read_bytes().replace("ä".encode(), b"\xff\xfe"))
    (failure,) = imported(settings, path).failed
    assert "cannot be read" in failure.reason


def dicomdir(names: list[bytes]) -> bytes:
    def element(tag: tuple[int, int], vr: bytes, value: bytes) -> bytes:
        value += b" " * (len(value) % 2)
        return (
            struct.pack("<HH2s", *tag, vr)
            + (struct.pack("<HL", 0, len(value)) if vr in (b"SQ", b"UT") else struct.pack("<H", len(value)))
            + value
        )

    records = [element((4, 0x1500), b"CS" if len(name) < 60_000 else b"UT", name) for name in names]
    items = b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(one)) + one for one in records)
    meta = element((2, 2), b"UI", b"1.2.840.10008.1.3.10") + element((2, 16), b"UI", b"1.2.840.10008.1.2.1\0")
    head = element((2, 0), b"UL", struct.pack("<L", len(meta)))
    return bytes(128) + b"DICM" + head + meta + element((4, 0x1220), b"SQ", items)


def test_each_folder_is_listed_once_for_a_dicomdir(tmp_path, monkeypatch):
    """30,000 absent names in a folder of 1,000 files took minutes."""
    listed: list[Path] = []
    original = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: (listed.append(self), original(self))[1])
    (tmp_path / "F1.;1").write_bytes(b"x")
    (tmp_path / "DICOMDIR").write_bytes(dicomdir([b"f1", *(b"X%d\\Y" % number for number in range(500))]))
    found = list(named_by(tmp_path / "DICOMDIR"))
    assert len(listed) == 1
    assert found[:2] == [tmp_path / "F1.;1", tmp_path / "X0" / "Y"]


def test_names_that_no_system_has_hide_no_other_file(settings, tmp_path):
    """Of a DICOMDIR with a name that is too long nothing was imported, and nothing was said."""
    image = ct_series(1)[0]
    (tmp_path / "W").write_bytes(image.data)
    (tmp_path / "DICOMDIR").write_bytes(dicomdir([b"A" * 3000, b"W"]))
    report = imported(settings, tmp_path / "DICOMDIR")
    assert report.stored == 1
    assert [failure.path.name for failure in report.failed] == ["A" * 3000]
    (tmp_path / "DICOMDIR").write_bytes(dicomdir([b"A\\" * 29_000 + b"A"]))
    with pytest.raises(WireError, match="lead to no file"):
        list(named_by(tmp_path / "DICOMDIR"))


@pytest.mark.slow
def test_a_dicomdir_in_a_zip_file_is_not_read_without_end(settings, tmp_path, monkeypatch):
    """250 kB became a DICOMDIR of 250 MB of zeros, which took minutes; now it is read up to a length."""
    image, head = ct_series(1)[0], dicomdir([b"A"])
    monkeypatch.setattr(packed, "LONGEST_DICOMDIR", len(head) + 1000)
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("DICOMDIR", head + bytes(BOMB))
        archive.writestr("whole.dcm", image.data)
    report = imported(settings, path)
    assert report.stored == 1
    assert [failure.reason for failure in report.failed] == ["The DICOMDIR is longer than 0 MB."]


def test_records_of_a_dicomdir_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(packed, "MEMBERS", 10)
    (tmp_path / "DICOMDIR").write_bytes(dicomdir([b"A"] * 11))
    with pytest.raises(WireError, match="more than 10 records"):
        list(named_by(tmp_path / "DICOMDIR"))
    (tmp_path / "DICOMDIR").write_bytes(dicomdir([b"A"] * 10))
    assert len(list(named_by(tmp_path / "DICOMDIR"))) == 10


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize("chosen", ["a.dcm", "DICOMDIR", "."])
def test_a_pipe_is_not_waited_for(settings, tmp_path, chosen):
    """Whoever can write into the folder held an import for good."""
    image, folder = ct_series(1)[0], tmp_path / "in"
    folder.mkdir()
    os.mkfifo(folder / "a.dcm")
    os.mkfifo(folder / "DICOMDIR")
    (folder / "whole.dcm").write_bytes(image.data)
    reports: list[ImportProgress] = []
    importing = threading.Thread(
        target=lambda: reports.append(imported(settings, folder / chosen)), daemon=True
    )
    importing.start()
    join(importing)
    (report,) = reports
    assert (report.stored, report.failed) == (int(chosen == "."), ())


def test_a_dicomdir_leads_through_no_link_out_of_its_folder(settings, tmp_path):
    inside, outside = ct_series(2)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "X").write_bytes(outside.data)
    medium = tmp_path / "medium"
    (medium / "A").mkdir(parents=True)
    (medium / "A" / "W").write_bytes(inside.data)
    (medium / "L").symlink_to(tmp_path / "elsewhere")
    (medium / "B").symlink_to(medium / "A")
    (medium / "DICOMDIR").write_bytes(dicomdir([b"L\\X", b"B\\W"]))
    report = imported(settings, medium / "DICOMDIR")
    assert report.stored == 1
    assert [failure.path for failure in report.failed] == [medium / "L" / "X"]
    with Archive.open(settings) as archive:
        assert [one.resource for one in archive.instances(inside.resource.parent)] == [inside.resource]


@pytest.mark.slow
def test_a_table_is_refused_that_becomes_far_larger_than_its_file(tmp_path, monkeypatch):
    """25 kB became 6 GB."""
    monkeypatch.setattr(table, "MOST_BYTES", 1 << 20)
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "table.parquet"
    index = pyarrow.array([0] * 2_000_000, pyarrow.int8())
    for column in (
        pyarrow.DictionaryArray.from_arrays(index, pyarrow.array(["1.2.3"])),
        pyarrow.array(["a" * (16 << 20)]),
    ):
        parquet.write_table(pyarrow.table({"StudyInstanceUID": column}), path, compression="zstd")
        assert path.stat().st_size < 100_000
        with pytest.raises(InvalidInput, match="far larger"):
            read_rows(path)


def test_a_text_that_many_rows_share_is_read_once(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "table.parquet"
    long = "x" * 1_000
    shared = pyarrow.table({"a": [long, None] * 10_000, "b": [*range(20_000)]})
    parquet.write_table(shared, path, compression="zstd")
    rows = read_rows(path)
    assert rows[:2] == [{"a": long, "b": 0}, {"a": None, "b": 1}]
    assert len(rows) == 20_000
    assert len({id(row["a"]) for row in rows}) <= 2 * (len(rows) // 10_000)


def test_a_checksum_is_of_the_unpacked_bytes(settings, tmp_path):
    image = ct_series(1)[0]
    packed = bz2.compress(image.data)
    right = zlib.crc32(image.data)
    path = zipped(tmp_path / "a.zip", packed, zipfile.ZIP_BZIP2, len(image.data), right)
    assert imported(settings, path).stored == 1
