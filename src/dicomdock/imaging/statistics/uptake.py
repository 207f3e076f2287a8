"""Standardized Uptake Values by SUV Type, only where every input is stated.

References
----------
QIBA, SUV computation: vendor-neutral pseudo-code for DICOM PET; PS3.3 §C.8.9.1, §C.8.9.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.valuerep import DA, DT, TM

from dicomdock.dicom.read_errors import READ_ERRORS
from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import items, number, private, text
from dicomdock.imaging.statistics.body import BODIES, NAMES, body_size
from dicomdock.imaging.suv import UPTAKE_UNITS, suv_type_of, unit_of
from dicomdock.imaging.volume import Volume

_PHILIPS = "Philips PET Private Group"
_PHILIPS_SUV, _PHILIPS_ACTIVITY = 0x00, 0x09
_GE = "GEMS_PETD_01"
_GE_SCAN = 0x0D

MOST_DELAY = timedelta(days=1)  # of the scan after the injection
ROUNDED = timedelta(minutes=1)  # that one time stated twice may differ by
_INJECTION = (
    "RadionuclideTotalDose",
    "RadionuclideHalfLife",
    "RadiopharmaceuticalStartDateTime",
    "RadiopharmaceuticalStartTime",
)
MOST_HALF_LIVES = 10.0  # between both: a thousandth is left, too little for a scan
ACTIVITIES = (2e4, 2e9)
"""Injected Bq per kg, from long-lived tracers in people to mice: a dose in MBq or a weight in g is beyond."""


def to_suv(
    volume: Volume,
    headers: Sequence[Dataset],
    suv_type: str = "",
    dtype: type[np.floating[Any]] = np.float64,
) -> Volume:
    """Return a PET volume in Standardized Uptake Values.

    Parameters
    ----------
    headers : of the instances of its series.
    suv_type : SUV Type (0054,1006), one of ``BODIES``. Empty: by body weight, and a volume that is in SUV
        already stays as it is.
    dtype : of the values.

    Raises
    ------
    GeometryError
        An input is missing; the sentence names it.
    """
    wanted, factor = suv_factor(volume, headers, suv_type)
    return volume if factor is None else scaled_to_suv(volume, wanted, factor, dtype)


def suv_factor(volume: Volume, headers: Sequence[Dataset], suv_type: str = "") -> tuple[str, float | None]:
    """Return a SUV Type, and what the values are multiplied by to be of it; None where they are already.

    Parameters
    ----------
    headers, suv_type : as of ``to_suv``.

    Raises
    ------
    GeometryError
        An input is missing; the sentence names it.
    """
    stated = suv_type_of(volume.units, volume.suv_type)
    if volume.units in UPTAKE_UNITS and not stated:
        raise GeometryError("No SUV is computed: the units of the images are not those of their SUV Type.")
    wanted = suv_type or stated or "BW"
    if stated and wanted == stated:
        return wanted, None
    if wanted not in BODIES:
        raise GeometryError(f"No SUV is computed of the type {wanted!r}, only {', '.join(BODIES)}.")
    known = {source[0] for source in volume.sources if source is not None}
    used = [one for one in headers if text(one, "SOPInstanceUID") in known] or list(headers)
    if not used:
        raise _missing("the headers of its images")
    if stated and stated not in BODIES:
        raise GeometryError(
            f"No SUV is computed {NAMES[wanted]}: the images are in SUV of the type {stated!r}."
        )
    if stated:
        factors = [body_size(one, wanted) / body_size(one, stated) for one in used]
    else:
        factors = [_factor(one, headers, wanted) for one in used]
    if max(factors) - min(factors) > 1e-4 * max(factors):
        raise GeometryError("No SUV is computed: the images state different doses, bodies or times.")
    return wanted, factors[0]


def scaled_to_suv(volume: Volume, suv_type: str, factor: float, dtype: type[np.floating[Any]]) -> Volume:
    """Return a volume multiplied by what ``suv_factor`` returned."""
    array = np.multiply(volume.array, factor, dtype=dtype, casting="same_kind")
    padding = volume.padding
    if padding is not None:  # as the array holds it
        low, high = np.multiply(np.array(padding), factor, dtype=dtype, casting="same_kind")
        padding = (float(low), float(high))
    return replace(
        volume,
        array=array,
        units=unit_of(suv_type),
        suv_type=suv_type,
        padding=padding,
        windows=(),
        plan=None,
    )


def body_weight_factor(header: Dataset, series: Sequence[Dataset] = ()) -> float:
    """Return what the values of an image are multiplied by to become SUV by body weight.

    Parameters
    ----------
    header : of the image.
    series : the headers of its series, of which the earliest acquisition counts; by default itself.

    Raises
    ------
    GeometryError
        An input is missing; the sentence names it.
    """
    return _factor(header, series, "BW")


def _factor(header: Dataset, series: Sequence[Dataset], suv_type: str) -> float:
    """Return what the values of an image are multiplied by to become SUV of a type."""
    corrected = text(header, "CorrectedImage").split("\\")
    for needed, meaning in (("ATTN", "attenuation"), ("DECY", "decay")):
        if needed not in corrected:
            raise GeometryError(f"No SUV is computed: the images are not corrected for {meaning}.")
    units = text(header, "Units")
    concentration = 1.0
    if units == "CNTS":
        direct = _philips(header, _PHILIPS_SUV)
        if direct:
            return (
                direct if suv_type == "BW" else direct * body_size(header, suv_type) / body_size(header, "BW")
            )
        concentration = _philips(header, _PHILIPS_ACTIVITY) or 0.0
        if not concentration:
            raise _missing("the vendor's scale factor of counts")
    elif units != "BQML":
        raise GeometryError(f"No SUV is computed: the images are in {units or 'no stated unit'}, not Bq/ml.")
    body = body_size(header, suv_type)
    drug = _drug(header)
    dose = _positive(drug, "RadionuclideTotalDose", "the injected dose")
    weight = body_size(header, "BW") / 1000
    if not ACTIVITIES[0] <= dose / weight <= ACTIVITIES[1]:
        stated = f"the injected dose is stated as {dose:g} Bq and the weight as {weight:g} kg"
        raise GeometryError(f"No SUV is computed: {stated}, which cannot both be true.")
    reference = text(header, "DecayCorrection")
    if reference == "ADMIN":
        return concentration * body / dose
    if reference != "START":
        raise _missing("the time that decay is corrected to")
    half_life = _positive(drug, "RadionuclideHalfLife", "the half-life")
    scan = _scan_start(header, series or (header,), half_life)
    delay = scan - _injection(drug, scan, text(header, "TimezoneOffsetFromUTC"))
    if not timedelta(0) <= delay <= MOST_DELAY:
        raise GeometryError("No SUV is computed: the scan does not follow the injection within a day.")
    passed = delay.total_seconds() / half_life
    if passed > MOST_HALF_LIVES:
        raise GeometryError(
            f"No SUV is computed: the scan begins {passed:.3g} half-lives after the injection, so that their "
            f"times or the half-life of {half_life:g} s cannot be true."
        )
    return concentration * body / (dose * 2**-passed)


def _scan_start(header: Dataset, series: Sequence[Dataset], half_life: float) -> datetime:
    """Return the time that decay is corrected to."""
    started = _moment(header, "SeriesDate", "SeriesTime")
    acquired = [_moment(one, "AcquisitionDate", "AcquisitionTime") for one in series]
    known = [one for one in acquired if one is not None]
    if started is not None and known and started <= min(known):
        return started
    stated = _private_text(header, 0x0009, _GE, _GE_SCAN)
    if stated and (found := _datetime(stated, text(header, "TimezoneOffsetFromUTC"))):
        return found
    own = _moment(header, "AcquisitionDate", "AcquisitionTime")
    offset, duration = number(header, "FrameReferenceTime"), number(header, "ActualFrameDuration")
    if own is None or not offset or not duration or offset < 0 or duration < 0:
        raise _missing("the start of the scan")
    decay = math.log(2) / half_life
    during = decay * duration / 1000
    average = math.log(during / -math.expm1(-during)) / decay
    return own + timedelta(seconds=average - offset / 1000)


def _drug(header: Dataset) -> Dataset | None:
    """Return the one injection that an image states a dose of; None where it states none."""
    drugs = items(header, "RadiopharmaceuticalInformationSequence")
    stated = [one for one in drugs if text(one, "RadionuclideTotalDose")]
    for keyword in _INJECTION:
        if len({text(one, keyword) for one in stated}) > 1:
            raise GeometryError("No SUV is computed: the images state several injections.")
    return next(iter((*stated, *drugs)), None)


def _injection(drug: Dataset | None, scan: datetime, zone: str) -> datetime:
    """Return when the radiopharmaceutical was given; a time without date is the last one before the scan."""
    try:
        clock = TM(text(drug, "RadiopharmaceuticalStartTime"))
    except READ_ERRORS:
        clock = None
    stated = text(drug, "RadiopharmaceuticalStartDateTime")
    if stated and (found := _datetime(stated, zone)) is not None:
        if clock is not None and abs(found - datetime.combine(found.date(), clock)) > ROUNDED:
            raise GeometryError(
                "No SUV is computed: the time of the injection is stated as"
                f" {found.time():%H:%M:%S} and as {clock:%H:%M:%S}."
            )
        return found
    if clock is None:
        raise _missing("the time of the injection")
    same_day = datetime.combine(scan.date(), clock)
    return same_day if same_day <= scan else same_day - timedelta(days=1)


def _moment(header: Dataset, date: str, time: str) -> datetime | None:
    try:
        day, clock = DA(text(header, date)), TM(text(header, time))
    except READ_ERRORS:
        return None
    return datetime.combine(day, clock) if day is not None and clock is not None else None


def _datetime(stated: str, zone: str) -> datetime | None:
    """Read a DT value in the scanner's own time, which its other times are in.

    Parameters
    ----------
    zone : Timezone Offset From UTC (0008,0201) of that time. Where it or the value's own offset is not stated
        both are taken for the same (PS3.3 §C.12.1.1.8).
    """
    try:
        found = DT(stated)
        local = DT(f"20000101000000{zone}") if zone else None
    except READ_ERRORS:
        return None
    if found is None or len(stated.partition("+")[0].partition("-")[0]) < len("YYYYMMDDHHMM"):
        return None
    read = datetime.combine(found.date(), found.time(), found.tzinfo)
    if read.tzinfo is not None and local is not None and local.tzinfo is not None:
        read = read.astimezone(local.tzinfo)
    return read.replace(tzinfo=None)


def _private_text(header: Dataset, group: int, creator: str, element: int) -> str:
    try:
        return str(private(header, group, creator, element)).strip()
    except (*READ_ERRORS, KeyError):
        return ""


def _philips(header: Dataset, element: int) -> float | None:
    """Return a factor of Philips' private group; of Philips' images also where its creator was dropped."""
    found = _factor_of(_private_text(header, 0x7053, _PHILIPS, element))
    made_by_philips = text(header, "Manufacturer").casefold().startswith("philips")
    if found is not None or not made_by_philips or (0x7053, 0x0010) in header:
        return found
    try:
        value = header[0x7053, 0x1000 + element].value
        return _factor_of(value.decode("ascii") if isinstance(value, bytes) else str(value))
    except (*READ_ERRORS, KeyError):
        return None


def _factor_of(stated: str) -> float | None:
    try:
        found = float(stated)
    except ValueError:
        return None
    return found if math.isfinite(found) and found > 0 else None


def _positive(dataset: Dataset | None, keyword: str, meaning: str) -> float:
    found = number(dataset, keyword)
    if found is None or found <= 0:
        raise _missing(meaning)
    return found


def _missing(what: str) -> GeometryError:
    return GeometryError(f"No SUV is computed: {what} is not stated.")
