"""What a server says about the instances it was sent: JSON, XML, text or nothing.

References
----------
PS3.18 §10.5.3 (Store response), Annex I.2.2 (Store Instances Response Module).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from dicomdock.dicom import json_model, xml_model
from dicomdock.dicom import status as reasons
from dicomdock.dicom.dictionary import keyword_of
from dicomdock.errors import WireError
from dicomdock.sources import DicomJson, JsonValue, StoreResult, StoreStatus
from dicomdock.web.words import words_of

_TAG = re.compile(r"[0-9A-Fa-f]{8}\Z")
OK: Final = 200
_REFERENCED: Final = "00081199"  # Referenced SOP Sequence
LOOKED_AT: Final = 4096  # characters of it that are searched for secrets
MAX_EXCERPT: Final = 1 << 15  # bytes read of an answer that is not a store response
_FAILED: Final = "00081198"  # Failed SOP Sequence
_OTHER: Final = "0008119A"  # Other Failures Sequence: failures of what could not even be named
_INSTANCE: Final = "00081155"  # Referenced SOP Instance UID
_FAILURE_REASON: Final = "00081197"
_WARNING_REASON: Final = "00081196"
_FAILED_ATTRIBUTES: Final = "00741048"  # Failed Attributes Sequence: an item for each remark
_COMMENTS: Final = ("00000902", "00090097")  # Error Comment; Google's own explanation
_ELEMENTS: Final = (
    "00000901",
    "00001005",
    "00720026",
)  # Offending Element, Attribute Identifier List, Selector
MAX_COMMENTS: Final = 20  # of one instance
MAX_COMMENT: Final = 300  # characters


@dataclass(frozen=True)
class Outcome:
    """One answer to a batch.

    Parameters
    ----------
    status : HTTP status; 0 when no answer came.
    results : by SOP Instance UID, of the instances that the answer names.
    reason : why the batch as a whole failed, for those that it does not name.
    others : failures of instances that the answer does not name.
    said : what an answer says that is not a store response.
    remarks : of the answer as a whole.
    cause : the error that was raised instead of an answer.
    """

    status: int
    results: Mapping[str, StoreResult]
    reason: str = ""
    others: tuple[StoreResult, ...] = field(default=())
    said: str = ""
    remarks: tuple[str, ...] = ()
    cause: Exception | None = None

    @property
    def other(self) -> StoreResult | None:
        """The failure of an instance that the answer does not name; of several, with the reasons of all."""
        if len(self.others) < 2:
            return next(iter(self.others), None)
        reasons = tuple(dict.fromkeys(one.reason for one in self.others))
        comments = tuple(dict.fromkeys(remark for one in self.others for remark in one.comments))
        codes = {one.reason_code for one in self.others}
        return replace(
            self.others[0],
            reason=" or ".join(reasons[:MAX_COMMENTS]),
            reason_code=codes.pop() if len(codes) == 1 else None,
            comments=comments[:MAX_COMMENTS],
        )

    @property
    def accepted(self) -> bool:
        """The server took the batch, wholly or in part."""
        return 200 <= self.status < 300


def read(
    status: int,
    content_type: str,
    body: bytes,
    server: str,
    *,
    redact: Callable[[str], str] = str,
    remarks: Sequence[str] = (),
) -> Outcome:
    """Read an answer of any status and any form; what is not a store response gives a reason only.

    Parameters
    ----------
    redact : masks the secrets of the request, which a server may repeat.
    remarks : of the Warning header, where some servers write why instances failed.
    """
    answers: list[DicomJson] = []
    said = ""
    if body.strip():
        try:
            if xml_model.is_xml(body, content_type):
                answers = [xml_model.from_xml(body.lstrip(), what="the upload")]
            else:  # some servers answer with a data set for each study
                answers = json_model.parse(body, content_type, what="the upload")
        except WireError:
            answers = []
        if not any(answers):
            said = redact(words_of(body[:MAX_EXCERPT], content_type)[:LOOKED_AT])[:200]
    remarks = (*_comments(answers, redact), *remarks)
    reason = f"{server} answered {status}" + (f": {said}" if said else "")
    reason = "; ".join((reason, *remarks))

    def result(uid: str, item: DicomJson, tag: str, outcome: StoreStatus) -> StoreResult:
        # Beside failures, what is said of the whole is said of them.
        about = remarks if outcome != "stored" or status == OK else ()
        return _result(uid, item, tag, outcome, redact, about)

    others = tuple(
        result("", item, _FAILURE_REASON, "failed")
        for attributes in answers
        for item in (
            *json_model.items(attributes, _OTHER),
            *(one for one in json_model.items(attributes, _FAILED) if not json_model.text(one, _INSTANCE)),
        )
    )
    return Outcome(status, _results(answers, result), reason, others, said, remarks)


def _results(
    answers: Sequence[DicomJson], result: Callable[[str, DicomJson, str, StoreStatus], StoreResult]
) -> dict[str, StoreResult]:
    found: dict[str, StoreResult] = {}
    for item in (one for attributes in answers for one in json_model.items(attributes, _REFERENCED)):
        uid = json_model.text(item, _INSTANCE)
        found[uid] = result(uid, item, _WARNING_REASON, "stored")
    # What is named as both did not make it.
    for item in (one for attributes in answers for one in json_model.items(attributes, _FAILED)):
        uid = json_model.text(item, _INSTANCE)
        found[uid] = result(uid, item, _FAILURE_REASON, "failed")
    found.pop("", None)
    return found


def _result(
    uid: str,
    item: DicomJson,
    tag: str,
    status: StoreStatus,
    redact: Callable[[str], str],
    remarks: Sequence[str],
) -> StoreResult:
    given = next(iter(json_model.values(item, tag)), None)
    code = _number(given)
    if code in reasons.ALREADY_THERE:
        status = "duplicate"
    elif status == "stored" and code:
        status = "warning"
    items = (item, *json_model.items(item, _FAILED_ATTRIBUTES)[:MAX_COMMENTS])
    comments = _comments(items, redact)
    if code is None and isinstance(given, str) and given.strip():  # a reason in words
        comments = (_line(redact(given[:LOOKED_AT])), *comments)
    elements = (
        _keyword(one) for part in items for name in _ELEMENTS for one in json_model.values(part, name)
    )
    attributes = tuple(dict.fromkeys(filter(None, elements)))[:MAX_COMMENTS]
    usual = "" if status == "stored" else "the server gives no reason"
    pieces = [reasons.words(code) or usual, *(comments or (() if status == "stored" else remarks))]
    if attributes:
        pieces.append(f"attributes: {', '.join(attributes)}")
    reason = "; ".join(filter(None, pieces))
    return StoreResult(uid, status, code, reason, (*comments, *remarks), attributes)


def _comments(items: Iterable[DicomJson], redact: Callable[[str], str]) -> tuple[str, ...]:
    """Return the Error Comments of data sets, each once."""
    texts = [text for one in items for name in _COMMENTS for text in json_model.texts(one, name)]
    return tuple(
        dict.fromkeys(_line(redact(text[:LOOKED_AT])) for text in texts[:MAX_COMMENTS] if text.strip())
    )


def _line(text: str) -> str:
    """Return a server's remark as one line of bounded length."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text[: 2 * MAX_COMMENT])
    return " ".join(plain.split())[:MAX_COMMENT].rstrip(".")


def _keyword(value: JsonValue) -> str:
    """Return the keyword of an attribute tag (VR AT), which some servers write as a number."""
    text = f"{value:08X}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    digits = "".join(letter for letter in text if letter not in "(), ")
    return keyword_of(digits.upper()) if _TAG.match(digits) else ""


def _number(value: JsonValue) -> int | None:
    """Read a reason as servers write it: a number, or one in text (Orthanc)."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return int(value) if math.isfinite(value) else None
    text = str(value).strip()[:20]
    try:
        return int(text, 16) if text.lower().startswith("0x") else int(text)
    except ValueError:
        return None


def may_be_duplicate(result: StoreResult) -> bool:
    """Return whether a failure is so general that it may only mean "stored already"."""
    return (
        result.status == "failed"
        and result.reason_code in reasons.GENERAL_FAILURE
        and bool(result.sop_instance_uid)
    )
