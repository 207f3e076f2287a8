"""The Servers page: add, try, edit and disconnect DICOMweb servers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from nicegui import ui

from dicomdock.config.servers import ServerProfile
from dicomdock.dicomweb.probe.store_checks import PATIENT
from dicomdock.dock import widgets
from dicomdock.dock.pages import sign_in
from dicomdock.dock.pages.shell import Visit
from dicomdock.dock.service import Dock
from dicomdock.dock.services import logins, servers
from dicomdock.dock.services.events import ServersChanged
from dicomdock.dock.services.logins import FORMS
from dicomdock.dock.services.servers import Draft, Trial


def page(dock: Dock, _: Visit) -> None:
    """Build the page."""
    view = ServersPage(dock)
    ui.timer(0, view.load, once=True)


class ServersPage:
    """The state of one open Servers page."""

    def __init__(self, dock: Dock) -> None:
        self._dock = dock
        self._trials: dict[str, Trial] = {}
        with ui.element("div").classes("sheet"):
            with ui.element("div").classes("row-line"):
                with ui.element("h1"):
                    ui.label("Servers")
                ui.element("span").classes("spacer")
                widgets.button(
                    "Add a server", self._add, icon="add", kind="main", key="n", testid="add-server"
                )
            self._form = ui.element("div").classes("form-place")
            self._list = ui.element("div").classes("server-list").props('data-testid="servers"')
        dock.events.subscribe(ServersChanged, self.load)

    async def load(self, _: ServersChanged | None = None) -> None:
        """Show the servers as they are now."""
        profiles = await self._dock.run(lambda: list(self._dock.profiles()))
        self._list.clear()
        with self._list:
            for profile in profiles:
                self._card(profile)
            if not profiles:
                with widgets.empty(
                    "No server yet",
                    "Paste the address of your DICOMweb server, or of its web page; the rest is found.",
                    testid="no-servers",
                ):
                    pass
                if not self._form.default_slot.children:
                    self._add()

    def _card(self, profile: ServerProfile) -> None:
        with ui.element("section").classes("panel server") as card:
            card.props["data-testid"] = f"server-{profile.name}"
            card.props["aria-label"] = profile.name
            with ui.element("div").classes("server-head"):
                with ui.element("h2"):
                    ui.label(profile.name)
                ui.label(profile.url).classes("mono muted")
                login = profile.login
                ui.label(FORMS[login.kind].title + (f", as {login.user}" if login.user else ""))
            result = ui.element("div").classes("trial").props('role="status"')
            if (trial := self._trials.get(profile.name)) is not None:
                with result:
                    _show_trial(trial)
            with ui.element("div").classes("row-line"):
                widgets.button(
                    "Look at its studies", lambda: ui.navigate.to(f"/?source={profile.name}"), icon="search"
                )
                widgets.button("Test", lambda: self._test(profile, result), testid=f"test-{profile.name}")
                widgets.button(
                    "Test an upload …",
                    lambda: self._test_upload(profile, result),
                    testid=f"test-upload-{profile.name}",
                )
                if logins.signs_in(profile):
                    self._signing(profile, result)
                widgets.button("Edit", lambda: self._edit(profile), testid=f"edit-{profile.name}")
                widgets.button(
                    "Disconnect", lambda: self._disconnect(profile), testid=f"remove-{profile.name}"
                )

    def _signing(self, profile: ServerProfile, place: ui.element) -> None:
        """Offer to sign in, or out."""
        if profile.login.user:
            widgets.button(
                "Sign out",
                lambda: self._dock.run(logins.sign_out, self._dock, profile.name),
                testid=f"sign-out-{profile.name}",
            )
        else:
            widgets.button(
                "Sign in",
                lambda: self._sign_in(profile.name, place),
                testid=f"sign-in-{profile.name}",
            )

    async def _sign_in(self, name: str, place: ui.element) -> None:
        account = await sign_in.sign_in(self._dock, name, place)
        if account is not None:  # the cards were made anew meanwhile
            with self._list:
                widgets.say(f"Signed in to {name}{' as ' + account if account else ''}.", kind="success")

    async def _test(self, profile: ServerProfile, place: ui.element, *, write: bool = False) -> None:
        place.clear()
        with place:
            ui.label("Asking the server what it can do …").classes("muted")
        trial = await self._dock.run(partial(servers.test, self._dock, profile.name, write=write))
        self._trials[profile.name] = trial
        await self.load()

    async def _test_upload(self, profile: ServerProfile, place: ui.element) -> None:
        with widgets.question(f"Send a test object to {profile.name}?", testid="ask-test-upload") as asked:
            ui.label(
                f"One small made image of the patient {PATIENT} goes there, comes back, and is deleted again"
                " where the server deletes. A server that does not delete keeps it."
            )
            asked.cancel()
            with asked.foot:
                widgets.button("Send it", lambda: asked.answer(True), kind="main", testid="test-upload-now")
        if await asked.ask():
            await self._test(profile, place, write=True)

    async def _disconnect(self, profile: ServerProfile) -> None:
        gone = await self._dock.run(servers.disconnect, self._dock, profile.name)

        async def undo() -> None:
            await self._dock.run(servers.keep, self._dock, gone)

        widgets.say(
            f"{profile.name} is disconnected; studies that are here stay here.", seconds=12, undo=undo
        )

    def _add(self) -> None:
        self._open_form(ServerProfile("", ""), "")

    def _edit(self, profile: ServerProfile) -> None:
        self._open_form(profile, profile.name)

    def _open_form(self, profile: ServerProfile, instead_of: str) -> None:
        self._form.clear()
        with self._form:
            ServerForm(self._dock, profile, instead_of, self._form.clear)


class ServerForm:
    """The form of one server, new or edited.

    Parameters
    ----------
    dock : tries and keeps it.
    profile : what the fields show at first.
    instead_of : the name of the server that is edited; empty for a new one.
    done : closes the form.
    """

    def __init__(self, dock: Dock, profile: ServerProfile, instead_of: str, done: object) -> None:
        self._dock = dock
        self._profile = profile
        self._instead_of = instead_of
        self._done = done
        with ui.element("form").classes("panel server-form") as form:
            form.props["data-testid"] = "server-form"
            with ui.element("h2"):
                ui.label(f"Edit {instead_of}" if instead_of else "Add a server")
            self._url = widgets.field("Address", profile.url, testid="server-url").props("autofocus")
            self._url.props["hint"] = "Any address of the server will do, also that of its web page."
            self._name = widgets.field("Name", profile.name, testid="server-name")
            kinds = {kind: form.title for kind, form in FORMS.items()}
            self._kind = widgets.choice(
                "Login", kinds, profile.login.kind, self._login_changed, testid="server-login"
            )
            shown = logins.values_of(profile.login)
            self._fields = {
                item.name: widgets.field(item.label, shown.get(item.name, ""), testid=f"server-{item.name}")
                for item in logins.fields()
            }
            self._secret = widgets.field("Password", testid="server-secret").props(
                'type="password" autocomplete="new-password"'
            )
            if instead_of and profile.login.kind != "none":
                self._secret.props["hint"] = "Kept already; type only to replace it."
            self._result = ui.element("div").classes("trial").props('role="status" data-testid="trial"')
            with ui.element("div").classes("row-line"):
                self._save = widgets.button("Test and save", kind="main", testid="save-server")
                self._save.props('type="submit"')
                self._anyway = widgets.button("Save without a test", self._keep_anyway, testid="save-anyway")
                self._anyway.set_visibility(False)
                widgets.button("Cancel", lambda: self._close())
        form.on("submit.prevent", self._test_and_keep)
        self._login_changed()

    def _login_changed(self) -> None:
        kind = self._kind.value
        form = FORMS[kind]
        hints = {item.name: item.hint for item in form.fields}
        for name, field in self._fields.items():
            field.set_visibility(name in hints)
            field.props["hint"] = hints.get(name, "")
            field.update()
        self._secret.set_visibility(bool(form.secret))
        self._secret.props["label"] = form.secret
        self._secret.update()

    def _draft(self) -> Draft:
        kind: str = self._kind.value
        typed = {name: field.value or "" for name, field in self._fields.items()}
        login = logins.edited(self._profile.login, logins.login_of(kind, typed))
        name = (self._name.value or "").strip() or _host(self._url.value or "")
        profile = replace(self._profile, name=name, url=(self._url.value or "").strip(), login=login)
        return Draft(profile, self._secret.value or "" if FORMS[kind].secret else "", self._instead_of)

    async def _test_and_keep(self) -> None:
        self._show("Looking for DICOMweb there …")
        self._save.disable()
        try:
            draft = await self._dock.run(servers.check, self._dock, self._draft())
            if logins.signs_in(draft.profile):
                await self._keep(draft)
                return
            trial = await self._dock.run(servers.try_out, self._dock, draft)
            if trial.works:
                await self._keep(replace(draft, profile=trial.profile))
                return
        finally:
            self._save.enable()
        self._result.clear()
        with self._result:
            _show_trial(trial)
        if trial.wants_login and self._kind.value == "none":
            self._kind.set_value("basic")
        self._anyway.set_visibility(not trial.wants_login)

    async def _keep_anyway(self) -> None:
        await self._keep(await self._dock.run(servers.check, self._dock, self._draft()))

    async def _keep(self, draft: Draft) -> None:
        where = await self._dock.run(servers.keep, self._dock, draft)
        self._secret.set_value("")
        kept = f" The secret is kept in {where}." if where else ""
        ready = "is kept; sign in to use it." if logins.signs_in(draft.profile) else "is ready."
        widgets.say(f"{draft.profile.name} {ready}{kept}", kind="success")
        self._close()

    def _show(self, words: str) -> None:
        self._result.clear()
        with self._result:
            ui.label(words).classes("muted")

    def _close(self) -> None:
        if callable(self._done):
            self._done()


def _host(url: str) -> str:
    return (
        url.partition("://")[2].partition("/")[0].partition(":")[0] if "://" in url else url.partition("/")[0]
    )


def _show_trial(trial: Trial) -> None:
    for change in trial.changes:
        ui.label(change).classes("muted")
    if trial.error:
        ui.label(trial.error).classes("bad-text").props('data-testid="trial-error"')
        return
    if trial.report is None:
        return
    icons = {True: ("check", "works"), False: ("close", "does not work"), None: ("help_outline", "not known")}
    with ui.element("ul").classes("findings"):
        for finding in trial.report.findings:
            icon, word = icons[finding.works]
            with ui.element("li"):
                shown = ui.icon(icon).classes("good" if finding.works else "muted")
                shown.props["role"] = "img"
                shown.props["aria-label"] = word
                ui.label(finding.sentence)
