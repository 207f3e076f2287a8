"""What axe-core finds wrong with a page: for the keyboard, for screen readers, for weak eyes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

# The rules whose result is another one in other colours.
OF_COLOURS = ("color-contrast", "link-in-text-block")
# The passes of all other elements, which axe lists too, would take longest to come.
_VIOLATIONS = """([context, rules]) => axe.run(context || document, {
    resultTypes: ["violations"],
    ...(rules.length ? { runOnly: { type: "rule", values: rules } } : {}),
}).then((results) => results.violations)"""


def violations(page: Page, context: str | None = None, *, rules: Sequence[str] = ()) -> list[Any]:
    """Return what violates the rules of axe-core.

    Parameters
    ----------
    context : selects the part of the page that is looked at; all of it where None.
    rules : that are looked for; all that axe-core looks for by default where empty.
    """
    if page.evaluate("typeof axe === 'undefined'"):
        page.evaluate(AXE_SCRIPT)
    found: list[Any] = page.evaluate(_VIOLATIONS, [context, list(rules)])
    return found
