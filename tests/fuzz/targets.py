"""What is fuzzed: twelve kinds of readers of what comes from outside, with honest inputs to begin from.

A reader may return anything or raise a ``DicomdockError``; every other exception, more
than 5 s and more than 500 MB are faults.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from random import Random

from tests.fuzz import elements
from tests.fuzz.mutation import mutate_bytes, mutate_json


@dataclass(frozen=True)
class Target:
    """One kind of input, and who reads it.

    Parameters
    ----------
    seeds : honest inputs.
    readers : each reads an input by itself.
    tokens : what means something in this format.
    cases : makes inputs that are read as they are, once: claims, and faults of the past.
    trees : the seeds are DICOM files, which are also changed element by element.
    json : the seeds hold JSON, which is also changed value by value.
    """

    seeds: Sequence[bytes]
    readers: Sequence[Callable[[bytes], object]]
    tokens: Sequence[bytes] = ()
    cases: Callable[[], Sequence[bytes]] = tuple
    trees: bool = False
    json: bool = False


def input_of(target: Target, trees: Sequence[elements.Tree], random: Random) -> bytes:
    """Make one mutated input."""
    if trees and random.random() < 0.75:
        data = elements.mutate(random.choice(trees), random)
        if random.random() < 0.8:
            return data
        return mutate_bytes(data, (), target.tokens, random)
    seed = random.choice(target.seeds)
    if target.json and random.random() < 0.6 and (changed := mutate_json(seed, random)):
        return changed
    return mutate_bytes(seed, target.seeds, target.tokens, random)


def found_before(*names: str) -> list[bytes]:
    """Return inputs that once showed a fault, where they lie beside the project, by beginnings of names."""
    folder = Path(__file__).resolve().parents[2].parent / "shared" / "cases" / "security"
    return [path.read_bytes() for path in sorted(folder.glob("*")) if path.name.startswith(names)]


MODULES = {
    "wire": ("links", "multipart", "documents"),
    "exchange": ("answers", "stow"),
    "objects": ("headers", "files", "derived", "drawing", "geometry", "rendering"),
    "related": ("related",),
}
NAMES = tuple(name for names in MODULES.values() for name in names)


def make(name: str, folder: Path) -> Target:
    """Make a target by its name, or by ``module:function``, with a folder of its own."""
    module, _, function = name.rpartition(":")
    module = module or next(f"tests.fuzz.{module}" for module, names in MODULES.items() if name in names)
    made: Target = getattr(import_module(module), function)(folder)
    return made
