"""IHE Invoke Image Display: ``.../IHEInvokeImageDisplay?requestType=STUDY&studyUID=...``.

References
----------
IHE Radiology Technical Framework, Invoke Image Display [RAD-106].
"""

from __future__ import annotations

import re

from dicomdock.errors import LaunchError
from dicomdock.launch.link.request import LaunchOptions, LaunchRequest
from dicomdock.launch.link.text import exact_value, read_query, read_uids, resources_of
from dicomdock.web.url import Url

_DAY = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})")


def parse_iid(url: Url) -> LaunchRequest:
    """Read an Invoke Image Display request: studies by UID, by accession number, or all of a patient.

    It names no DICOMweb server and brings no token; ``options.site`` states where it pointed.

    Raises
    ------
    LaunchError
        The request's type is unknown, or what it needs is missing.
    """
    values = {key.lower(): value for key, value in read_query(url.query or "", plus_is_blank=True).items()}
    site = str(url.origin)
    kind = values.get("requesttype", "").upper()
    if kind == "STUDY":
        studies = read_uids(values.get("studyuid", ""), "studyUID")
        accession = values.get("accessionnumber", "")
        if not studies and not accession:
            raise LaunchError(
                "This Invoke Image Display request names neither a studyUID nor an accessionNumber."
            )
        find = () if studies else (("AccessionNumber", exact_value(accession)),)
        return LaunchRequest(None, resources_of(studies), None, LaunchOptions("iid", site=site, find=find))
    if kind == "PATIENT":
        options = LaunchOptions("iid", site=site, find=_patient_keys(values), most_recent=_count(values))
        return LaunchRequest(None, (), None, options)
    raise LaunchError("This Invoke Image Display request is neither of type STUDY nor of type PATIENT.")


def _patient_keys(values: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Turn patient and filters into search keys; ``ID^^^ISSUER`` and ``ID^^^&OID&ISO`` are HL7 CX values."""
    identifier, _, rest = values.get("patientid", "").partition("^")
    if not identifier:
        raise LaunchError("This Invoke Image Display request names no patientID.")
    keys = [("PatientID", exact_value(identifier))]
    issuer = rest.removeprefix("^^").split("^")[0].split("&")[0]
    if issuer:
        keys.append(("IssuerOfPatientID", exact_value(issuer)))
    lower, upper = _day(values.get("lowerdatetime", "")), _day(values.get("upperdatetime", ""))
    if lower or upper:
        keys.append(("StudyDate", f"{lower}-{upper}"))
    if modalities := values.get("modalitiesinstudy", ""):
        keys.append(("ModalitiesInStudy", exact_value(modalities).replace(",", "\\")))  # any of them
    return tuple(keys)


def _day(text: str) -> str:
    if not text:
        return ""
    match = _DAY.match(text)
    if match is None:
        raise LaunchError("This Invoke Image Display request has a date that is not written YYYY-MM-DD.")
    return "".join(match.groups())


def _count(values: dict[str, str]) -> int:
    text = values.get("mostrecentresults", "0") or "0"
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise LaunchError(
            "This Invoke Image Display request has a mostRecentResults that is not a small number."
        )
    return int(text)
