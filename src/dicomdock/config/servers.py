"""ServerProfile: what the user says of a server, as frozen data, stored in ``servers.toml``.

Secrets are never here: a profile names its login, the secret is in the system keyring (``config.secrets``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from dicomdock.config.dialects import Dialect
from dicomdock.config.secrets import Secrets
from dicomdock.config.settings import Settings
from dicomdock.config.toml_file import Table, TomlFile
from dicomdock.config.validation import read_table
from dicomdock.errors import InvalidInput, ProfileError
from dicomdock.web.endpoint import Endpoint, Proxy
from dicomdock.web.url import Origin, Url

log = logging.getLogger(__name__)

FILE = "servers.toml"
MAX_NAME = 64  # characters of a server's name

LoginKind = Literal["none", "basic", "digest", "bearer", "headers", "oidc", "google", "aws", "kheops"]


@dataclass(frozen=True)
class Login:
    """How to log in to a server, without the secret.

    Parameters
    ----------
    kind : which of the login flows.
    user : user name of a Basic login; the account shown for others.
    options : what else the flow needs and is not secret (issuer, client id, scope, region, header name).
    """

    kind: LoginKind = "none"
    user: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.kind if not self.user else f"{self.kind} as {self.user}"


@dataclass(frozen=True)
class ServerProfile:
    """A DICOMweb server as the user named it.

    Parameters
    ----------
    name : what the user calls it.
    url : the DICOMweb base URL, without a trailing slash.
    search_url, retrieve_url, store_url : base URLs of single services, where a server has them at addresses
        of their own (``/qidors``, ``/wadors``, ``/stowrs``); of the same origin. Empty for ``url``.
    login : how to log in.
    dialect : the server's habits, by name, with what the user or the probe set otherwise.
    ca_file : PEM file of further certificate authorities.
    client_certificate, client_key : PEM files, where the server asks for a certificate.
    proxy : address of an HTTP proxy, with the user name of its login; empty for the environment's.
    proxy_password : the password of that login; stored with the other secrets, never in ``servers.toml``. One
        that stands in ``proxy`` is taken out of it.
    """

    name: str
    url: str
    login: Login = field(default_factory=Login)
    dialect: Dialect = field(default_factory=Dialect)
    search_url: str = ""
    retrieve_url: str = ""
    store_url: str = ""
    ca_file: str = ""
    client_certificate: str = ""
    client_key: str = ""
    proxy: str = ""
    proxy_password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        proxy = Proxy.parse(self.proxy)
        if proxy.password:
            object.__setattr__(self, "proxy", replace(proxy, password="").address)
            object.__setattr__(self, "proxy_password", self.proxy_password or proxy.password)

    @property
    def origin(self) -> str:
        """Scheme, host and port: what a stored login is bound to."""
        return str(self.endpoint.origin)

    @cached_property
    def endpoint(self) -> Endpoint:
        """What a connection to the server needs."""
        return Endpoint(
            self.name,
            self.url,
            ca_file=self.ca_file,
            client_certificate=self.client_certificate,
            client_key=self.client_key,
            proxy=replace(Proxy.parse(self.proxy), password=self.proxy_password) if self.proxy else None,
        )


@dataclass(frozen=True)
class Unusable:
    """An entry of ``servers.toml`` whose address or name cannot be used, as an earlier version accepted it.

    Parameters
    ----------
    table : the entry as it stands in the file; it is written back unchanged.
    reason : why it cannot be used, naming file and entry.
    """

    table: Mapping[str, Any]
    reason: str


@dataclass(frozen=True)
class Profiles:
    """The known servers, in the order they were added. Changing gives new Profiles; ``save`` keeps them.

    Parameters
    ----------
    servers : profiles by name.
    default : the server meant where none is named; empty for none.
    unusable : entries that stay in the file and cannot be used, by name.
    """

    servers: Mapping[str, ServerProfile] = field(default_factory=dict)
    default: str = ""
    unusable: Mapping[str, Unusable] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "servers", MappingProxyType(dict(self.servers)))
        object.__setattr__(self, "unusable", MappingProxyType(dict(self.unusable)))

    @property
    def names(self) -> tuple[str, ...]:
        """The servers' names."""
        return tuple(self.servers)

    def __iter__(self) -> Iterator[ServerProfile]:
        return iter(self.servers.values())

    def __len__(self) -> int:
        return len(self.servers)

    def __contains__(self, name: object) -> bool:
        return name in self.servers

    def get(self, name: str = "") -> ServerProfile:
        """Return the server of this name; without a name the default one.

        Raises
        ------
        ProfileError
            There is none, or its entry cannot be used.
        """
        wanted = name or self.default
        if wanted in self.unusable:
            raise ProfileError(self.unusable[wanted].reason)
        if not wanted and not self.servers:
            raise ProfileError("No server is known yet; add one with 'dicomdock server add NAME URL'.")
        if not wanted:
            raise ProfileError(f"Name a server, one of {self._listed()}, or choose a default one.")
        if wanted not in self.servers:
            raise ProfileError(f"There is no server {wanted!r}; known are {self._listed() or 'none'}.")
        return self.servers[wanted]

    def with_profile(self, profile: ServerProfile) -> Profiles:
        """Add a server, or put it in the place of the one of the same name. The first becomes the default.

        Raises
        ------
        ProfileError
            Its name or address cannot be used.
        """
        check_profile(profile)
        servers = {**self.servers, profile.name: profile}
        return Profiles(servers, self.default or profile.name, _less(self.unusable, profile.name))

    def replaced(self, name: str, profile: ServerProfile) -> Profiles:
        """Put a server in the place of the one of this name, which need not be there any more.

        Raises
        ------
        ProfileError
            Its name or address cannot be used.
        """
        rest = self.without(name) if name in self and name != profile.name else self
        return rest.with_profile(profile)

    def with_default(self, name: str) -> Profiles:
        """Make a server the default one.

        Raises
        ------
        ProfileError
            There is none of this name.
        """
        return replace(self, default=self.get(name).name)

    def without(self, name: str) -> Profiles:
        """Remove a server; where it was the default, the first of the others takes its place.

        Raises
        ------
        ProfileError
            There is none of this name.
        """
        gone = name if name in self.unusable else self.get(name).name
        rest = {key: profile for key, profile in self.servers.items() if key != gone}
        default = next(iter(rest), "") if self.default == gone else self.default
        return Profiles(rest, default, _less(self.unusable, gone))

    def save(self, settings: Settings) -> None:
        """Write ``servers.toml`` as it is here, whatever others wrote meanwhile; see ``change_profiles``.

        Raises
        ------
        ProfileError
            The file cannot be written.
        """
        _change(settings, lambda _: self)

    def to_table(self) -> dict[str, Any]:
        """Return what ``servers.toml`` says of these servers."""
        servers = {
            name: _table(profile, skip=("name", "proxy_password")) for name, profile in self.servers.items()
        }
        unusable = {name: dict(entry.table) for name, entry in self.unusable.items()}
        return {"default": self.default, "servers": {**servers, **unusable}}

    def _listed(self) -> str:
        return ", ".join(self.servers)


