"""What the page knows of tools that segment."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class ToolsState:
    """The tools that are declared, and the one that runs.

    Parameters
    ----------
    tool_names : of those that are declared.
    tool_chosen : the one that 'Run' runs.
    tool_hint : how the chosen one is given points; empty where it takes none.
    tool_line : what the one that runs says; empty where none does.
    tool_question : whether images may be sent, and where to; empty where it is not asked.
    draft : the open segmentation was made by a tool, and nobody has accepted it.
    """

    tool_names: list[str] = field(default_factory=list)
    tool_chosen: str = ""
    tool_hint: str = ""
    tool_line: str = ""
    tool_question: str = ""
    draft: bool = False
