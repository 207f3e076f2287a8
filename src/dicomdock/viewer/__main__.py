"""Run a viewer: the first line on standard input is ``rpc.Start``, the next ones are further orders."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from typing import Any

from dicomdock import rpc
from dicomdock.viewer.channel import Channel

LOOPBACK = "127.0.0.1"
# Reading headers keeps Python's lock busy; the loop, which answers the page, must get it back at once.
SWITCH_SECONDS = 0.0005


def main() -> None:
    """Run until the dock closes the viewer or is gone."""
    channel = Channel()
    start = channel.read()
    if not isinstance(start, rpc.Start):
        return
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    logging.getLogger("trame_rca").setLevel(logging.ERROR)
    prepare_environment()
    # trame reads the arguments of whatever program it is in; ours never reach a command line.
    sys.setswitchinterval(SWITCH_SECONDS)
    sys.argv = ["dicomdock-viewer", f"--authKey={start.secret}"]  # in one: a secret may begin with a dash

    from trame.app import get_server

    from dicomdock.config.preferences import Preferences
    from dicomdock.viewer.app import Workstation
    from dicomdock.viewer.guard import Guard

    server = get_server("dicomdock", client_type="vue3")
    settings = start.settings
    guard = Guard(
        start.secret,
        start.one_time_token,
        lambda: Preferences(settings).theme,
        lambda: [*map(str, (*server.state.trame__styles, *server.state.trame__scripts))],
    )
    station = Workstation(server, settings, guard, channel.send, lambda: leave(station))

    async def ready(**_: Any) -> None:
        loop = asyncio.get_running_loop()

        def receive(order: rpc.Order) -> None:
            loop.call_soon_threadsafe(obey, station, order)

        def ended() -> None:
            loop.call_soon_threadsafe(leave, station)

        channel.listen(receive, ended)
        station.views.warm()
        # What is there now stays; the collector need not walk through it while a series is read.
        gc.collect()
        gc.freeze()
        channel.send(rpc.Ready(server.port))

    server.controller.on_server_ready.add_task(ready)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is the dock's to answer
    server.start(
        port=start.port,
        host=LOOPBACK,
        open_browser=False,
        show_connection_info=False,
        timeout=0,
        disable_logging=True,
    )


def prepare_environment() -> None:
    """Set what the libraries read when they are imported."""
    # wslink's own announcement is none of the dock's events; pictures in its messages are packed already.
    os.environ.update({"WSLINK_READY_MSG": "", "WSLINK_WS_COMPRESS": "0"})


def obey(station: Any, order: rpc.Order) -> None:
    """Carry out an order of the dock."""
    match order:
        case rpc.OpenStudy(resource, pulling, coming, has_list, segments):
            station.open(resource, pulling=pulling, coming=coming, has_list=has_list, segments=segments)
        case rpc.PullChanged(running, reason):
            station.series.pull_changed(running, reason)
        case rpc.ExpectSeries(series, metadata):
            station.series.expect(series, metadata)
        case rpc.CloseWhenUnused(seconds):
            station.idle_shutdown.close_when_unused(seconds)
        case rpc.Close():
            leave(station)
        case rpc.Start():
            pass  # it runs already
        case reply:
            station.dock.receive(reply)


def leave(station: Any) -> None:
    """End, with unsaved work on disk."""
    station.close()
    os._exit(0)  # VTK's own clean-up at the end of Python may hang on a lost display


if __name__ == "__main__":
    main()
