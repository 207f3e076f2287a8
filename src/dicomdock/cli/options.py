"""Options that belong together, taken by a command as one value."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take its last parameter, a dataclass, as one option for each of its fields.

    The fields' annotations are those of typer options. Help, order and names are as if the command had named
    the options itself.
    """
    signature = inspect.signature(command)
    *others, last = signature.parameters.values()
    hints = get_type_hints(command, include_extras=True)
    kind: Any = hints[last.name]
    fields = dataclasses.fields(kind)
    field_hints = get_type_hints(kind, include_extras=True)
    options = [
        inspect.Parameter(
            item.name, inspect.Parameter.KEYWORD_ONLY, default=item.default, annotation=field_hints[item.name]
        )
        for item in fields
    ]

    @functools.wraps(command)
    def taken(**arguments: Any) -> None:
        values = {item.name: arguments.pop(item.name) for item in fields}
        command(**arguments, **{last.name: kind(**values)})

    # typer reads the signature to make the options of it.
    taken.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameter.replace(annotation=hints[parameter.name]) for parameter in others] + options
    )
    taken.__annotations__ = {
        **{parameter.name: hints[parameter.name] for parameter in others},
        **{item.name: field_hints[item.name] for item in fields},
    }
    del taken.__wrapped__
    return taken
