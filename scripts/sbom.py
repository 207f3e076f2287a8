"""Write the software bill of materials of what dicomdock needs to run, as installed here (CycloneDX JSON).

python scripts/sbom.py [EXTRA...] > sbom.cdx.json
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.markers import default_environment
from packaging.requirements import Requirement

SPDX = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "GNU General Public License (GPL)": "GPL-1.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "MIT License": "MIT",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}


def name_of(name: str) -> str:
    """Return the normalised name of a distribution."""
    return re.sub(r"[-_.]+", "-", name).lower()


def required(installed: Distribution) -> set[str]:
    """Return the normalised names of all that a distribution can require, in whatever extra."""
    return {name_of(Requirement(line).name) for line in installed.requires or ()}


def runtime(extras: Iterable[str], root: str = "dicomdock") -> dict[str, Distribution]:
    """Return what the distribution needs with these extras, itself included, by normalised name.

    Parameters
    ----------
    extras : of the distribution; its plain dependencies always count.
    """
    environment = default_environment()
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(root, extra) for extra in ("", *extras)]
    while waiting:
        name, extra = waiting.pop()
        if (name_of(name), extra) in seen:
            continue
        seen.add((name_of(name), extra))
        try:
            found[name_of(name)] = installed = distribution(name)
        except PackageNotFoundError:
            sys.exit(f"{name} is not installed: install 'dicomdock[{','.join(extras)}]' first.")
        for line in installed.requires or ():
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({**environment, "extra": extra}):
                waiting += [(needed.name, each) for each in ("", *needed.extras)]
    return dict(sorted(found.items()))


def licence(installed: Distribution) -> str:
    """Return the licence that a distribution states: as SPDX expression, by its classifiers, or as text."""
    metadata = installed.metadata
    if expression := metadata.get("License-Expression"):
        return expression
    classifiers = metadata.get_all("Classifier") or []
    named = [
        each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License :: OSI Approved :: ")
    ]
    if named:
        return " OR ".join(SPDX.get(each, each) for each in named)
    return (metadata.get("License") or "").strip().splitlines()[0] if metadata.get("License") else ""


def bill(parts: Mapping[str, Distribution], root: str = "dicomdock") -> dict[str, object]:
    """Return the bill of materials as CycloneDX 1.6."""

    def component(name: str, installed: Distribution, kind: str) -> dict[str, object]:
        purl = f"pkg:pypi/{name}@{installed.version}"
        stated = licence(installed)
        part: dict[str, object] = {
            "type": kind,
            "bom-ref": purl,
            "name": name,
            "version": installed.version,
            "purl": purl,
        }
        if installed.metadata.get("License-Expression"):
            part["licenses"] = [{"expression": stated}]
        elif stated:
            part["licenses"] = [{"license": {"name": stated}}]
        return part

    refs = {name: f"pkg:pypi/{name}@{installed.version}" for name, installed in parts.items()}
    needs = {
        name: sorted({refs[other] for other in required(installed) if other in refs})
        for name, installed in parts.items()
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, ' '.join(refs.values()))}",
        "version": 1,
        "metadata": {"component": component(root, parts[root], "application")},
        "components": [component(name, part, "library") for name, part in parts.items() if name != root],
        "dependencies": [{"ref": refs[name], "dependsOn": needs[name]} for name in parts],
    }


if __name__ == "__main__":
    json.dump(bill(runtime(sys.argv[1:] or ["viewer"])), sys.stdout, indent=1)
    sys.stdout.write("\n")
