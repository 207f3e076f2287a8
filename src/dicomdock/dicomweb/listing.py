"""One list of a search, page after page: complete and filtered whatever the server leaves out.

References
----------
PS3.18 §10.6 (Search), §8.3.4 (query parameters).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dicomdock.dicom import json_model
from dicomdock.dicom.dictionary import tag_of
from dicomdock.dicom.query import Query
from dicomdock.dicom.uid import UID_KEYWORDS
from dicomdock.dicomweb.search_request import Answer, ListRequests, NoSuchList, is_list, list_values
from dicomdock.errors import TransactionError
from dicomdock.sources import DicomJson, Match, Page

_NO_MORE: Final = frozenset({400, 410, 416, 422, 500})  # by which servers answer beyond the last match
_MOST_AT_ONCE: Final = 10_000  # rows that a list may have to be requested again without a limit
_ROUND: Final = 50  # a page of so many rows, or of a multiple, looks like a cap


class Listing:
    """One search of one list, page after page.

    As soon as keys are applied by this client, limit and offset are counted by it too.
    """

    def __init__(self, requests: ListRequests) -> None:
        self.requests = requests
        self.session, self.query = requests.session, requests.query
        self.seen: set[bytes] = set()
        self.missing: dict[str, Query] = {}
        self._empty: set[str] | None = None
        self._reported: set[str] = set()
        self._repeats = 0
        if key := self.value_list:
            self.missing = {
                one: Query(self.query.level, {key: one}) for one in list_values(self.query.match[key], key)
            }

    def pages(self) -> Iterator[Page]:
        """Yield page after page until nothing new comes; what is learned on the way changes the requests."""
        left, rows_taken = self.query.limit, 0
        # What a server does not apply, or an offset that it ignores, shows on the way: counted from the first
        # match, the offset is right all the same.
        from_first = self.requests.counts_locally or self.query.offset <= self.requests.most
        skip = self.query.offset if from_first else 0
        position = 0 if from_first else self.query.offset
        was_full = False
        while True:
            counted_locally = self.requests.counts_locally
            count = self._count(left, skip)
            answer = (
                self._further(position, count, was_full) if rows_taken else self.requests.ask(position, count)
            )
            fresh = self._fresh(answer.rows)
            matches = [row for row in fresh if self._matches(row)]
            if self.requests.counts_locally and not counted_locally and position and not from_first:
                if not rows_taken:
                    # The server turned out to ignore a filter, so its offset counted other rows than ours.
                    position, skip = 0, self.query.offset
                    self.seen.clear()
                    continue
                self.requests.remarks.add(
                    f"The offset counted matches of {self.session.name} before that filter."
                )
            position += len(answer.rows)
            rows_taken += len(answer.rows)
            passed = min(skip, len(matches))
            skip, matches = skip - passed, matches[passed:]
            if answer.rows and not fresh and self._widen(count, rows_taken):
                position = 0
                continue
            last = self._is_last(answer, fresh, count, position)
            stops = last and not answer.rows and not answer.refused
            if stops and was_full and self._resumes(position, count):
                position = 0 if self.requests.unlimited else position - 1
                continue
            total = self._total(answer, count, position)
            more = answer.refused or None if not last or answer.refused else False
            if not last and total is not None and total > position:
                more = True
            if left is not None and len(matches) >= left:
                more = True if len(matches) > left else more
                last, matches = True, matches[:left]
            left = None if left is None else left - len(matches)
            again = last and left is None and self._is_unsteady(answer)
            total = None if self.requests.filtered else total
            yield Page(
                tuple(map(Match, matches)),
                None if again else more,
                total,
                self._warnings(answer, count, last=last and not again),
            )
            if again:
                self.requests.unlimited, position = True, 0
            elif last:
                return
            was_full = count is not None and len(answer.rows) >= count

    def _further(self, position: int, count: int | None, was_full: bool) -> Answer:
        """Request a page after the first; where the server refuses to go on or fails, its list ends there.

        Some servers answer so where nothing is left. A fault is reported all the same, a refusal after a page
        that was as long as asked for.

        Parameters
        ----------
        was_full : the page before was as long as asked for, so that more are likely.
        """
        try:
            return self.requests.ask(position, count)
        except NoSuchList:
            refused = was_full
        except TransactionError as error:
            if error.status not in _NO_MORE:
                raise
            refused = was_full or error.status >= 500
        remark = f"{self.session.name} refused to list more than {position} matches; there may be more."
        return Answer([], None, (remark,) if refused else (), refused=refused)

    def _resumes(self, position: int, count: int | None) -> bool:
        """Return whether a list goes on although a full page was followed by an empty one.

        The last row must come again when it is asked for. Where nothing comes, the server counts its pages in
        another way, and everything is requested at once; where more comes, the empty page was a slip.
        """
        if (
            self.requests.unlimited
            or not self.session.dialect.offset
            or self.session.dialect.name != "standard"
        ):
            return False
        again = self.requests.tried(position - 1, count, self.requests.wanted())
        if again is None or len(again.rows) == 1:
            return False
        if not again.rows:
            self.session.learn(offset=False)
            self.requests.unlimited = True
            return True
        return any(key and key not in self.seen for key in map(self.requests.key, again.rows))

    def _is_unsteady(self, answer: Answer) -> bool:
        """Return whether a list changed its order between its pages, so that it is requested in one page.

        Rows that come twice show it: others then came on no page. What one request cannot hold is reported.
        """
        if not self._repeats or self.session.dialect.name != "standard" or not self.session.dialect.offset:
            return False
        if not self.requests.unlimited and len(self.seen) <= _MOST_AT_ONCE:
            return True
        if not self.requests.unlimited or len(answer.rows) < len(self.seen):
            self.requests.remarks.add(
                f"{self.session.name} changes the order of its list between pages; some may be missing."
            )
        return False

    def _total(self, answer: Answer, count: int | None, position: int) -> int | None:
        """Return the number of all matches as stated; None where that is only the length of a full page."""
        stated = answer.total
        if stated is None or (stated == len(answer.rows) and stated == count) or stated < position:
            return None
        return stated

    @property
    def _is_unique(self) -> bool:
        """No second match can exist: a study, or something below a named study, is asked for by its UID."""
        uid = self.query.match.get(UID_KEYWORDS[self.query.level][-1], "")
        named = self.query.level == "studies" or "StudyInstanceUID" in self.requests.in_path
        return (
            named
            and bool(uid)
            and UID_KEYWORDS[self.query.level][-1] not in self.requests.local
            and not set(uid) & set("*?,\\")
        )

    @property
    def value_list(self) -> str:
        """The first key that asks for any of several values and is sent; empty where there is none."""
        return next((key for key in self.requests.sent if is_list(self.query.criteria[key])), "")

    def _count(self, left: int | None, skip: int) -> int | None:
        """Return the limit to request: one more than wanted shows whether there are more; None for all."""
        if not self.session.dialect.offset:
            return (
                None if left is None or self.requests.filtered or self.requests.unlimited else skip + left + 1
            )
        return (
            self.requests.most
            if left is None or self.requests.filtered
            else min(self.requests.most, skip + left + 1)
        )

    def _fresh(self, rows: list[DicomJson]) -> list[DicomJson]:
        """Return the rows, each once, whose UID of this level was not seen before, and note them."""
        keys = [self.requests.key(row) for row in rows]
        found: dict[bytes, DicomJson] = {}
        for key, row in zip(keys, rows, strict=True):
            if key and key not in self.seen:
                found.setdefault(key, row)
        self.seen.update(found)
        named = len(rows) - keys.count(b"")
        self._repeats += (named - len(found)) if found else 0
        if named < len(list(filter(None, rows))):
            keyword = UID_KEYWORDS[self.query.level][-1]
            self.requests.remarks.add(
                f"{self.session.name} listed matches without {keyword}; they were left out."
            )
        return list(found.values())

    def _is_last(self, answer: Answer, fresh: list[DicomJson], count: int | None, position: int) -> bool:
        """Return whether nothing can follow this page."""
        if not fresh or not self.session.dialect.offset or self.requests.unlimited or self._is_unique:
            return True
        if (total := self._total(answer, count, position)) is not None:
            return position >= total
        short = count is not None and len(answer.rows) < count
        return short and self.session.dialect.short_page_ends and not answer.warnings

    def _widen(self, count: int | None, rows_taken: int) -> bool:
        """Request everything once after a page that only repeats (offset ignored), if the first was full."""
        if not self.session.dialect.offset or self.requests.unlimited:
            return False
        self.session.learn(offset=False)
        self.requests.unlimited = True
        return count is None or rows_taken >= 2 * count

    def _matches(self, row: DicomJson) -> bool:
        """Filter again what the server should have filtered, by what the row shows."""
        shown: set[str] = set()
        blank = {key for key in self.query.match if _is_blank(row, key)}
        self._empty = blank if self._empty is None else self._empty & blank
        for key in self.query.match:
            if (
                not self.requests.selects(key)
                or key in self.requests.in_path
                or (self.query.fuzzy and self.session.dialect.fuzzy and key.endswith("Name"))
            ):
                continue
            if tag_of(key.split(".")[0]) in row:
                shown.add(key)
            elif key in self.requests.filtered or self.session.dialect.match_keys:
                self.requests.remarks.add(
                    f"{self.session.name} does not show {key}, "
                    "so that its filter could not be applied to every match."
                )
        if self.query.matches(row, keys=shown):
            for value in [one for one, single in self.missing.items() if single.matches(row)]:
                del self.missing[value]
            return True
        for key in shown - self.requests.filtered:
            if not self.query.matches(row, keys={key}):
                self.requests.local.add(key)
                self.session.key_checks.doubtful.add((self.query.level, key))
                self.requests.remarks.add(
                    f"{self.session.name} did not apply the filter on {key} as asked; "
                    "its answers were filtered locally."
                )
        return False

    def _warnings(self, answer: Answer, count: int | None, *, last: bool) -> tuple[str, ...]:
        """Return what the user must know about this page; nothing is reported twice in one search."""
        found = [*answer.warnings]
        if self.query.fuzzy and not self.session.dialect.fuzzy:
            found.append(f"{self.session.name} does not match names fuzzily; they were compared as written.")
        if self.query.order and not self.session.dialect.sorts(self.query.order):
            keys = ", ".join(key.removeprefix("-") for key in self.query.order)
            found.append(
                f"{self.session.name} does not sort its answers by {keys}; they are in its own order."
            )
        found.extend(
            f"{self.session.name} leaves {key} empty in all its answers, so that nothing matches it."
            for key in sorted(self._empty or ())
            if last and self.requests.selects(key) and key not in self.requests.in_path
        )
        rows = len(answer.rows)
        is_round = self.session.dialect.name == "standard" and rows > 0 and not rows % _ROUND
        asked_for_all = count is None or self.requests.unlimited or (is_round and rows < count)
        if (
            last
            and not self.session.dialect.offset
            and (rows >= self.requests.most or is_round)
            and asked_for_all
        ):
            found.append(f"{self.session.name} gives one page only ({rows} matches); there may be more.")
        fresh = tuple(
            dict.fromkeys(
                one for one in (*found, *sorted(self.requests.remarks)) if one not in self._reported
            )
        )
        self._reported.update(fresh)
        return fresh


def _is_blank(row: DicomJson, key: str) -> bool:
    return tag_of(key.split(".")[0]) in row and not json_model.values(row, tag_of(key.split(".")[0]))
