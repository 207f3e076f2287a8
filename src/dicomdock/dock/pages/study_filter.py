"""The filter of the Studies page: its fields, the address that remembers them, and the query they mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from nicegui import ui

from dicomdock.dock import widgets

ANY = ""
DATES: Mapping[str, str] = {
    ANY: "Any date",
    "today": "Today",
    "yesterday": "Yesterday",
    "week": "Last 7 days",
    "month": "Last 30 days",
    "year": "Last 12 months",
    "range": "From … to …",
}
_DAYS_BACK = {"week": 6, "month": 29, "year": 364}
MODALITIES = (
    "CR CT DX MG MR NM OT PR PT RF RTDOSE RTPLAN RTSTRUCT SEG SM SR US XA".split()  # noqa: SIM905 - reads as a list
)
TEXT_FIELDS: Mapping[str, str] = {
    "PatientName": "Patient name",
    "PatientID": "Patient ID",
    "StudyDescription": "Description",
    "AccessionNumber": "Accession",
}


@dataclass(frozen=True)
class Filter:
    """What the user looks for, as it stands in the fields and in the address.

    Parameters
    ----------
    texts : attribute keyword -> what was typed.
    dates : one of ``DATES``.
    since, until : ISO dates of a range, or empty.
    modality : one modality, or empty.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    dates: str = ANY
    since: str = ""
    until: str = ""
    modality: str = ""

    @classmethod
    def from_address(cls, query: Mapping[str, str]) -> Filter:
        """Read the filter from a page's address; what makes no sense there is passed over."""
        texts = {keyword: query[keyword][:256] for keyword in TEXT_FIELDS if query.get(keyword)}
        dates = query.get("date", ANY)
        since, until = _iso(query.get("from", "")), _iso(query.get("to", ""))
        return cls(texts, dates if dates in DATES else ANY, since, until, query.get("modality", "")[:16])

    def to_address(self) -> dict[str, str]:
        """Write the filter for a page's address, without what is empty."""
        written = {**self.texts, "date": self.dates, "modality": self.modality}
        if self.dates == "range":
            written.update({"from": self.since, "to": self.until})
        return {name: value for name, value in written.items() if value}

    def to_match(self, today: date | None = None) -> dict[str, str]:
        """Write the filter as matching keys of a search.

        A plain word is looked for anywhere in the text; with ``*``, ``?`` or quotation marks it is as typed.
        The patient's name stays as typed: the search reads it (``Query.typed``).
        """
        match = {
            keyword: typed.strip() if keyword == "PatientName" else as_key(typed)
            for keyword, typed in self.texts.items()
            if typed.strip()
        }
        if span := self._span(today or date.today()):
            match["StudyDate"] = span
        if self.modality:
            match["ModalitiesInStudy"] = self.modality
        return match

    def _span(self, today: date) -> str:
        if self.dates == "today":
            return f"{today:%Y%m%d}"
        if self.dates == "yesterday":
            return f"{today - timedelta(days=1):%Y%m%d}"
        if self.dates in _DAYS_BACK:
            return f"{today - timedelta(days=_DAYS_BACK[self.dates]):%Y%m%d}-{today:%Y%m%d}"
        if self.dates == "range" and (self.since or self.until):
            return f"{self.since.replace('-', '')}-{self.until.replace('-', '')}"
        return ""


def as_key(typed: str) -> str:
    """Write what was typed as a matching key."""
    word = typed.strip()
    if len(word) > 1 and word[0] == word[-1] == '"':
        return word[1:-1]
    return word if "*" in word or "?" in word else f"*{word}*"


def _iso(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return ""


class FilterBar:
    """The fields of a filter.

    Parameters
    ----------
    value : what they show at first.
    on_search : called when the user asks for the search.
    """

    def __init__(self, value: Filter, on_search: Callable[[], Any]) -> None:
        self._value = value
        self._search = on_search
        with ui.element("form").classes("filter").props('role="search" aria-label="Studies"') as form:
            self._texts = {
                keyword: widgets.field(label, testid=f"filter-{keyword}").classes(f"f-{keyword}")
                for keyword, label in list(TEXT_FIELDS.items())[:2]
            }
            self._dates = widgets.choice("Date", DATES, ANY, self._dates_changed, testid="filter-date")
            with ui.element("span").classes("range") as self._range:
                self._since = widgets.field("From").props('type="date" stack-label')
                self._until = widgets.field("to").props('type="date" stack-label')
            kinds = {ANY: "Any", **{name: name for name in MODALITIES}}
            if value.modality:
                kinds.setdefault(value.modality, value.modality)
            self._modality = widgets.choice("Modality", kinds, ANY, self._chosen, testid="filter-modality")
            self._texts |= {
                keyword: widgets.field(label, testid=f"filter-{keyword}").classes(f"f-{keyword}")
                for keyword, label in list(TEXT_FIELDS.items())[2:]
            }
            widgets.button("Search", kind="main", testid="search").props('type="submit"')
            self._reset = widgets.icon_button("filter_alt_off", "Clear the filter", self.clear)
        form.on("submit.prevent", self._search)
        first = self._texts["PatientName"]
        first.props["aria-keyshortcuts"] = "/"
        first.props["data-help"] = "Go to the filter"
        self._filling = False
        self.show(value)

    @property
    def value(self) -> Filter:
        """What the fields say now."""
        return Filter(
            {
                keyword: shown.value.strip()
                for keyword, shown in self._texts.items()
                if (shown.value or "").strip()
            },
            self._dates.value or ANY,
            _iso(self._since.value or ""),
            _iso(self._until.value or ""),
            self._modality.value or ANY,
        )

    def show(self, value: Filter) -> None:
        """Fill the fields."""
        self._filling = True
        for keyword, shown in self._texts.items():
            shown.set_value(value.texts.get(keyword, ""))
        self._dates.set_value(value.dates)
        self._since.set_value(value.since)
        self._until.set_value(value.until)
        self._modality.set_value(value.modality)
        self._range.set_visibility(value.dates == "range")
        self._filling = False

    def clear(self) -> Any:
        """Empty the fields and search for everything."""
        self.show(Filter())
        return self._search()

    def _dates_changed(self) -> Any:
        self._range.set_visibility(self._dates.value == "range")
        return None if self._dates.value == "range" else self._chosen()

    def _chosen(self) -> Any:
        return None if self._filling else self._search()


def address(source: str, wanted: Filter) -> str:
    """Write the address of the Studies page that shows this."""
    query = urlencode({"source": source, **wanted.to_address()})
    return f"/?{query}"
