"""What a page learns of its visit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nicegui import ui


@dataclass(frozen=True)
class Visit:
    """One visit of a page.

    Parameters
    ----------
    path : its address, without the query.
    parts : the parts of the address that vary, by name.
    query : the parameters of the query.
    header : the part of the header that belongs to the page.
    """

    path: str
    parts: Mapping[str, str]
    query: Mapping[str, str]
    header: ui.element
