"""The requests for one list of a search: a query in the server's dialect, less what it cannot apply.

References
----------
PS3.18 §10.6 (Search), §8.3.4 (query parameters).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from dicomdock.dicom import json_model
from dicomdock.dicom.criteria import WILDCARD_VRS, Criterion, Name, OneOf, Universal, Wildcard, split_values
from dicomdock.dicom.dictionary import tag_of, vr_of
from dicomdock.dicom.query import Query
from dicomdock.dicom.uid import UID_KEYWORDS
from dicomdock.dicomweb.session import JSON, failure, read_rows
from dicomdock.errors import TransactionError, WireError
from dicomdock.sources import DicomJson
from dicomdock.web.transport import Encoded, encode_query_value

if TYPE_CHECKING:
    from dicomdock.dicomweb.session import Session

_NO_SUCH_LIST: Final = frozenset({404, 405, 501})
_WARNING = re.compile(r'299\s+\S+\s+"?(?:Warning:\s*299\s+\S+:?\s*)?([^"]*)')
_ENCODED = re.compile(r"\**(?:(?:%[0-9A-F]{2}|,)\**)+")
_SAFE_LIMIT: Final = 100  # matches; the smallest page that every known server allows


class NoSuchList(Exception):
    """The server has no such list (or nothing in it)."""

    def __init__(self, error: TransactionError) -> None:
        super().__init__(str(error))
        self.error = error


class BadRequest(Exception):
    """The server refused a query as a bad one (400)."""

    def __init__(self, error: TransactionError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass
class Answer:
    """One page as the server gave it."""

    rows: list[DicomJson]
    total: int | None
    warnings: tuple[str, ...]
    refused: bool = False


@dataclass
class ListRequests:
    """Requests one list, page by page; what a server refuses or ignores is not sent to it again.

    Parameters
    ----------
    path : of the list, below the server's address for searches.
    in_path : keys that the path holds.
    local : keys that are not sent, because this client applies them.
    widened : keys that are sent so that they find more than was asked for; this client applies them too.
    encoded : characters are sent percent-encoded; else a wildcard stands for them.
    fields : attributes to ask for.
    most : matches to ask for at once.
    unlimited : ask for all matches at once.
    remarks : what the user must know of the answers.
    """

    session: Session
    query: Query
    path: str
    in_path: frozenset[str] = frozenset()
    local: set[str] = field(default_factory=set)
    widened: set[str] = field(default_factory=set)
    encoded: bool = True
    fields: tuple[str, ...] = ()
    most: int = 0
    unlimited: bool = False
    remarks: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        dialect = self.session.dialect
        self.encoded &= dialect.encoded_characters
        for key, value in self.query.match.items():
            wild = (not dialect.wildcard and "*" in value) or (
                not (dialect.wildcard and dialect.question_mark) and "?" in value
            )
            unknown = bool(dialect.match_keys) and key not in dialect.match_keys
            if self.selects(key) and key not in self.in_path and (wild or unknown or not self._wire(key)):
                self.local.add(key)
        universal = (key for key in self.query.match if not self.selects(key))
        self.widened = {key for key in self.sent if self._is_widened(key)}
        self.fields = tuple(dict.fromkeys((*universal, *self.query.fields, *sorted(self.filtered))))
        self.most = dialect.page_limit.get(self.query.level, _SAFE_LIMIT)

    def selects(self, key: str) -> bool:
        """Return whether a key excludes anything; a universal one only requests its attribute."""
        return not isinstance(self.query.criteria[key], Universal)

    @property
    def sent(self) -> tuple[str, ...]:
        """The keys that the server is asked to apply."""
        return tuple(
            key
            for key in self.query.match
            if self.selects(key) and key not in self.in_path and key not in self.local
        )

    @property
    def filtered(self) -> set[str]:
        """The keys that this client applies, whether or not they are sent."""
        return self.local | self.widened

    @property
    def counts_locally(self) -> bool:
        """Limit and offset are counted by this client, because the server would count other rows."""
        return bool(self.filtered) or not self.session.dialect.offset

    def key(self, row: DicomJson) -> bytes:
        """Return what names a row, in 16 bytes as many are held; empty where it has no UID of this level."""
        uids = [json_model.text(row, tag) for tag in UID_KEYWORDS[self.query.level]]
        named = "/".join(uids).encode("utf-8", "surrogatepass")
        return hashlib.sha256(named).digest()[:16] if uids[-1] else b""

    def _is_widened(self, key: str) -> bool:
        value = self.query.match[key]
        if is_list(self.query.criteria[key]):
            return False
        return (not self.encoded and self.is_encoded(key)) or (
            "," in value and not self.session.dialect.encoded_comma
        )

    def is_encoded(self, key: str) -> bool:
        """Return whether a key's value, one text, has characters that are percent-encoded in an address."""
        value = self.query.match[key]
        return (
            not is_list(self.query.criteria[key])
            and vr_of(key.rpartition(".")[2]) in WILDCARD_VRS
            and ("," in value or encode_query_value(value) != value)
        )

    def _wire(self, key: str) -> str:
        """Return a key's value as this server reads it; empty where it has no form for it."""
        value, dialect = self.query.match[key], self.session.dialect
        if not self.encoded and self.is_encoded(key):
            value = _ENCODED.sub("*", encode_query_value(value))
            if not dialect.wildcard or not value.strip("*"):
                return ""
        if is_list(self.query.criteria[key]):
            values = list_values(value, key)
            if vr_of(key.rpartition(".")[2]) == "UI":
                return ",".join(values)
            written = [_with_commas(one, dialect.encoded_comma) for one in values]
            return Encoded(("," if dialect.value_lists == "comma" else quote("\\")).join(written))
        if "," not in value or dialect.encoded_comma:
            return Encoded(_with_commas(value, encoded=True)) if "," in value else value
        if vr_of(key.rpartition(".")[2]) in WILDCARD_VRS and dialect.wildcard and dialect.question_mark:
            return value.replace(",", "?")  # finds a little more, which is filtered again
        return ""

    def ask(self, position: int, count: int | None) -> Answer:
        """Request one page; on 400 leave out what the server may not know, most harmless first."""
        try:
            return self._request(position, count, self.wanted())
        except BadRequest as refusal:
            error = refusal.error
        if self.wanted() and (answer := self.tried(position, count, ())):
            self.session.refuse_fields(frozenset(self._refused(self.wanted())))
            return (self.wanted() and self.tried(position, count, self.wanted())) or answer
        if count is not None and count > _SAFE_LIMIT and (answer := self.tried(position, _SAFE_LIMIT, ())):
            self.most = _SAFE_LIMIT
            limits = {**self.session.dialect.page_limit, self.query.level: _SAFE_LIMIT}
            self.session.learn(page_limit=limits, short_page_ends=False)
            return answer
        droppable = {key for key in self.sent if key not in UID_KEYWORDS["instances"]}
        if droppable and not position:
            self.local |= droppable
            if answer := self.tried(0, min(self.most, _SAFE_LIMIT), ()):
                self.remarks.add(
                    f"{self.session.name} refused the filter on {', '.join(sorted(droppable))}; "
                    "its answers were filtered locally."
                )
                return answer
        if not self.sent and not position and self.query.level != "studies":
            raise NoSuchList(error)
        raise error

    def tried(self, position: int, count: int | None, names: Sequence[str]) -> Answer | None:
        """Send one request; None where it is refused as a bad one."""
        try:
            return self._request(position, count, names)
        except BadRequest:
            return None

    def wanted(self) -> tuple[str, ...]:
        """The fields to ask for, without those that the server has refused."""
        if self.session.dialect.fields == "never":
            return ()
        return tuple(name for name in self.fields if name not in self.session.refused_fields)

    def _refused(self, names: tuple[str, ...]) -> Iterator[str]:
        """Find by halves which fields the server answers with 400; asked for one match, once a session."""
        if self.tried(0, 1, names):
            return
        if len(names) == 1:
            yield names[0]
            return
        half = len(names) // 2
        yield from self._refused(names[:half])
        yield from self._refused(names[half:])

    def _request(self, position: int, count: int | None, names: Sequence[str]) -> Answer:
        """Send one request.

        Raises
        ------
        BadRequest
            The server answered 400: something in the query is not known to it.
        NoSuchList
            The server has no such list.
        """
        return self.session.asking_gzip(lambda gzip: self._send(position, count, names, gzip))

    def _send(self, position: int, count: int | None, names: Sequence[str], gzip: bool) -> Answer:
        what = f"the search for {self.query.level}"
        response = self.session.http.request(
            "GET",
            self.session.address("search", self.path),
            query=self._parameters(position, count, names),
            accept=JSON,
            gzip=gzip,
            allow=_NO_SUCH_LIST | {400, *self.session.dialect.nothing_found},
            what=what,
        )
        if response.status == 400:
            raise BadRequest(failure(response, f"{self.session.name} refused {what}"))
        if response.status in _NO_SUCH_LIST:
            raise NoSuchList(
                failure(response, f"{self.session.name} has no list of {self.query.level} at {self.path}")
            )
        if response.status in self.session.dialect.nothing_found:
            if not self.sent:
                raise failure(response, f"{self.session.name} failed in {what}")
            response.discard()
            return Answer([], None, ())
        total = response.headers.get("X-Total-Count", "")
        warnings = warnings_of(response.warning, self.session.name)
        try:
            rows, foreign = read_rows(response, what)
        except WireError as error:
            if self.query.level == "studies" or position:
                raise
            raise NoSuchList(TransactionError(str(error), status=0, url=response.url)) from error
        if foreign:
            warnings += (f"{self.session.name} sent characters that are not UTF-8; they were {foreign}.",)
        if rows and not position and self.query.level != "studies" and not any(map(self.key, rows)):
            raise NoSuchList(
                TransactionError(
                    f"{self.session.name} lists {self.query.level} without their UIDs at {self.path}.",
                    status=0 if any(rows) else response.status,  # [{}] is how some write nothing
                    url=response.url,
                )
            )
        return Answer(rows, int(total) if total.isdecimal() and len(total) < 10 else None, warnings)

    def _parameters(self, position: int, count: int | None, names: Sequence[str]) -> list[tuple[str, str]]:
        """Write the query in the server's dialect."""
        dialect = self.session.dialect
        written = _tags if dialect.key_style == "tag" else str
        sent = [(written(key), self._wire(key)) for key in self.sent]
        if names:
            each = [written(name) for name in names]
            sent += (
                [("includefield", ",".join(each))]
                if dialect.fields == "comma"
                else [("includefield", one) for one in each]
            )
        if self.query.fuzzy and dialect.fuzzy:
            sent.append(("fuzzymatching", "true"))
        if self.query.order and dialect.sorts(self.query.order):
            sent.append(("orderby", ",".join(self.query.order)))
        if count is not None and not self.unlimited:
            sent.append(("limit", str(count)))
        if position and dialect.offset:
            sent.append(("offset", str(position)))
        return sent


def is_list(criterion: Criterion) -> bool:
    """Return whether a key asks for any of several values."""
    match criterion:
        case OneOf(values) | Name(values) | Wildcard(values):
            return len(values) > 1
        case _:
            return False


def list_values(value: str, keyword: str) -> tuple[str, ...]:
    """Return the values of a list key, each once."""
    vr = vr_of(keyword.rpartition(".")[2])
    return tuple(dict.fromkeys(one for one in split_values(vr, value) if one))


def warnings_of(header: str, name: str) -> tuple[str, ...]:
    """Return the texts of a ``Warning: 299`` header; read leniently, as servers write them in many ways.

    References
    ----------
    PS3.18 §8.3.4.2, §8.3.4.4; RFC 7234 §5.5.
    """
    texts = [text.strip()[:300] for text in _WARNING.findall(header)]
    return tuple(f"{name} says: {text}" for text in dict.fromkeys(texts) if text)


def _with_commas(value: str, encoded: bool) -> str:
    """Return a value for the URL, its commas encoded where the server reads them so."""
    return encode_query_value(value) if not encoded else encode_query_value(value).replace(",", "%2C")


def _tags(key: str) -> str:
    return key if key == "all" else ".".join(map(tag_of, key.split(".")))