def load_profiles(settings: Settings) -> Profiles:
    """Read ``servers.toml`` from the configuration folder; no file is not a server.

    Raises
    ------
    ProfileError
        The file cannot be read, or holds a key or value that is not known; the message names file and key.
        An address that cannot be used is an error of its entry alone, raised where that is asked for.
    """
    file = settings.config / FILE
    try:
        document = TomlFile(file).read()
    except (OSError, ValueError) as error:
        raise ProfileError(f"The servers in {file} cannot be read: {error}.") from error
    profiles = _profiles(document, file)
    if any(profile.proxy_password for profile in profiles):  # versions to 0.1 left them in the file
        with suppress(ProfileError):  # it cannot be written: it is used as it is
            profiles = change_profiles(settings, lambda known: known)
    return _with_proxy_passwords(profiles, Secrets(settings))


def change_profiles(settings: Settings, edit: Callable[[Profiles], Profiles]) -> Profiles:
    """Change ``servers.toml`` with no other process changing it in between.

    Parameters
    ----------
    edit : takes the servers as they are now and returns them as they shall be.

    Returns
    -------
    Profiles
        The servers as they are then.

    Raises
    ------
    ProfileError
        The file cannot be read or written, or what ``edit`` raises; it then stays as it was.
    """

    def both(document: Table) -> Profiles:
        before = _profiles(document, settings.config / FILE)
        after = edit(before)
        secrets = Secrets(settings)
        still = {_proxy_account(profile) for profile in after}
        for profile in before:
            if Proxy.parse(profile.proxy).user and _proxy_account(profile) not in still:
                secrets.delete(*_proxy_account(profile))
        return after

    return _change(settings, both)


def _change(settings: Settings, edit: Callable[[Table], Profiles]) -> Profiles:
    file = TomlFile(settings.config / FILE)
    made: list[Profiles] = []

    def edited(document: Table) -> Table:
        changed = edit(document)
        _store_proxy_passwords(changed, Secrets(settings))
        made.append(changed)
        return changed.to_table()

    try:
        file.change(edited)
    except OSError as error:
        raise ProfileError(f"The servers cannot be saved in {file.path}: {error.strerror}.") from error
    except ValueError as error:
        raise ProfileError(f"The servers in {file.path} cannot be read: {error}.") from error
    return made[0]


