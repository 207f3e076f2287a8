"""One list of a search, page after page: complete and filtered whatever the server leaves out.

References
----------
PS3.18 §10.6 (Search), §8.3.4 (query parameters).
"""

from __future__ import annotations

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
from dicomdock.sources import DicomJson, Match, Page
from dicomdock.web.transport import Encoded, encode_query_value

if TYPE_CHECKING:
    from dicomdock.dicomweb.session import Session

_NO_SUCH_LIST: Final = frozenset({404, 405, 501})
_NO_MORE: Final = frozenset({400, 410, 416, 422, 500})  # by which servers answer beyond the last match
_WARNING = re.compile(r'299\s+\S+\s+"?(?:Warning:\s*299\s+\S+:?\s*)?([^"]*)')
_SAFE_LIMIT: Final = 100  # matches; the smallest page that every known server allows
_MOST_AT_ONCE: Final = 10_000  # rows that a list may have to be requested again without a limit
_ROUND: Final = 50  # a page of so many rows, or of a multiple, looks like a cap


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
class _Answer:
    """One page as the server gave it."""

    rows: list[DicomJson]
    total: int | None
    warnings: tuple[str, ...]
    refused: bool = False


@dataclass
class Listing:
    """One search of one list, page after page.

    ``local`` are the keys that are not sent to the server and filtered by this client; as soon as there are
    any, limit and offset are counted by this client too.
    """

    session: Session
    query: Query
    path: str
    in_path: frozenset[str]
    local: set[str] = field(default_factory=set)
    fields: tuple[str, ...] = ()
    most: int = 0
    unlimited: bool = False
    seen: set[str] = field(default_factory=set)
    remarks: set[str] = field(default_factory=set)
    empty: set[str] | None = None
    reported: set[str] = field(default_factory=set)
    missing: dict[str, Query] = field(default_factory=dict)
    repeats: int = 0

    def __post_init__(self) -> None:
        dialect = self.session.dialect
        for key, value in self.query.match.items():
            wild = (not dialect.wildcard and "*" in value) or (
                not (dialect.wildcard and dialect.question_mark) and "?" in value
            )
            unknown = bool(dialect.match_keys) and key not in dialect.match_keys
            if self.selects(key) and key not in self.in_path and (wild or unknown or not self.wire(key)):
                self.local.add(key)
        universal = (key for key in self.query.match if not self.selects(key))
        self.fields = tuple(dict.fromkeys((*universal, *self.query.fields, *sorted(self.local))))
        self.most = dialect.page_limit.get(self.query.level, _SAFE_LIMIT)
        if key := self.value_list:
            self.missing = {
                one: Query(self.query.level, {key: one}) for one in list_values(self.query.match[key], key)
            }

    def selects(self, key: str) -> bool:
        """Return whether a key excludes anything; a universal one only requests its attribute."""
        return not isinstance(self.query.criteria[key], Universal)

    def wire(self, key: str) -> str:
        """Return a key's value as this server reads it; empty where it has no form for it."""
        value, dialect = self.query.match[key], self.session.dialect
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

    def pages(self) -> Iterator[Page]:
        """Yield page after page until nothing new comes; what is learned on the way changes the requests."""
        left, rows_taken = self.query.limit, 0
        # What a server does not apply, or an offset that it ignores, shows on the way: counted from the first
        # match, the offset is right all the same.
        from_first = self.counts_locally or self.query.offset <= self.most
        skip = self.query.offset if from_first else 0
        position = 0 if from_first else self.query.offset
        was_full = False
        while True:
            counted_locally = self.counts_locally
            count = self.count(left, skip)
            answer = self.further(position, count, was_full) if rows_taken else self.ask(position, count)
            fresh = self.fresh(answer.rows)
            matches = [row for row in fresh if self.matches(row)]
            if self.counts_locally and not counted_locally and position and not from_first:
                if not rows_taken:
                    # The server turned out to ignore a filter, so its offset counted other rows than ours.
                    position, skip = 0, self.query.offset
                    self.seen.clear()
                    continue
                self.remarks.add(f"The offset counted matches of {self.session.name} before that filter.")
            position += len(answer.rows)
            rows_taken += len(answer.rows)
            passed = min(skip, len(matches))
            skip, matches = skip - passed, matches[passed:]
            if answer.rows and not fresh and self.widen(count, rows_taken):
                position = 0
                continue
            last = self.is_last(answer, fresh, count, position)
            stops = last and not answer.rows and not answer.refused
            if stops and was_full and self.resumes(position, count):
                position = 0 if self.unlimited else position - 1
                continue
            total = self.total(answer, count, position)
            more = answer.refused or None if not last or answer.refused else False
            if not last and total is not None and total > position:
                more = True
            if left is not None and len(matches) >= left:
                more = True if len(matches) > left else more
                last, matches = True, matches[:left]
            left = None if left is None else left - len(matches)
            again = last and left is None and self.is_unsteady(answer)
            total = None if self.local else total
            yield Page(
                tuple(map(Match, matches)),
                None if again else more,
                total,
                self.warnings(answer, count, last=last and not again),
            )
            if again:
                self.unlimited, position = True, 0
            elif last:
                return
            was_full = count is not None and len(answer.rows) >= count

    def further(self, position: int, count: int | None, was_full: bool) -> _Answer:
        """Request a page after the first; where the server refuses to go on or fails, its list ends there.

        Some servers answer so where nothing is left. A fault is reported all the same, a refusal after a page
        that was as long as asked for.

        Parameters
        ----------
        was_full : the page before was as long as asked for, so that more are likely.
        """
        try:
            return self.ask(position, count)
        except NoSuchList:
            refused = was_full
        except TransactionError as error:
            if error.status not in _NO_MORE:
                raise
            refused = was_full or error.status >= 500
        remark = f"{self.session.name} refused to list more than {position} matches; there may be more."
        return _Answer([], None, (remark,) if refused else (), refused=refused)

    def resumes(self, position: int, count: int | None) -> bool:
        """Return whether a list goes on although a full page was followed by an empty one.

        The last row must come again when it is asked for. Where nothing comes, the server counts its pages in
        another way, and everything is requested at once; where more comes, the empty page was a slip.
        """
        if self.unlimited or not self.session.dialect.offset or self.session.dialect.name != "standard":
            return False
        again = self.tried(position - 1, count, self.wanted())
        if again is None or len(again.rows) == 1:
            return False
        if not again.rows:
            self.session.learn(offset=False)
            self.unlimited = True
            return True
        return bool(self.unseen(again.rows))

    def is_unsteady(self, answer: _Answer) -> bool:
        """Return whether a list changed its order between its pages, so that it is requested in one page.

        Rows that come twice show it: others then came on no page. What one request cannot hold is reported.
        """
        if not self.repeats or self.session.dialect.name != "standard" or not self.session.dialect.offset:
            return False
        if not self.unlimited and len(self.seen) <= _MOST_AT_ONCE:
            return True
        if not self.unlimited or len(answer.rows) < len(self.seen):
            self.remarks.add(
                f"{self.session.name} changes the order of its list between pages; some may be missing."
            )
        return False

    def total(self, answer: _Answer, count: int | None, position: int) -> int | None:
        """Return the number of all matches as stated; None where that is only the length of a full page."""
        stated = answer.total
        if stated is None or (stated == len(answer.rows) and stated == count) or stated < position:
            return None
        return stated

    @property
    def is_unique(self) -> bool:
        """No second match can exist: a study, or something below a named study, is asked for by its UID."""
        uid = self.query.match.get(UID_KEYWORDS[self.query.level][-1], "")
        named = self.query.level == "studies" or "StudyInstanceUID" in self.in_path
        return (
            named
            and bool(uid)
            and UID_KEYWORDS[self.query.level][-1] not in self.local
            and not set(uid) & set("*?,\\")
        )

    @property
    def value_list(self) -> str:
        """The first key that asks for any of several values and is sent; empty where there is none."""
        return next((key for key in self.sent if is_list(self.query.criteria[key])), "")

    @property
    def sent(self) -> tuple[str, ...]:
        """The keys that the server is asked to apply."""
        return tuple(
            key
            for key in self.query.match
            if self.selects(key) and key not in self.in_path and key not in self.local
        )

    @property
    def counts_locally(self) -> bool:
        """Limit and offset are counted by this client, because the server would count other rows."""
        return bool(self.local) or not self.session.dialect.offset

    def count(self, left: int | None, skip: int) -> int | None:
        """Return the limit to request: one more than wanted shows whether there are more; None for all."""
        if not self.session.dialect.offset:
            return None if left is None or self.local or self.unlimited else skip + left + 1
        return self.most if left is None or self.local else min(self.most, skip + left + 1)

    def fresh(self, rows: list[DicomJson]) -> list[DicomJson]:
        """Return the rows whose UID of this level was not seen before, and note them."""
        found = self.unseen(rows)
        self.seen.update(map(self.key, found))
        named = sum(bool(self.key(row)) for row in rows)
        self.repeats += (named - len(found)) if found else 0
        if named < len(list(filter(None, rows))):
            keyword = UID_KEYWORDS[self.query.level][-1]
            self.remarks.add(f"{self.session.name} listed matches without {keyword}; they were left out.")
        return found

    def unseen(self, rows: list[DicomJson]) -> list[DicomJson]:
        """Return the rows, each once, whose UID of this level was not seen before."""
        keyed = {key: row for row in reversed(rows) if (key := self.key(row)) and key not in self.seen}
        return list(reversed(keyed.values()))

    def key(self, row: DicomJson) -> str:
        """Return what names a row; empty where it has no UID of this level."""
        uids = [json_model.text(row, tag) for tag in UID_KEYWORDS[self.query.level]]
        return "/".join(uids) if uids[-1] else ""

    def is_last(self, answer: _Answer, fresh: list[DicomJson], count: int | None, position: int) -> bool:
        """Return whether nothing can follow this page."""
        if not fresh or not self.session.dialect.offset or self.unlimited or self.is_unique:
            return True
        if (total := self.total(answer, count, position)) is not None:
            return position >= total
        short = count is not None and len(answer.rows) < count
        return short and self.session.dialect.short_page_ends and not answer.warnings

    def widen(self, count: int | None, rows_taken: int) -> bool:
        """Request everything once after a page that only repeats (offset ignored), if the first was full."""
        if not self.session.dialect.offset or self.unlimited:
            return False
        self.session.learn(offset=False)
        self.unlimited = True
        return count is None or rows_taken >= 2 * count

    def matches(self, row: DicomJson) -> bool:
        """Filter again what the server should have filtered, by what the row shows."""
        shown: set[str] = set()
        blank = {key for key in self.query.match if _is_blank(row, key)}
        self.empty = blank if self.empty is None else self.empty & blank
        for key in self.query.match:
            if (
                not self.selects(key)
                or key in self.in_path
                or (self.query.fuzzy and self.session.dialect.fuzzy and key.endswith("Name"))
            ):
                continue
            if tag_of(key.split(".")[0]) in row:
                shown.add(key)
            elif key in self.local or self.session.dialect.match_keys:
                self.remarks.add(
                    f"{self.session.name} does not show {key}, "
                    "so that its filter could not be applied to every match."
                )
        if self.query.matches(row, keys=shown):
            for value in [one for one, single in self.missing.items() if single.matches(row)]:
                del self.missing[value]
            return True
        for key in shown - self.local:
            if not self.query.matches(row, keys={key}):
                self.local.add(key)
                self.session.key_checks.doubtful.add((self.query.level, key))
                self.remarks.add(
                    f"{self.session.name} did not apply the filter on {key} as asked; "
                    "its answers were filtered locally."
                )
        return False

    def warnings(self, answer: _Answer, count: int | None, *, last: bool) -> tuple[str, ...]:
        """Return what the user must know about this page; nothing is reported twice in one search."""
        found = [*answer.warnings]
        if self.query.fuzzy and not self.session.dialect.fuzzy:
            found.append(f"{self.session.name} does not match names fuzzily; they were compared as written.")
        if self.query.order and not self.session.dialect.order:
            found.append(
                f"{self.session.name} does not sort its answers; they are in the server's own order."
            )
        found.extend(
            f"{self.session.name} leaves {key} empty in all its answers, so that nothing matches it."
            for key in sorted(self.empty or ())
            if last and self.selects(key) and key not in self.in_path
        )
        rows = len(answer.rows)
        is_round = self.session.dialect.name == "standard" and rows > 0 and not rows % _ROUND
        asked_for_all = count is None or self.unlimited or (is_round and rows < count)
        if last and not self.session.dialect.offset and (rows >= self.most or is_round) and asked_for_all:
            found.append(f"{self.session.name} gives one page only ({rows} matches); there may be more.")
        fresh = tuple(
            dict.fromkeys(one for one in (*found, *sorted(self.remarks)) if one not in self.reported)
        )
        self.reported.update(fresh)
        return fresh

    def ask(self, position: int, count: int | None) -> _Answer:
        """Request one page; on 400 leave out what the server may not know, most harmless first."""
        try:
            return self.request(position, count, self.wanted())
        except BadRequest as refusal:
            error = refusal.error
        if self.wanted() and (answer := self.tried(position, count, ())):
            self.session.refuse_fields(frozenset(self.refused(self.wanted())))
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

    def tried(self, position: int, count: int | None, names: Sequence[str]) -> _Answer | None:
        """Send one request; None where it is refused as a bad one."""
        try:
            return self.request(position, count, names)
        except BadRequest:
            return None

    def wanted(self) -> tuple[str, ...]:
        """The fields to ask for, without those that the server has refused."""
        if self.session.dialect.fields == "never":
            return ()
        return tuple(name for name in self.fields if name not in self.session.refused_fields)

    def refused(self, names: tuple[str, ...]) -> Iterator[str]:
        """Find by halves which fields the server answers with 400; asked for one match, once a session."""
        if self.tried(0, 1, names):
            return
        if len(names) == 1:
            yield names[0]
            return
        half = len(names) // 2
        yield from self.refused(names[:half])
        yield from self.refused(names[half:])

    def request(self, position: int, count: int | None, names: Sequence[str]) -> _Answer:
        """Send one request.

        Raises
        ------
        BadRequest
            The server answered 400: something in the query is not known to it.
        NoSuchList
            The server has no such list.
        """
        return self.session.asking_gzip(lambda gzip: self._request(position, count, names, gzip))

    def _request(self, position: int, count: int | None, names: Sequence[str], gzip: bool) -> _Answer:
        what = f"the search for {self.query.level}"
        response = self.session.http.request(
            "GET",
            self.session.address("search", self.path),
            query=self.parameters(position, count, names),
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
            return _Answer([], None, ())
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
        return _Answer(rows, int(total) if total.isdecimal() and len(total) < 10 else None, warnings)

    def parameters(self, position: int, count: int | None, names: Sequence[str]) -> list[tuple[str, str]]:
        """Write the query in the server's dialect."""
        dialect = self.session.dialect
        written = _tags if dialect.key_style == "tag" else str
        sent = [(written(key), self.wire(key)) for key in self.sent]
        if names:
            each = [written(name) for name in names]
            sent += (
                [("includefield", ",".join(each))]
                if dialect.fields == "comma"
                else [("includefield", one) for one in each]
            )
        if self.query.fuzzy and dialect.fuzzy:
            sent.append(("fuzzymatching", "true"))
        if self.query.order and dialect.order:
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


def _with_commas(value: str, encoded: bool) -> str:
    """Return a value for the URL, its commas encoded where the server reads them so."""
    return encode_query_value(value) if not encoded else encode_query_value(value).replace(",", "%2C")


def _is_blank(row: DicomJson, key: str) -> bool:
    return tag_of(key.split(".")[0]) in row and not json_model.values(row, tag_of(key.split(".")[0]))


def _tags(key: str) -> str:
    return key if key == "all" else ".".join(map(tag_of, key.split(".")))


def warnings_of(header: str, name: str) -> tuple[str, ...]:
    """Return the texts of a ``Warning: 299`` header; read leniently, as servers write them in many ways.

    References
    ----------
    PS3.18 §8.3.4.2, §8.3.4.4; RFC 7234 §5.5.
    """
    texts = [text.strip()[:300] for text in _WARNING.findall(header)]
    return tuple(f"{name} says: {text}" for text in dict.fromkeys(texts) if text)
