"""What the page knows of prompts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class PromptsState:
    """Prompts for a network on a server.

    Parameters
    ----------
    prompt_placing : what is being drawn; empty where nothing is.
    prompt_positive : what is drawn belongs to the segment.
    prompt_question : whether images may be sent, and where to; empty where it is not asked.
    prompt_server : address of the server; empty where none is set.
    prompt_missing : what is to be done before there can be prompts; empty where all is there.
    """

    prompt_placing: str = ""
    prompt_positive: bool = True
    prompt_question: str = ""
    prompt_server: str = ""
    prompt_missing: str = ""
