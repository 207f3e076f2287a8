"""A real Chromium as the tests start it: Debian's, without the parts of its own window that cost time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserType

CHROMIUM = "/usr/bin/chromium"

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
ARGUMENTS = (f"--disable-features={','.join(_OFF)}",)


def start(chromium: BrowserType, *arguments: str) -> Browser:
    """Start a Chromium without a window or a sandbox, for pages of this machine only."""
    return chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *ARGUMENTS, *arguments])
