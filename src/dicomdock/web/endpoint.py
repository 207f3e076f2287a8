"""Endpoint: where requests go, and what a connection to it needs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from urllib.parse import quote, unquote

from dicomdock.web.basic import basic_login
from dicomdock.web.url import Origin, Url


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy.

    Parameters
    ----------
    url : its address, without a login.
    user, password : its login; empty for none.
    """

    url: str
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may repeat: the password, and the login as it is sent."""
        if not (self.user or self.password):
            return ()
        login, encoded = basic_login(self.user, self.password)
        return (login, self.password, encoded)

    @property
    def address(self) -> str:
        """The address with its login."""
        scheme, mark, rest = self.url.rpartition("://")
        password = f":{quote(self.password, safe='')}" if self.password else ""
        login = f"{quote(self.user, safe='')}{password}@" if self.user or password else ""
        return f"{scheme}{mark}{login}{rest}"

    @classmethod
    def parse(cls, text: str) -> Proxy:
        """Read an address that may hold a login; the login is taken out of it."""
        scheme, mark, rest = text.rpartition("://")
        before = rest.partition("/")[0]
        login, at, _ = before.rpartition("@")
        if not at:
            return cls(text)
        user, _, password = login.partition(":")
        return cls(f"{scheme}{mark}{rest[len(login) + 1 :]}", unquote(user), unquote(password))


@dataclass(frozen=True)
class Endpoint:
    """A web service and what a connection to it needs.

    Parameters
    ----------
    name : what the user calls it.
    url : base address, without a trailing slash; nothing is ever sent to another origin.
    ca_file : PEM file of further certificate authorities; empty for the system's alone.
    client_certificate, client_key : PEM files, where the service asks for a certificate.
    proxy : the proxy to go through; None for the environment's.
    """

    name: str
    url: str
    ca_file: str = ""
    client_certificate: str = ""
    client_key: str = ""
    proxy: Proxy | None = None

    @cached_property
    def base(self) -> Url:
        """The base address, read.

        Raises
        ------
        InvalidInput
            It is not a plain http or https address.
        """
        return Url.parse(self.url, f"The address of {self.name!r}")

    @property
    def origin(self) -> Origin:
        """Scheme, host and port of the base address."""
        return self.base.origin

    def beside(self, url: str, name: str = "") -> Endpoint:
        """Return another service that is reached the same way, without this one's client certificate."""
        return replace(self, name=name or self.name, url=url, client_certificate="", client_key="")
