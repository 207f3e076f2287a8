"""Waveforms: channels in their units, and a strip of an electrocardiogram as SVG, in millimetres.

References
----------
PS3.3 §A.34 (Waveform IODs), §C.10.9 (Waveform Module).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import first, items, number, text
from dicomdock.imaging.dataset import Instance, as_dataset, reading
from dicomdock.imaging.terminology import code_of

FAMILY = "1.2.840.10008.5.1.4.1.1.9."
"""What the SOP Class UIDs of waveforms begin with."""

MILLIVOLTS = {"V": 1000.0, "mV": 1.0, "uV": 0.001, "nV": 1e-6}
"""Units of voltage (UCUM), in mV."""

SPEED, GAIN = 25.0, 10.0
"""Of paper: mm a second, and mm a mV."""

LONGEST = 600.0  # seconds of one strip
_MOST = 1 << 28  # samples of all channels; a header that claims more would only exhaust memory
_MOST_DEFLATED = 1 << 24  # the same of a deflated data set, in which a small file has as many as it likes
_LABEL, _LEAST = 8.0, 20.0  # mm: room above for the words, least height of a channel


@dataclass(frozen=True, eq=False)
class Channel:
    """One channel.

    Parameters
    ----------
    name : its source, ``Lead I``.
    values : in ``unit``, one a sample.
    unit : in UCUM; empty where it is not stated.
    frequency : samples a second.
    offset : seconds after the start of the recording.
    """

    name: str
    values: npt.NDArray[np.float64]
    unit: str
    frequency: float
    offset: float = 0.0

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.values) / self.frequency


def is_waveform(header: Dataset) -> bool:
    """Return whether an instance is a waveform."""
    return text(header, "SOPClassUID").startswith(FAMILY)


@reading("The waveform")
def read_waveform(instance: Instance) -> list[Channel]:
    """Read the channels of all multiplex groups.

    A channel that states no sensitivity has the numbers that are stored, and no unit.

    Raises
    ------
    GeometryError
        It is not a waveform, or its samples cannot be read.
    """
    from pydicom.waveforms.numpy_handler import multiplex_array

    dataset = as_dataset(instance)
    uid = text(dataset, "SOPInstanceUID")
    if not is_waveform(dataset):
        raise GeometryError("The instance is not a waveform.", [uid])
    deflated = dataset.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
    left = _MOST_DEFLATED if deflated else _MOST
    found: list[Channel] = []
    for at, group in enumerate(items(dataset, "WaveformSequence")):
        count = number(group, "NumberOfWaveformChannels") or 0
        samples, frequency = number(group, "NumberOfWaveformSamples") or 0, number(group, "SamplingFrequency")
        left -= int(max(count * samples, 0))
        if not frequency or frequency <= 0 or left < 0 or count * samples <= 0:
            raise GeometryError(
                "The waveform states no sampling frequency, or no size that can be read.", [uid]
            )
        raw = np.asarray(multiplex_array(dataset, at, as_raw=True))
        offset = (number(group, "MultiplexGroupTimeOffset") or 0.0) / 1000
        for column, channel in enumerate(items(group, "ChannelDefinitionSequence")[: raw.shape[1]]):
            values = raw[:, column].astype(np.float64)
            found.append(_channel(channel, values, frequency, offset, column))
    if not found:
        raise GeometryError("The waveform holds no channels.", [uid])
    return found


def _channel(
    channel: Dataset, raw: npt.NDArray[np.float64], frequency: float, offset: float, column: int
) -> Channel:
    sensitivity = number(channel, "ChannelSensitivity")
    source = code_of(channel, "ChannelSourceSequence")
    name = text(channel, "ChannelLabel") or (source.meaning if source else f"Channel {column + 1}")
    if sensitivity is None:
        return Channel(name, raw, "", frequency, offset)
    factor = number(channel, "ChannelSensitivityCorrectionFactor")
    unit = text(first(channel, "ChannelSensitivityUnitsSequence"), "CodeValue")
    values = raw * sensitivity * (1.0 if factor is None else factor) + (
        number(channel, "ChannelBaseline") or 0.0
    )
    return Channel(name, values, unit, frequency, offset)


def strip(
    channels: Sequence[Channel], *, start: float = 0.0, seconds: float = 10.0, title: str = ""
) -> tuple[str, tuple[str, ...]]:
    """Draw channels below each other as SVG, 25 mm a second and 10 mm a mV on paper of 1 mm.

    Parameters
    ----------
    start, seconds : what of the recording is drawn.
    title : above the strip.

    Returns
    -------
    The SVG document, and what is not drawn, one sentence each.

    Raises
    ------
    GeometryError
        No channel is a voltage, or nothing of them lies in that time.
    """
    seconds = min(seconds, LONGEST)
    if not (math.isfinite(start) and seconds > 0):
        raise GeometryError("A strip begins at a time and has a length.")
    drawn = [one for one in channels if one.unit in MILLIVOLTS]
    others = [one.name for one in channels if one.unit not in MILLIVOLTS]
    remarks = (f"Not drawn, since they state no voltage: {', '.join(others)}.",) if others else ()
    if not drawn:
        raise GeometryError("None of the channels of the waveform is a voltage in a known unit.")
    parts: list[str] = []
    top = _LABEL
    for one in drawn:
        times, values = _cut(one, start, seconds)
        if not len(values):
            continue
        most, least = max(float(values.max()), 0.0) * GAIN, min(float(values.min()), 0.0) * GAIN
        height = max(_LEAST, 5 * math.ceil((most - least + 6) / 5))
        zero = top + height / 2 + (most + least) / 2
        points = " ".join(
            f"{(time - start) * SPEED:.2f},{zero - value * GAIN:.2f}"
            for time, value in zip(times, values, strict=True)
        )
        parts.append(f'<text x="1" y="{top + 4:.2f}" class="name">{escape(one.name)}</text>')
        parts.append(f'<polyline points="{points}"/>')
        top += height
    if not parts:
        raise GeometryError("The waveform has nothing in that time.")
    width = seconds * SPEED
    words = escape(f"{title}  25 mm/s  10 mm/mV  from {start:g} s".strip(), {'"': "&quot;"})
    return "".join(_document(width, top, words, parts)), remarks


def _cut(
    channel: Channel, start: float, seconds: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return times and values in mV of the samples within a time."""
    times = channel.offset + np.arange(len(channel.values)) / channel.frequency
    there = (times >= start) & (times <= start + seconds)
    return times[there], channel.values[there] * MILLIVOLTS[channel.unit]


def _document(width: float, height: float, words: str, parts: Sequence[str]) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}mm" height="{height:g}mm"'
        f' viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{words}"><defs>'
        '<pattern id="mm" width="1" height="1" patternUnits="userSpaceOnUse">'
        '<path d="M1 0H0V1" fill="none" stroke="#f2c4c4" stroke-width="0.08"/></pattern>'
        '<pattern id="cm" width="5" height="5" patternUnits="userSpaceOnUse">'
        '<path d="M5 0H0V5" fill="none" stroke="#e39a9a" stroke-width="0.16"/></pattern></defs>'
        "<style>polyline{fill:none;stroke:#111;stroke-width:.25;stroke-linejoin:round}"
        "text{font:3px sans-serif;fill:#111}</style>"
        '<rect width="100%" height="100%" fill="#fff"/><rect width="100%" height="100%" fill="url(#mm)"/>'
        '<rect width="100%" height="100%" fill="url(#cm)"/>'
        f'<text x="1" y="4">{words}</text>'
    )
    yield from parts
    yield "</svg>"
