"""What a de-identification is asked to do: the Basic Profile and its options.

References
----------
PS3.15 §E.2, §E.3; PS3.16 CID 7050 (De-identification Method).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from dicomdock.errors import InvalidInput

BASIC = "basic"
CLEAN_DESCRIPTORS = "clean-descriptors"
CLEAN_GRAPHICS = "clean-graphics"
CLEAN_STRUCTURED_CONTENT = "clean-structured-content"
RETAIN_DEVICE = "retain-device-identity"
RETAIN_FULL_DATES = "retain-full-dates"
RETAIN_INSTITUTION = "retain-institution-identity"
RETAIN_MODIFIED_DATES = "retain-modified-dates"
RETAIN_PATIENT = "retain-patient-characteristics"
RETAIN_SAFE_PRIVATE = "retain-safe-private"
RETAIN_UIDS = "retain-uids"

Code = tuple[str, str]
"""Code Value in the scheme DCM, and Code Meaning."""

BASIC_CODE: Code = ("113100", "Basic Application Confidentiality Profile")
CLEAN_PIXELS_CODE: Code = ("113101", "Clean Pixel Data Option")
OPTIONS: Mapping[str, Code] = MappingProxyType(
    {
        CLEAN_DESCRIPTORS: ("113105", "Clean Descriptors Option"),
        CLEAN_GRAPHICS: ("113103", "Clean Graphics Option"),
        CLEAN_STRUCTURED_CONTENT: ("113104", "Clean Structured Content Option"),
        RETAIN_DEVICE: ("113109", "Retain Device Identity Option"),
        RETAIN_FULL_DATES: ("113106", "Retain Longitudinal Temporal Information Full Dates Option"),
        RETAIN_INSTITUTION: ("113112", "Retain Institution Identity Option"),
        RETAIN_MODIFIED_DATES: ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
        RETAIN_PATIENT: ("113108", "Retain Patient Characteristics Option"),
        RETAIN_SAFE_PRIVATE: ("113111", "Retain Safe Private Option"),
        RETAIN_UIDS: ("113110", "Retain UIDs Option"),
    }
)
"""Each option by its name on the command line -> its code."""


OFFERED: Mapping[str, str] = MappingProxyType(
    {
        BASIC: "De-identified",
        f"{BASIC},{CLEAN_DESCRIPTORS},{RETAIN_MODIFIED_DATES},{RETAIN_PATIENT}": (
            "De-identified; dates moved, sex, age and safe words stay"
        ),
    }
)
"""Profiles that are offered where one is chosen from a list -> their words."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The Basic Application Level Confidentiality Profile with some options.

    Parameters
    ----------
    options : names of ``OPTIONS``.

    Raises
    ------
    InvalidInput
        An option is unknown, or full and modified dates are asked for at once.
    """

    options: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Check that the options exist and do not contradict one another."""
        if unknown := sorted(self.options - OPTIONS.keys()):
            raise InvalidInput(
                f"{', '.join(unknown)}: no such option of the Basic Profile; the options are"
                f" {', '.join(sorted(OPTIONS))}."
            )
        if {RETAIN_FULL_DATES, RETAIN_MODIFIED_DATES} <= self.options:
            raise InvalidInput(f"{RETAIN_FULL_DATES} and {RETAIN_MODIFIED_DATES} exclude one another.")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``basic`` or ``basic,OPTION,...``.

        Raises
        ------
        InvalidInput
            It is something else.
        """
        first, *options = (word.strip().lower() for word in text.split(","))
        if first != BASIC:
            raise InvalidInput(
                f"{text!r} is not a profile; it is {BASIC!r}, or {BASIC!r} with options behind commas:"
                f" {', '.join(sorted(OPTIONS))}."
            )
        return cls(frozenset(options))

    def __str__(self) -> str:
        """Return what ``parse`` reads."""
        return ",".join((BASIC, *sorted(self.options)))

    def codes(self, *, pixels_cleaned: bool = False) -> tuple[Code, ...]:
        """Return the codes that say what was done (De-identification Method Code Sequence)."""
        more = (CLEAN_PIXELS_CODE,) if pixels_cleaned else ()
        return (BASIC_CODE, *more, *(OPTIONS[name] for name in sorted(self.options)))
