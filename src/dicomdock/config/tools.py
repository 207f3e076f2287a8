"""Tool: a program or service that segments a series, declared in a small TOML file; one file for each.

They are in the folder ``tools`` of the configuration. Secrets are never here: a token is stored as those of
servers are, under the tool's name and the origin of its address.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from dicomdock.config.home import private_folder, write_private
from dicomdock.config.settings import Settings
from dicomdock.config.toml_file import locked
from dicomdock.config.validation import read_table, setting
from dicomdock.errors import InvalidInput, NotFound, ProfileError
from dicomdock.web.endpoint import Endpoint
from dicomdock.web.url import Origin, Url

FOLDER = "tools"
MAX_FILE = 1 << 20  # bytes of a declaration
MAX_LABELS = 2000
MAX_VALUE = 65535  # of a label map
INPUT, OUTPUT = "{input}", "{output}"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_CODE = re.compile(r"([A-Za-z0-9_.-]{1,16}):([^:\s]{1,64}):(\S.{0,63})")


@dataclass(frozen=True)
class CodeText:
    """A coded concept as a declaration writes it: ``SCT:10200004:Liver``.

    Parameters
    ----------
    scheme, value, meaning : Coding Scheme Designator, Code Value, Code Meaning (PS3.3 section 8.8).
    """

    scheme: str
    value: str
    meaning: str

    @classmethod
    def parse(cls, text: str, where: str) -> CodeText:
        """Read one.

        Raises
        ------
        ProfileError
            It is not of that form.
        """
        found = _CODE.fullmatch(text)
        if found is None:
            raise ProfileError(f"{where} must be SCHEME:VALUE:MEANING, such as SCT:10200004:Liver.")
        return cls(*found.groups())

    def __str__(self) -> str:
        return f"{self.scheme}:{self.value}:{self.meaning}"


@dataclass(frozen=True)
class _LabelTable:
    name: str = ""
    category: str = ""
    type: str = ""
    modifier: str = ""
    region: str = ""


@dataclass(frozen=True)
class Label:
    """What a value of a tool's label map stands for.

    Parameters
    ----------
    value : in the label map.
    name : the Segment Label.
    category, type, modifier, region : Segmented Property Category and Type, the type's modifier, and Anatomic
        Region; None for what the name suggests.
    """

    value: int
    name: str
    category: CodeText | None = None
    type: CodeText | None = None
    modifier: CodeText | None = None
    region: CodeText | None = None


@dataclass(frozen=True)
class Tool:
    """A tool as its file declares it. It has one of ``command``, ``endpoint``, ``monai_label``.

    Parameters
    ----------
    name : what the user calls it; the Segment Algorithm Name.
    points : of an interactive model of MONAI Label: a list for each label (DeepEdit), or those in and outside
        of one (Deepgrow); empty for a model without.
    labels : value of the label map -> a name, or a table of name, category, type, modifier, region.
    """

    name: str
    command: tuple[str, ...] = setting((), "the program and its arguments, with {input} and {output}")
    endpoint: str = setting("", "the address that a series is posted to")
    monai_label: str = setting("", "the address of a MONAI Label server")
    model: str = setting("", "the model of a MONAI Label server")
    points: Literal["", "labels", "foreground"] = ""
    input: Literal["nifti", "dicom"] = "nifti"
    output: Literal["labels", "seg"] = "labels"
    timeout: float = setting(1800.0, "seconds that it may take for one series", least=0.1, most=7 * 86400)
    max_output: int = setting(2 << 30, "bytes that it may write for one series", least=1)
    version: str = setting("", "of the tool, as its segmentations state it")
    manufacturer: str = setting("", "who makes the tool, as its segmentations state it")
    description: str = setting("", "what it does, in words")
    environment: tuple[str, ...] = setting((), "variables of your environment that its program is given too")
    labels: Mapping[str, Any] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The address that pixels are sent to; empty for a program of this machine."""
        return self.endpoint or self.monai_label

    @property
    def origin(self) -> Origin | None:
        """Scheme, host and port of that address; None for a program of this machine."""
        return Origin.parse(self.address) if self.address else None

    @property
    def web_endpoint(self) -> Endpoint:
        """What a connection needs.

        Raises
        ------
        InvalidInput
            It is a program of this machine.
        """
        if not self.address:
            raise InvalidInput(f"The tool {self.name!r} is a program of this machine and has no address.")
        return Endpoint(f"tool {self.name}", self.address)

    @property
    def sends(self) -> str:
        """What it is given, in words for who is asked whether that may leave."""
        if self.input == "dicom":
            return "the images with all their attributes, names of patients too,"
        return "the images, without names,"

    @cached_property
    def named(self) -> Mapping[int, Label]:
        """The labels by value.

        Raises
        ------
        ProfileError
            A label is not declared as it must be.
        """
        return MappingProxyType(_labels(self.labels, self.name))


