"""``run`` and ``serve``: the dock with its pages, and the origin server alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli import sources
from dicomdock.cli.deidentification import Blank, KeyFile, ProfileOption, deidentifier_of
from dicomdock.cli.extras import require_dock
from dicomdock.cli.output import Console, examples
from dicomdock.errors import InvalidInput
from dicomdock.web.url import is_loopback

if TYPE_CHECKING:
    import socket

    from dicomdock.archive import Archive
    from dicomdock.config.settings import Settings
    from dicomdock.dicomweb import Client
    from dicomdock.sources import DicomSource

LAST = 4.5  # seconds after which a server that was asked to end is ended in any case
TAKES_NOTHING = 60_000  # milliseconds until the system ends a connection whose client takes nothing

commands = typer.Typer()
STORED_TOKEN = ("dicomdock serve", "local")
"""The name that the token of ``serve`` is stored under; no server's, whose origins are addresses."""


@commands.command(epilog=examples("dicomdock run --demo", "dicomdock run --port 3000 --no-browser"))
def run(
    context: typer.Context,
    demo: Annotated[
        bool, typer.Option("--demo", help="Add a demonstration server with a synthetic study.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Listen on this port; default: the next free one from 2042."),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    background: Annotated[bool, typer.Option("--background", hidden=True)] = False,  # started by a link
) -> None:
    """Start the dock: pages, transfers and a DICOMweb server for this user, on this machine only."""
    require_dock("The dock")
    from dicomdock.dock.run import run as run_dock

    console: Console = context.obj
    code = run_dock(console.settings, demo=demo, port=port, browser=browser, background=background)
    raise typer.Exit(code)


@commands.command(
    epilog=examples(
        "dicomdock serve --port 8080",
        "dicomdock serve --read-only",
        "dicomdock serve --source hospital",
        "dicomdock serve --deidentify basic,retain-modified-dates",
        "dicomdock serve --host 0.0.0.0 --token-stdin < token.txt",
    )
)
def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Listen on this address of the machine.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Listen on this port; 0 for a free one.")
    ] = 8042,
    source: Annotated[
        str, typer.Option(metavar="NAME", help="Publish this server instead of the archive, as a proxy.")
    ] = "",
    token_stdin: Annotated[
        bool,
        typer.Option(
            "--token-stdin",
            help="Require the Bearer token read from standard input, not the stored one.",
        ),
    ] = False,
    new_token: Annotated[
        bool, typer.Option("--new-token", help="Create and show a new token; the old one becomes invalid.")
    ] = False,
    without_token: Annotated[
        bool,
        typer.Option(
            "--without-token",
            help="Require no token: whoever reaches the address can read, store and delete.",
        ),
    ] = False,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Allow search and retrieval only; refuse to store and delete.")
    ] = False,
    other_users: Annotated[
        bool,
        typer.Option(
            "--other-users",
            help="Allow programs of other users of this machine to connect, such as a reverse proxy.",
        ),
    ] = False,
    workers: Annotated[
        int,
        typer.Option("--workers", min=1, max=64, metavar="N", help="Number of processes that answer."),
    ] = 1,
    cors: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Allow pages of this origin (CORS); can be given again."),
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="Trust this reverse proxy (IP address or network) to name the address it was reached by:"
            " Forwarded, X-Forwarded-Host, -Proto, -Port; can be given again.",
        ),
    ] = None,
    deidentify: ProfileOption = "",
    key_file: KeyFile = None,
    blank: Blank = None,
) -> None:
    """Serve the archive, or a server as its proxy, over DICOMweb to other programs, without pages.

    Clients need a Bearer token. It is created and shown at the first start, then stored in the keyring.

    With --deidentify all answers contain de-identified copies only, and nothing can be stored or deleted.
    """
    require_dock("The DICOMweb server")
    console: Console = context.obj
    if without_token and source:
        raise InvalidInput(
            f"Without a token, whoever reaches the address would use your login at {source};"
            " leave out --without-token."
        )
    if without_token + token_stdin + new_token > 1:
        raise InvalidInput("Choose one of --token-stdin, --new-token and --without-token.")
    if deidentify and source:
        raise InvalidInput(f"--deidentify serves the archive; pull from {source} what you want to serve.")
    deidentifier_of(console.settings, deidentify, key_file, blank)  # what is wrong with it
    token = made = ""
    if token_stdin:
        token = console.secret("Token", from_stdin=True)
    elif not without_token:
        token, made = _stored_token(console, anew=new_token)
    published = Published(
        console.settings,
        source,
        token=token,
        cors=tuple(cors or ()),
        # On loopback, a page whose own name was made to point here must not be answered.
        hosts=(host, "localhost") if is_loopback(host) else (),
        proxies=tuple(trusted_proxy or ()),
        read_only=read_only or bool(deidentify),
        other_users=other_users,
        processes=workers,
        deidentify=deidentify,
        key_file=key_file,
        blank=tuple(blank or ()),
    )
    with published.opened() as opened:  # what is wrong with it is an error before anything listens
        if workers == 1:
            _serve(console, partial(published.serve_opened, opened), host, port, made=made)
            return
    from dicomdock.origin.processes import serve_in_processes

    _serve(console, partial(serve_in_processes, workers, published.serve), host, port, made=made)


