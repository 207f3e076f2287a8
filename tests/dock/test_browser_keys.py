"""The keys of browsers: what begins a session again, and what does not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import stat
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.config.secrets import SecretFile
from dicomdock.dock.security.browser_keys import (
    CHALLENGE_SECONDS,
    KEY_SECONDS,
    MAX_CHALLENGES,
    BrowserAnswer,
    BrowserKeys,
)

ORIGIN = "http://127.0.0.1:2042"


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def signed(keys: BrowserKeys, given_key: dict[str, str], origin: str = ORIGIN) -> BrowserAnswer:
    """Answer a challenge as begin.js does."""
    challenge = keys.challenge()
    key = base64.b64decode(given_key["key"])
    signature = hmac.new(key, f"{origin}\n{challenge}".encode(), hashlib.sha256).hexdigest()
    return BrowserAnswer(given_key["browser"], challenge, signature)


def test_a_key_outlives_the_dock(tmp_path: Path) -> None:
    file = tmp_path / "state" / "browsers.json"
    given_key = dict(BrowserKeys(SecretFile(file)).issue(ORIGIN))
    later = BrowserKeys(SecretFile(file))
    answer = signed(later, given_key)
    assert later.accepts(ORIGIN, answer)
    assert not later.accepts(ORIGIN, answer), "a challenge is good once"
    assert given_key["key"] not in file.read_text()
    if sys.platform != "win32":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.unlink()
    assert not BrowserKeys(SecretFile(file)).accepts(ORIGIN, signed(later, given_key))


def test_a_key_is_for_one_origin() -> None:
    keys = BrowserKeys()
    given_key = dict(keys.issue(ORIGIN))
    assert not keys.accepts("http://127.0.0.1:2043", signed(keys, given_key, "http://127.0.0.1:2043"))
    assert not keys.accepts(ORIGIN, signed(keys, given_key, "http://127.0.0.1:2043"))
    assert keys.accepts(ORIGIN, signed(keys, given_key))


def test_keys_and_challenges_expire() -> None:
    clock = Clock()
    keys = BrowserKeys(clock=clock)
    given_key = dict(keys.issue(ORIGIN))
    answer = signed(keys, given_key)
    clock.now += CHALLENGE_SECONDS
    assert not keys.accepts(ORIGIN, answer)
    assert keys.accepts(ORIGIN, signed(keys, given_key))
    clock.now += KEY_SECONDS
    assert not keys.accepts(ORIGIN, signed(keys, given_key))
    clock.now -= 2 * KEY_SECONDS
    assert not keys.accepts(ORIGIN, signed(keys, given_key)), "a key from the future"


def test_challenges_are_bounded() -> None:
    clock = Clock()
    keys = BrowserKeys(clock=clock)
    given_key = dict(keys.issue(ORIGIN))
    first = signed(keys, given_key)
    for _ in range(MAX_CHALLENGES):
        clock.now += 0.01
        last = signed(keys, given_key)
    assert not keys.accepts(ORIGIN, first)
    assert keys.accepts(ORIGIN, last)


@pytest.mark.slow
@given(st.text(), st.text(), st.text())
def test_nothing_else_is_accepted(browser: str, challenge: str, signature: str) -> None:
    keys = BrowserKeys()
    given_key = dict(keys.issue(ORIGIN))
    right = signed(keys, given_key)
    assert not keys.accepts(ORIGIN, BrowserAnswer(browser, right.challenge, right.signature))
    assert not keys.accepts(ORIGIN, BrowserAnswer(right.browser, challenge, right.signature))
    right = signed(keys, given_key)
    assert not keys.accepts(ORIGIN, BrowserAnswer(right.browser, right.challenge, signature))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_secret_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    file = tmp_path / "browsers.json"
    given_key = dict(BrowserKeys(SecretFile(file)).issue(ORIGIN))
    file.chmod(0o644)
    keys = BrowserKeys(SecretFile(file))
    assert not keys.accepts(ORIGIN, signed(keys, given_key))
    assert keys.accepts(ORIGIN, signed(keys, dict(keys.issue(ORIGIN)))), "sessions last as long as this dock"
