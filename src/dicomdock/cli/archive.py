"""The archive: ``import``, ``export``, ``list``, ``remove``, ``verify``, ``pin``, ``unpin``, ``evict``."""

from __future__ import annotations

import typer

commands = typer.Typer()
