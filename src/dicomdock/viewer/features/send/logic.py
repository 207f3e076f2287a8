"""Send what was made on this computer, and show the answers; the dock has the logins and sends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dicomdock import rpc
from dicomdock.archive import Archive
from dicomdock.archive.index.queries import ArchivedInstance
from dicomdock.dicom.resource import Resource
from dicomdock.viewer.dock_client import DockClient, RequestFailed
from dicomdock.viewer.features.save.logic import SavingLogic
from dicomdock.viewer.features.send.state import SendAnswer, SendItem, SendState
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.page_state import PageState

ON_SERVER = ("stored", "warning", "duplicate")
LABELS = {
    "stored": "stored",
    "warning": "stored, with a remark",
    "duplicate": "was there already",
    "failed": "not stored",
    "unsent": "not sent",
    "unconfirmed": "not confirmed",
}
NOTHING = "Nothing was made on this computer yet. Save a segmentation, measurements or derived images first."


class SendingLogic:
    """The dialog that sends.

    Parameters
    ----------
    server : trame's.
    series, saving : what is shown; saves what is to be sent.
    archive : knows what was made on this computer, and what of it was sent.
    dock : sends.
    """

    def __init__(
        self, server: Any, series: SeriesLogic, saving: SavingLogic, archive: Archive, dock: DockClient
    ) -> None:
        self.state, self.series, self.saving = PageState(server.state, SendState), series, saving
        self.archive, self.dock = archive, dock

        control = server.controller
        control.ask_send = self.ask
        control.send = self.send
        self._previewed: tuple[str, list[str]] = ("", [])
        name = self.state.name
        self.state.bind_changes(
            {
                name.send_server: self._server_chosen,
                (name.send_profile, name.send_items): lambda *_: self._look_ahead(),
            }
        )

    async def ask(self) -> None:
        """Save what is not saved, and ask where to."""
        current = self.saving.segments.current
        if current is not None and current.unsaved and await self.saving.save() == "failed":
            return
        if self.state.data.sending:
            with self.state as data:
                data.send_open = True
            return
        items = await asyncio.to_thread(self._items)
        try:
            choice = await self.dock.list_servers(await asyncio.to_thread(self._origin))
        except RequestFailed as error:
            choice = rpc.ServersReply(0, (), "", str(error))
        with self.state as data:
            data.send_servers = list(choice.servers)
            data.send_server = choice.default
            data.send_items = _chosen(items, choice.default)
            data.send_answers = []
            data.send_words = choice.remark if items else NOTHING
            data.send_bad = False
            data.send_open = True

    async def send(self) -> None:
        """Send what was chosen, and show each answer."""
        name, profile = self.state.data.send_server, self.state.data.send_profile
        chosen = self._chosen_series()
        if not name or not chosen or self.state.data.sending:
            return
        with self.state as data:
            data.sending, data.send_bad = True, False
            data.send_answers = []
            data.send_words = f"Sending to {name}..."
        answers: list[SendAnswer] = []
        try:
            reply = await self.dock.send_series(name, chosen, profile, self._progress)
        except RequestFailed as error:
            bad, words = True, f"Nothing was sent: {error}"
        else:
            results = reply.results
            good = sum(one.status in ON_SERVER for one in results)
            bad = good < len(results)
            verb = "is" if len(results) == 1 else "are"
            words = f"{good} of {len(results)} {verb} on {name}{', de-identified' if profile else ''}."
            words = f"{words} {reply.problem}".strip()
            answers = self._answers(results)
        items = await asyncio.to_thread(self._items)
        with self.state:
            data.send_items = _chosen(items, name)
            data.send_words, data.send_answers, data.send_bad = words, answers, bad
            data.sending = False

    def _chosen_series(self) -> list[str]:
        return [one.uid for one in self.state.data.send_items if one.chosen]

    def _look_ahead(self) -> None:
        """Show what the receiver will see of de-identified copies, once for each choice."""
        wanted = self.state.data.send_profile, self._chosen_series()
        if wanted == self._previewed:
            return
        self._previewed = wanted
        if all(wanted):
            asyncio.get_running_loop().create_task(self._preview(*wanted))
        else:
            self.state.data.send_preview = ""

    async def _preview(self, profile: str, series: list[str]) -> None:
        try:
            words = await self.dock.preview_copies(series, profile)
        except RequestFailed as error:
            words = str(error)
        if self._previewed == (profile, series):  # nothing else was chosen meanwhile
            with self.state as data:
                data.send_preview = words

    def _progress(self, done: int, of: int) -> None:
        with self.state as data:
            data.send_words = f"Sending to {data.send_server}: {done} of {of}"

    def _server_chosen(self, server: str) -> None:
        data = self.state.data
        if not data.sending:
            data.send_items = _chosen(data.send_items, server)

    def _origin(self) -> str:
        """Name the connection that the shown images, or else some of the study, came by."""
        study, shown = self.series.study, self.series.series
        assert study is not None
        found = self.archive.instances(shown.resource) if shown is not None else []
        others = self.archive.instances(Resource(study.uid))
        return next((one.origin for one in (*found[:1], *others) if one.origin), "")

    def _items(self) -> list[SendItem]:
        """List the series that were made on this computer, and the servers that have all of each."""
        assert self.series.study is not None
        groups: dict[str, list[ArchivedInstance]] = {}
        for one in self.archive.instances(Resource(self.series.study.uid)):
            if one.made_here:
                groups.setdefault(one.resource.series or "", []).append(one)
        return [
            SendItem(
                uid,
                self._name(uid),
                len(found),
                sorted(set.intersection(*(set(one.sent) for one in found))),
            )
            for uid, found in groups.items()
        ]

    def _name(self, uid: str) -> str:
        series = self.series.study.find(uid) if self.series.study is not None else None
        return series.name if series is not None else uid

    def _answers(self, results: Sequence[rpc.InstanceResult]) -> list[SendAnswer]:
        """Put instances of one series with the same answer into one line; what went wrong comes first."""
        groups: dict[tuple[bool, str, str], list[str]] = {}
        for one in results:
            key = (one.status in ON_SERVER, self._name(one.series), _words(one))
            groups.setdefault(key, []).append(one.instance)
        return [
            SendAnswer(name, words, uids, not good) for (good, name, words), uids in sorted(groups.items())
        ]


def _chosen(items: Sequence[SendItem], server: str) -> list[SendItem]:
    """Choose what the server has not confirmed yet."""
    return [replace(one, chosen=server not in one.sent) for one in items]


def _words(result: rpc.InstanceResult) -> str:
    outcome = LABELS[result.status]
    code = f" (code {result.code:04X})" if result.code is not None else ""
    return f"{outcome}{code}: {result.reason}" if result.reason else f"{outcome}{code}"
