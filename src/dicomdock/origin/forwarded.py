"""The address that a reverse proxy was reached by, from the headers of proxies that are trusted.

Addresses in answers (RetrieveURL, BulkDataURI) begin with it. Nobody else may state it: whoever could would
choose where a client sends its next request, with its login.

References
----------
RFC 7239 (Forwarded); X-Forwarded-Host, X-Forwarded-Proto and X-Forwarded-Port by custom.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from dicomdock.errors import InvalidInput

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_HOST = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?\Z"
)
_PAIR = re.compile(r'\s*([A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([^;,"\s]*))\s*(?:;|\Z)')
_ELEMENT = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_PORTS = {"http": 80, "https": 443}


def networks(addresses: Iterable[str]) -> Sequence[Network]:
    """Read addresses and networks of proxies.

    Raises
    ------
    InvalidInput
        One is not an IP address or network.
    """
    try:
        return tuple(ipaddress.ip_network(address, strict=False) for address in addresses)
    except ValueError as error:
        raise InvalidInput(f"A trusted proxy is an IP address or a network: {error}.") from None


class Forwarded:
    """Reads the address that a trusted proxy was reached by; the headers of anybody else mean nothing.

    Parameters
    ----------
    app : what answers.
    trusted : from where requests of the proxies come.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[Network]) -> None:
        self._app = app
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, as if it had come to the proxy's address."""
        if scope["type"] == "http" and self._is_trusted(scope):
            scope = _as_reached(scope)
        await self._app(scope, receive, send)

    def _is_trusted(self, scope: Scope) -> bool:
        client = scope.get("client")
        try:
            address = ipaddress.ip_address(client[0]) if client else None
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return address is not None and any(address in network for network in self._trusted)


def _as_reached(scope: Scope) -> Scope:
    named = stated(Headers(scope=scope))
    scheme = named.get("proto", "").lower()
    scheme = scheme if scheme in _PORTS else scope["scheme"]
    host = _HOST.match(named.get("host", ""))
    if host is None or not 0 < int(host["port"] or 1) < 65536:
        return {**scope, "scheme": scheme}
    port = host["port"] or named.get("port", "")
    number = int(port) if port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536 else _PORTS[scheme]
    name = host["name"] if number == _PORTS[scheme] else f"{host['name']}:{number}"
    headers = [(key, value) for key, value in scope["headers"] if key != b"host"]
    return {
        **scope,
        "scheme": scheme,
        "server": (host["name"], number),
        "headers": [*headers, (b"host", name.encode("ascii"))],
    }


def stated(headers: Headers) -> Mapping[str, str]:
    """Return ``host``, ``proto`` and ``port`` that the nearest proxy states; empty where it states none.

    Of a list, the last entry is the nearest proxy's: those before it came with the request.
    """
    if lines := headers.getlist("forwarded"):
        elements = _ELEMENT.findall(",".join(lines))
        pairs = _PAIR.finditer(elements[-1]) if elements else ()
        return {
            pair[1].lower(): re.sub(r"\\(.)", r"\1", pair[2]) if pair[2] is not None else pair[3]
            for pair in pairs
        }
    found = {}
    for name in ("host", "proto", "port"):
        if lines := headers.getlist(f"x-forwarded-{name}"):
            found[name] = lines[-1].rpartition(",")[2].strip()
    return found
