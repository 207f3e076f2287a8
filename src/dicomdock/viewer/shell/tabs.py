"""One page at a time: the scene has one size, one mouse, one user, so the page that was opened last has it.

A page names itself once it is built (``here``); all pages hear who has the viewer now, and the others leave
for a page that explains it and leads back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from dicomdock import rpc

ELSEWHERE = "/elsewhere"
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>dicomdock</title>
<style>
  :root { color-scheme: dark light; font: 14px/1.6 system-ui, sans-serif }
  body { min-height: 96vh; margin: 0; display: grid; place-content: center; text-align: center }
  a { display: inline-block; padding: 6px 14px; border-radius: 7px; background: #0f6f78; color: #fff;
      text-decoration: none }
</style>
<h1>This study is shown in another tab</h1>
<p>Nothing of your work is lost: it goes on there.</p>
<p><a href="/" autofocus>Show it here</a></p>
</html>
"""


class Tabs:
    """Connects the viewer with the page that was opened last.

    Parameters
    ----------
    server : trame's.
    send : writes an event to the dock.
    """

    def __init__(self, server: Any, send: Callable[[rpc.Event], None]) -> None:
        self.server = server
        self._send = send
        self._built = self._settled = False
        server.controller.trigger("here")(self._here)
        server.controller.on_server_bind.add(lambda bound: bound.app.router.add_get(ELSEWHERE, _elsewhere))

    def _here(self, tab: str) -> None:
        self.server.js_call("page", "shownIn", tab)
        self._built = True
        self._report_settled()

    def report(self, event: rpc.Event) -> None:
        """Send an event to the dock; that nothing is being loaded, not before a page is built.

        The dock then starts the next viewer, which takes the processor that the page needs to be built.
        """
        if isinstance(event, rpc.Settled):
            self._settled = True
            self._report_settled()
        else:
            self._send(event)

    def _report_settled(self) -> None:
        if self._built and self._settled:
            self._settled = False
            self._send(rpc.Settled())


async def _elsewhere(_: web.Request) -> web.Response:
    return web.Response(text=PAGE, content_type="text/html")
