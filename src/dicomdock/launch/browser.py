"""Open a one-time link in the user's browser, without letting other users of the machine read it.

What a program is started with is in the process list, for everybody. So the browser is started with a file
that only this user can read, and that leads on to the link.
"""

from __future__ import annotations

import contextlib
import html
import json
import os
import secrets
import shutil
import threading
import time
import webbrowser
from pathlib import Path

from dicomdock.config.home import make_folders
from dicomdock.config.settings import Settings

LIFETIME = 60.0  # seconds; a cold browser has read the file by then
PREFIX = "dicomdock-open-"
_PAGE = (
    '<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
    "<title>dicomdock</title>"
    "<script>location.replace({script})</script>"
    '<noscript><meta http-equiv="refresh" content="0;url={plain}"></noscript>\n'
)


def open_link(settings: Settings, url: str) -> bool:
    """Open a link that works once; return whether a browser was found.

    Parameters
    ----------
    settings : whose state folder holds the file for a minute.
    url : the link.
    """
    folder = _folder(settings)
    make_folders(folder)
    sweep(folder)
    file = folder / f"{PREFIX}{secrets.token_hex(8)}.html"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    script = json.dumps(url).replace("<", "\\u003c")
    with os.fdopen(os.open(file, flags, 0o600), "w", encoding="utf-8") as out:
        out.write(_PAGE.format(script=script, plain=html.escape(url, quote=True)))
    # A process that ends before leaves the file to the next one: the link in it works once, for an hour.
    timer = threading.Timer(LIFETIME, sweep, (folder,))
    timer.daemon = True
    timer.start()
    return webbrowser.open(file.as_uri())


def sweep(folder: Path) -> None:
    """Remove the files that browsers have read by now."""
    for file in folder.glob(f"{PREFIX}*.html"):
        with contextlib.suppress(OSError):
            if file.stat().st_mtime <= time.time() - LIFETIME:
                file.unlink()


def _folder(settings: Settings) -> Path:
    # Browsers that are snaps see no hidden folder, and no other one than the home.
    snap = any(
        (found := shutil.which(name)) and Path(found).resolve().is_relative_to("/snap")
        for name in ("firefox", "chromium", "x-www-browser")
    )
    return Path.home() if snap or Path("/snap/bin/firefox").exists() else settings.state / "open"