class ToolFolder:
    """The declared tools of a user.

    Parameters
    ----------
    settings : whose; the files are in ``tools`` of the configuration folder.
    """

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.config / FOLDER

    def names(self) -> list[str]:
        """Return the names of the tools, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.toml") if _NAME.fullmatch(path.stem))

    def get(self, name: str) -> Tool:
        """Return a tool.

        Raises
        ------
        NotFound
            There is none of this name.
        ProfileError
            Its file cannot be read or used.
        """
        file = self._file(name)
        if not file.exists():
            known = ", ".join(self.names()) or "none"
            raise NotFound(f"There is no tool {name!r}; known are: {known}.")
        return read_tool(file)

    def add(self, text: bytes, where: str) -> Tool:
        """Store a declaration under the name in it, in the place of an earlier one.

        Parameters
        ----------
        text : the TOML file's bytes, which are stored as they are.
        where : its name, for errors.

        Raises
        ------
        ProfileError
            It cannot be used, or the file cannot be written.
        """
        tool = parse_tool(text, where)
        file = self._file(tool.name)
        try:
            private_folder(self.folder)
            with locked(file):
                write_private(file, text)
        except OSError as error:
            raise ProfileError(f"The tool cannot be saved in {file}: {error.strerror}.") from error
        return tool

    def remove(self, name: str) -> None:
        """Remove a tool, also one whose file cannot be used.

        Raises
        ------
        NotFound
            There is none of this name.
        ProfileError
            The file cannot be removed.
        """
        file = self._file(name)
        try:
            file.unlink()
        except FileNotFoundError:
            raise NotFound(f"There is no tool {name!r}.") from None
        except OSError as error:
            raise ProfileError(f"{file} cannot be removed: {error.strerror}.") from error

    def _file(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"{name[:64]!r} cannot name a tool; use letters, digits, dots and hyphens.")
        return self.folder / f"{name}.toml"


def read_tool(file: Path) -> Tool:
    """Read the declaration of a tool.

    Raises
    ------
    ProfileError
        The file cannot be read or used; the message names file and key.
    """
    try:
        with file.open("rb") as stream:
            text = stream.read(MAX_FILE + 1)
    except OSError as error:
        raise ProfileError(f"{file} cannot be read: {error.strerror}.") from error
    return parse_tool(text, str(file))


def parse_tool(text: bytes, where: str) -> Tool:
    """Return the tool that a declaration describes.

    Raises
    ------
    ProfileError
        It is not TOML, or holds what no tool can have.
    """
    if len(text) > MAX_FILE:
        raise ProfileError(f"{where} is longer than {MAX_FILE} bytes, and so is not a declaration of a tool.")
    try:
        table = tomllib.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ProfileError(f"{where} is not a TOML file: {error}.") from error
    if "name" not in table:
        raise ProfileError(f"{where}: name is missing.")
    tool = read_table(Tool, table, f"{where}: ", error=ProfileError)
    try:
        _check(tool)
    except (ProfileError, InvalidInput) as error:
        raise ProfileError(f"{where}: {error}") from error
    return tool


def declaration(tool: Tool) -> bytes:
    """Return the TOML file of a tool: what differs from the defaults."""
    import tomli_w

    table: dict[str, Any] = {}
    for item in fields(tool):
        value = getattr(tool, item.name)
        if item.name == "labels":
            continue
        if value != item.default:
            table[item.name] = list(value) if isinstance(value, tuple) else value
    if tool.labels:
        table["labels"] = dict(tool.labels)
    return tomli_w.dumps(table).encode()


def _check(tool: Tool) -> None:
    """Refuse a tool that cannot work."""
    if not _NAME.fullmatch(tool.name):
        raise ProfileError(
            f"{tool.name[:64]!r} cannot name a tool; use letters, digits, dots and hyphens, 64 at most."
        )
    ways = [one for one in ("command", "endpoint", "monai_label") if getattr(tool, one)]
    if len(ways) != 1:
        raise ProfileError("Give one of command, endpoint and monai_label.")
    for what in ("version", "manufacturer", "description", "model"):
        if not getattr(tool, what).isprintable():
            raise ProfileError(f"{what} holds characters that cannot be shown.")
    if tool.command:
        _check_command(tool.command)
        for name in tool.environment:
            if not _VARIABLE.fullmatch(name):
                raise ProfileError(f"environment holds names of variables, and {name[:64]!r} is not one.")
    else:
        if tool.environment:
            raise ProfileError("Only a program is given variables; leave environment away.")
        address = Url.parse(tool.address, f"The {ways[0]}")
        if address.query is not None or "#" in tool.address:
            raise ProfileError(f"The {ways[0]} must end before its '?' or '#'.")
    if tool.monai_label:
        if not tool.model:
            raise ProfileError("model is missing: which one of the server's.")
        if tool.input != "nifti" or tool.output != "labels":
            raise ProfileError("A MONAI Label server takes and gives NIfTI; leave input and output away.")
    elif tool.points:
        raise ProfileError("Only models of MONAI Label take points.")
    if tool.output == "labels" and not tool.named:
        raise ProfileError(
            "labels is missing: what the values of its label map stand for, such as 1 = 'Liver'."
        )
    if tool.output == "seg" and tool.labels:
        raise ProfileError("A DICOM Segmentation names its segments itself; leave labels away.")


def _check_command(command: Sequence[str]) -> None:
    if not command[0].strip() or any("\0" in word for word in command):
        raise ProfileError("command must begin with the name of a program.")
    for part in (INPUT, OUTPUT):
        if not any(part in word for word in command[1:]):
            raise ProfileError(f"command must hold {part}, which becomes a path.")


def _labels(table: Mapping[str, Any], tool: str) -> dict[int, Label]:
    if len(table) > MAX_LABELS:
        raise ProfileError(f"{len(table)} labels are more than the {MAX_LABELS} that a tool may have.")
    found: dict[int, Label] = {}
    names: set[str] = set()
    for key, given in table.items():
        where = f"labels.{key}"
        if not (key.isascii() and key.isdecimal() and 1 <= int(key) <= MAX_VALUE):
            raise ProfileError(
                f"{where} is not a value of a label map: a whole number from 1 to {MAX_VALUE}."
            )
        if int(key) in found:
            raise ProfileError(f"{where} is declared twice.")
        entry = {"name": given} if isinstance(given, str) else given
        if not isinstance(entry, dict):
            raise ProfileError(f"{where} must be a name, or a table with one.")
        one = read_table(_LabelTable, entry, f"{where}.", error=ProfileError)
        name = one.name.strip()
        if not name or len(name) > 64 or not name.isprintable():
            raise ProfileError(f"{where} needs a name of 1 to 64 characters.")
        if name in names:
            raise ProfileError(f"{where}: the tool {tool!r} has two labels named {name!r}.")
        names.add(name)
        codes = {
            kind: CodeText.parse(text, f"{where}.{kind}")
            for kind in ("category", "type", "modifier", "region")
            if (text := getattr(one, kind))
        }
        found[int(key)] = Label(int(key), name, **codes)
    return found
