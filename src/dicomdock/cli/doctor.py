"""``doctor``: what works on this machine, or with a server, and what to do about the rest."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Annotated

import typer

from dicomdock.cli import register, sources
from dicomdock.cli.exit_codes import FAILED
from dicomdock.cli.extras import INSTALL_DOCK, has_dock
from dicomdock.cli.findings import Finding, Status
from dicomdock.cli.formatting import counted, size
from dicomdock.cli.output import Console, examples
from dicomdock.errors import DicomdockError
from dicomdock.version import __version__

commands = typer.Typer()


Check = Callable[[Console], Iterator[Finding]]


@commands.command(epilog=examples("dicomdock doctor", "dicomdock doctor https://pacs.example.org/dicom-web"))
def doctor(
    context: typer.Context,
    url: Annotated[
        str,
        typer.Argument(
            metavar="[URL]", help="Check this server instead: its name or address.", show_default=False
        ),
    ] = "",
) -> None:
    """Check this machine or a server, and show how to fix what does not work."""
    console: Console = context.obj
    if url:
        findings = list(_server(console, url))
    else:
        findings = [finding for check in CHECKS for finding in _checked(check, console)]
    console.result({"version": __version__, "findings": [finding.to_json() for finding in findings]})
    for finding in findings:
        console.print(f"{finding.status:<8} {finding.check}: {finding.detail}")
        if finding.remedy:
            console.print(f"{'':<8} -> {finding.remedy}")
    if any(finding.status == "failed" for finding in findings):
        raise typer.Exit(FAILED)


def _checked(check: Check, console: Console) -> Iterator[Finding]:
    """Run one check; an error of ours is its finding."""
    try:
        yield from check(console)
    except DicomdockError as error:
        yield Finding(check.__name__.strip("_"), "failed", str(error))


def _python(_: Console) -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.platform()}, {sys.executable}")


def _folders(console: Console) -> Iterator[Finding]:
    settings = console.settings
    yield Finding("folders", "ok", f"configuration {settings.config}, state {settings.state}")


def _archive(console: Console) -> Iterator[Finding]:
    settings = console.settings
    with sources.archive(console) as archive:
        summary = archive.summary()
    free = shutil.disk_usage(settings.archive).free
    detail = (
        f"{counted(summary.studies, 'study', 'studies')}, {counted(summary.instances, 'instance')},"
        f" {size(summary.bytes)} in {settings.archive_location}; {size(free)} free"
    )
    if free < settings.free_space_floor:
        remedy = f"free some space: transfers stop below {size(settings.free_space_floor)}"
        yield Finding("archive", "failed", detail, remedy)
    else:
        yield Finding("archive", "ok", detail)


def _secrets(console: Console) -> Iterator[Finding]:
    from dicomdock.config.secrets import Secrets

    yield Finding("passwords", "ok", f"stored in {Secrets(console.settings).where}")


def _servers(console: Console) -> Iterator[Finding]:
    from dicomdock.config.servers import load_profiles

    profiles = load_profiles(console.settings)
    if not profiles.names:
        yield Finding("servers", "missing", "none is known yet", "dicomdock server add NAME URL")
    else:
        names = ", ".join(profiles.names)
        yield Finding("servers", "ok", f"{names}; 'dicomdock server test NAME' asks one what works")


def _codecs(_: Console) -> Iterator[Finding]:
    codecs = {"JPEG": "PIL", "JPEG 2000": "openjpeg", "JPEG-LS": "jpeg_ls"}
    missing = [name for name, module in codecs.items() if importlib.util.find_spec(module) is None]
    if missing:
        remedy = "pip install --force-reinstall dicomdock"
        yield Finding("codecs", "failed", f"{', '.join(missing)} cannot be decoded", remedy)
    elif importlib.util.find_spec("imagecodecs") is None and importlib.util.find_spec("libjpeg") is None:
        detail = f"{', '.join(codecs)}, RLE; lossless and 12-bit JPEG cannot be decoded"
        yield Finding("codecs", "missing", detail, "pip install 'dicomdock[codecs]'")
    else:
        yield Finding("codecs", "ok", f"{', '.join(codecs)}, RLE, lossless and 12-bit JPEG")


def _dock(_: Console) -> Iterator[Finding]:
    if has_dock():
        yield Finding("dock", "ok", "installed")
    else:
        yield Finding("dock", "missing", "pages and DICOMweb server are not installed", INSTALL_DOCK)


def _viewer(_: Console) -> Iterator[Finding]:
    if importlib.util.find_spec("trame_slicer") is None:
        yield Finding("viewer", "missing", "not installed", "pip install 'dicomdock[viewer]'")
    elif sys.platform == "linux" and not _has_library("libEGL.so.1"):
        remedy = "apt-get install libegl1 libgl1-mesa-dri (or your system's like)"
        yield Finding("viewer", "failed", "installed, but there is no GL library to draw with", remedy)
    else:
        yield Finding("viewer", "ok", "installed")


def _server(console: Console, named: str) -> Iterator[Finding]:
    """Try a server by its name here or its address; an address without a login is asked without one."""
    from dicomdock.config.servers import ServerProfile, load_profiles
    from dicomdock.dicomweb import connect, probe, urls

    settings = console.settings
    profiles = load_profiles(settings)
    known = {profile.url: profile for profile in profiles}
    if named in profiles:
        profile = profiles.get(named)
    elif (repaired := urls.repair(named)).url in known:
        profile = known[repaired.url]
    else:
        found = probe.find_base(repaired, lambda url: connect(ServerProfile(url, url), settings))
        profile = ServerProfile(found.url, found.url)
        yield from (Finding("address", "ok", change) for change in found.changes)
    with connect(profile, settings) as client:
        report = probe.test(client)
    if report.error:
        yield Finding("reachable", "failed", report.error)
    statuses: dict[bool | None, Status] = {True: "ok", False: "missing", None: "unknown"}
    for finding in report.findings:
        yield Finding(finding.topic, statuses[finding.works], finding.sentence)
    for words in report.consequences:
        yield Finding("therefore", "ok", words)
    if not report.error:
        cost = f"{counted(report.requests, 'request')} in {report.seconds:.2f} seconds, none of which wrote"
        yield Finding("cost", "ok", cost)


def _has_library(name: str) -> bool:
    import ctypes

    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _browser(_: Console) -> Iterator[Finding]:
    import webbrowser

    try:
        webbrowser.get()
    except webbrowser.Error:
        remedy = "open the address that 'dicomdock run' prints in a browser of your own"
        yield Finding("browser", "missing", "none was found", remedy)
    else:
        yield Finding("browser", "ok", "pages open in the system's browser")


# What is looked at on this machine, in this order; a part that needs something more adds its check here.
CHECKS: tuple[Check, ...] = (
    _python,
    _folders,
    _archive,
    _secrets,
    _servers,
    _codecs,
    _dock,
    _viewer,
    _browser,
    register.links,
)
