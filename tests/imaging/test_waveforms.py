"""Waveforms: values as pydicom has them, and a strip whose millimetres are right."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import TwelveLeadECGWaveformStorage
from pydicom.waveforms import multiplex_array

from dicomdock.errors import GeometryError
from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.waveforms import read_waveform, strip
from tests.builders import composite, made

SVG = "{http://www.w3.org/2000/svg}"


def ecg(unit: str = "uV", name: str = "Lead <I>", frequency: int = 500, seconds: int = 4) -> Dataset:
    """Make two channels: 1 mV high for the first second, and a ramp of 0.5 mV a second."""
    count = frequency * seconds
    times = np.arange(count) / frequency
    raw = np.stack([np.where(times < 1, 200, 0), np.round(100 * times)], axis=1).astype("<i2")
    group = Dataset()
    group.WaveformOriginality, group.NumberOfWaveformChannels = "ORIGINAL", 2
    group.NumberOfWaveformSamples, group.SamplingFrequency = count, frequency
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 16, "SS"
    group.ChannelDefinitionSequence = []
    for label, baseline in ((name, 0), ("Lead II", 250)):
        channel = Dataset()
        channel.ChannelLabel, channel.ChannelSensitivity = label, 2.5
        channel.ChannelSensitivityCorrectionFactor, channel.ChannelBaseline = 2, baseline
        units = Dataset()
        units.CodeValue, units.CodingSchemeDesignator, units.CodeMeaning = unit, "UCUM", unit
        channel.ChannelSensitivityUnitsSequence = [units]
        group.ChannelDefinitionSequence.append(channel)
    group.add_new("WaveformData", "OW", raw.tobytes())
    dataset = composite(TwelveLeadECGWaveformStorage, Modality="ECG")
    dataset.WaveformSequence = [group]
    return dataset


def test_values_are_those_of_pydicom() -> None:
    dataset = ecg()
    channels = read_waveform(made(dataset).data)
    due = multiplex_array(dataset, 0, as_raw=False)
    assert [one.name for one in channels] == ["Lead <I>", "Lead II"]
    assert all(one.unit == "uV" and one.seconds == 4 for one in channels)
    assert np.allclose(np.stack([one.values for one in channels], axis=1), due)
    assert channels[0].values.max() == 1000


@pytest.mark.parametrize("unit", ["uV", "mV"])
def test_a_millivolt_is_10_mm_and_a_second_25_mm(unit: str) -> None:
    drawn, remarks = strip(read_waveform(ecg(unit)), start=0.5, seconds=2)
    assert remarks == ()
    root = ElementTree.fromstring(drawn)
    assert root.get("width") == "50mm"
    assert root.get("viewBox") == f"0 0 50 {root.get('height', '').removesuffix('mm')}"
    first, second = (
        np.array([[float(one) for one in pair.split(",")] for pair in line.get("points", "").split()])
        for line in root.iter(f"{SVG}polyline")
    )
    step = 10 if unit == "uV" else 10_000  # the same numbers in mV are a thousand times as high
    assert first[0, 0] == 0
    assert first[-1, 1] - first[0, 1] == pytest.approx(step)
    assert first[np.argmax(np.diff(first[:, 1])) + 1, 0] == pytest.approx(12.5, abs=0.051)
    assert (second[0, 1] - second[-1, 1]) / (second[-1, 0] - second[0, 0]) == pytest.approx(
        5 * step / 10 / 25
    )
    names = [one.text for one in root.iter(f"{SVG}text")]
    assert names == ["25 mm/s  10 mm/mV  from 0.5 s", "Lead <I>", "Lead II"]


def test_nothing_from_the_object_becomes_markup() -> None:
    drawn, _ = strip(read_waveform(ecg(name='"><script>')), title='" onload="alert(1)')
    assert "<script" not in drawn
    assert not [
        name for one in ElementTree.fromstring(drawn).iter() for name in one.attrib if "on" in name[:2]
    ]


def test_what_is_not_a_voltage_is_named_or_refused() -> None:
    channels = read_waveform(ecg())
    pressure = read_waveform(ecg("mm[Hg]", "Aorta"))
    _, (remark,) = strip([*channels, pressure[0]])
    assert remark == "Not drawn, since they state no voltage: Aorta."
    with pytest.raises(GeometryError, match="is a voltage"):
        strip(pressure)
    with pytest.raises(GeometryError, match="nothing in that time"):
        strip(channels, start=100)


def test_refusals() -> None:
    dataset = ecg()
    dataset.WaveformSequence[0].SamplingFrequency = 0
    with pytest.raises(GeometryError, match="no sampling frequency"):
        read_waveform(to_bytes(dataset) if hasattr(dataset, "file_meta") else dataset)
    dataset = ecg()
    dataset.WaveformSequence[0].WaveformData = b"\0\0"
    with pytest.raises(GeometryError, match="cannot be read"):
        read_waveform(dataset)
    with pytest.raises(GeometryError, match="not a waveform"):
        read_waveform(composite("1.2.840.10008.5.1.4.1.1.2"))
