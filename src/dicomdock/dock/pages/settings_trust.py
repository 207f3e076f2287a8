"""Settings of trust: the servers whose links open studies without a question."""

from __future__ import annotations

from nicegui import ui

from dicomdock.dock import widgets
from dicomdock.dock.bundle import Services
from dicomdock.launch.trust import TrustStore


def section(services: Services) -> None:
    """Build the section."""
    store = TrustStore(services.local.settings)
    ui.label(
        "Links from web pages to these servers open without a question. All others are asked about first."
    ).classes("muted")
    listed = ui.element("ul").classes("plain-list").props('data-testid="trusted"')
    with ui.element("form").classes("settings-form") as form:
        typed = widgets.field("Address of a server", testid="trust-origin")
        typed.props["hint"] = "Such as https://pacs.example.org"
        with ui.element("div").classes("row-line"):
            widgets.button("Trust it", testid="trust-add").props('type="submit"')

    async def show() -> None:
        origins = await services.run(store.origins)
        listed.clear()
        with listed:
            for entry in origins:
                with ui.element("li").classes("row-line"):
                    ui.label(entry.origin).classes("mono")
                    if entry.source == "system":
                        ui.label("for everybody on this machine").classes("muted")
                    else:
                        widgets.icon_button(
                            "close",
                            f"Stop trusting {entry.origin}",
                            lambda origin=entry.origin: forget(origin),
                        )
            if not origins:
                with ui.element("li").classes("muted"):
                    ui.label("None yet.")

    async def add() -> None:
        origin = await services.run(store.add, typed.value or "")
        typed.set_value("")
        await show()
        widgets.say(f"Links to {origin} open without a question from now on.")

    async def forget(origin: str) -> None:
        await services.run(store.revoke, origin)
        await show()

        async def undo() -> None:
            await services.run(store.add, origin)
            await show()

        with form:  # the button that was clicked is gone by now
            widgets.say(f"Links to {origin} are asked about again.", undo=undo)

    form.on("submit.prevent", add)
    ui.timer(0, show, once=True)
