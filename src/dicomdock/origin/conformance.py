"""The table of transactions in the conformance statement, made from the routes.

``python -m dicomdock.origin.conformance docs/conformance.md`` brings the page up to date.

References
----------
PS3.2 §N.8 (template of a conformance statement: DICOM web services).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from dicomdock.origin.app import TRANSACTIONS

BEGIN, END = "<!-- transactions -->\n", "<!-- end of transactions -->\n"


def table() -> str:
    """Return the table, in Markdown."""
    lines = ["| service | method | path | what |", "|---|---|---|---|"]
    for transaction in TRANSACTIONS:
        path = transaction.path.replace(":path", "")
        lines.append(f"| {transaction.service} | {transaction.method} | `{path}` | {transaction.summary} |")
    return "\n".join(lines) + "\n"


def updated(page: str) -> str:
    """Return the page with its table of transactions as it is now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


def main(arguments: Sequence[str]) -> None:
    """Bring the page that is named up to date."""
    page = Path(arguments[0])
    page.write_text(updated(page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
