"""MediaType: a Content-Type or Accept value, read tolerantly.

References
----------
RFC 9110 §8.3 (media types); PS3.18 §8.7 (media types of DICOM web services).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

# Servers leave ``type=application/dicom`` unquoted: an unquoted value is anything up to the next semicolon.
_PARAMETER = re.compile(r';\s*([^=;\s"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^;]*))')
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")


@dataclass(frozen=True)
class MediaType:
    """A media type and its parameters.

    Parameters
    ----------
    essence : type and subtype in lower case, ``application/dicom``; empty where the header was.
    parameters : names in lower case, values as written but without quotes; of a repeated name the first.
    """

    essence: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))

    def __hash__(self) -> int:
        return hash((self.essence, frozenset(self.parameters.items())))

    @classmethod
    def parse(cls, text: str) -> MediaType:
        """Read a header value; what cannot be read is left out, nothing is raised."""
        essence, semicolon, rest = text.partition(";")
        parameters: dict[str, str] = {}
        for found in _PARAMETER.finditer(semicolon + rest):
            name, quoted, plain = found.groups()
            value = plain.strip() if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters.setdefault(name.lower(), value)
        return cls(essence.strip().strip('"').lower(), parameters)

    @property
    def is_multipart(self) -> bool:
        """True for every multipart subtype."""
        return self.essence.startswith("multipart/")

    @property
    def root_type(self) -> str:
        """The type of the parts: the ``type`` parameter of a multipart, else the essence itself."""
        return self.parameters.get("type", "").lower() if self.is_multipart else self.essence

    def __str__(self) -> str:
        values = (
            f"{name}={value}" if _TOKEN.match(value) else f'{name}="{_escaped(value)}"'
            for name, value in self.parameters.items()
        )
        return "; ".join((self.essence, *values))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
