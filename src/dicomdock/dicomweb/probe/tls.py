"""The check of a probe for TLS: the version, and how long the certificate is valid.

References
----------
PS3.15 Annex B (secure transport), RFC 8446.
"""

from __future__ import annotations

import datetime
import socket
import ssl
from typing import TYPE_CHECKING, Final

from dicomdock.dicomweb.probe.report import Finding
from dicomdock.web import pool
from dicomdock.web import tls as web_tls

if TYPE_CHECKING:
    from dicomdock.config.servers import ServerProfile
    from dicomdock.config.settings import Settings

SOON: Final = 30  # days before the end of a certificate that are worth a warning
_OLD: Final = ("SSLv3", "TLSv1", "TLSv1.1")


def check(profile: ServerProfile, settings: Settings) -> Finding:
    """Report how the connection is protected, by one handshake."""
    endpoint = profile.endpoint
    origin = endpoint.origin
    if not origin.is_encrypted:
        if origin.is_loopback:
            return Finding("tls", None, "The connection is not encrypted, but stays on this machine.")
        return Finding(
            "tls", False, "The connection is not encrypted: login and images can be read on the way."
        )
    if pool.proxy_for(endpoint) is not None:
        return Finding("tls", True, "The connection is encrypted; it goes through a proxy.")
    try:
        with (
            socket.create_connection((origin.host, origin.port), settings.connect_timeout) as plain,
            web_tls.context(endpoint).wrap_socket(plain, server_hostname=origin.host) as secure,
        ):
            return _finding(secure.version() or "TLS", secure.getpeercert() or {}, profile)
    except (OSError, ssl.SSLError) as error:
        return Finding("tls", None, f"The connection is encrypted, but could not be examined ({error}).")


def _finding(version: str, certificate: object, profile: ServerProfile) -> Finding:
    until = certificate.get("notAfter", "") if isinstance(certificate, dict) else ""
    shown = version.replace("TLSv", "TLS ")
    if version in _OLD:
        return Finding("tls", False, f"The connection is encrypted by {shown}, which is no longer safe.")
    if not isinstance(until, str) or not until:
        return Finding("tls", True, f"The connection is encrypted by {shown}.")
    end = datetime.datetime.fromtimestamp(ssl.cert_time_to_seconds(until), datetime.UTC)
    days = (end - datetime.datetime.now(datetime.UTC)).days
    trusted = "an authority of the profile" if profile.ca_file else "this machine's authorities"
    sentence = f"The connection is encrypted by {shown}; the certificate is trusted by {trusted}"
    if days < SOON:
        return Finding(
            "tls", True, f"{sentence}, but only for {max(days, 0)} more days, until {end:%Y-%m-%d}."
        )
    return Finding("tls", True, f"{sentence} and good until {end:%Y-%m-%d}.")
