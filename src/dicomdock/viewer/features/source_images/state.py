"""What the page knows of missing images."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class SourcesState:
    """The line about missing images.

    Parameters
    ----------
    missing_words : what is missing; empty where nothing is.
    missing_busy : the servers are being asked.
    """

    missing_words: str = ""
    missing_busy: bool = False
