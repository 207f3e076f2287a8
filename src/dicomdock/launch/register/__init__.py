"""Tie links to this program: ``dicomdock://`` always, ``slicer://`` when it is free or the user asked for it.

One file for each system. What opened such links before is remembered, and restored by ``unregister``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dicomdock.config.settings import Settings
from dicomdock.errors import InvalidInput
from dicomdock.launch import SCHEMES
from dicomdock.launch.register.common import Registrar, SchemeStatus

__all__ = ["Registrar", "SchemeStatus", "register", "registrar", "status", "unregister"]

_OWN = "dicomdock"
_IF_FREE = "slicer"


def registrar(settings: Settings) -> Registrar:
    """Return what registers on this system."""
    if sys.platform == "win32":
        from dicomdock.launch.register.windows import WindowsRegistrar

        return WindowsRegistrar(settings)
    if sys.platform == "darwin":
        from dicomdock.launch.register.macos import MacRegistrar

        return MacRegistrar(settings)
    from dicomdock.launch.register.linux import LinuxRegistrar

    return LinuxRegistrar(settings)


def register(system: Registrar, schemes: Sequence[str] = ()) -> tuple[SchemeStatus, ...]:
    """Make links of these schemes open with this program; give what became of each.

    Parameters
    ----------
    system : where.
    schemes : naming one is consent to take it over from another program. None named: ``dicomdock``, and
        ``slicer`` where no other program has it.

    Raises
    ------
    InvalidInput
        A scheme that we do not open.
    LaunchError
        The system did not take the registration; the sentence says what to do.
    """
    wanted = _checked(schemes)
    if not schemes:
        wanted = (_OWN, _IF_FREE) if system.status(_IF_FREE).state != "other" else (_OWN,)
    for scheme in wanted:
        system.register(scheme)
    return tuple(
        system.status(scheme) for scheme in dict.fromkeys((*wanted, *(() if schemes else (_IF_FREE,))))
    )


def unregister(system: Registrar, schemes: Sequence[str] = ()) -> tuple[SchemeStatus, ...]:
    """Return links to the programs that opened them before; return the status of each scheme.

    Parameters
    ----------
    system : where.
    schemes : all that are ours, when none is named.
    """
    wanted = _checked(schemes) or SCHEMES
    for scheme in wanted:
        system.unregister(scheme)
    return tuple(system.status(scheme) for scheme in wanted)


def status(system: Registrar) -> tuple[SchemeStatus, ...]:
    """Return for each scheme who opens its links, and what to do about what is broken."""
    return tuple(system.status(scheme) for scheme in SCHEMES)


def _checked(schemes: Sequence[str]) -> tuple[str, ...]:
    named = tuple(dict.fromkeys(scheme.lower().removesuffix("://") for scheme in schemes))
    for scheme in named:
        if scheme not in SCHEMES:
            raise InvalidInput(
                f"{scheme[:40]!r} is not a scheme that dicomdock opens; it opens {', '.join(SCHEMES)}."
            )
    return named
