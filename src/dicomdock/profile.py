"""ServerProfile and Dialect: what is known of a server, as frozen data, kept in ``servers.toml``.

Secrets are never here: a profile names its login, the secret lies in the system keyring (``dicomweb.auth``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

LoginKind = Literal["none", "basic", "bearer", "headers", "oidc", "google", "aws", "kheops"]


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
class Dialect:
    """A server's habits where servers differ; the defaults are those of PS3.18.

    Parameters
    ----------
    name : which built-in dialect this is, or ``standard``.
    key_style : how matching keys and fields are written in a query.
    wildcard : ``*`` and ``?`` are understood; else they are filtered here.
    fuzzy : fuzzymatching is understood.
    offset : offset is honoured; else one page is all there is.
    page_limit : the most matches to ask for at once, by level (studies, series, instances).
    short_page_ends : a page shorter than asked for, without a warning, is known to be the last.
    match_keys : the matching keys that are honoured; others are filtered here. Empty for all of PS3.18.
    fields : how includefield is written: repeated, comma list, or never sent.
    root_levels : levels that can be searched without naming the study.
    retrieve_level : the highest level that can be retrieved in one request; ``instance`` is ``bulk_retrieve=0``.
    any_transfer_syntax : ``transfer-syntax=*`` may be asked for.
    single_part : instances come only as a single ``application/dicom`` body.
    wado_uri : path or address of WADO-URI relative to the base URL; empty where there is none.
    metadata, rendered, thumbnail : the transaction exists.
    store : the store transaction exists.
    store_batch : bytes of an upload request at most; 0 for the setting's.
    delete_levels : what can be deleted.
    parallel : requests side by side at most; 0 for the setting's.
    """

    name: str = "standard"
    key_style: Literal["keyword", "tag"] = "keyword"
    wildcard: bool = True
    fuzzy: bool = True
    offset: bool = True
    page_limit: Mapping[str, int] = field(default_factory=lambda: {"studies": 200, "series": 1000, "instances": 1000})
    short_page_ends: bool = False
    match_keys: tuple[str, ...] = ()
    fields: Literal["repeat", "comma", "never"] = "repeat"
    root_levels: tuple[str, ...] = ("studies", "series", "instances")
    retrieve_level: Literal["study", "series", "instance"] = "study"
    any_transfer_syntax: bool = True
    single_part: bool = False
    wado_uri: str = ""
    metadata: bool = True
    rendered: bool = True
    thumbnail: bool = True
    store: bool = True
    store_batch: int = 0
    delete_levels: tuple[str, ...] = ("study", "series", "instance")
    parallel: int = 0


@dataclass(frozen=True)
class ServerProfile:
    """A DICOMweb server as the user named it.

    Parameters
    ----------
    name : what the user calls it.
    url : the DICOMweb base URL, without a trailing slash.
    login : how to log in.
    dialect : the server's habits, by name, with what the user or the probe set otherwise.
    ca_file : PEM file of further certificate authorities.
    client_certificate, client_key : PEM files, where the server asks for a certificate.
    proxy : address of an HTTP proxy; empty for the environment's.
    """

    name: str
    url: str
    login: Login = field(default_factory=Login)
    dialect: Dialect = field(default_factory=Dialect)
    ca_file: str = ""
    client_certificate: str = ""
    client_key: str = ""
    proxy: str = ""

    @property
    def origin(self) -> str:
        """Scheme, host and port: what a stored login is bound to."""
        parts = urlsplit(self.url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
        return f"{parts.scheme}://{parts.hostname}:{port}"
