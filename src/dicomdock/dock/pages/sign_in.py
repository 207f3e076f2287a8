"""The sign-in to a server, as a page shows it: a link to open, and a way to give up."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from nicegui import ui

from dicomdock.dock import widgets
from dicomdock.dock.services.logins import SignIns
from dicomdock.dock.services.threads import Run
from dicomdock.errors import Cancelled, DicomdockError

if TYPE_CHECKING:
    from dicomdock.dicomweb.auth.signing import Prompt


async def sign_in(sign_ins: SignIns, run: Run, name: str, place: ui.element) -> str | None:
    """Show in ``place`` what the person has to do, and wait for it; return the account, None for none.

    The page opens as a link, because browsers keep back windows that nobody clicked for.
    """
    loop = asyncio.get_running_loop()
    prompted: asyncio.Future[Prompt] = loop.create_future()
    cancelled = threading.Event()

    def show(prompt: Prompt) -> None:
        loop.call_soon_threadsafe(shown, prompt)

    def shown(prompt: Prompt) -> None:
        if not prompted.done():
            prompted.set_result(prompt)

    _say(place, "Asking where to sign in …")
    ui.context.client.on_delete(cancelled.set)  # nobody waits for it any more
    work = asyncio.ensure_future(run(sign_ins.sign_in, name, show, cancelled))
    work.add_done_callback(lambda _: prompted.cancel())
    try:
        _link(place, (await prompted).url, cancelled)
    except asyncio.CancelledError:
        if not work.done():
            cancelled.set()
            raise
    try:
        profile = await work
    except Cancelled:
        place.clear()
    except DicomdockError as error:
        _say(place, str(error), failed=True)
    else:
        return profile.login.user
    return None


def _link(place: ui.element, url: str, cancelled: threading.Event) -> None:
    place.clear()
    with place, ui.element("div").classes("row-line"):
        link = ui.link("Open the sign-in page", url, new_tab=True)
        link.props["data-testid"] = "sign-in-link"
        link.props["rel"] = "noopener noreferrer"
        ui.label("Sign in there; this page goes on by itself.").classes("muted")
        widgets.button("Cancel", cancelled.set, testid="sign-in-cancel")


def _say(place: ui.element, words: str, *, failed: bool = False) -> None:
    place.clear()
    with place:
        ui.label(words).classes("bad-text" if failed else "muted")
