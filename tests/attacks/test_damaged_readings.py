"""One byte of a stored instance was changed on the disk: whatever reads the instance tells whose it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dicomdock import Archive, Resource, Segmentation
from dicomdock import archive as local
from dicomdock.cohort.push import Pusher
from dicomdock.cohort.table import Item
from dicomdock.config.servers import ServerProfile
from dicomdock.config.settings import Settings
from dicomdock.dicom.query import Query
from dicomdock.dicomweb import Client
from dicomdock.dock.services.deidentified import preview
from dicomdock.errors import DicomdockError
from dicomdock.imaging.geometry import Window
from dicomdock.imaging.presentation_state import PresentationState
from dicomdock.viewer.loaded import Loaded
from dicomdock.viewer.loading import Events, Loader
from dicomdock.viewer.registrations import Registrations
from dicomdock.viewer.study import read_instance, read_study
from tests.api.conftest import labels, values
from tests.builders import Made, document, encode, write
from tests.imaging.scans import AXIAL, scan
from tests.imaging.test_dose import dose_of, linear
from tests.imaging.test_waveforms import ecg
from tests.origin.running import serving

MOVED = [[1, 0, 0, 3], [0, 1, 0, -2], [0, 0, 1, 5], [0, 0, 0, 1]]


@dataclass(frozen=True)
class Kept:
    """An archive with one of everything.

    Parameters
    ----------
    archive, settings : it.
    objects : an instance of each kind by its name.
    """

    archive: Archive
    settings: Settings
    objects: dict[str, Resource]
    folder: Path

    @property
    def study(self) -> Resource:
        return Resource(self.objects["image"].study)

    def new_folder(self) -> Path:
        """Return a folder that is not there yet."""
        return self.folder / f"out-{len([*self.folder.iterdir()])}"

    def series(self, name: str) -> Resource:
        return Resource(self.objects[name].study, self.objects[name].series)


@pytest.fixture
def kept(settings: Settings, tmp_path: Path) -> Iterator[Kept]:
    images = scan(values(), AXIAL, SeriesNumber=4, PatientName="Doe^Jane", PatientID="P1")
    study = {"StudyInstanceUID": images[0].study, "PatientName": "Doe^Jane", "PatientID": "P1"}
    others = scan(values(), AXIAL, SeriesNumber=5, **study)
    dose = dose_of(linear, **study)
    wave = ecg()
    for name, value in study.items():
        setattr(wave, name, value)
    wave.file_meta.MediaStorageSOPInstanceUID = wave.SOPInstanceUID
    wave_made, dose_made = (Made(one, encode(one)) for one in (wave, dose))
    paper = document(**study)
    with Archive.open(settings) as archive:
        list(archive.import_paths(write(tmp_path / "in", [*images, *others, dose_made, wave_made, paper])))
        volume = archive.volume(f"{images[0].study}/{images[0].series}")
        drawn = Segmentation.from_array(labels(), volume, names=["a", "b"])
        found = {
            "image": images[2].resource,
            "dose": dose_made.resource,
            "waveform": wave_made.resource,
            "document": paper.resource,
            "segmentation": drawn.save(),
            "structures": drawn.save(kind="STRUCTURES"),
            "key images": archive.save_key_images([images[2].resource]),
            "presentation": archive.save_presentation(
                [images[2].resource], PresentationState((), windows=((Window(40, 400), ()),))
            ),
            "registration": archive.save_registration(
                Resource(images[0].study, images[0].series),
                Resource(others[0].study, others[0].series),
                MOVED,
            ),
        }
        named = {
            name: archive.instances(one)[0].resource if one.instance is None else one
            for name, one in found.items()
        }
        yield Kept(archive, settings, named, tmp_path)


def header(data: bytearray) -> int:
    return data.index(b"Jane") + 1


def middle(data: bytearray) -> int:
    """Return a place within the pixel data of images, and within what an object without pixels says."""
    return len(data) - 20 if len(data) < 8000 else len(data) // 2


def on_web(path: str, accept: str = "*/*") -> Callable[[Kept, Resource], str]:
    def ask(kept: Kept, one: Resource) -> str:
        with serving(kept.archive.local) as server:
            response = server.ask(path.format(one=one), accept)
            return f"{response.status} {response.headers} {response.data.decode('latin-1')}"

    return ask


def loaded(kept: Kept, one: Resource) -> str:
    ended = threading.Event()
    shown: list[Loaded] = []
    failures: list[str] = []

    def failed(why: str) -> None:
        failures.append(why)
        ended.set()

    def end(loaded: Loaded) -> None:
        shown.append(loaded)
        ended.set()

    loader = Loader(
        kept.archive.local,
        Resource(one.study, one.series),
        Events(lambda _: None, lambda _: None, lambda _: None, end, failed),
    )
    loader.start()
    assert ended.wait(60)
    loader.close()
    assert not failures
    (whole,) = shown
    assert whole.complete
    assert len(whole.filled) + len(whole.failed) == len(values())
    return str(whole.failed)


def pushed(kept: Kept, one: Resource) -> str:
    home = kept.new_folder()
    theirs = Settings(home / "config", home / "archive", home / "state", free_space_floor=0)
    with local.Archive.open(theirs) as archive, serving(archive) as server:
        with Client(ServerProfile("pacs", server.url), settings=kept.settings) as client:
            outcome = Pusher(kept.archive.local, client, kept.settings, None)(Item(kept.series("image")))
        arrived = len(archive.instances(kept.series("image")))
    assert arrived == len(values()) - (outcome.state == "failed")
    return str(outcome)


def searched(kept: Kept, one: Resource) -> str:
    uids = {"StudyInstanceUID": one.study, "SOPInstanceUID": one.instance or ""}
    return str([*kept.archive.local.search(Query("instances", uids, ("ImageOrientationPatient",)))])


def registrations(kept: Kept, _: Resource) -> str:
    told: list[str] = []
    study = read_study(kept.archive.local, kept.study.study)
    Registrations(kept.archive.local, lambda: study, told.append).between("1.2", "1.3")
    return str(told)


Reader = Callable[[Kept, Resource], object]
READERS: list[tuple[str, str, Reader]] = [
    ("volume", "image", lambda kept, one: kept.archive.volume(kept.series("image"))),
    ("volumes", "image", lambda kept, one: [*kept.archive.volumes(kept.series("image"))]),
    ("metadata", "image", lambda kept, one: [*kept.archive.metadata(kept.study)]),
    ("retrieve", "image", lambda kept, one: [*kept.archive.retrieve(kept.study)]),
    ("export", "image", lambda kept, one: [*kept.archive.export([kept.study], kept.new_folder())]),
    (
        "export as",
        "image",
        lambda kept, one: [*kept.archive.export_as([kept.series("image")], kept.new_folder(), "nifti")],
    ),
    ("search", "image", searched),
    ("verify", "image", lambda kept, one: [*kept.archive.verify()]),
    ("key images of images", "image", lambda kept, one: kept.archive.save_key_images([one])),
    (
        "a state of images",
        "image",
        lambda kept, one: kept.archive.save_presentation(
            [one], PresentationState((), windows=((Window(40, 400), ()),))
        ),
    ),
    (
        "presentation of it",
        "image",
        lambda kept, one: kept.archive.presentation(kept.objects["presentation"]).render(one),
    ),
    ("segmentation on it", "image", lambda kept, one: kept.archive.segmentation(kept.objects["structures"])),
    (
        "WADO-RS",
        "image",
        on_web("/dicom-web/studies/{one.study}", "multipart/related; type=application/dicom"),
    ),
    ("one by WADO-RS", "image", on_web("/dicom-web{one.path}", "application/dicom; transfer-syntax=*")),
    ("rendered", "image", on_web("/dicom-web{one.path}/rendered", "image/png")),
    ("frames", "image", on_web("/dicom-web{one.path}/frames/1")),
    ("bulk data", "image", on_web("/dicom-web{one.path}/bulk/7FE00010")),
    ("its metadata", "image", on_web("/dicom-web{one.path}/metadata")),
    (
        "WADO-URI",
        "image",
        on_web("/wado?requestType=WADO&studyUID={one.study}&seriesUID={one.series}&objectUID={one.instance}"),
    ),
    ("cohort push", "image", pushed),
    ("viewer: images", "image", loaded),
    ("segmentation", "segmentation", lambda kept, one: kept.archive.segmentation(one)),
    ("structures", "structures", lambda kept, one: kept.archive.segmentation(one)),
    ("key images", "key images", lambda kept, one: kept.archive.key_images(one)),
    ("key images of a study", "key images", lambda kept, one: kept.archive.key_images_of(kept.study)),
    ("presentation", "presentation", lambda kept, one: kept.archive.presentation(one)),
    ("registrations", "registration", lambda kept, one: kept.archive.registrations(kept.study)),
    ("viewer: registrations", "registration", registrations),
    ("dose", "dose", lambda kept, one: kept.archive.dose(one)),
    ("waveform", "waveform", lambda kept, one: kept.archive.waveform(one)),
    ("rendered document", "document", on_web("/dicom-web{one.path}", "application/dicom")),
    ("what leaves", "document", lambda kept, one: preview(kept.archive.local, kept.settings, [one], "basic")),
    *(
        (
            f"viewer: {name}",
            name,
            lambda kept, one: read_instance(kept.archive.local, kept.archive.instances(one)[0]),
        )
        for name in ("image", "segmentation", "structures", "key images", "document", "waveform")
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("place", [header, middle])
def test_every_reader_names_what_is_damaged(
    place: Callable[[bytearray], int], kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    silent = []
    for name, kind, read in READERS:
        one = kept.objects[kind]
        (stored,) = kept.archive.instances(one)
        whole = stored.path.read_bytes()
        if "metadata" not in name:  # what was read of whole files is remembered by their digests
            assert "damaged" not in str(read(kept, one)), name
        data = bytearray(whole)
        data[place(data)] ^= 4
        stored.path.write_bytes(data)
        try:
            told = str(read(kept, one))
        except DicomdockError as error:
            told = f"{error} {vars(error)}"
        stored.path.write_bytes(whole)
        if str(one.instance) not in told or ("damaged" not in told and "changed" not in told):
            silent.append((name, told[:300]))
    assert not silent
