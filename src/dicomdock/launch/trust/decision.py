"""decide: a request and what is known -> allowed, ask, choose a server, or refused."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from dicomdock.config.servers import Login, ServerProfile
from dicomdock.config.trust import TrustStore
from dicomdock.errors import LaunchError
from dicomdock.launch.link.address import check_address, origin_of
from dicomdock.launch.link.request import LaunchRequest
from dicomdock.web.resolve import Resolve, system_resolve
from dicomdock.web.url import LOOPBACK, Origin, reach


@dataclass(frozen=True, slots=True)
class Question:
    """What the user must see before he answers. All of it is plain text, never markup.

    Parameters
    ----------
    origin : scheme, host and port, for example ``https://pacs.test:443``; the answer counts for it alone.
    scheme, host, port : its pieces; the host in punycode.
    resources : how many studies or series are asked for; 0 for all that the link's token opens.
    warnings : sentences about what is unusual: no encryption, an address of the own network, no token.
    private : the IP addresses of the own network or machine that the user sees.
    """

    origin: str
    scheme: str
    host: str
    port: int
    resources: int
    warnings: tuple[str, ...] = ()
    private: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Allowed:
    """The link may act.

    Parameters
    ----------
    profile : the server to ask. Its login is the user's stored one only when the user himself added this very
        server and the link brings no token; else it has none, and the link's token is all there is.
    stored_login : whether ``profile`` is the user's own, stored login included.
    addresses : what the host's name stood for when it was judged, to connect to and to nothing else; empty
        when it stood for nothing; None for the user's own server and for a host that is an address.
    """

    profile: ServerProfile
    stored_login: bool
    addresses: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """The user must be asked; give the question back to ``decide`` when he agrees."""

    question: Question


@dataclass(frozen=True, slots=True)
class ChooseServer:
    """The link names no server; one of the known ones must be chosen, then ``use_server``.

    Parameters
    ----------
    names : the known servers, the likely ones first.
    site : origin of the page that the link is an address of.
    likely : those of the names whose server lies on that very origin.
    """

    names: tuple[str, ...]
    site: str
    likely: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """The link may not act, whatever the user says; ``reason`` is a sentence for him."""

    reason: str


Decision: TypeAlias = Allowed | Ask | ChooseServer | Refused


def decide(
    request: LaunchRequest,
    profiles: Iterable[ServerProfile],
    store: TrustStore,
    *,
    agreed: Question | None = None,
    resolve: Resolve = system_resolve,
) -> Decision:
    """Return whether a link may act.

    Call it again with the question that the user agreed to: only then the host's name is resolved, and what
    shows itself there (an address of the own network) may need a further question.

    Parameters
    ----------
    request : what the link asks for.
    profiles : the servers that the user added.
    store : the origins that he, or the system, trusts.
    agreed : the question that the user just allowed.
    resolve : how names are looked up; never called for a link that nobody agreed to.

    Raises
    ------
    LaunchError
        The list of trusted origins cannot be read.
    """
    profiles = tuple(profiles)
    if request.endpoint is None:
        return _choose(request, profiles)
    own = next((profile for profile in profiles if _base(profile) == request.endpoint), None)
    if own is not None:
        return use_server(request, own)
    origin = origin_of(request.endpoint)
    question = _question(request, origin)
    listed = store.trusts(question.origin)
    ours = any(_origin(profile) == question.origin for profile in profiles)
    if origin.reach == "forbidden":
        return Refused(
            f"The link leads to {question.host}, which is not a server of studies; it is not opened."
        )
    if not (origin.is_encrypted or origin.is_loopback or listed or ours):
        return Refused(
            f"The link leads to http://{question.host}:{question.port}, which is not encrypted; "
            f"it is not opened. If you must use it, run `dicomdock trust add {question.origin}`."
        )
    if not (listed or (agreed is not None and agreed.origin == question.origin)):
        return Ask(question)
    if origin.address is not None:
        # Not every resolver knows that a name below .localhost is this machine.
        named = LOOPBACK if origin.host.endswith("localhost") else None
        return Allowed(request_profile(request), stored_login=False, addresses=named)
    return _looked_up(
        request, question, () if agreed is None else agreed.private, listed=listed, resolve=resolve
    )


def use_server(request: LaunchRequest, profile: ServerProfile) -> Allowed:
    """Let a link use a server that the user added; the link's own token goes before the stored login."""
    dialect = profile.dialect
    if not request.options.bulk_retrieve:
        dialect = replace(dialect, retrieve_level="instance")
    if request.token is None or request.endpoint is None:
        return Allowed(replace(profile, dialect=dialect), stored_login=True)
    return Allowed(replace(profile, dialect=dialect, login=Login()), stored_login=False)


