"""De-identified copies from Python.

References
----------
PS3.15 Annex E.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dicomdock.config.settings import Settings
from dicomdock.deidentify import Report
from dicomdock.deidentify.pixels import Rectangle
from dicomdock.dicom.resource import Resource
from dicomdock.sources import JsonValue
from dicomdock.transfer.deidentified import make_deidentifier

if TYPE_CHECKING:
    from dicomdock.archive import Archive, Exported


@dataclass(frozen=True, slots=True)
class DeidentifiedExport:
    """Copies that were written, and what became of the instances.

    Parameters
    ----------
    files : the copies, by the names and UIDs that they left under.
    held_back : UIDs of an instance that did not leave -> why.
    report : counts by attribute, as ``dicomdock export --json`` has them.
    """

    files: tuple[Exported, ...]
    held_back: Mapping[str, str]
    report: Mapping[str, JsonValue]


def export_deidentified(
    archive: Archive,
    settings: Settings,
    resources: Sequence[Resource],
    folder: Path,
    profile: str,
    *,
    key_file: Path | None,
    blank: Sequence[tuple[int, int, int, int]],
    zip: bool,  # noqa: A002 - the name of the option
) -> DeidentifiedExport:
    """Write de-identified copies; ``api.Archive.export_deidentified`` describes the parameters."""
    deidentifier = make_deidentifier(settings, profile, key_file, [Rectangle(*one) for one in blank])
    report = Report(deidentifier.profile)
    files = tuple(archive.export_deidentified(resources, folder, deidentifier, report, zip=zip))
    return DeidentifiedExport(files, dict(report.held_back), report.to_json())