def _store_proxy_passwords(profiles: Profiles, secrets: Secrets) -> None:
    for profile in profiles:
        if profile.proxy_password:
            account = _proxy_account(profile)
            if secrets.get(*account) != profile.proxy_password:
                secrets.set(*account, profile.proxy_password)


def _with_proxy_passwords(profiles: Profiles, secrets: Secrets) -> Profiles:
    servers = dict(profiles.servers)
    for name, profile in profiles.servers.items():
        if not profile.proxy_password and Proxy.parse(profile.proxy).user:
            with suppress(ProfileError):  # a keyring that is locked: the proxy will ask
                password = secrets.get(*_proxy_account(profile)) or ""
                servers[name] = replace(profile, proxy_password=password)
    return replace(profiles, servers=servers)


def _proxy_account(profile: ServerProfile) -> tuple[str, str]:
    """Return the name and origin that the password of a server's proxy is stored under."""
    url = Proxy.parse(profile.proxy).url
    try:
        origin = str(Origin.parse(url))
    except InvalidInput:
        origin = url
    return f"{profile.name} (proxy)", origin


def _profiles(document: Table, file: Path) -> Profiles:
    top = read_table(_Document, document, f"{file}: ", error=ProfileError)
    servers: dict[str, ServerProfile] = {}
    unusable: dict[str, Unusable] = {}
    for name, table in top.servers.items():
        where = f"{file}: servers.{name}."
        if not isinstance(table, dict):
            raise ProfileError(f"{where[:-1]} must be a table.")
        if "url" not in table:
            raise ProfileError(f"{where}url is missing.")
        try:
            profile = read_table(ServerProfile, {**table, "name": name}, where, error=ProfileError)
        except ProfileError as error:
            raise error if str(file) in str(error) else ProfileError(f"{where[:-1]}: {error}") from error
        try:
            check_profile(profile)
        except ProfileError as error:
            unusable[name] = Unusable(table, f"{where[:-1]}: {error} Correct or remove this entry.")
            log.debug("%s", unusable[name].reason)
        else:
            servers[name] = profile
    if top.default and top.default not in servers and top.default not in unusable:
        raise ProfileError(f"{file}: default names {top.default!r}, which is not one of its servers.")
    return Profiles(servers, top.default, unusable)


def _less(entries: Mapping[str, Unusable], name: str) -> dict[str, Unusable]:
    return {key: entry for key, entry in entries.items() if key != name}


def check_profile(profile: ServerProfile) -> None:
    """Refuse a profile that cannot work.

    Raises
    ------
    ProfileError
        The name is empty or odd, or the address is not ``http(s)://`` or holds a login, query or fragment.
    """
    name = profile.name
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable() or name[0] == "-" or "/" in name:
        raise ProfileError(
            f"{name[:MAX_NAME]!r} cannot name a server; use a short word, for example 'hospital'."
        )
    subject = f"The address of server {name!r}"
    origin = _check_address(profile.url, subject)
    for service in ("search_url", "retrieve_url", "store_url"):
        address = getattr(profile, service)
        if address and _check_address(address, f"The {service} of server {name!r}") != origin:
            raise ProfileError(
                f"The {service} of server {name!r} is not at {origin}; a login is sent to one origin alone."
            )


def _check_address(address: str, subject: str) -> Origin:
    try:
        url = Url.parse(address, subject)
    except InvalidInput as error:
        raise ProfileError(str(error)) from None
    if not address.isprintable() or " " in address:
        raise ProfileError(f"{subject} holds blanks or letters that cannot be seen.")
    if "?" in address or "#" in address:
        raise ProfileError(f"{subject} must end before its '?' or '#'.")
    return url.origin


@dataclass(frozen=True)
class _Document:
    """The top of ``servers.toml``."""

    default: str = ""
    servers: Mapping[str, Any] = field(default_factory=dict)


def _table(value: Any, skip: Sequence[str] = ()) -> dict[str, Any]:
    """Return a dataclass as a TOML table of what differs from its defaults."""
    table: dict[str, Any] = {}
    for item in fields(value):
        current = getattr(value, item.name)
        usual = item.default_factory() if item.default_factory is not MISSING else item.default
        if item.name in skip or current == usual:
            continue
        if is_dataclass(current):
            table[item.name] = _table(current)
        elif isinstance(current, Mapping):
            table[item.name] = dict(current)
        else:
            table[item.name] = list(current) if isinstance(current, tuple) else current
    return table
