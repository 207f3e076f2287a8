"""Url and Origin: web addresses, read so strictly that browsers and HTTP libraries agree on them.

One parser judges an address and gives what is connected to: a request goes out as ``Url.target`` on a pool
that was made from an ``Origin``, and is never parsed again on the way.

References
----------
RFC 3986 (URI syntax); WHATWG URL Standard (host parsing); RFC 6454 (origins); RFC 6761 §6.3 (localhost).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self
from urllib.parse import quote, urljoin

from dicomdock.errors import InvalidInput

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Reach = Literal["public", "private", "loopback", "forbidden"]

DEFAULT_PORTS = {"http": 80, "https": 443}
LOOPBACK = ("127.0.0.1", "::1")
MAX_HOST = 253  # characters of a host name
_URL = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?", re.I)
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]@%]+)(?::(?P<port>[0-9]{0,5}))?\Z")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\Z")
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Letters that the two editions of internationalised names (RFC 3490, RFC 5891) write differently.
_AMBIGUOUS = frozenset("\u00df\u1e9e\u03c2\u200c\u200d")
# What stands for itself in a path or query. Beyond RFC 3986 §3.3, what servers want to see unescaped.
_AS_IS = "!$%&'()*+,/:;=?@[]^`{|}~"
_SECRET_NAME = re.compile(r"token|secret|password|signature|code|key", re.IGNORECASE)
# Where clouds answer any program of a machine with its credentials, outside the link-local range.
_METADATA = frozenset(
    map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"))
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")


@dataclass(frozen=True)
class Origin:
    """Scheme, host and port: what trust, stored logins and connections are bound to.

    ``str`` gives it with the port always named and IPv6 in brackets: ``https://[::1]:443``.

    Parameters
    ----------
    scheme : ``http`` or ``https``.
    host : punycode in lower case, or an IP address in its shortest form without brackets.
    port : 1 to 65535.
    """

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str, subject: str = "The address") -> Origin:
        """Return the origin of an address; whatever follows it is checked and left out.

        Parameters
        ----------
        subject : what the address is, to begin the error's sentence with.

        Raises
        ------
        InvalidInput
            As ``Url.parse``.
        """
        return Url.parse(text, subject).origin

    @property
    def bracketed_host(self) -> str:
        """The host as it stands in an address: IPv6 in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def netloc(self) -> str:
        """Host and port as in a Host header: the port only where it is not the scheme's own."""
        default = self.port == DEFAULT_PORTS[self.scheme]
        return self.bracketed_host if default else f"{self.bracketed_host}:{self.port}"

    @property
    def short(self) -> str:
        """The origin without the scheme's own port, as people write it."""
        return f"{self.scheme}://{self.netloc}"

    @cached_property
    def address(self) -> Address | None:
        """The IP address that the host stands for without being looked up; None for a name."""
        return literal(self.host)

    @property
    def reach(self) -> Reach | None:
        """What kind of machine this is, where it can be known without a look-up; else None."""
        return None if self.address is None else reach(self.address)

    @property
    def is_loopback(self) -> bool:
        """True where requests stay on this machine, whatever a name server says."""
        return self.reach == "loopback"

    @property
    def is_encrypted(self) -> bool:
        """True for https."""
        return self.scheme == "https"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bracketed_host}:{self.port}"


@dataclass(frozen=True)
class Url:
    """An http or https address without user information and fragment.

    Parameters
    ----------
    origin : scheme, host and port.
    path : percent-encoded; empty or beginning with a slash.
    query : percent-encoded, without its question mark; None where there is none.
    """

    origin: Origin
    path: str = ""
    query: str | None = None

    @classmethod
    def parse(cls, text: str, subject: str = "The address") -> Self:
        r"""Read an absolute address.

        Blanks around it and a fragment are dropped; letters that a path or query cannot hold are escaped.

        Parameters
        ----------
        subject : what the address is, to begin the error's sentence with.

        Raises
        ------
        InvalidInput
            Another scheme than http or https; a user name; control characters; a backslash before the query;
            a host that is none, or an IP address written in an unusual way (``2130706433``, ``0177.0.0.1``,
            full-width digits); a port that is none.
        """
        text = text.strip(" ")
        if _CONTROL.search(text):
            raise InvalidInput(f"{subject} holds control characters.")
        if "\\" in text.partition("?")[0]:
            raise InvalidInput(f"{subject} holds a backslash, which programs read in different ways.")
        found = _URL.match(text)
        if found is None:
            raise InvalidInput(f"{subject} must begin with http:// or https:// and a host.")
        scheme = found["scheme"].lower()
        origin = _origin(scheme, found["authority"], subject)
        query = found["query"]
        return cls(origin, _escaped(found["path"]), None if query is None else _escaped(query))

    def join(self, reference: str, subject: str = "The address") -> Url:
        """Return the address that a reference found at this address points to.

        Raises
        ------
        InvalidInput
            As ``parse``; or it names a scheme without a host, which browsers and libraries read differently.

        References
        ----------
        RFC 3986 §5.
        """
        reference = reference.strip(" ")
        before = re.split(r"[?#]", reference, maxsplit=1)[0]
        absolute = _SCHEME.match(before)
        if absolute and not before[absolute.end() :].startswith("//"):
            raise InvalidInput(f"{subject} must begin with http:// or https:// and a host.")
        if before.startswith("///"):
            raise InvalidInput(f"{subject} begins with more than two slashes and names no host.")
        if _CONTROL.search(reference) or "\\" in before:
            return Url.parse(reference, subject)  # which says why not
        if absolute:
            return Url.parse(reference, subject)
        if before.startswith("//"):
            return Url.parse(f"{self.origin.scheme}:{reference}", subject)
        return Url.parse(urljoin(str(self), reference), subject)

    @property
    def target(self) -> str:
        """What a request line asks for on a connection to the origin (RFC 9112 §3.2.1)."""
        return (self.path or "/") + ("" if self.query is None else f"?{self.query}")

    @property
    def redacted(self) -> str:
        """The address without the values of parameters that may be secret."""
        return redact(str(self))

    def __str__(self) -> str:
        return f"{self.origin.short}{self.path}" + ("" if self.query is None else f"?{self.query}")


