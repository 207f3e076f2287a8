"""Export the series of a cohort: each is written beside its target, and moved there when it is whole."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias

from pydicom.dataset import Dataset

from dicomdock.api import cohort_bids as bids
from dicomdock.api.export import export_as
from dicomdock.api.home import LocalHome, OpenArchive
from dicomdock.api.ingest import import_paths
from dicomdock.api.instances import headers_of, paths_of
from dicomdock.archive.storage.local import disk_errors
from dicomdock.cohort.state import NOT_PULLED, Outcome
from dicomdock.cohort.table import Item
from dicomdock.config.lock import FileLock
from dicomdock.config.settings import Settings
from dicomdock.deidentify import Deidentifier, Report
from dicomdock.dicom.resource import Resource
from dicomdock.dicom.sop_classes import kind_of
from dicomdock.errors import DicomdockError, InvalidInput, NoSpace
from dicomdock.imaging.references import references_of

Form: TypeAlias = Literal["dicom", "nifti", "nrrd", "bids"]

STAGE = ".dicomdock"
"""The folder below that of an export in which files are written; what a broken run left there goes."""
_ENDINGS = (".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".json")


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Make the folder in which files are written before they are moved, and remove it at the end.

    Raises
    ------
    InvalidInput
        Another process exports to the same folder.
    """
    stage = folder / STAGE
    with disk_errors(f"Exporting to {folder}"):
        stage.mkdir(parents=True, exist_ok=True)
        lock = FileLock(stage / "lock")
        if not lock.acquire():
            raise InvalidInput(f"Another export is writing to {folder}; let it end first.")
        try:
            for left in stage.iterdir():
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
            yield stage
        finally:
            shutil.rmtree(stage, ignore_errors=True)
            lock.release()


@dataclass(frozen=True)
class Exporter:
    """Writes one series as files; safe to use from several threads at once.

    Parameters
    ----------
    archive : has the series.
    folder, stage : where files end up, and where they are written.
    open_archive : opens another archive, in which de-identified copies are converted.
    deidentifier : lets only de-identified copies leave.
    """

    archive: LocalHome
    settings: Settings
    folder: Path
    stage: Path
    form: Form
    open_archive: OpenArchive
    deidentifier: Deidentifier | None
    straighten: bool

    def __call__(self, item: Item) -> Outcome:
        """Write a series.

        Raises
        ------
        NoSpace
            No further series can be written.
        """
        if not self.archive.present(item.resource):
            return Outcome(item.resource, "failed", NOT_PULLED)
        try:
            with (
                disk_errors(f"Exporting to {self.folder}"),
                tempfile.TemporaryDirectory(dir=self.stage, ignore_cleanup_errors=True) as work,
            ):
                return self._exported(item.resource, Path(work))
        except NoSpace:
            raise
        except DicomdockError as error:
            return Outcome(item.resource, "failed", str(error))

    def _exported(self, series: Resource, work: Path) -> Outcome:
        files = work / "files"
        if self.deidentifier is not None:
            return self._deidentified(series, work, self.deidentifier)
        if self.form == "dicom":
            for _ in self.archive.local.export([series], files):
                pass
            return self._moved(series, series, files)
        return self._converted(series, self.archive, series, files)

    def _deidentified(self, series: Resource, work: Path, deidentifier: Deidentifier) -> Outcome:
        """Write copies; those of another format come from an archive that has nothing but copies."""
        report = Report(deidentifier.profile)
        copies, leaving = work / "copies", deidentifier.resource(series)
        for _ in self.archive.local.export_deidentified([series], copies, deidentifier, report):
            pass
        if report.held_back:
            count, reason = len(report.held_back), report.held_back[0][1]
            return Outcome(series, "failed", f"{count} of its instances held back: {reason}.")
        if self.form == "dicom":
            return self._moved(series, leaving, copies)
        images = [one for one in self._images(series) if self.archive.present(one)]
        if images:
            for _ in self.archive.local.export_deidentified(images, work / "images", deidentifier, report):
                pass
        inside = replace(
            self.settings, archive=work / "archive", state=work / "state", database="", object_store=""
        )
        with self.open_archive(inside) as converted:
            given = [copies, work / "images"] if images else [copies]
            import_paths(converted.local, given, origin="", replace=False)
            return self._converted(series, converted, leaving, work / "files")

    def _converted(self, series: Resource, home: LocalHome, leaving: Resource, files: Path) -> Outcome:
        form: Literal["nifti", "nrrd"] = "nrrd" if self.form == "nrrd" else "nifti"
        found = list(export_as(home.local, home, [leaving], files, form, self.straighten))
        failed = [one for one in found if one.status == "failed"]
        if failed:
            return Outcome(series, "failed", failed[0].reason)
        if not any(one.status == "written" for one in found):
            return Outcome(series, "passed over", found[0].reason if found else "It holds no instance.")
        remarks = dict.fromkeys(remark for one in found for remark in one.remarks)
        if self.form == "bids":
            original, copy = self._header(self.archive, series), self._header(home, leaving)
            images = kind_of(home.local.instances(leaving)[0].sop_class_uid) == "image"
            placed, more = bids.targets(files, leaving, original, copy, images=images)
            remarks |= dict.fromkeys(more)
            outcome = self._put(series, placed)
        else:
            outcome = self._moved(series, leaving, files)
        return replace(outcome, reason=" ".join(remarks))

    def _header(self, home: LocalHome, series: Resource) -> Dataset:
        return headers_of(paths_of(home, series)[:1])[0]

    def _images(self, series: Resource) -> list[Resource]:
        """Return the series that the objects of a series were made of."""
        header = self._header(self.archive, series)
        images = []
        for uid in references_of(header):
            with contextlib.suppress(InvalidInput):
                images.append(Resource(series.study, uid))
        return [one for one in images if one != series]

    def _moved(self, series: Resource, leaving: Resource, files: Path) -> Outcome:
        """Move the files of a series to where they belong, under names with a mark of its UID."""
        mark = hashlib.sha256(str(leaving.series).encode()).hexdigest()[:8]
        placed: dict[Path, PurePosixPath] = {}
        for file in sorted(one for one in files.rglob("*") if one.is_file()):
            below = PurePosixPath(file.relative_to(files).as_posix())
            if self.form == "dicom":  # a folder for each series
                placed[file] = below.parent.with_name(f"{below.parent.name} [{mark}]") / below.name
            else:
                placed[file] = below.with_name(_marked(below.name, mark))
        return self._put(series, placed)

    def _put(self, series: Resource, placed: Mapping[Path, PurePosixPath]) -> Outcome:
        """Move files to where they belong below the folder."""
        shown: dict[PurePosixPath, None] = {}
        size = 0
        for file, target in placed.items():
            size += file.stat().st_size
            shown[target.parent if self.form == "dicom" else target] = None
            (self.folder / target).parent.mkdir(parents=True, exist_ok=True)
            file.replace(self.folder / target)
        paths = "|".join(str(path) for path in shown if path.suffix != ".json")
        return Outcome(series, "done", result={"files": len(placed), "bytes": size, "path": paths})


def _marked(name: str, mark: str) -> str:
    ending = next((one for one in _ENDINGS if name.endswith(one)), "")
    return f"{name.removesuffix(ending)} [{mark}]{ending}"
