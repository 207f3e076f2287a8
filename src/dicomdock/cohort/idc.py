"""Manifests of the NCI Imaging Data Commons: series by their folder in a bucket, as s5cmd copies them.

A manifest names no UID. The table that does is in the PyPI package idc-index-data; no network is needed.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from dicomdock.cohort.makers import Made, few
from dicomdock.cohort.table import Item, arrow
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput, MissingDependency

ENDINGS = (".s5cmd", ".manifest", ".txt")
_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_LINE = re.compile(rf"(?:cp\s+)?(?:(?:s3|gs)://[a-z0-9.\-]+/)?({_UUID})(?:/\S*)?(?:\s+\S+)?\Z")
_COLUMNS = (
    "crdc_series_uuid",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "PatientID",
    "Modality",
    "SeriesDescription",
    "instanceCount",
)


def from_manifest(path: Path, server: str, index: Path | None = None) -> Made:
    """Read the series of a manifest.

    Parameters
    ----------
    server : that they are pulled from, such as IDC's DICOMweb proxy.
    index : the table of all series, ``idc_index.parquet``; else that of the package idc-index-data.

    Raises
    ------
    InvalidInput
        The manifest or the table cannot be read, or names no series that the table has.
    MissingDependency
        There is no table.
    """
    made, unreadable = Made(), []
    uuids: dict[str, int] = {}
    for number, line in enumerate(_lines(path), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        found = _LINE.match(text)
        if found is None:
            unreadable.append(f"Line {number} of {path.name} names no series: {text[:80]!r}.")
        elif found[1].lower() in uuids:
            made.duplicates += 1
        else:
            uuids[found[1].lower()] = number
    rows = _rows(index or _table(), list(uuids)) if uuids else {}
    unknown = [
        f"Line {number} of {path.name} names a series that the table does not have: {uuid}."
        for uuid, number in uuids.items()
        if uuid not in rows
    ]
    made.problems.extend(few(unreadable) + few(unknown))
    for row in (rows[uuid] for uuid in uuids if uuid in rows):
        made.add(_item(row, server))
    if not made.items:
        raise InvalidInput(" ".join(made.problems) or f"{path} names no series.")
    return made


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{path} is not a manifest: it is not text in UTF-8.") from None


def _table() -> Path:
    spec = importlib.util.find_spec("idc_index_data")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        table = Path(folder) / "idc_index.parquet"
        if table.is_file():
            return table
    raise MissingDependency(
        "The table of the Imaging Data Commons (idc-index-data)",
        "install it with: pip install idc-index-data",
    )


def _rows(index: Path, uuids: list[str]) -> dict[str, dict[str, object]]:
    parquet, pyarrow = arrow("pyarrow.parquet"), arrow()
    try:
        table = parquet.read_table(index, columns=list(_COLUMNS), filters=[("crdc_series_uuid", "in", uuids)])
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise InvalidInput(f"{index} cannot be read as the table of series: {str(error)[:200]}") from None
    return {str(row["crdc_series_uuid"]): row for row in table.to_pylist()}


def _item(row: dict[str, object], server: str) -> Item:
    count = row["instanceCount"]
    texts = [str(row[name] or "") for name in _COLUMNS[1:6]]
    instances = count if isinstance(count, int) else None
    return Item(Resource(texts[0], texts[1]), server, texts[2], texts[3], texts[4], instances)
