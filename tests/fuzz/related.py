"""A target for what is not an image: key images, presentation states, registrations, doses, recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.uid import DeflatedExplicitVRLittleEndian

from tests import builders
from tests.fuzz.targets import Target
from tests.fuzz.tokens import DICOM
from tests.imaging.test_dose import dose_of, linear
from tests.imaging.test_key_objects import CHOSEN
from tests.imaging.test_key_objects import MADE as KEYS
from tests.imaging.test_presentation_state import MADE, STATE
from tests.imaging.test_registration import pair
from tests.imaging.test_video import MP4, endoscopy
from tests.imaging.test_waveforms import ecg


def related(folder: Path) -> Target:
    """Return the target."""
    from dicomdock.imaging.authoring import to_bytes
    from dicomdock.imaging.documents import read_document
    from dicomdock.imaging.dose import read_dose
    from dicomdock.imaging.key_objects import key_objects_to_dicom, read_key_objects
    from dicomdock.imaging.presentation_state import (
        arranged,
        presentation_state_to_dicom,
        presented,
        read_presentation_state,
    )
    from dicomdock.imaging.registration import read_registrations, registration_to_dicom
    from dicomdock.imaging.video import read_video
    from dicomdock.imaging.waveforms import read_waveform, strip
    from tests.imaging.scans import headers

    fixed, moving, registration = pair()
    image = builders.made(MADE[0].dataset).dataset
    made = [
        key_objects_to_dicom(CHOSEN, headers(KEYS)),
        presentation_state_to_dicom(STATE, headers(MADE)),
        registration_to_dicom(registration, headers(fixed), headers(moving)),
    ]
    seeds = [
        *map(to_bytes, made),
        builders.encode(dose_of(linear, (3, 4, 5))),
        builders.encode(ecg(seconds=1)),
        builders.encode(endoscopy([MP4])),
        builders.document().data,
    ]

    def drawn(data: bytes) -> None:
        channels = read_waveform(data)
        for seconds in (10.0, 1e9):
            strip(channels, seconds=seconds)

    def shown(data: bytes) -> None:
        state = read_presentation_state(data)
        arranged(state, presented(state, image, 1), MADE[0].instance, 1)

    def joined(data: bytes) -> None:
        for one in read_registrations(data):
            one.between(one.fixed, one.moving)

    def cases() -> list[bytes]:
        long = ecg(seconds=1)
        group = long.WaveformSequence[0]
        group.NumberOfWaveformSamples = 20_000_000
        group.add_new("WaveformData", "OW", np.zeros(40_000_000, "<i2").tobytes())
        long.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        claims = ecg(seconds=1)
        claims.WaveformSequence[0].NumberOfWaveformSamples = 1 << 27
        crowded = ecg(seconds=1)
        crowded.WaveformSequence = list(crowded.WaveformSequence) * 100
        many = key_objects_to_dicom(CHOSEN, headers(KEYS))
        many.ContentSequence = list(many.ContentSequence) * 400
        turns = registration_to_dicom(registration, headers(fixed), headers(moving))
        turns.RegistrationSequence = list(turns.RegistrationSequence) * 400
        area = presentation_state_to_dicom(STATE, headers(MADE))
        area.DisplayedAreaSelectionSequence[0].DisplayedAreaBottomRightHandCorner = [2**31 - 1, 2**31 - 1]
        shutter = presentation_state_to_dicom(STATE, headers(MADE))
        shutter.ShutterShape = ["CIRCULAR", "POLYGONAL"]
        shutter.CenterOfCircularShutter, shutter.RadiusOfCircularShutter = [2**30, 2**30], 2**31 - 1
        shutter.VerticesOfThePolygonalShutter = [1, 2**30] * 20_000
        return [
            builders.encode(long),
            builders.encode(claims),
            builders.encode(crowded),
            *map(to_bytes, (many, turns, area, shutter)),
        ]

    readers = (read_key_objects, shown, joined, read_dose, drawn, read_video, read_document)
    return Target(seeds, readers, DICOM, cases, trees=True)
