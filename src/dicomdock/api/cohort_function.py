"""The process in which a user's function runs on the series of a cohort: Volume in, numbers and objects out.

The function runs with the rights of the user who runs the command, like any program of theirs.
"""

from __future__ import annotations

import contextlib
import faulthandler
import hashlib
import importlib
import importlib.util
import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, TypeAlias

from pydicom.dataset import Dataset

from dicomdock.api.archive import Archive
from dicomdock.api.segmentation import Segmentation
from dicomdock.api.tools import Job, run_on_series
from dicomdock.api.volume import Volume
from dicomdock.cohort.state import NOT_PULLED
from dicomdock.cohort.table import Cell
from dicomdock.config.settings import Settings
from dicomdock.config.tools import ToolFolder, declaration
from dicomdock.dicom.resource import Resource
from dicomdock.dicom.sop_classes import kind_of
from dicomdock.errors import DicomdockError, InvalidInput
from dicomdock.transfer.progress import finish

Function: TypeAlias = Callable[[Any], object]
"""Receives the volume of a series, or the volumes of a study."""
TOOL = "tool:"
"""What the name of a function begins with that is a tool."""
NEVER = 7 * 86400.0  # seconds
LONGEST_REASON = 1000  # characters of what a function raised
_INT64 = range(-(1 << 63), 1 << 63)


def load(name: str, settings: Settings) -> tuple[Function, str]:
    """Import a function; return it and the digest of the file it is in.

    ``tool:NAME`` is a tool of the user's, whose segmentation is a draft.

    Raises
    ------
    InvalidInput
        There is none of that name, or importing it failed.
    NotFound, ProfileError
        There is no such tool, or its declaration cannot be used.
    """
    if name.startswith(TOOL):
        return _tool(name.removeprefix(TOOL), settings)
    module_name, colon, function_name = name.rpartition(":")
    if not colon or not module_name or not function_name:
        raise InvalidInput(f"{name!r} is not MODULE:FUNCTION, or FILE.py:FUNCTION.")
    try:
        module = _imported(module_name)
    except Exception as error:
        raise InvalidInput(f"{module_name} cannot be imported: {type(error).__name__}: {error}.") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise InvalidInput(f"{module_name} has no function {function_name}.")
    file = getattr(module, "__file__", None)
    digest = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""
    return function, digest


def _tool(name: str, settings: Settings) -> tuple[Function, str]:
    tool = ToolFolder(settings).get(name)
    # The parent ends a child that takes too long, and with its process group what the tool has started.
    job = Job(replace(tool, timeout=NEVER), settings, own_group=False)

    def run(volume: Volume) -> Segmentation:
        assert volume.archive is not None and volume.series is not None, "it is of the archive"
        return finish(run_on_series(volume.archive, job, volume.series))

    return run, hashlib.sha256(declaration(tool)).hexdigest()


class Storing(Archive):
    """The archive, in which what is stored for a series gets the same UIDs whenever it is computed.

    A process may be killed after an object was stored and before anybody knew; it is then computed again, and
    not stored twice.

    Attributes
    ----------
    saved : what was stored since ``begin``.
    """

    def begin(self, seed: str) -> None:
        """Begin a series."""
        self.saved: list[Resource] = []
        self._seed = seed

    def save_once(self, value: object, make: Callable[[], Sequence[Dataset]], form: str = "") -> Resource:
        """Store what a value is in DICOM, once."""
        place = super().save_once(value, lambda: self._renamed(make()), form)
        if place not in self.saved:
            self.saved.append(place)
        return place

    def _renamed(self, datasets: Sequence[Dataset]) -> Sequence[Dataset]:
        made = [uid for one in datasets for uid in (str(one.SeriesInstanceUID), str(one.SOPInstanceUID))]
        known = {
            str(one.SeriesInstanceUID)
            for one in datasets[:1]
            if self.present(Resource(one.StudyInstanceUID, one.SeriesInstanceUID))
        }
        uids = {
            uid: _uid(f"{self._seed}|{len(self.saved)}|{number}")
            for number, uid in enumerate(dict.fromkeys(made))
            if uid not in known
        }
        for one in datasets:
            one.walk(lambda _dataset, element: _rename(element, uids))
            one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
        return datasets


