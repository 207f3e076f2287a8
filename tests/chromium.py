"""A real Chromium as the tests start it: Debian's, without the parts of its own window that cost time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserType

CHROMIUM = "/usr/bin/chromium"
# The same engine without a window: a page takes it two thirds of the processor time.
HEADLESS_SHELL = "/usr/lib/chromium/chromium-headless-shell"

# Chromium takes one list of these, the last: what Playwright switches off, and the suggestions of the address
# bar, which are two web pages of their own in each new window: half of what a page costs.
_OFF = (
    "AimEnabled",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "LensOverlay",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
    "WebUIOmniboxAimPopup",
    "WebUIOmniboxFullPopup",
    "WebUIOmniboxPopup",
)
# Without its stand-in for a graphics card, and with one thread that collects garbage, a page of the viewer
# takes a tenth less processor time.
ARGUMENTS = (f"--disable-features={','.join(_OFF)}", "--disable-gpu", "--js-flags=--single-threaded-gc")


def start(chromium: BrowserType, *arguments: str) -> Browser:
    """Start a Chromium without a window or a sandbox, for pages of this machine only."""
    program = HEADLESS_SHELL if Path(HEADLESS_SHELL).exists() else CHROMIUM
    return chromium.launch(executable_path=program, args=["--no-sandbox", *ARGUMENTS, *arguments])
