"""The pages: one file each, with a function ``page(dock, visit)`` that builds what stands below the header.

To add a page: write ``pages/NAME.py`` with that function, and a line in ``PAGES``.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from dicomdock.dock.service import Dock

# A picture as text: it comes with the page and needs no request of its own.
FAVICON = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'>"
    "<rect width='32' height='32' rx='7' fill='#0f6f78'/>"
    "<path d='M9 8h7a8 8 0 0 1 0 16H9z' fill='none' stroke='#fff' stroke-width='3'/></svg>"
)


@dataclass(frozen=True)
class PageSpec:
    """Where a page is.

    Parameters
    ----------
    path : its address, with ``{name}`` for the parts that vary.
    title : in the browser's tab, and in the header where the page is named there.
    module : the file below ``dock/pages`` that builds it; imported when it is first visited.
    in_header : it has a place in the header.
    """

    path: str
    title: str
    module: str
    in_header: bool = False


PAGES = (
    PageSpec("/", "Studies", "studies", in_header=True),
    PageSpec("/study/{study}", "Study", "study"),
    PageSpec("/attributes", "Attributes", "attributes"),
    PageSpec("/link/{number}", "A link", "link"),
    PageSpec("/upload", "Upload", "upload", in_header=True),
    PageSpec("/upload/{batch}", "Upload", "upload_batch"),
    PageSpec("/transfers", "Transfers", "transfers", in_header=True),
    PageSpec("/servers", "Servers", "servers", in_header=True),
    PageSpec("/settings", "Settings", "settings", in_header=True),
    PageSpec("/{rest:path}", "No such page", "missing"),  # last: it takes what no other does
)


def register(dock: Dock) -> None:
    """Tell NiceGUI the pages of this dock."""
    for spec in PAGES:
        _register(dock, spec)


def _register(dock: Dock, spec: PageSpec) -> None:
    from nicegui import ui

    from dicomdock.dock.pages.shell import Visit, shell

    async def show(request: Request) -> None:
        build: Callable[[Dock, Visit], Awaitable[None] | None] = importlib.import_module(
            f"{__name__}.{spec.module}"
        ).page
        with shell(dock, spec, request) as visit:
            built: Any = build(dock, visit)
            if inspect.isawaitable(built):
                await built

    ui.page(spec.path, title=f"{spec.title} · dicomdock")(show)