def redact(url: str) -> str:
    """Return an address without user information and without the values of parameters that may be secret."""
    address, mark, query = url.partition("?")
    address = re.sub(r"^([A-Za-z]+://)[^/]*@", r"\1", address)
    pairs = (pair.partition("=") for pair in query.split("&"))
    return (
        address
        + mark
        + "&".join(
            name + equals + ("***" if value and _SECRET_NAME.search(name) else value)
            for name, equals, value in pairs
        )
    )


def reach(address: Address) -> Reach:
    """Return what kind of machine has this address, also where IPv6 wraps an IPv4 address.

    ``forbidden`` is what nobody serves studies at: link-local, multicast, unspecified and reserved addresses,
    those at which clouds hand out credentials, and this machine's by way of a gateway elsewhere (NAT64, 6to4,
    Teredo).
    """
    outer, address = address, _unwrapped(address)
    if address.is_loopback:
        return "loopback" if outer == address or getattr(outer, "ipv4_mapped", None) else "forbidden"
    if address in _METADATA or address.is_link_local or address.is_multicast or address.is_unspecified:
        return "forbidden"
    if isinstance(address, ipaddress.IPv4Address) and (address.is_reserved or address.packed[0] == 0):
        return "forbidden"
    return "public" if address.is_global else "private"


def literal(host: str) -> Address | None:
    """Return the address that a host stands for without being looked up; None for a name."""
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return ipaddress.IPv4Address("127.0.0.1")
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, whatever a name server says: an IP address, or a localhost."""
    address = literal(host)
    return address is not None and reach(address) == "loopback"


def _origin(scheme: str, authority: str, subject: str) -> Origin:
    if "@" in authority:
        raise InvalidInput(f"{subject} holds a user name or password; give a login apart from it.")
    found = _AUTHORITY.match(authority)
    if found is None:
        raise InvalidInput(f"{subject} has no proper host name or port.")
    port = int(found["port"] or DEFAULT_PORTS[scheme])
    if not 1 <= port <= 65535:
        raise InvalidInput(f"{subject} has a port that is none; ports are 1 to 65535.")
    return Origin(scheme, _host(found["host"], subject), port)


def _host(text: str, subject: str) -> str:
    if text.startswith("["):
        try:
            return str(ipaddress.IPv6Address(text[1:-1]))
        except ValueError:
            raise InvalidInput(f"{subject} has a host that is not an IPv6 address.") from None
    name = _punycode(text).removesuffix(".")
    if len(name) > MAX_HOST or not _HOST.match(name) or ".." in name:
        raise InvalidInput(f"{subject} has no proper host name.")
    if _NUMBER.match(name.rpartition(".")[2]):
        try:
            # Digits of other scripts, which browsers take for plain ones, some libraries refuse.
            return str(ipaddress.IPv4Address(name if text.isascii() else text))
        except ValueError:
            raise InvalidInput(
                f"{subject} writes an IP address in an unusual way; write it as four decimal numbers."
            ) from None
    return name


def _punycode(host: str) -> str:
    """Return a host in plain letters; empty where that cannot be, or not in one way alone."""
    if host.isascii():
        return host.lower()
    if _AMBIGUOUS & set(host):
        return ""
    try:
        # Full-width letters and dots become plain ones, so that later checks see what is connected to.
        return host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return ""


def _escaped(text: str) -> str:
    return quote(text, safe=_AS_IS)


def _unwrapped(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(address.packed[12:])
    return address
