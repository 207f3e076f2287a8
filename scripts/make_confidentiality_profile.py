"""Make the data of ``dicomdock.deidentify`` from the standard: give it ``part15.xml``.

That is the DocBook source of PS3.15 as NEMA publishes it for every edition (``source/docbook/part15`` below
the edition's folder). Only facts are taken: tags, action codes, private creators, codes of concepts; no text.

The types of the attributes in each IOD, by which compound action codes such as X/Z/D are decided, come
from the tables of PS3.3 that highdicom brings. Both files name their source.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from importlib import metadata, resources
from pathlib import Path

DOCBOOK = "{http://docbook.org/ns/docbook}"
TARGET = Path(__file__).parents[1] / "src" / "dicomdock" / "deidentify" / "data"
OPTIONS = {
    "Rtn. Safe Priv. Opt.": "retain-safe-private",
    "Rtn. UIDs Opt.": "retain-uids",
    "Rtn. Dev. Id. Opt.": "retain-device-identity",
    "Rtn. Inst. Id. Opt.": "retain-institution-identity",
    "Rtn. Pat. Chars. Opt.": "retain-patient-characteristics",
    "Rtn. Long. Full Dates Opt.": "retain-full-dates",
    "Rtn. Long. Modif. Dates Opt.": "retain-modified-dates",
    "Clean Desc. Opt.": "clean-descriptors",
    "Clean Struct. Cont. Opt.": "clean-structured-content",
    "Clean Graph. Opt.": "clean-graphics",
}
TEXT_OR_TIME = {"LO", "SH", "LT", "ST", "UT", "UC", "UR", "PN", "DA", "DT", "TM", "AE"}
CODED = {"CodeValue", "CodeMeaning", "CodingSchemeDesignator", "CodingSchemeVersion", "LongCodeValue"}
ACTIONS = {"X", "Z", "D", "U", "K", "C", "Z/D", "X/Z", "X/D", "X/Z/D", "X/Z/U*"}


def main(source: Path) -> None:
    """Write ``confidentiality.json`` and ``attribute_types.json``."""
    content = source.read_bytes()
    book = ElementTree.fromstring(content)  # noqa: S314 - a file that a developer names
    subtitle = text_of(book.find(f"{DOCBOOK}subtitle"))
    edition = re.search(r"PS3\.15 (\d{4}[a-z])", subtitle)
    if edition is None:
        sys.exit(f"{source} does not name its edition: {subtitle!r}")
    attributes = dict(attribute_rows(book))
    document = {
        "source": "PS3.15 tables E.1-1, E.3.4-1 and E.3.10-1",
        "edition": edition[1],
        "sha256": hashlib.sha256(content).hexdigest(),
        "attributes": attributes,
        "concepts": dict(concept_rows(book)),
        "safe_private": sorted(safe_private_rows(book)),
    }
    write("confidentiality.json", document)
    write("attribute_types.json", attribute_types(attributes))


def rows(book: ElementTree.Element, label: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a table by the titles of its columns."""
    (table,) = (one for one in book.iter(f"{DOCBOOK}table") if one.get("label") == label)
    head, *body = table.iter(f"{DOCBOOK}tr")
    titles = [text_of(cell) for cell in head]
    for row in body:
        cells = [text_of(cell) for cell in row]
        if len(cells) != len(titles):
            sys.exit(f"Table {label} has a row of {len(cells)} cells: {cells}")
        yield dict(zip(titles, cells, strict=True))


def text_of(element: ElementTree.Element | None) -> str:
    """Return the text of an element without line ends and invisible spaces."""
    words = "".join(() if element is None else element.itertext()).replace("\u200b", "")
    return " ".join(words.split())


def attribute_rows(book: ElementTree.Element) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the tags of table E.1-1, ``60xx3000`` for repeating groups, with their action codes."""
    for row in rows(book, "E.1-1"):
        tag = row["Tag"]
        name = "private" if "odd" in tag else re.sub(r"[(), ]", "", tag).upper().replace("X", "x")
        if name != "private" and not re.fullmatch(r"[0-9A-Fx]{8}", name):
            sys.exit(f"Table E.1-1 has the tag {tag!r}")
        yield name, actions(row)


def actions(row: dict[str, str]) -> dict[str, str]:
    """Return the action codes of a row by the names of our options."""
    found = {"basic": row["Basic Prof."]}
    found |= {name: row[title] for title, name in OPTIONS.items() if row.get(title)}
    if unknown := set(found.values()) - ACTIONS:
        sys.exit(f"Unknown action codes: {unknown} in {row}")
    return found


def concept_rows(book: ElementTree.Element) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the concept names of table E.3.4-1 as ``scheme|value|value type``, with their action codes."""
    for row in rows(book, "E.3.4-1"):
        scheme = re.sub(r"\s*\[.*\]", "", row["Coding Scheme Designator"])
        yield f"{scheme}|{row['Code Value']}|{row['Value Type']}", actions(row)


def safe_private_rows(book: ElementTree.Element) -> Iterator[tuple[str, str, str]]:
    """Yield creator, tag with the block as ``xx``, and VR of table E.3.10-1."""
    for row in rows(book, "E.3.10-1"):
        tag = re.sub(r"[(),]", "", row["Data Element"]).upper().replace("X", "x")
        yield row["Private Creator"], tag, row["VR"]


def attribute_types(attributes: dict[str, dict[str, str]]) -> dict[str, object]:
    """Return the types 1 and 2 of the attributes whose action depends on them.

    ``iods`` are those of the top level: IOD -> keyword -> type. ``nested`` are those in sequences, of
    whatever IOD: ``sequence/keyword`` -> type. The strictest counts where several modules hold an attribute.
    """
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    def read(name: str) -> dict[str, object]:
        return json.loads(resources.files("highdicom").joinpath("_standard", name).read_text("utf-8"))

    def depends(keyword: str) -> bool:
        tag = tag_for_keyword(keyword)
        if tag is None:
            return False
        codes = attributes.get(f"{tag:08X}")
        return dictionary_VR(tag) in TEXT_OR_TIME if codes is None else "/" in codes["basic"]

    nested: dict[str, str] = {}
    modules: dict[str, dict[str, str]] = {}
    for module, held in read("module_attribute_map.json").items():
        for one in held:
            keyword, kind = one["keyword"], one["type"][0]
            if kind == "3" or keyword in CODED or not depends(keyword):
                continue
            if one["path"]:
                name = f"{one['path'][-1]}/{keyword}"
                nested[name] = min(kind, nested.get(name, "3"))
            else:
                modules.setdefault(module, {})[keyword] = kind
    iods: dict[str, dict[str, str]] = {}
    for iod, used in read("iod_module_map.json").items():
        types = iods.setdefault(iod, {})
        for module in used:
            for keyword, kind in modules.get(module["key"], {}).items():
                types[keyword] = min(kind, types.get(keyword, "3"))
    return {
        "source": f"PS3.3 by the tables of highdicom {metadata.version('highdicom')}",
        "sop_classes": read("sop_class_iod_map.json"),
        "iods": iods,
        "nested": nested,
    }


def write(name: str, document: dict[str, object]) -> None:
    """Write a file with a line for each entry, so that changes between editions can be read."""
    TARGET.joinpath(name).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", "utf-8")
    print(f"{TARGET / name}")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
