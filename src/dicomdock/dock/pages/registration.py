"""Register the pages of a dock with NiceGUI."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui
from starlette.requests import Request

from dicomdock.dock.bundle import Services
from dicomdock.dock.pages.shell import shell
from dicomdock.dock.pages.table import PAGES, PageSpec
from dicomdock.dock.pages.transfer_drawer import TransferDrawer
from dicomdock.dock.pages.visit import Visit


def register(services: Services) -> None:
    """Register the pages of this dock."""
    for spec in PAGES:
        _register(services, spec)


def _register(services: Services, spec: PageSpec) -> None:
    async def show(request: Request) -> None:
        module = importlib.import_module(f"dicomdock.dock.pages.{spec.module}")
        build: Callable[[Services, Visit], Awaitable[None] | None] = module.page
        drawer = TransferDrawer(services.run, services.events, services.transfers, services.local)
        with shell(spec, request, drawer, services.preferences, services.run) as visit:
            built: Any = build(services, visit)
            if inspect.isawaitable(built):
                await built

    ui.page(spec.path, title=f"{spec.title} · dicomdock")(show)
