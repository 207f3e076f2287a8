"""The key of the pseudonyms: made once, read from a file, never shown."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dicomdock.config.secrets import Secrets
from dicomdock.config.settings import Settings
from dicomdock.deidentify.key import ACCOUNT, pseudonyms_of
from dicomdock.errors import InvalidInput, ProfileError


def test_whoever_comes_first_makes_the_key_of_all(settings: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = [*pool.map(lambda _: pseudonyms_of(settings).name("patient", "4711"), range(16))]
    assert len(set(names)) == 1
    key = Secrets(settings).get(*ACCOUNT)
    assert key is not None
    assert len(bytes.fromhex(key)) == 32
    assert key not in repr(pseudonyms_of(settings))


def test_a_file_takes_the_key_to_another_machine(settings: Settings, tmp_path: Path) -> None:
    own = pseudonyms_of(settings).name("patient", "4711")
    file = tmp_path / "key"
    file.write_text(f"{Secrets(settings).get(*ACCOUNT)}\n")
    assert pseudonyms_of(settings, file).name("patient", "4711") == own
    file.write_text("00" * 32)
    assert pseudonyms_of(settings, file).name("patient", "4711") != own


@pytest.mark.parametrize("content", [b"", b"00" * 31, b"secret", b"0" * 65, "ä".encode() * 64])
def test_what_is_not_a_key_is_refused_and_not_shown(
    settings: Settings, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(InvalidInput) as refused:
        pseudonyms_of(settings, file)
    assert not content or content.decode("latin-1") not in str(refused.value)
    with pytest.raises(InvalidInput):
        pseudonyms_of(settings, tmp_path)


def test_a_damaged_key_is_not_replaced(settings: Settings) -> None:
    Secrets(settings).set(*ACCOUNT, "damaged")
    with pytest.raises(ProfileError, match="damaged"):
        pseudonyms_of(settings)
    assert Secrets(settings).get(*ACCOUNT) == "damaged"