def request_profile(request: LaunchRequest) -> ServerProfile:
    """Return a profile for a server that only a link named: named by its host, and without any login.

    Raises
    ------
    LaunchError
        The link names no server.
    """
    if request.endpoint is None:
        raise LaunchError("This link names no server; choose one of yours.")
    profile = ServerProfile(origin_of(request.endpoint).netloc, request.endpoint)
    return use_server(replace(request, token=None), profile).profile


def _choose(request: LaunchRequest, profiles: Sequence[ServerProfile]) -> Decision:
    if not profiles:
        return Refused(
            "The link names no DICOMweb server, and dicomdock knows none; add the study's server with "
            "`dicomdock server add NAME URL` and open the link again."
        )
    likely = [profile.name for profile in profiles if _origin(profile) == request.options.site]
    others = [profile.name for profile in profiles if profile.name not in likely]
    return ChooseServer((*likely, *others), request.options.site, tuple(likely))


def _question(request: LaunchRequest, origin: Origin) -> Question:
    host, address = origin.bracketed_host, origin.address
    warnings = []
    if not (origin.is_encrypted or origin.is_loopback):
        what = "the study and the link's token" if request.token else "the study"
        warnings.append(f"The connection is not encrypted: others on the way can read {what}.")
    if "xn--" in host:
        warnings.append("The host's name holds letters beyond a to z, which can imitate another name.")
    private: tuple[str, ...] = ()
    if origin.reach in ("private", "loopback"):
        private = (str(address),)
        warnings.append(_about_private(host, str(address)))
    if request.token is None:
        warnings.append("The link brings no token: the server is asked without a login.")
    return Question(
        str(origin), origin.scheme, host, origin.port, len(request.resources), tuple(warnings), private
    )


def _about_private(host: str, address: str) -> str:
    loopback = reach(ipaddress.ip_address(address)) == "loopback"
    where = "this machine itself" if loopback else "an address of your own network"
    what = f"{host} is {where}" if host.strip("[]") == address else f"{host} stands for {address}, {where}"
    return f"{what}: a page from elsewhere should not know it."


def _looked_up(
    request: LaunchRequest, question: Question, shown: Sequence[str], *, listed: bool, resolve: Resolve
) -> Decision:
    """Look the host's name up, now that the user agreed, and judge what it stands for.

    The connection goes to the addresses that were judged here: a name that stands for something else a moment
    later gains nothing.
    """
    try:
        addresses = tuple(resolve(question.host, question.port))
    except OSError:
        addresses = ()  # behind a proxy names need not be known here; the connection will show it
    kinds = {address: reach(ipaddress.ip_address(address)) for address in addresses}
    if "forbidden" in kinds.values():
        return Refused(
            f"The link's host {question.host} stands for an address that is not a server "
            "of studies; it is not opened."
        )
    private = tuple(address for address, kind in kinds.items() if kind != "public")
    if not listed and not set(private) <= set(shown):
        warnings = (*question.warnings, *(_about_private(question.host, address) for address in private))
        return Ask(replace(question, warnings=warnings, private=private))
    return Allowed(request_profile(request), stored_login=False, addresses=addresses)


def _base(profile: ServerProfile) -> str:
    try:
        return check_address(profile.url)
    except LaunchError:
        return ""


def _origin(profile: ServerProfile) -> str:
    return profile.origin
