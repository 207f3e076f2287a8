"""The key of the pseudonyms: from the keyring, where it is made when it is first needed, or from a file.

One who has the key can find out whose pseudonym is whose by trying; it is as secret as the data are. A file
takes the same key to other machines.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from dicomdock.config.secrets import Secrets
from dicomdock.config.settings import Settings
from dicomdock.deidentify.pseudonyms import KEY_BYTES, Pseudonyms
from dicomdock.errors import InvalidInput, ProfileError

ACCOUNT = ("de-identification", "key")
"""Where the key stands among the secrets; no server has an origin of that form."""

_HEXADECIMAL = re.compile(rf"[0-9a-fA-F]{{{2 * KEY_BYTES},}}")


def pseudonyms_of(settings: Settings, key_file: Path | None = None) -> Pseudonyms:
    """Return the pseudonyms by the key in a file, else by this user's.

    Parameters
    ----------
    settings : name the configuration folder, whose key is made where it has none yet.
    key_file : 64 or more hexadecimal digits.

    Raises
    ------
    InvalidInput
        The file cannot be read, or holds something else.
    ProfileError
        The keyring is locked, or the secrets cannot be read or written.
    """
    if key_file is not None:
        return Pseudonyms(_read(key_file))
    store = Secrets(settings)
    found = store.get(*ACCOUNT)
    if found is None:
        with store.alone(*ACCOUNT):  # of two processes the second takes what the first has made
            found = store.get(*ACCOUNT)
            if found is None:
                found = secrets.token_hex(KEY_BYTES)
                store.set(*ACCOUNT, found)
    if _HEXADECIMAL.fullmatch(found) is None:
        raise ProfileError(f"The key of the pseudonyms in {store.where} is damaged.")
    return Pseudonyms(bytes.fromhex(found[: len(found) // 2 * 2]))


def _read(file: Path) -> bytes:
    try:
        text = file.read_text("ascii").strip()
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not ASCII text"
        raise InvalidInput(f"The key file {file} cannot be read: {reason}.") from error
    if _HEXADECIMAL.fullmatch(text) is None or len(text) % 2:
        raise InvalidInput(
            f"The key file {file} does not hold {2 * KEY_BYTES} or more hexadecimal digits;"
            " 'openssl rand -hex 32' makes such a key."
        )
    return bytes.fromhex(text)
