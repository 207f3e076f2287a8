"""Settings for requests whose waits a test can sit out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicomdock.web import call as call_module


@pytest.fixture
def quick(settings, monkeypatch):
    """Settings whose time-outs and waits a test can sit out."""
    monkeypatch.setattr(call_module, "FIRST_WAIT", 0.01)
    return replace(settings, connect_timeout=10.0, read_timeout=30.0, retries=3)
