"""``tool nninteractive``: which nnInteractive server the viewer sends prompts to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli.output import Console
from dicomdock.errors import InvalidInput, Unreachable

if TYPE_CHECKING:
    from dicomdock.sources import JsonValue


def nninteractive(
    context: typer.Context,
    address: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS",
            help="https://HOST:PORT; without it, the present one is shown.",
            show_default=False,
        ),
    ] = "",
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read the server's token from standard input.")
    ] = False,
    allow: Annotated[
        bool, typer.Option("--allow", help="Allow pixels to be sent there, without asking.")
    ] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Remove the server and its token.")] = False,
) -> None:
    """Set or show the nnInteractive server for prompts in the viewer, and try it."""
    console: Console = context.obj
    from dicomdock.config.secrets import Secrets
    from dicomdock.config.trust import TrustStore
    from dicomdock.tools.nninteractive import NAME, PromptSession, server_of
    from dicomdock.tools.service import account

    settings = console.settings
    if forget:
        if settings.nninteractive:
            Secrets(settings).delete(account(NAME), str(server_of(settings)))
        settings.change(nninteractive="")
        console.result({"address": ""})
        console.print("No nnInteractive server is used.")
        return
    chosen = replace(settings, nninteractive=address.rstrip("/") or settings.nninteractive)
    origin = server_of(chosen)
    if token_stdin:
        if not (origin.is_encrypted or origin.is_loopback):
            raise InvalidInput(
                f"A token is not sent unencrypted to {origin.short}; use an address with https."
            )
        Secrets(settings).set(account(NAME), str(origin), console.secret("Token", from_stdin=True))
    if address:
        settings.change(nninteractive=chosen.nninteractive)
    store = TrustStore.for_pixels(settings)
    allowed = origin.is_loopback or store.trusts(str(origin))
    if not allowed and (
        allow or console.confirm(f"Prompts in the viewer send images to {origin.short}. Allow that?")
    ):
        store.add(str(origin))
        allowed = True
    document: dict[str, JsonValue] = {
        "address": chosen.nninteractive,
        "allowed": allowed,
        "version": "",
        "licence": "",
    }
    if not allowed:
        console.result(document)
        console.print(f"{chosen.nninteractive} is set; the viewer asks before images are sent there.")
        return
    try:
        session = PromptSession(chosen)
    except Unreachable as error:
        raise Unreachable(f"{error} Its address is set all the same.", url=error.url) from error
    document |= {"version": session.version, "licence": session.licence}
    session.close()
    console.result(document)
    licence = f"; licence of its model: {session.licence}" if session.licence else ""
    console.print(f"{chosen.nninteractive} answers, version {session.version}{licence}.")
