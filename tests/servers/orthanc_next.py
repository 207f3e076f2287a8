"""Orthanc of the next Debian release, unpacked beside the system; nothing is installed.

``python -m tests.servers.orthanc_next`` fetches the packages with the machine's own apt, from the machine's
own Debian mirror, with its own lists, cache and empty package status, and unpacks them into a cache folder.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SUITE = "trixie"
PACKAGES = ("orthanc", "orthanc-dicomweb", "libc6", "libgcc-s1")
LIBRARIES = "usr/lib/x86_64-linux-gnu"

# Outside of the repository; read now, because tests move HOME.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dicomdock-tests"
ROOT = CACHE / f"orthanc-{SUITE}"
PROGRAM = ROOT / "usr/sbin/Orthanc"
PLUGIN = ROOT / "usr/share/orthanc/plugins/libOrthancDicomWeb.so"


def command() -> tuple[list[str], dict[str, str]]:
    """Return the words that start it with its own C library, and the environment it needs."""
    libraries = ROOT / LIBRARIES
    folders = [libraries, *sorted(folder for folder in libraries.iterdir() if folder.is_dir())]
    path = ":".join(map(str, folders))
    # Not the others: DICONDE's gives patient attributes other names, and filters on them are then ignored.
    dictionaries = [
        file for file in (ROOT / "usr/share").glob("*dcmtk*/*.dic") if file.stem in ("dicom", "private")
    ]
    argv = [str(libraries / "ld-linux-x86-64.so.2"), "--library-path", path, str(PROGRAM)]
    return argv, {"DCMDICTPATH": ":".join(map(str, dictionaries))}


def debian_source() -> str:
    """Return the machine's Debian source as one line for the next release.

    Raises
    ------
    RuntimeError
        No source of the distribution itself is configured.
    """
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    lists = Path("/etc/apt/sources.list.d")
    for file in sorted(lists.glob("*.sources")):
        for block in re.split(r"\n\s*\n", file.read_text("utf-8")):
            lines = [line for line in block.splitlines() if line and not line.startswith("#")]
            entry = dict(line.split(": ", 1) for line in lines if ": " in line)
            if "deb" in entry.get("Types", "") and _is_release(entry.get("Suites", "")):
                return f"deb [signed-by={keyring}] {entry['URIs'].split()[0]} {SUITE} main\n"
    for file in (Path("/etc/apt/sources.list"), *sorted(lists.glob("*.list"))):
        for line in file.read_text("utf-8").splitlines() if file.exists() else ():
            words = re.sub(r"\[[^]]*\]", "", line).split()
            if words[:1] == ["deb"] and len(words) > 3 and _is_release(words[2]):
                return f"deb [signed-by={keyring}] {words[1]} {SUITE} main\n"
    raise RuntimeError("This machine has no Debian source of which the next release could be asked.")


def _is_release(suites: str) -> bool:
    own = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text("utf-8"), re.MULTILINE)
    return own is not None and own.group(1) in suites.split()


def fetch() -> None:
    """Download and unpack the packages, unless they are here."""
    if PROGRAM.exists():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="orthanc-", dir=CACHE) as folder:
        work = Path(folder)
        for name in ("state/lists/partial", "cache/archives/partial", "root"):
            (work / name).mkdir(parents=True)
        (work / "status").touch()
        (work / "sources.list").write_text(debian_source(), "utf-8")
        options = {
            "Dir::State": work / "state",
            "Dir::State::status": work / "status",
            "Dir::Cache": work / "cache",
            "Dir::Etc::SourceList": work / "sources.list",
            "Dir::Etc::SourceParts": work / "none",
            "Dir::Etc::Preferences": work / "none",
            "Dir::Etc::PreferencesParts": work / "none",
            "APT::Sandbox::User": "root",
            "APT::Install-Recommends": "false",
            "APT::Architectures": "amd64",
            "Acquire::Languages": "none",
        }
        apt = [
            "apt-get",
            "-q",
            "-y",
            *(word for name, value in options.items() for word in ("-o", f"{name}={value}")),
        ]
        subprocess.run([*apt, "update"], check=True, stdout=sys.stderr)
        subprocess.run([*apt, "install", "--download-only", *PACKAGES], check=True, stdout=sys.stderr)
        for package in sorted((work / "cache/archives").glob("*.deb")):
            subprocess.run(["dpkg", "-x", package, work / "root"], check=True)
        shutil.rmtree(ROOT, ignore_errors=True)
        (work / "root").rename(ROOT)


if __name__ == "__main__":
    fetch()
    sys.stderr.write(f"{PROGRAM}\n")
