"""The Servers page: add, try, edit and disconnect DICOMweb servers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from nicegui import ui

from dicomdock.config.servers import Profiles, ServerProfile
from dicomdock.dicomweb.probe.store_checks import PATIENT
from dicomdock.dock import widgets
from dicomdock.dock.bundle import Services
from dicomdock.dock.pages import sign_in
from dicomdock.dock.pages.visit import Visit
from dicomdock.dock.services import logins
from dicomdock.dock.services.events import ServersChanged
from dicomdock.dock.services.logins import FORMS, SignIns
from dicomdock.dock.services.server_setup import Draft, ServerSetup, Trial
from dicomdock.dock.services.servers import Servers
from dicomdock.dock.services.threads import Run
from dicomdock.errors import DicomdockError

STORED = "Stored already; type only to replace it."


def page(services: Services, _: Visit) -> None:
    """Build the page."""
    view = ServersPage(services.run, services.servers, services.setup, services.sign_ins)
    services.events.subscribe(ServersChanged, view.load)
    ui.timer(0, view.load, once=True)


class ServersPage:
    """The state of one open Servers page."""

    def __init__(self, run: Run, servers: Servers, setup: ServerSetup, sign_ins: SignIns) -> None:
        self._run = run
        self._servers = servers
        self._setup = setup
        self._sign_ins = sign_ins
        self._trials: dict[str, Trial] = {}
        self._shown: tuple[Profiles, dict[str, Trial]] | None = None  # in the cards
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

    async def load(self, _: ServersChanged | None = None) -> None:
        """Show the servers as they are now."""
        profiles = await self._run(self._servers.profiles)
        present = (profiles, dict(self._trials))
        if present == self._shown:
            return  # a click on a card that is drawn anew at that moment would be lost
        self._shown = present
        self._list.clear()
        with self._list:
            for profile in profiles:
                self._card(profile, profiles)
            if not len(profiles):
                with widgets.empty(
                    "No server yet",
                    "Paste the address of your DICOMweb server, or of its web page; the rest is found.",
                    testid="no-servers",
                ):
                    pass
                if not self._form.default_slot.children:
                    self._add()

    def _card(self, profile: ServerProfile, known: Profiles) -> None:
        with ui.element("section").classes("panel server") as card:
            card.props["data-testid"] = f"server-{profile.name}"
            card.props["aria-label"] = profile.name
            with ui.element("div").classes("server-head"):
                with ui.element("h2"):
                    ui.label(profile.name)
                ui.label(profile.url).classes("mono muted")
                login = profile.login
                ui.label(FORMS[login.kind].title + (f", as {login.user}" if login.user else ""))
                if len(known) > 1 and profile.name == known.default:
                    ui.label("default of the command line").classes("muted")
            result = ui.element("div").classes("trial").props('role="status"')
            if (trial := self._trials.get(profile.name)) is not None:
                with result:
                    _show_trial(trial)
            with ui.element("div").classes("row-line"):
                widgets.button(
                    "Show its studies", lambda: ui.navigate.to(f"/?source={profile.name}"), icon="search"
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
                if profile.name != known.default:
                    widgets.button(
                        "Make default",
                        lambda: self._run(self._servers.use, profile.name),
                        testid=f"default-{profile.name}",
                    )
                widgets.button(
                    "Disconnect", lambda: self._disconnect(profile), testid=f"remove-{profile.name}"
                )

    def _signing(self, profile: ServerProfile, place: ui.element) -> None:
        """Offer to sign in, or out."""
        if profile.login.user:
            widgets.button(
                "Sign out",
                lambda: self._run(self._sign_ins.sign_out, profile.name),
                testid=f"sign-out-{profile.name}",
            )
        else:
            widgets.button(
                "Sign in",
                lambda: self._sign_in(profile.name, place),
                testid=f"sign-in-{profile.name}",
            )

    async def _sign_in(self, name: str, place: ui.element) -> None:
        self._shown = None
        account = await sign_in.sign_in(self._sign_ins, self._run, name, place)
        if account is not None:  # the cards were made anew meanwhile
            with self._list:
                widgets.say(f"Signed in to {name}{' as ' + account if account else ''}.", kind="success")

    async def _test(self, profile: ServerProfile, place: ui.element, *, write: bool = False) -> None:
        self._shown = None
        place.clear()
        with place:
            ui.label("Asking the server what it can do …").classes("muted")
        trial = await self._run(partial(self._setup.test, profile.name, write=write))
        self._trials[profile.name] = trial
        await self.load()

    async def _test_upload(self, profile: ServerProfile, place: ui.element) -> None:
        with widgets.question(f"Send a test object to {profile.name}?", testid="ask-test-upload") as asked:
            ui.label(
                f"One small test image of the patient {PATIENT} goes there, comes back, and is deleted again"
                " where the server deletes. A server that does not delete keeps it."
            )
            asked.cancel()
            with asked.foot:
                widgets.button("Send it", lambda: asked.answer(True), kind="main", testid="test-upload-now")
        if await asked.ask():
            await self._test(profile, place, write=True)

    async def _disconnect(self, profile: ServerProfile) -> None:
        gone = await self._run(self._setup.disconnect, profile.name)

        async def undo() -> None:
            await self._run(self._setup.save, gone)

        widgets.say(
            f"{profile.name} is disconnected; downloaded studies stay on this computer.",
            seconds=12,
            undo=undo,
        )

    def _add(self) -> None:
        self._open_form(ServerProfile("", ""), "")

    async def _edit(self, profile: ServerProfile) -> None:
        lacking = await self._run(self._setup.lacks_secret, profile)
        self._open_form(profile, profile.name, "None is stored any more." if lacking else STORED)

    def _open_form(self, profile: ServerProfile, replaces: str, secret: str = "") -> None:
        self._form.clear()
        with self._form:
            ServerForm(self._run, self._setup, profile, replaces, secret, self._form.clear)


class ServerForm:
    """The form of one server, new or edited.

    Parameters
    ----------
    run : does blocking work.
    setup : tests and saves it.
    profile : what the fields show at first.
    replaces : the name of the server that is edited; empty for a new one.
    secret : what is said of its secret.
    done : closes the form.
    """

    def __init__(
        self,
        run: Run,
        setup: ServerSetup,
        profile: ServerProfile,
        replaces: str,
        secret: str,
        done: Callable[[], object],
    ) -> None:
        self._run = run
        self._setup = setup
        self._profile = profile
        self._replaces = replaces
        self._done = done
        with ui.element("form").classes("panel server-form") as form:
            form.props["data-testid"] = "server-form"
            with ui.element("h2"):
                ui.label(f"Edit {replaces}" if replaces else "Add a server")
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
            if replaces and profile.login.kind != "none":
                self._secret.props["hint"] = secret
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
        return Draft(profile, self._secret.value or "" if FORMS[kind].secret else "", self._replaces)

    async def _test_and_keep(self) -> None:
        self._show("Looking for DICOMweb there …")
        self._save.disable()
        try:
            draft = await self._run(self._setup.check, self._draft())
            if logins.signs_in(draft.profile):
                await self._keep(draft)
                return
            trial = await self._run(self._setup.try_out, draft)
            if trial.works:
                await self._keep(replace(draft, profile=trial.profile))
                return
        except DicomdockError as error:
            self._refuse(error)
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
        try:
            await self._keep(await self._run(self._setup.check, self._draft()))
        except DicomdockError as error:
            self._refuse(error)

    def _refuse(self, error: DicomdockError) -> None:
        """Say in the form what is wrong with it, where the next attempt replaces it."""
        self._result.clear()
        with self._result:
            ui.label(str(error)).classes("bad-text").props('data-testid="trial-error"')

    async def _keep(self, draft: Draft) -> None:
        where = await self._run(self._setup.save, draft)
        self._secret.set_value("")
        stored = f" The secret is stored in {where}." if where else ""
        ready = "is saved; sign in to use it." if logins.signs_in(draft.profile) else "is ready."
        widgets.say(f"{draft.profile.name} {ready}{stored}", kind="success")
        self._close()

    def _show(self, words: str) -> None:
        self._result.clear()
        with self._result:
            ui.label(words).classes("muted")

    def _close(self) -> None:
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
