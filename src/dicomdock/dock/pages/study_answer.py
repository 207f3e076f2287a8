"""A search for studies in a sentence: how many were found, and by whom that is not known."""

from __future__ import annotations

from collections.abc import Container, Sequence

from dicomdock.dock import formatting
from dicomdock.dock.services.sources import LOCAL
from dicomdock.dock.services.studies import Listing


def summary(listing: Listing, narrowed: int | None = None) -> str:
    """Return how many studies are listed, and which sources are missing among them.

    Parameters
    ----------
    narrowed : how many of them are shown; None for all.
    """
    found, failed = len(listing.found), tuple(listing.errors)
    if not found and failed:
        return f"{formatting.listed(failed)} did not answer"
    count = formatting.counted(found, "study", "studies")
    if narrowed is not None:
        more = ", more available" if listing.more else ""
        text = f"{formatting.number(narrowed)} of the {count} loaded{more}"
    elif listing.age is not None:
        text = f"{count}, as of {formatting.ago(listing.age)}"
    elif listing.more and listing.total is not None:
        text = f"{count} of {formatting.number(listing.total)}"
    else:
        text = f"{count}, more available" if listing.more else count
    return f"{text}; {formatting.listed(failed)} did not answer" if failed else text


def unknown(sources: Sequence[str], failed: Container[str]) -> tuple[str, str]:
    """Return title and text for a search that found nothing, and in which sources failed."""
    silent = [name for name in sources if name in failed]
    answered = ["this computer" if name == LOCAL else name for name in sources if name not in failed]
    title = f"No answer from {formatting.listed(silent)}"
    if not answered:
        return title, "Whether there are studies that match is not known."
    has = "has" if len(answered) == 1 else "have"
    who = f"{formatting.listed(answered)} {has} none that matches"
    it = "it" if len(silent) == 1 else "they"
    text = f"{who}; whether {it} {'has' if len(silent) == 1 else 'have'} one is not known."
    return title, text[:1].upper() + text[1:] if answered[0] == "this computer" else text
