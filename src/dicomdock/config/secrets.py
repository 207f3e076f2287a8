"""Secrets: passwords and tokens in the system keyring, or in a private file where there is no keyring.

A secret belongs to a server's name and origin together: a profile that is pointed elsewhere finds none.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dicomdock.config.home import private_folder, write_private
from dicomdock.config.lock import FileLock
from dicomdock.config.settings import Settings
from dicomdock.config.toml_file import locked
from dicomdock.errors import ProfileError

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

FILE = "secrets.json"
# A link could point at another user's file, a pipe would never end. Windows knows neither flag.
READING = os.O_RDONLY | getattr(os, "O_BINARY", 0)
READING |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


class Secrets:
    """The secrets of the servers of one configuration folder.

    Parameters
    ----------
    settings : names the configuration folder; each folder has secrets of its own, also in the keyring.
    """

    def __init__(self, settings: Settings) -> None:
        self._file = SecretFile(settings.config / FILE)
        self._service = f"dicomdock {settings.config}"
        self._keyring_found: KeyringBackend | None = None
        self._looked = False

    def __repr__(self) -> str:
        return f"Secrets(in {self.where})"

    @property
    def where(self) -> str:
        """Where a secret that is set now is stored, in words for the user."""
        if self._keyring is not None:
            return "the system keyring"
        return f"the file {self._file.path} (readable by you alone), because this system has no keyring"

    def get(self, server_name: str, origin: str) -> str | None:
        """Return the secret of this server at this origin; None where none is stored.

        The file is read first: what lies there was set when there was no keyring, after whatever a keyring
        may hold; and to look for a keyring takes longer than many a command.

        Raises
        ------
        ProfileError
            The keyring is locked, or the file can be read by others or not at all.
        """
        accounts = (_account(server_name, origin), *_former_accounts(server_name, origin))
        in_file = self._file.read()
        found = next((in_file[account] for account in accounts if account in in_file), None)
        if found is None and (keyring := self._keyring) is not None:
            with _keyring_errors("read"):
                for account in accounts:
                    found = keyring.get_password(self._service, account)
                    if found is not None:
                        break
        return found

    def set(self, server_name: str, origin: str, secret: str) -> None:
        """Store a secret, in the place of the one before.

        Raises
        ------
        ProfileError
            The keyring refused, or the file cannot be written.
        """
        account = _account(server_name, origin)
        if (keyring := self._keyring) is None:
            self._file.change(account, secret)
            for former in _former_accounts(server_name, origin):
                self._file.change(former, None)
            return
        with _keyring_errors("stored"):
            keyring.set_password(self._service, account, secret)
        self._file.change(account, None)  # it may lie there from a time without a keyring
        for former in _former_accounts(server_name, origin):
            self._delete(former)

    def delete(self, server_name: str, origin: str) -> None:
        """Delete a secret; it need not be there.

        Raises
        ------
        ProfileError
            The keyring refused, or the file cannot be written.
        """
        for account in (_account(server_name, origin), *_former_accounts(server_name, origin)):
            self._delete(account)

    def _delete(self, account: str) -> None:
        if (keyring := self._keyring) is not None:
            from keyring.errors import PasswordDeleteError

            with _keyring_errors("changed"), suppress(PasswordDeleteError):
                keyring.delete_password(self._service, account)
        self._file.change(account, None)

    @contextmanager
    def alone(self, server_name: str, origin: str) -> Iterator[None]:
        """Keep other threads and processes of this user from renewing the same login meanwhile.

        Raises
        ------
        ProfileError
            The configuration folder cannot be written.
        """
        mark = hashlib.sha256(_account(server_name, origin).encode()).hexdigest()[:16]
        file = self._file.path.with_name(f".renewing-{mark}.lock")
        try:
            private_folder(file.parent)
            lock = FileLock(file)
            lock.acquire(wait=True)
        except OSError as error:
            raise ProfileError(f"The login cannot be renewed: {file}: {error.strerror}.") from error
        try:
            yield
        finally:
            lock.release()

    @property
    def _keyring(self) -> KeyringBackend | None:
        """The system's keyring, looked for when it is first needed; None where there is none."""
        if not self._looked:
            self._keyring_found = _system_keyring()
            self._looked = True
        return self._keyring_found


