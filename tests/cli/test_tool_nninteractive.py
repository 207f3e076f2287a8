"""``tool nninteractive``: the address is set, tried, and forgotten with its token."""

from __future__ import annotations

import pytest

from dicomdock.config.settings import Settings

pytest.importorskip("nnInteractive", reason="dicomdock[nninteractive] is not installed")

from tests.servers.nninteractive import region_growing


@pytest.mark.slow
def test_the_server_is_set_tried_and_forgotten(run, home):
    with region_growing(token="t0ken-of-it") as (server, growing):
        assert "No nnInteractive server is known" in run("tool", "nninteractive").err
        assert "refuses the token" in run("tool", "nninteractive", server.url).err
        tried = run("tool", "nninteractive", "--token-stdin", "--json", stdin="t0ken-of-it\n")
        assert tried.json["version"] == "region growing, not nnInteractive" and not growing.lease
        shown = run("tool", "nninteractive")
        assert shown.code == 0 and "licence of its model: none needed" in shown.out
        assert "t0ken" not in shown.out + shown.err
    gone = run("tool", "nninteractive")
    assert gone.code == 1 and "cannot be reached" in gone.err
    far = run("tool", "nninteractive", "https://gpu.invalid")
    assert far.code == 0 and "the viewer asks before images are sent there" in far.out
    assert Settings.load().nninteractive == "https://gpu.invalid"
    assert run("tool", "nninteractive", "http://gpu.invalid", "--token-stdin", stdin="x\n").code == 2
    assert run("tool", "nninteractive", server.url, "--forget").code == 0
    assert Settings.load().nninteractive == ""
