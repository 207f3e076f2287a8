"""Hanging rules: how studies of a modality, or with a number of series, are opened.

They are the tables ``[[rules]]`` of ``hanging.toml`` in the configuration folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dicomdock.config.settings import Settings
from dicomdock.config.toml_file import Table, TomlFile
from dicomdock.config.validation import read_table, setting
from dicomdock.errors import InvalidInput

FILE = "hanging.toml"
_RULES = "rules"
_HEADING = "# How studies are opened. The viewer writes it: Layout, Open studies like this.\n"


@dataclass(frozen=True)
class Rule:
    """How a study is opened."""

    modality: str = setting("", "Modality of the study's largest series")
    series: int = setting(0, "number of its series of images; 0 for any")
    layout: str = setting("", "name of the layout, as the viewer lists it")
    first: str = setting("", "Series Description of the series that is shown; empty for the largest one")
    second: str = setting("", "the same of the one beside it, in the layout Compare")
    prior: bool = setting(False, "the one beside it is of the patient's latest other study of that modality")
    linked: bool = setting(True, "both scroll together")
    zoomed: bool = setting(False, "both are enlarged together")
    windowed: bool = setting(False, "both have the same window")

    @property
    def key(self) -> tuple[str, int]:
        """What it is for; there is one rule of a kind."""
        return self.modality, self.series

    @property
    def words(self) -> str:
        """What it does, for the user."""
        count = f" with {self.series} series" if self.series else ""
        beside = self.second or ("the same" if self.prior else "")
        if self.prior:
            beside = f"{beside} of the study before"
        shown = f"{self.first or 'largest series'}{f' beside {beside}' if beside else ''}"
        return f"{self.modality}{count}: {self.layout}, {shown}"


class Rules:
    """The rules of a user, read anew each time.

    Parameters
    ----------
    settings : whose.
    """

    def __init__(self, settings: Settings) -> None:
        self._file = TomlFile(settings.config / FILE)

    def read(self) -> tuple[Rule, ...]:
        """Return the rules.

        Raises
        ------
        InvalidInput
            The file cannot be read, or says what no rule can.
        """
        try:
            return self._rules_of(self._file.read())
        except (OSError, ValueError) as error:
            raise InvalidInput(f"The rules in {self._file.path} cannot be read: {error}.") from error

    def add(self, rule: Rule) -> None:
        """Store a rule in place of the one of its kind.

        Raises
        ------
        InvalidInput
            The file cannot be read or written.
        """
        self._change(lambda rules: [*(one for one in rules if one.key != rule.key), rule])

    def remove(self, key: tuple[str, int]) -> None:
        """Remove the rule of a kind.

        Raises
        ------
        InvalidInput
            The file cannot be read or written.
        """
        self._change(lambda rules: [one for one in rules if one.key != key])

    def _change(self, edit: Callable[[Sequence[Rule]], Sequence[Rule]]) -> None:
        def changed(table: Table) -> Mapping[str, Any]:
            return {_RULES: [asdict(one) for one in edit(self._rules_of(table))]}

        try:
            self._file.change(changed, heading=_HEADING)
        except (OSError, ValueError) as error:
            raise InvalidInput(f"The rules in {self._file.path} cannot be changed: {error}.") from error

    def _rules_of(self, table: Table) -> tuple[Rule, ...]:
        items = table.get(_RULES, [])
        if not isinstance(items, list) or not all(isinstance(one, dict) for one in items):
            raise InvalidInput(f"{self._file.path}: rules are tables: [[rules]].")
        found = []
        for number, item in enumerate(items, 1):
            rule = read_table(Rule, item, f"{self._file.path}: rule {number}: ", error=InvalidInput)
            if not rule.modality:
                raise InvalidInput(f"{self._file.path}: rule {number} names no modality.")
            found.append(rule)
        return tuple(found)


def rule_for(rules: Sequence[Rule], modality: str, series: int) -> Rule | None:
    """Return the rule for a study: one for its number of series before one for any; None for none."""
    fitting = [one for one in rules if one.modality == modality and one.series in (0, series)]
    return max(fitting, key=lambda one: one.series, default=None)
