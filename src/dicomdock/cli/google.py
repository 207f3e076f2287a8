"""Google's DICOM stores, chosen from lists on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from dicomdock.cli.output import Console
from dicomdock.errors import AuthenticationError, InvalidInput, ProfileError, TransactionError

if TYPE_CHECKING:
    from dicomdock.config.servers import ServerProfile
    from dicomdock.dicomweb.google_stores import Entry, Stores

FORBIDDEN: Final = 403  # the account is known, and may not
Ask = Callable[[str], str]


def is_google(url: str) -> bool:
    """Return whether the word given as the address means a store of Google's."""
    return url == "google" or url.lstrip("/").startswith("projects/")


def address(console: Console, url: str, profile: ServerProfile) -> str:
    """Return the DICOMweb address of a store: named by its path, or chosen from lists.

    Parameters
    ----------
    profile : how to log in at Google; signed in where that is needed.

    Raises
    ------
    InvalidInput
        The path is not one of a store, or there is nobody to choose.
    """
    from dicomdock.dicomweb.google_stores import Stores, store_url

    if url != "google":
        return store_url(url)
    if not console.attended:
        raise InvalidInput(
            "Nobody is here to choose a store; name it: projects/P/locations/L/datasets/D/dicomStores/S."
        )
    from dicomdock.config.secrets import Secrets
    from dicomdock.dicomweb.auth import auth_for

    auth = auth_for(profile, Secrets(console.settings), console.settings)
    with Stores(auth, profile, console.settings) as stores:
        return store_url(chosen(console, stores, _typed))


def chosen(console: Console, stores: Stores, ask: Ask) -> str:
    """Let a person choose project, location, dataset and store; return the store's path.

    A list of one is not a choice; the locations without datasets stay in the list, as Google does not say so
    sooner.

    Raises
    ------
    ProfileError
        A list is empty, so there is nothing to choose.
    """
    project = _project(console, stores, ask)
    location = _one(console, "location", stores.locations(project), ask)
    dataset = _one(console, "dataset", stores.datasets(project, location), ask)
    store = _one(console, "DICOM store", stores.stores(project, location, dataset), ask)
    return f"projects/{project}/locations/{location}/datasets/{dataset}/dicomStores/{store}"


def _project(console: Console, stores: Stores, ask: Ask) -> str:
    """Choose a project; where the account may not list them, take its ID as it is typed."""
    try:
        return _one(console, "project", stores.projects(), ask)
    except (AuthenticationError, TransactionError) as error:
        if isinstance(error, AuthenticationError) and error.status != FORBIDDEN:
            raise
        console.note("This account may not list projects.")
    return ask("The ID of the project? ").strip()


def _one(console: Console, what: str, entries: Sequence[Entry], ask: Ask) -> str:
    if not entries:
        raise ProfileError(f"This Google account sees no {what} here; choose another place or account.")
    if len(entries) == 1:
        console.note(f"The only {what} is {entries[0]}.")
        return entries[0].name
    console.note(*(f"{number:4}  {entry}" for number, entry in enumerate(entries, 1)))
    while True:
        answer = ask(f"Which {what}, by number or name? ").strip()
        if answer.isdecimal() and 1 <= int(answer) <= len(entries):
            return entries[int(answer) - 1].name
        if answer in (entry.name for entry in entries):
            return answer
        console.note(f"Type a number from 1 to {len(entries)}, or a name of the list.")


def _typed(question: str) -> str:
    sys.stderr.write(question)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise InvalidInput("No store was chosen.")
    return line
