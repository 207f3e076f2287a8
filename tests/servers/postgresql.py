"""A throw-away PostgreSQL behind a socket."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INSTALL = "apt install postgresql"


def programs() -> Path | None:
    """Return the folder of PostgreSQL's programs; None where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


def _as_owner(*command: str | Path) -> list[str]:
    """PostgreSQL refuses to run as root."""
    words = [str(word) for word in command]
    return ["runuser", "-u", "postgres", "--", *words] if os.geteuid() == 0 else words


def restart(url: str) -> None:
    """Restart a server that runs, as after a crash: connections break, and what was committed is there."""
    found, folder = programs(), Path(url.partition("?host=")[2])
    assert found is not None
    command = (
        found / "pg_ctl",
        "-D",
        folder / "data",
        "-m",
        "immediate",
        "-w",
        "-l",
        folder / "log",
        "restart",
    )
    subprocess.run(_as_owner(*command), check=True, stdout=subprocess.DEVNULL, cwd="/")


@contextmanager
def running() -> Iterator[str]:
    """Run a server and yield the URL of its databases, with ``{database}`` for the name."""
    found = programs()
    if found is None:
        raise RuntimeError(f"PostgreSQL is not here: {INSTALL}")
    folder = Path(tempfile.mkdtemp(prefix="dicomdock-pg-"))  # a socket's path must be short
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        data = folder / "data"

        def run(*command: str | Path) -> None:
            subprocess.run(_as_owner(*command), check=True, stdout=subprocess.DEVNULL, cwd="/")

        run(found / "initdb", "-D", data, "-U", "test", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = (
            f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c max_connections=60"
        )
        run(found / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
        try:
            yield f"postgresql://test@/{{database}}?host={folder}"
        finally:
            run(found / "pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
