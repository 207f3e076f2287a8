"""Start a viewer: the first line on standard input brings secret and settings, the next ones orders."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from dicomdock.viewer.channel import Channel, Message

LOOPBACK = "127.0.0.1"
# Reading headers keeps Python's lock busy; the loop, which answers the page, must get it back at once.
SWITCH_SECONDS = 0.0005


def main() -> None:
    """Run until the dock is gone or says so."""
    channel = Channel()
    start = channel.read()
    if start is None:
        return
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    logging.getLogger("trame_rca").setLevel(logging.ERROR)
    # wslink's own announcement is none of the dock's events; pictures in its messages are packed already.
    os.environ.update({"WSLINK_READY_MSG": "", "WSLINK_WS_COMPRESS": "0"})
    # trame reads the arguments of whatever program it is in; ours never reach a command line.
    sys.setswitchinterval(SWITCH_SECONDS)
    sys.argv = ["dicomdock-viewer", f"--authKey={start['secret']}"]  # in one: a secret may begin with a dash

    from trame.app import get_server

    from dicomdock.viewer.app import Workstation
    from dicomdock.viewer.guard import Guard

    server = get_server("dicomdock", client_type="vue3")
    guard = Guard(start["secret"], start["once"])
    settings = settings_of(start["settings"])
    station = Workstation(server, settings, guard, channel.tell, lambda: leave(station))

    @server.controller.add_task("on_server_ready")
    async def ready(**_: Any) -> None:
        loop = asyncio.get_running_loop()
        channel.listen(
            lambda order: loop.call_soon_threadsafe(obey, station, order),
            lambda: loop.call_soon_threadsafe(leave, station),
        )
        station.views.warm()
        # What is there now stays; the collector need not walk through it while a series is read.
        gc.collect()
        gc.freeze()
        channel.tell("ready", port=server.port)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is the dock's to answer
    server.start(
        port=start.get("port", 0),
        host=LOOPBACK,
        open_browser=False,
        show_connection_info=False,
        timeout=0,
        disable_logging=True,
    )


def settings_of(given: dict[str, Any]) -> Any:
    """Read the settings that the dock hands on."""
    from dicomdock.config.settings import Settings

    folders = {name: Path(given[name]) for name in ("config", "archive", "state")}
    return Settings(**{**given, **folders})


def obey(station: Any, order: Message) -> None:
    """Do what the dock says."""
    from dicomdock.dicom.resource import Resource

    match order.get("do"):
        case "open":
            resource = Resource.parse(order["resource"])
            station.open(resource, pulling=bool(order.get("pulling")), coming=order.get("coming", ()))
        case "pulling":
            station.series.pull_changed(bool(order["running"]), order.get("why", ""))
        case "expect":
            station.series.expect(order["series"], order["metadata"])
        case "answer" | "progress":
            station.errands.hear(order)
        case "close":
            leave(station)


def leave(station: Any) -> None:
    """End, with what was drawn kept."""
    station.close()
    os._exit(0)  # VTK's own clean-up at the end of Python may hang on a lost display


if __name__ == "__main__":
    main()
