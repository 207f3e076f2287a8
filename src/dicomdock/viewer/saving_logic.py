"""Save into the archive as DICOM, and send to a server with what it answered, instance by instance."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydicom.dataset import Dataset

from dicomdock.archive import Archive
from dicomdock.archive.catalogue import ArchivedInstance
from dicomdock.errors import DicomdockError, GeometryError
from dicomdock.imaging.making import to_bytes
from dicomdock.imaging.segmentation import segmentation_to_dicom
from dicomdock.imaging.segmentation.reading import origin_of
from dicomdock.profile import load_profiles
from dicomdock.resource import Resource
from dicomdock.settings import Settings
from dicomdock.source import Part, StoreResult
from dicomdock.transfer import push
from dicomdock.viewer.notes import Notes
from dicomdock.viewer.segments_logic import SegmentsLogic
from dicomdock.viewer.series_logic import SeriesLogic
from dicomdock.viewer.study import read_instance

THERE = ("stored", "warning", "duplicate")
WORDS = {
    "stored": "stored",
    "warning": "stored, with a remark",
    "duplicate": "was there already",
    "failed": "refused",
    "unconfirmed": "not confirmed",
}


class SavingLogic:
    """What leaves the scene: into the archive, and from there to servers."""

    def __init__(
        self,
        server: Any,
        series: SeriesLogic,
        segments: SegmentsLogic,
        archive: Archive,
        settings: Settings,
        notes: Notes,
    ) -> None:
        self.state, self.series, self.segments = server.state, series, segments
        self.archive, self.settings, self.notes = archive, settings, notes
        self.state.update(
            {
                "sending": False,
                "send_open": False,
                "send_servers": [],
                "send_server": "",
                "send_items": [],
                "send_answers": [],
                "send_words": "",
                "saving": False,
            }
        )
        control = server.controller
        control.save = self.save
        control.ask_send = self.ask_send
        control.send = self.send

    async def save(self) -> bool:
        """Write the drawing as DICOM SEG into the archive; False where there is nothing or it failed."""
        drawing = self.segments.drawing
        if drawing is None or self.state.saving:
            self.notes.say("There is nothing to save yet; choose Segment and draw something.")
            return False
        changes, value = drawing.changes, drawing.value()
        value = replace(value, name=value.name or self.state.drawing_name)
        if not any(segment.mask.array.size for segment in value.segments):
            self.notes.say("There is nothing to save yet; the segments are empty.")
            return False
        with self.state:
            self.state.saving = True
        try:
            made = await asyncio.to_thread(self._write, value, drawing.series)
        except DicomdockError as error:
            self.notes.bad(f"The segmentation was not saved: {error}")
            return False
        finally:
            with self.state:
                self.state.saving = False
        self.segments.saved(drawing, replace(value, origin=origin_of(made)), changes)
        self.series.refresh()
        with self.state:
            self.state.drawing_uid = str(made.SeriesInstanceUID)
            self.state.drawing_name = str(made.get("SeriesDescription", "")) or self.state.drawing_name
        self.notes.say("Saved in the archive as DICOM Segmentation.")
        return True

    def store(self, datasets: Sequence[Dataset]) -> None:
        """Put objects that were made here into the archive."""
        with self.archive.writer(made_here=True) as writer:
            for dataset in datasets:
                resource = Resource(
                    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID
                )
                writer.add(_part(to_bytes(dataset), resource), resource)

    def headers(self, series: str) -> list[Dataset]:
        """Read the headers of a series of the archive."""
        assert self.series.study is not None
        found = self.archive.instances(Resource(self.series.study.uid, series))
        if not found:
            raise GeometryError("The images that this belongs to are not here any more; download them first.")
        return [read_instance(one.path, pixels=False) for one in found]

    async def ask_send(self) -> None:
        """Save what is not saved, and ask where to."""
        drawing = self.segments.drawing
        if drawing is not None and drawing.unsaved and not await self.save():
            return
        items, servers, usual = await asyncio.to_thread(self._choices)
        with self.state:
            self.state.send_items = items
            self.state.send_servers = servers
            self.state.send_server = usual
            self.state.send_answers = []
            self.state.send_words = (
                ""
                if items
                else "Nothing was made here yet. Save a segmentation, measurements or derived images first."
            )
            self.state.send_open = True

    async def send(self) -> None:
        """Send what was chosen, and show each answer."""
        name = self.state.send_server
        chosen = {one["uid"] for one in self.state.send_items if one["chosen"]}
        if not name or not chosen or self.state.sending:
            return
        with self.state:
            self.state.sending = True
            self.state.send_answers = []
            self.state.send_words = f"Sending to {name}..."
        try:
            results = await asyncio.to_thread(self._push, name, chosen)
        except DicomdockError as error:
            said, answers = f"Nothing was sent: {error}", []
        else:
            answers = [
                {"uid": one.sop_instance_uid, "status": one.status, "words": _words(one)} for one in results
            ]
            good = sum(one.status in THERE for one in results)
            said = f"{good} of {len(results)} are on {name}."
            items, _, _ = await asyncio.to_thread(self._choices)
            with self.state:
                self.state.send_items = items
        with self.state:
            self.state.send_words, self.state.send_answers = said, answers
            self.state.sending = False

    # Inner; these run in threads

    def _write(self, value: Any, series: str) -> Dataset:
        made = segmentation_to_dicom(value, self.headers(series))
        self.store([made])
        return made

    def _made(self) -> list[ArchivedInstance]:
        assert self.series.study is not None
        return [one for one in self.archive.instances(Resource(self.series.study.uid)) if one.made_here]

    def _choices(self) -> tuple[list[dict[str, Any]], list[str], str]:
        assert self.series.study is not None
        servers = list(load_profiles(self.settings).names)
        groups: dict[str, list[ArchivedInstance]] = {}
        for one in self._made():
            groups.setdefault(one.resource.series or "", []).append(one)
        items = []
        for uid, found in groups.items():
            series = self.series.study.find(uid)
            sent = set.intersection(*(set(one.sent) for one in found))
            items.append(
                {
                    "uid": uid,
                    "name": series.name if series is not None else uid,
                    "count": len(found),
                    "sent": ", ".join(sorted(sent)),
                    "chosen": not sent,
                }
            )
        return items, servers, self._usual(servers)

    def _usual(self, servers: list[str]) -> str:
        """Name the server that the images came from; a link's connection is named after its server."""
        if self.series.series is not None:
            for one in self.archive.instances(self.series.series.resource)[:1]:
                for name in (one.origin, one.origin.partition(" (link")[0]):
                    if name in servers:
                        return name
        return servers[0] if servers else ""

    def _push(self, name: str, chosen: set[str]) -> Sequence[StoreResult]:
        from dicomdock.dicomweb import connect

        found = [one for one in self._made() if one.resource.series in chosen]
        parts = [Part.from_file(one.path, resource=one.resource) for one in found]
        with connect(name, self.settings) as client:
            steps = push(parts, client, self.settings)
            while True:
                try:
                    next(steps)
                except StopIteration as end:
                    report = end.value
                    break
        good = {
            one.sop_instance_uid for one in report.results if one.status in ("stored", "warning", "duplicate")
        }
        self.archive.record_sent([one.resource for one in found if one.resource.instance in good], name)
        return report.results


def _part(data: bytes, resource: Resource) -> Part:
    return Part("application/dicom", lambda: iter([data]), length=len(data), resource=resource)


def _words(result: StoreResult) -> str:
    said = WORDS[result.status]
    code = f" (code {result.reason_code:04X})" if result.reason_code is not None else ""
    return f"{said}{code}: {result.reason}" if result.reason else f"{said}{code}"
