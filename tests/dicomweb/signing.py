"""People who sign in, as the tests of logins need them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dicomdock.config.secrets import Secrets
from dicomdock.config.servers import Login, ServerProfile
from dicomdock.config.settings import Settings
from dicomdock.dicomweb.auth import signing
from tests.servers.oidc import Person
from tests.waiting import join


def profile_at(url: str, issuer: str, **options: str) -> ServerProfile:
    """Return the profile of a server whose logins come from this issuer."""
    login = Login("oidc", options={"issuer": issuer, "client_id": "dicomdock", **options})
    return ServerProfile("pacs", url, login)


def signed_in(profile: ServerProfile, settings: Settings, person: Person | None = None) -> ServerProfile:
    """Let a person sign in at the issuer's own pages."""
    with at_the_browser(person or Person()) as open_page:
        return signing.sign_in(
            profile, Secrets(settings), settings, show=lambda prompt: open_page(prompt.url), seconds=120
        )


@contextmanager
def at_the_browser(person: Person) -> Iterator[object]:
    """Yield what lets the person open a page, beside the one who waits for it."""
    threads: list[threading.Thread] = []

    def open_page(url: str) -> None:
        threads.append(threading.Thread(target=person.sign_in, args=(url,), daemon=True))
        threads[-1].start()

    try:
        yield open_page
    finally:
        for thread in threads:
            join(thread)
