"""The document that the viewer's page begins with."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("trame_client")
from dicomdock.viewer.index_page import BEFORE_TRAME, LOADING, index_page


def test_nothing_that_comes_late_replaces_the_page() -> None:
    page = index_page("name", "dark")
    assert page.startswith('<!doctype html>\n<html data-theme="dark" lang="en"')
    assert f'<div id="app">{LOADING}</div>' in page
    assert not re.findall(r"<script>.*?</script>", page, flags=re.DOTALL)


def test_what_the_page_asks_for_later_is_fetched_with_the_first_scripts() -> None:
    page = index_page("name", "dark", ("__one/a.css", "__two/b.js", "other"))
    found = re.findall(r'<link rel="preload" as="(\w+)" href="([^"]+)" />', page)
    assert found == [("style", "__one/a.css"), ("script", "__two/b.js")]
    assert page.index("__two/b.js") < page.index("</head>")


def test_messages_come_as_memory_before_trame_asks_for_them() -> None:
    scripts = re.findall(r"<script[^>]*>", index_page("name"))
    assert scripts[0] == f'<script src="{BEFORE_TRAME}">'
    assert "module" in scripts[-1]  # trame's own, which connects to the viewer
