"""How ``tool`` shows a tool, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomdock.cli.output import Console

if TYPE_CHECKING:
    from dicomdock.config.tools import Tool
    from dicomdock.sources import JsonValue


def way(declared: Tool) -> str:
    """Return what a tool runs by, in a few words."""
    if declared.command:
        return declared.command[0]
    return f"{declared.address} {declared.model}".strip()


def show(console: Console, declared: Tool) -> None:
    """Show what a tool is, and its labels with their codes."""
    from dicomdock.api.tools import described

    console.print(f"{declared.name}: {declared.description or way(declared)}")
    console.print(f"  runs {' '.join(declared.command)}" if declared.command else f"  at {way(declared)}")
    if declared.environment:
        console.print(f"  is given {', '.join(declared.environment)} of your environment")
    console.print(f"  takes {declared.input}, gives {declared.output}, within {declared.timeout:g} seconds")
    for value, words in described(declared).items():
        label = declared.named[value]
        kind, side = words.kind, f", {words.modifier.meaning}" if words.modifier else ""
        console.print(f"  {value} {label.name}: {kind.meaning}{side} ({kind.scheme_designator} {kind.value})")


def document(declared: Tool) -> dict[str, JsonValue]:
    """Return a tool as the command line's contract has it."""
    from dicomdock.api.tools import described

    return {
        "name": declared.name,
        "description": declared.description,
        "command": [*declared.command],
        "environment": [*declared.environment],
        "address": declared.address,
        "model": declared.model,
        "input": declared.input,
        "output": declared.output,
        "timeout": declared.timeout,
        "labels": [
            {
                "value": value,
                "name": declared.named[value].name,
                "category": words.category.meaning,
                "type": words.kind.meaning,
                "code": f"{words.kind.scheme_designator}:{words.kind.value}",
                "modifier": words.modifier.meaning if words.modifier else "",
            }
            for value, words in described(declared).items()
        ],
    }