@dataclass(frozen=True)
class Published:
    """What a process of ``serve`` publishes, and how.

    Parameters
    ----------
    name : of the server; empty for the archive.
    token : that clients need; empty for none.
    cors, hosts, proxies, read_only : as in ``create_app``.
    other_users : programs of other users of this machine may connect.
    processes : how many serve side by side.
    deidentify, key_file, blank : the options of de-identification; an empty profile for none.
    """

    settings: Settings
    name: str
    token: str = field(repr=False)
    cors: tuple[str, ...]
    hosts: tuple[str, ...]
    proxies: tuple[str, ...]
    read_only: bool
    other_users: bool
    processes: int
    deidentify: str = ""
    key_file: Path | None = None
    blank: tuple[str, ...] = ()

    def opened(self) -> Archive | Client:
        """Open the archive, or connect to the server."""
        if self.name:
            return sources.connect(self.name, self.settings)
        from dicomdock.archive import Archive

        return Archive.open(self.settings)

    def serve(self, listener: socket.socket) -> None:
        """Open what is published, and serve it until this process is asked to end."""
        with self.opened() as opened:
            self.serve_opened(opened, listener)

    def serve_opened(self, opened: Archive | Client, listener: socket.socket) -> None:
        """Serve what has been opened."""
        from dicomdock.origin.app import create_app
        from dicomdock.origin.serving import Server

        app = create_app(
            self._seen(opened),
            token=self.token or None,
            cors=self.cors,
            hosts=self.hosts,
            proxies=self.proxies,
            read_only=self.read_only,
            processes=self.processes,
        )
        with contextlib.suppress(KeyboardInterrupt):  # the usual end of a server is not a failure
            Server(app, any_user=self.other_users, websockets=True, last=LAST).run(sockets=[listener])

    def _seen(self, opened: Archive | Client) -> DicomSource:
        """Return what clients see of what has been opened: itself, or its de-identified copies."""
        deidentifier = deidentifier_of(self.settings, self.deidentify, self.key_file, [*self.blank])
        if deidentifier is None:
            return opened
        from dicomdock.archive import Archive
        from dicomdock.origin.deidentified import DeidentifiedArchive

        assert isinstance(opened, Archive), "a server's data are not served de-identified"
        return DeidentifiedArchive(opened, deidentifier)


def _stored_token(console: Console, *, anew: bool) -> tuple[str, str]:
    """Return the token of this user's server, and the same again where it is new and has to be shown."""
    import secrets

    from dicomdock.config.secrets import Secrets

    store = Secrets(console.settings)
    token = None if anew else store.get(*STORED_TOKEN)
    if token is not None:
        return token, ""
    token = secrets.token_urlsafe(32)
    store.set(*STORED_TOKEN, token)
    return token, token


def _serve(
    console: Console, work: Callable[[socket.socket], None], host: str, port: int, *, made: str
) -> None:
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise InvalidInput(f"Nothing can listen on {host} port {port}: {error.strerror}.") from error
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; accepted connections inherit it
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TAKES_NOTHING)
        listener.listen(128)
        shown = f"[{host}]" if ":" in host else host
        url = f"http://{shown}:{listener.getsockname()[1]}/dicom-web"
        console.print(f"The DICOMweb address is {url} ; Ctrl-C ends it.")
        if made:
            console.print(f"Clients need this token, which is shown once: {made}")
        console.result({"url": url, "token": made} if made else {"url": url})
        console.flush()
        work(listener)
