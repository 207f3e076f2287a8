"""The table of pages: addresses, titles, and the module that builds each."""

from __future__ import annotations

from dataclasses import dataclass

# An image as text: it comes with the page and needs no request of its own.
FAVICON = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'>"
    "<rect width='32' height='32' rx='7' fill='#0f6f78'/>"
    "<path d='M9 8h7a8 8 0 0 1 0 16H9z' fill='none' stroke='#fff' stroke-width='3'/></svg>"
)


@dataclass(frozen=True)
class PageSpec:
    """A page.

    Parameters
    ----------
    path : its address, with ``{name}`` for the parts that vary.
    title : in the browser's tab, and in the header where the page is named there.
    module : the file below ``dock/pages`` that builds it; imported when it is first visited.
    in_header : the header links to it.
    headed : its content begins with a heading of its own; else the title is one for screen readers.
    """

    path: str
    title: str
    module: str
    in_header: bool = False
    headed: bool = True


PAGES = (
    PageSpec("/", "Studies", "studies", in_header=True, headed=False),
    PageSpec("/work", "My work", "work", in_header=True, headed=False),
    PageSpec("/study/{study}", "Study", "study", headed=False),
    PageSpec("/attributes", "Attributes", "attributes"),
    PageSpec("/link/{number}", "A link", "link"),
    PageSpec("/upload", "Upload", "upload", in_header=True),
    PageSpec("/upload/{batch}", "Upload", "upload_batch"),
    PageSpec("/transfers", "Transfers", "transfers", in_header=True, headed=False),
    PageSpec("/servers", "Servers", "servers", in_header=True),
    PageSpec("/settings", "Settings", "settings", in_header=True),
    PageSpec("/{rest:path}", "No such page", "missing"),  # last: it takes what no other does
)
