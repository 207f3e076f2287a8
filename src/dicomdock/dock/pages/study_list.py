"""The columns of the list of studies, and a study as a row of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dicomdock.dicom.json_model import text, texts
from dicomdock.dicom.names import person_name
from dicomdock.dock import formatting, widgets
from dicomdock.dock.addresses import study_address
from dicomdock.dock.services.studies import Found, modalities

COLUMNS: Mapping[str, widgets.Column] = {
    column.name: column
    for column in (
        widgets.Column("state", "", 34, "mark"),
        widgets.Column("patient", "Patient", "minmax(120px, 2fr)", link=True),
        widgets.Column("id", "Patient ID", "minmax(80px, 1fr)", yields=3),
        widgets.Column("birth", "Born", 92, yields=6),
        widgets.Column("date", "Date", 92),
        widgets.Column("time", "Time", 60, yields=9),
        widgets.Column("modality", "Modality", "minmax(64px, .7fr)"),
        widgets.Column("description", "Description", "minmax(100px, 2fr)", yields=1),
        widgets.Column("accession", "Accession", "minmax(80px, 1fr)", yields=5),
        widgets.Column("referrer", "Referrer", "minmax(90px, 1fr)", yields=7),
        widgets.Column("series", "Series", 60, "num", yields=8),
        widgets.Column("images", "Images", 72, "num", yields=4),
        widgets.Column("places", "Where", "minmax(80px, 1fr)", yields=2),
    )
}
_SORTED_BY: Mapping[str, tuple[str, ...]] = {
    "patient": ("PatientName",),
    "id": ("PatientID",),
    "birth": ("PatientBirthDate",),
    "date": ("StudyDate", "StudyTime"),
    "time": ("StudyTime",),
    "modality": ("ModalitiesInStudy",),
    "description": ("StudyDescription",),
    "accession": ("AccessionNumber",),
    "referrer": ("ReferringPhysicianName",),
    "series": ("NumberOfStudyRelatedSeries",),
    "images": ("NumberOfStudyRelatedInstances",),
}
ALWAYS = ("state", "patient")
USUAL = ("state", "patient", "id", "date", "modality", "description", "images")


def chosen(names: object) -> list[widgets.Column]:
    """Return the columns of a remembered choice, in our order; the usual ones where there is none."""
    wanted = set(names) if isinstance(names, list) else set(USUAL)
    return [column for name, column in COLUMNS.items() if name in wanted or name in ALWAYS]


def order(column: str, descending: bool) -> tuple[str, ...]:
    """Return ``Query.order`` for a column that the list is sorted by; nothing where no source can sort so."""
    return tuple(f"-{keyword}" if descending else keyword for keyword in _SORTED_BY.get(column, ()))


def patient(study: Found) -> str:
    """Write the patient's name, all groups of it."""
    return person_name("".join(texts(study.attributes, "PatientName")[:1]))


def row(study: Found, coming: Iterable[str]) -> widgets.Row:
    """Write a study as a row."""
    asked = study.attributes
    day, time = text(asked, "StudyDate"), text(asked, "StudyTime")
    series = text(asked, "NumberOfStudyRelatedSeries")
    cells = {
        "state": study.state(coming),
        "patient": patient(study) or "—",
        "id": text(asked, "PatientID"),
        "birth": formatting.dicom_date(text(asked, "PatientBirthDate")),
        "date": formatting.dicom_date(day),
        "time": formatting.dicom_time(time),
        "modality": modalities(study),
        "description": text(asked, "StudyDescription"),
        "accession": text(asked, "AccessionNumber"),
        "referrer": person_name("".join(texts(asked, "ReferringPhysicianName")[:1])),
        "series": series,
        "images": formatting.number(study.instances) if study.instances is not None else "",
        "places": ", ".join("this computer" if name == "local" else name for name in study.counts),
    }
    sort: dict[str, str | float] = {
        "state": cells["state"],
        "date": day + time,
        "images": study.instances if study.instances is not None else "",
        "series": int(series) if series.isdigit() else "",
    }
    source = "" if study.is_here else next(iter(study.servers), "")
    return widgets.Row(study.uid, cells, sort, href=study_address(study.uid, source))
