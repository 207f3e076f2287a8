"""The document that trame's page begins with, under our own name: no foreign title, picture or words."""

from __future__ import annotations

import re
from functools import cache
from html import escape
from importlib import resources

# Without a picture of our own, trame's page asks a foreign host for one.
FAVICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Crect width='16' height='16' rx='4' fill='%235b8def'/%3E"
    "%3Cpath d='M4 11V5h3.2a3 3 0 0 1 0 6z' fill='%23fff'/%3E%3C/svg%3E"
)
TITLE = "dicomdock"
BEFORE_TRAME = "__dicomdock/socket.js"
LOADING = '<p style="font: 14px system-ui, sans-serif; padding: 16px">Opening the viewer …</p>'
_OURS = (
    (r"<title>.*?</title>", f"<title>{TITLE}</title>"),
    # A page that forbids to enlarge it is of no use to many (WCAG 1.4.4).
    ("initial-scale=1,maximum-scale=1,minimum-scale=1", "initial-scale=1"),
    (r'<meta\s+name="(description|keywords)".*?/>', ""),
    (r"<noscript>.*?</noscript>", "<noscript>The viewer needs JavaScript.</noscript>"),
    (r'<link rel="icon".*?/>', f'<link rel="icon" href="{FAVICON}" />'),
    # trame's page fetches what it shows until it is there, and a late answer would replace the page itself.
    (r'<div id="app"></div>\s*<script>.*?</script>', f'<div id="app">{LOADING}</div>'),
)


@cache
def index_page(process: str, theme: str = "auto", later: tuple[str, ...] = ()) -> str:
    """Return the document; its scripts are trame's, unchanged, behind one of ours (``static/socket.js``).

    Parameters
    ----------
    later : scripts and style sheets that trame's own script asks for, which takes two more turns; the browser
        fetches them with the first ones.
    process : names the viewer that answers it; the page starts again when another one has taken its place.
    theme : one of ``config.preferences.THEMES``.
    """
    page = resources.files("trame_client") / "module" / "vue3-www" / "index.html"
    text = page.read_text("utf-8")
    for pattern, ours in _OURS:
        text = re.sub(pattern, ours, text, flags=re.DOTALL)
    text = text.replace("<script", f'<script src="{BEFORE_TRAME}"></script><script', 1)
    text = text.replace("<html", f'<html data-theme="{theme}"', 1)
    kinds = {"js": "script", "css": "style"}
    named = ((kinds.get(name.rpartition(".")[2]), escape(name)) for name in later)
    early = "".join(f'<link rel="preload" as="{kind}" href="{name}" />' for kind, name in named if kind)
    return text.replace("</head>", f'{early}<meta name="viewer-process" content="{process}" /></head>', 1)
