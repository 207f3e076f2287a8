"""Write a project: tables of its cases, their history, the changes of drafts and the agreement, and DICOM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
from pydicom.dataset import Dataset

from dicomdock.api.home import LocalHome
from dicomdock.api.instances import headers_of, paths_of
from dicomdock.api.project_agreement import COLUMNS as AGREEMENT
from dicomdock.api.project_agreement import AgreementTable
from dicomdock.api.project_changes import COLUMNS as CHANGES
from dicomdock.api.project_changes import change_rows
from dicomdock.api.segmentation import Segmentation, read
from dicomdock.api.table import Cell, write_new
from dicomdock.cohort.table import write_rows
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DicomdockError, InvalidInput
from dicomdock.imaging.attributes import text
from dicomdock.imaging.authoring import Authorship, next_series_number, to_bytes
from dicomdock.imaging.formats.csv_text import csv_of
from dicomdock.imaging.measurements import Measurement, Report, Value, report_to_dicom
from dicomdock.imaging.measurements.measurement import CUBIC_MILLIMETRE, VOLUME
from dicomdock.project.model import Case, CaseState, Entry, Project, name_of

CASES = (
    *(
        "case",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "PatientID",
        "SeriesDescription",
        "state",
        "annotator",
    ),
    *("reviewer", "note", "rounds", "changed", "SOPInstanceUID", "segmentation", "report"),
)
HISTORY = ("case", "event", "person", "time", "note", "segmentation")


@dataclass(frozen=True)
class ExportedProject:
    """What was written of a project.

    Parameters
    ----------
    tables : their files.
    decided : how many cases were done and were written as DICOM.
    problems : one sentence for each that could not be.
    """

    tables: tuple[Path, ...]
    decided: int
    problems: tuple[str, ...]


def export(
    archive: LocalHome,
    project: Project,
    cases: Sequence[Case],
    history: Sequence[Entry],
    agreement: AgreementTable | None,
    folder: Path,
    format: Literal["csv", "parquet"],  # noqa: A002
) -> ExportedProject:
    """Write a project to a folder; see ``AnnotationProject.export``."""
    if format not in ("csv", "parquet"):
        raise InvalidInput(f"Tables are written as csv or parquet, not {format}.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInput(f"{folder} is not an empty folder.")
    for name in ("segmentations", "reports"):
        (folder / name).mkdir(parents=True)
    problems: list[str] = []
    rows, decided = [], 0
    for case in cases:
        written: dict[str, Cell] = {}
        if case.state is CaseState.DONE and case.result is None:
            name = name_of(case, project)
            problems.append(f"Case {name}: another program has completed it without a segmentation.")
        elif case.state is CaseState.DONE and case.result is not None:
            try:
                written = _write_decided(archive, case, case.result, name_of(case, project), folder)
                decided += 1
            except DicomdockError as error:
                problems.append(f"Case {name_of(case, project)}: {error}")
        rows.append({**_case_row(case, project), **written})
    tables = [_write(folder, "cases", CASES, rows, format, project)]
    happened = [_history_row(one, project) for one in history]
    tables.append(_write(folder, "history", HISTORY, happened, format, project))
    if changed := list(change_rows(archive, project, cases)):
        tables.append(_write(folder, "changes", CHANGES, changed, format, project))
    if agreement is not None:
        tables.append(_write(folder, "agreement", AGREEMENT, agreement.rows, format, project))
    return ExportedProject(tuple(tables), decided, tuple(problems))


def _write_decided(
    archive: LocalHome, case: Case, result: Resource, name: str, folder: Path
) -> dict[str, Cell]:
    """Write the segmentation of a case as it is in the archive, and its volumes as a measurement report."""
    (path,) = paths_of(archive, result)
    drawn = folder / "segmentations" / f"{name}.dcm"
    write_new(drawn, path.read_bytes())
    segmentation = read(archive, result)
    (header,) = headers_of([path])
    headers = headers_of(paths_of(archive, case.series))
    authorship = Authorship(
        "Volumes of segments", next_series_number(headers, offset=600), creator=case.person
    )
    report = report_to_dicom(
        Report(tuple(_measured(segmentation, header))),
        [*headers, header],
        authorship=authorship,
    )
    reported = folder / "reports" / f"{name}.dcm"
    write_new(reported, to_bytes(report))
    return {"segmentation": str(drawn.relative_to(folder)), "report": str(reported.relative_to(folder))}


def _measured(segmentation: Segmentation, header: Dataset) -> Iterator[Measurement]:
    numbers = sorted(
        int(item.SegmentNumber) for item in header.SegmentSequence if int(item.SegmentNumber) > 0
    )
    voxel = abs(float(np.linalg.det(segmentation.geometry.affine[:3, :3])))  # mm3
    for number, segment in zip(numbers, segmentation.segments, strict=True):
        yield Measurement(
            segment.label,
            values=(Value(VOLUME, segment.mask.count * voxel, CUBIC_MILLIMETRE),),
            finding=segment.terminology.kind,
            segment=(text(header, "SOPInstanceUID"), number),
            tracking_uid=segment.tracking_uid,
        )


def _case_row(case: Case, project: Project) -> dict[str, Cell]:
    return {
        "case": name_of(case, project),
        "StudyInstanceUID": case.series.study,
        "SeriesInstanceUID": case.series.series,
        "PatientID": case.patient,
        "SeriesDescription": case.description,
        "state": case.state.value,
        "annotator": case.person,
        "reviewer": case.reviewer,
        "note": case.note,
        "rounds": case.rounds,
        "changed": _time(case.changed),
        "SOPInstanceUID": case.result.instance if case.result else None,
        "segmentation": None,
        "report": None,
    }


def _history_row(entry: Entry, project: Project) -> dict[str, Cell]:
    case = name_of(Case(*entry.case, Resource("1.2")), project)
    return {
        "case": case,
        "event": entry.event.value,
        "person": entry.person,
        "time": _time(entry.moment),
        "note": entry.note,
        "segmentation": str(entry.result) if entry.result else None,
    }


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


def _write(
    folder: Path,
    name: str,
    columns: Sequence[str],
    rows: Sequence[Mapping[str, Cell]],
    format: Literal["csv", "parquet"],  # noqa: A002
    project: Project,
) -> Path:
    path = folder / f"{name}.{format}"
    if format == "csv":
        write_new(path, csv_of(columns, rows).encode())
    else:
        write_rows(path, rows, {"project": project.name, "cohort": project.cohort})
    return path
