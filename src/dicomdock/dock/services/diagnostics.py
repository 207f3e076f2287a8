"""What ``dicomdock doctor`` finds, asked in a process of its own: what it tries out need not stay in ours."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dicomdock.errors import DicomdockError
from dicomdock.launch.detached import environment_of
from dicomdock.launch.python_command import python

if TYPE_CHECKING:
    from dicomdock.config.settings import Settings

PATIENCE = 60.0  # seconds; a sleepy keyring may take its time

STATUS_WORDS: Mapping[str, str] = {
    "ok": "works",
    "missing": "is missing",
    "failed": "does not work",
    "unknown": "is not known",
}


@dataclass(frozen=True)
class Finding:
    """What one check found, as the command line reports it.

    Parameters
    ----------
    check : what was looked at.
    status : a key of ``STATUS_WORDS``.
    detail : what was found.
    remedy : what to do about it; empty when nothing need be done.
    """

    check: str
    status: str
    detail: str
    remedy: str


def examine(settings: Settings) -> list[Finding]:
    """Ask what works on this machine; blocks for about a second.

    Raises
    ------
    DicomdockError
        The command did not answer.
    """
    command = [*python(), "-m", "dicomdock.cli", "doctor", "--json"]
    try:
        answer = subprocess.run(
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
            env=environment_of(settings),
            cwd=Path.home(),
            check=False,
        )
        findings = json.loads(answer.stdout)["findings"]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError) as error:
        raise DicomdockError("The check of this machine failed; try 'dicomdock doctor'.") from error
    names = ("check", "status", "detail", "remedy")
    return [Finding(*(str(finding.get(name, "")) for name in names)) for finding in findings]
