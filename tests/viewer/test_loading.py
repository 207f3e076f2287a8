"""Series that arrive while they are opened."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.imaging.geometry import split_series
from dicomdock.imaging.presentation import curve_of
from dicomdock.imaging.volume import allocate
from dicomdock.viewer.loaded import BEING_READ, COVERED, ON_THEIR_WAY, Loaded
from dicomdock.viewer.loading import Events, Loader
from tests.builders import Made
from tests.viewer.conftest import SHAPE, made_study, phantom, store

SECONDS = 20  # a loaded machine


@dataclass
class Heard:
    """What a loader reported."""

    allocated: list[Loaded] = field(default_factory=list)
    first: threading.Event = field(default_factory=threading.Event)
    filled: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    failures: list[str] = field(default_factory=list)
    order: list[int] = field(default_factory=list)

    def events(self) -> Events:
        def allocated(loaded: Loaded) -> None:
            self.allocated.append(loaded)
            if not loaded.provisional and loaded.filled:
                filled(loaded)
            self.first.set()

        def filled(loaded: Loaded) -> None:
            self.order += sorted(loaded.filled - set(self.order))
            self.filled.set()

        def failed(why: str) -> None:
            self.failures.append(why)
            self.ended.set()

        return Events(lambda _: None, allocated, filled, lambda _: self.ended.set(), failed)

    def load(self, loader: Loader) -> None:
        """Wait until a loader has ended."""
        loader.start()
        assert self.ended.wait(SECONDS)
        loader.close()


def described(instances: list[Made]) -> list[dict[str, Any]]:
    """Return what a server says about instances."""
    return [
        one.dataset.to_json_dict(bulk_data_threshold=1, bulk_data_element_handler=lambda _: "x")
        for one in instances
    ]


def resource_of(instances: list[Made]):
    from dicomdock.dicom.resource import Resource

    return Resource(instances[0].study, instances[0].series)


@pytest.mark.slow
def test_a_whole_series_is_read_voxel_for_voxel(settings: Settings) -> None:
    _, _, instances = made_study()
    store(settings, instances)
    heard = Heard()
    with Archive.open(settings) as archive:
        heard.load(Loader(archive, resource_of(instances), heard.events()))
    whole = heard.allocated[-1]
    assert whole.complete
    assert np.array_equal(whole.volume.array, phantom())


def test_what_lies_behind_an_image_s_own_shutter_is_covered() -> None:
    """The circle by numpy: row and column count from 1, and its edge is shown (PS3.3 C.7.6.11)."""
    plain, shut = (one.dataset for one in made_study()[2][:2])
    shut.ShutterShape, shut.CenterOfCircularShutter, shut.RadiusOfCircularShutter = "CIRCULAR", [30, 20], 12
    shut.ShutterPresentationValue = 0x8000
    plan = split_series([plain, shut])[0]
    loaded = Loaded(plan, allocate(plan))
    loaded.fill(plain)
    assert loaded.overlays is None
    loaded.fill(shut)
    assert loaded.overlays is not None
    k = next(iter(plan.places(shut.SOPInstanceUID).values()))
    row, column = np.mgrid[1 : SHAPE[1] + 1, 1 : SHAPE[2] + 1]
    due = np.where((row - 30) ** 2 + (column - 20) ** 2 > 144, COVERED, 0)
    assert np.array_equal(loaded.overlays[k], due)
    assert not loaded.overlays[1 - k].any()
    assert loaded.shutter_color == (128, 128, 128)


def test_the_window_is_guessed_of_the_images_that_have_arrived() -> None:
    _, _, made = made_study(WindowCenter=None, WindowWidth=None)
    (plan,) = split_series([one.dataset for one in made])
    loaded = Loaded(plan, allocate(plan))
    for one in made[10:12]:
        loaded.fill(one.dataset)
    curve = curve_of(loaded.first_window())
    here = loaded.volume.array[sorted(loaded.filled)]
    low, high = np.percentile(here, (5, 95))
    assert curve.low <= low < high <= curve.high
    assert curve.low > -200  # of air, which the places of the others hold
    assert loaded.volume.window() != loaded.first_window()


@pytest.mark.slow
def test_the_middle_comes_first(settings: Settings) -> None:
    _, _, instances = made_study()
    store(settings, instances)
    heard = Heard()
    with Archive.open(settings) as archive:
        heard.load(Loader(archive, resource_of(instances), heard.events()))
    first = heard.order[:8]
    assert min(first) >= SHAPE[0] // 2 - 5
    assert max(first) <= SHAPE[0] // 2 + 5


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False], ids=["headers known", "headers unknown"])
def test_an_image_is_shown_before_the_series_is_complete(settings: Settings, known: bool) -> None:
    _, _, instances = made_study()
    coming = threading.Event()
    coming.set()
    store(settings, instances[10:14])
    heard = Heard()
    with Archive.open(settings) as archive:
        loader = Loader(
            archive,
            resource_of(instances),
            heard.events(),
            arriving=coming.is_set,
            expected=described(instances) if known else (),
        )
        loader.start()
        assert heard.first.wait(SECONDS)
        if known:
            assert heard.filled.wait(SECONDS)
            assert heard.allocated[-1].volume.array.shape == SHAPE
            assert not heard.allocated[-1].complete
        else:
            assert heard.allocated[0].note == ON_THEIR_WAY
        store(settings, instances)
        coming.clear()
        assert heard.ended.wait(SECONDS)
        assert known or heard.allocated[0].note == BEING_READ
        loader.close()
    assert heard.allocated[-1].complete
    assert np.array_equal(heard.allocated[-1].volume.array, phantom())


@pytest.mark.slow
def test_the_place_of_all_images_is_known_before_one_is_here(settings: Settings) -> None:
    _, _, instances = made_study()
    coming = threading.Event()
    coming.set()
    heard = Heard()
    with Archive.open(settings) as archive:
        loader = Loader(archive, resource_of(instances), heard.events(), arriving=coming.is_set)
        loader.start()
        loader.expect(described(instances))
        assert heard.first.wait(SECONDS)
        assert heard.allocated[0].volume.array.shape == SHAPE
        assert not heard.allocated[0].filled
        store(settings, instances[3:5])
        assert heard.filled.wait(SECONDS)
        store(settings, instances)
        assert heard.ended.wait(SECONDS)
        loader.close()
    assert np.array_equal(heard.allocated[-1].volume.array, phantom())


@pytest.mark.slow
def test_a_series_that_is_whole_does_not_wait_for_the_rest_of_its_study(settings: Settings) -> None:
    _, _, instances = made_study()
    store(settings, instances)
    heard = Heard()
    with Archive.open(settings) as archive:
        series, due = resource_of(instances), len(instances)
        heard.load(Loader(archive, series, heard.events(), arriving=lambda: True, due=due))
    assert [one.note for one in heard.allocated] == [BEING_READ, ""]
    assert heard.allocated[-1].complete


@pytest.mark.slow
@pytest.mark.parametrize("lie", ["more images", "other sizes", "nothing usable"])
def test_a_server_that_describes_a_series_wrongly_is_not_believed(settings: Settings, lie: str) -> None:
    _, _, instances = made_study()
    promised = described(instances)
    if lie == "other sizes":
        for one in promised:
            one["00280010"]["Value"] = [17]
    elif lie == "nothing usable":
        promised = [{"00280010": {"vr": "US", "Value": ["many"]}}]
    here = instances[4:20] if lie == "more images" else instances
    store(settings, here)
    heard = Heard()
    with Archive.open(settings) as archive:
        heard.load(Loader(archive, resource_of(instances), heard.events(), expected=promised))
    whole = heard.allocated[-1]
    assert whole.complete and not whole.failed
    assert np.array_equal(whole.volume.array, phantom()[4:20] if lie == "more images" else phantom())


@pytest.mark.slow
@pytest.mark.parametrize("damage", [lambda data: data[:-3000], lambda data: data[:-1] + b"\x7f"])
@pytest.mark.parametrize("known", [True, False])
def test_a_damaged_image_is_named_and_the_others_are_shown(settings: Settings, damage, known: bool) -> None:
    """Also one that can be read: other pixels than those that were stored are nobody's findings."""
    _, _, instances = made_study()
    store(settings, instances)
    uid = str(instances[5].dataset.SOPInstanceUID)
    heard = Heard()
    with Archive.open(settings) as archive:
        (file,) = (
            path for one, path in archive.files(resource_of(instances)) if one.resource.instance == uid
        )
        file.chmod(0o600)
        file.write_bytes(damage(file.read_bytes()))
        expected = described(instances) if known else ()
        heard.load(Loader(archive, resource_of(instances), heard.events(), expected=expected))
    whole = heard.allocated[-1]
    assert list(whole.failed) == [uid]
    assert "damaged" in whole.failed[uid]
    assert whole.complete
    assert len(whole.filled) == SHAPE[0] - 1


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_no_memory_is_taken_for_what_headers_claim(
    settings: Settings, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few kilobytes that claim gigabytes are refused before the volume is made."""
    monkeypatch.setattr("dicomdock.viewer.loading.allocate", lambda _: pytest.fail("memory was taken"))
    _, _, instances = made_study(Rows=60_000, Columns=60_000)
    store(settings, instances[:count])
    heard = Heard()
    with Archive.open(settings) as archive:
        heard.load(Loader(archive, resource_of(instances), heard.events()))
    size = sum(len(one.data) for one in instances[:count])
    claimed = f"{count * 3_600_000_000:,}"
    assert heard.failures == [
        f"The {size:,} bytes of the images cannot hold the {claimed} voxels that they claim."
    ]


@pytest.mark.slow
def test_a_series_that_is_not_there_is_reported(settings: Settings) -> None:
    _, _, instances = made_study()
    heard = Heard()
    with Archive.open(settings) as archive:
        heard.load(Loader(archive, resource_of(instances), heard.events()))
    assert "not on this computer" in heard.failures[0]


@pytest.mark.slow
@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
def test_a_closed_loader_says_nothing_more(settings: Settings, closed: bool) -> None:
    """What was on its way to the loop would be shown as the series that replaces it."""
    _, _, instances = made_study()
    store(settings, instances)
    heard = Heard()

    async def load() -> None:
        loader = Loader(archive, resource_of(instances), heard.events(), loop=asyncio.get_running_loop())
        loader.start()
        (thread,) = (one for one in threading.enumerate() if one.name == "loading")
        thread.join(SECONDS)  # the loop is held: its calls wait
        if closed:
            loader.close()
        await asyncio.sleep(0)

    with Archive.open(settings) as archive:
        asyncio.run(load())
    assert bool(heard.allocated) is not closed
    assert heard.ended.is_set() is not closed