def evaluate(
    archive: Storing,
    function: Function,
    resource: Resource,
    seed: str,
    series: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Run the function on a series or study, and return its answer as JSON has it.

    Parameters
    ----------
    seed : with the resource and the order it makes the UIDs of what is stored.
    series : of the study; None where the resource is a series.
    """
    members = [resource] if series is None else [Resource(resource.study, uid) for uid in series]
    kinds: dict[Resource, str] = {}
    for one in members:
        instances = archive.instances(one)
        if not instances:
            return {"error": NOT_PULLED}
        kinds[one] = kind_of(instances[0].sop_class_uid)
    images = [one for one, kind in kinds.items() if kind == "image"]
    if not images:
        return {"passed_over": f"It holds no images: {', '.join(sorted(set(kinds.values())))}."}
    archive.begin(f"{seed}|{resource}")
    try:
        given = archive.volume(resource) if series is None else _volumes(archive, images)
        volumes = [given] if isinstance(given, Volume) else given
        remarks = dict.fromkeys(remark for one in volumes for remark in one.remarks)
        cells = dict(_cells(function(given), archive))
    except DicomdockError as error:
        return {"error": str(error)}
    except MemoryError as error:
        return {"error": f"There was not enough memory: {error}".rstrip(": ")[:LONGEST_REASON]}
    except Exception as error:  # noqa: BLE001 - whatever the user's function raises is the reason of this series
        return {"error": f"{type(error).__name__}: {error}"[:LONGEST_REASON]}
    if archive.saved:
        cells["saved"] = " ".join(map(str, archive.saved))
    return {"result": cells, "remarks": " ".join(remarks)}


def _volumes(archive: Archive, series: Sequence[Resource]) -> list[Volume]:
    return [volume for one in series for volume in archive.volumes(one)]


def _cells(answer: object, archive: Archive) -> Iterator[tuple[str, Cell]]:
    """Yield the numbers of what a function returned; objects are stored on the way."""
    if isinstance(answer, (Segmentation, Volume)):
        answer.save(archive=archive)
    elif isinstance(answer, Mapping):
        for name, value in answer.items():
            if isinstance(value, (Segmentation, Volume)):
                value.save(archive=archive)
            else:
                yield str(name), _cell(value, str(name))
    elif isinstance(answer, (tuple, list)):
        for one in answer:
            yield from _cells(one, archive)
    elif answer is not None:
        yield "value", _cell(answer, "value")


def _cell(value: object, name: str) -> Cell:
    item = getattr(value, "item", None)  # a number of numpy's
    if item is not None and getattr(value, "size", 0) == 1:
        value = item()
    if isinstance(value, int) and value not in _INT64:
        return str(value)
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise TypeError(
        f"the function returned {name} as {type(value).__name__}: no number, text, Segmentation or Volume"
    )


def _imported(name: str) -> Any:
    if not name.endswith(".py"):
        return importlib.import_module(name)
    path = Path(name).absolute()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _rename(element: Any, uids: Mapping[str, str]) -> None:
    if element.VR == "UI" and element.value:
        if isinstance(element.value, str):
            element.value = uids.get(element.value, element.value)
        else:
            element.value = [uids.get(one, one) for one in element.value]


def _uid(text: str) -> str:
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, text).int}"


def _answer(writer: IO[bytes], message: Mapping[str, Any]) -> None:
    # A lone surrogate, as in names of files that are not UTF-8, could be stored nowhere.
    writer.write(json.dumps(message, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
    writer.flush()


def main() -> None:
    """Answer the lines of standard input until it ends.

    What the function prints goes to standard error, and what it reads is empty.
    """
    writer, reader = os.fdopen(os.dup(1), "wb"), os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    with open(os.devnull) as nothing:  # noqa: PTH123 - a device
        os.dup2(nothing.fileno(), 0)
    first = json.loads(reader.readline())
    with contextlib.suppress(OSError):  # where memory runs out, Linux kills this process and no other
        Path("/proc/self/oom_score_adj").write_text("1000")
    if first["memory"]:
        import resource as limits  # there is none on Windows

        limits.setrlimit(limits.RLIMIT_DATA, (first["memory"], first["memory"]))
    sys.path[:0] = [one for one in first["path"] if one not in sys.path]
    folders: dict[str, Any] = {name: Path(path) for name, path in first["folders"].items()}
    settings = Settings(**folders, **first["settings"])
    try:
        function, digest = load(first["function"], settings)
    except DicomdockError as error:
        _answer(writer, {"error": str(error)})
        return
    with Storing.open(settings) as archive:
        _answer(writer, {"digest": digest})
        for line in reader:
            faulthandler.dump_traceback_later(first["seconds"] + 10, exit=True)
            message = json.loads(line)
            resource, seed = Resource.parse(message["resource"]), message["seed"]
            answer = evaluate(archive, function, resource, seed, message.get("series"))
            faulthandler.cancel_dump_traceback_later()
            _answer(writer, answer)


if __name__ == "__main__":
    main()