class TypedSecret:
    """A secret that is tried before it is stored: in memory, for whatever server is asked."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def get(self, server_name: str, origin: str) -> str | None:  # noqa: ARG002
        """Return the secret."""
        return self._secret

    def set(self, server_name: str, origin: str, secret: str) -> None:  # noqa: ARG002
        """Take another in its place."""
        self._secret = secret

    @contextmanager
    def alone(self, server_name: str, origin: str) -> Iterator[None]:  # noqa: ARG002
        """Nobody else knows this secret."""
        yield


def _account(server_name: str, origin: str) -> str:
    return f"{server_name} at {origin}"


def _former_accounts(server_name: str, origin: str) -> tuple[str, ...]:
    """Return the accounts that versions to 0.1 used for an origin whose form has changed since.

    They wrote IPv6 without brackets, and a host name as the user had typed it: with the letters of its
    language, or with a dot behind it.
    """
    scheme, _, rest = origin.partition("://")
    host, _, port = rest.rpartition(":")
    hosts = [f"{host}."]
    if host.startswith("["):
        address = ipaddress.IPv6Address(host[1:-1])
        hosts = [str(address), address.exploded]
    elif "xn--" in host:
        with suppress(UnicodeError):
            hosts.append(host.encode().decode("idna"))
    return tuple(_account(server_name, f"{scheme}://{former}:{port}") for former in hosts)


def _system_keyring() -> KeyringBackend | None:
    import keyring
    from keyring.backends import chainer, fail, null

    try:
        found = keyring.get_keyring()
    except (ImportError, AttributeError, ValueError) as error:  # a backend is named that cannot be loaded
        raise ProfileError(
            f"The keyring that keyring's configuration names cannot be used: {error}."
        ) from error
    if isinstance(found, (fail.Keyring, null.Keyring)):
        return None
    if isinstance(found, chainer.ChainerBackend) and not found.backends:
        return None
    return found


@contextmanager
def _keyring_errors(done: str) -> Iterator[None]:
    from keyring.errors import KeyringError, KeyringLocked

    try:
        yield
    except KeyringError as error:
        why = "is locked" if isinstance(error, KeyringLocked) else f"refused ({error})"
        raise ProfileError(
            f"The system keyring {why}, so the secret was not {done}; unlock it and try again, or set"
            " PYTHON_KEYRING_BACKEND=keyring.backends.fail.Keyring to keep secrets in a private file instead."
        ) from error


class SecretFile:
    """Secrets by account in a JSON file with mode 0600, written atomically under a lock."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, str]:
        """Return what the file holds; nothing where there is no file."""
        try:
            descriptor = os.open(self.path, READING)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ProfileError(f"The secrets in {self.path} cannot be read: {error.strerror}.") from error
        try:
            self._check(os.fstat(descriptor))
            with os.fdopen(descriptor, "rb", closefd=False) as stream:
                content = stream.read()
        finally:
            os.close(descriptor)
        try:
            table = json.loads(content)
        except ValueError as error:
            raise ProfileError(
                f"{self.path} is damaged; remove it and add the servers' secrets again."
            ) from error
        if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
            raise ProfileError(f"{self.path} is damaged; remove it and add the servers' secrets again.")
        return table

    def _check(self, status: os.stat_result) -> None:
        """Refuse a file that somebody else may have written or read."""
        if sys.platform == "win32":
            return  # the user's own profile folder is closed to others there
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise ProfileError(
                f"{self.path} is not a file of yours, so no secret is taken from it; remove it."
            )
        if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ProfileError(
                f"Others may read {self.path}, so no secret is taken from it; run 'chmod 600' on it,"
                " and change the passwords that may have been seen."
            )

    def change(self, account: str, secret: str | None) -> None:
        """Set the secret of an account, or take it out; a file that is not needed is not made."""
        if secret is None and not self.path.exists():
            return
        try:
            with locked(self.path):
                table = self.read()
                if table.get(account) == secret:
                    return
                if secret is None:
                    del table[account]
                else:
                    table[account] = secret
                write_private(self.path, json.dumps(table).encode())
        except OSError as error:
            raise ProfileError(f"The secrets cannot be saved in {self.path}: {error.strerror}.") from error
