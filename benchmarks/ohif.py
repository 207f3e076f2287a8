"""OHIF beside the viewer: the first picture, a step from slice to slice, and memory, on one Orthanc.

``python -m benchmarks.ohif`` takes OHIF as its project publishes it (``npm pack @ohif/app``, 48 MB) and
prints a table. Both run in the same Chromium on the same series, which is warm on the server; neither has a
graphics card. OHIF draws in the browser, which holds the images; nginx gives it its own files and passes the
rest on to the server.
"""

from __future__ import annotations

import base64
import json
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from tests import chromium
from tests.servers import nginx

from benchmarks.place import Place, Series, place
from benchmarks.rounds import FULL
from benchmarks.viewer import PATIENCE, click, memory_of, until_quiet, viewers_of, warm

VERSION = "3.12.0"
ROUNDS, STEPS = 5, 30
MEMORY = "memory of the browser, and of dock and viewers (a spare one included), MB"
OURS, THEIRS = '[data-view="Red"] canvas', "canvas.cornerstone-canvas"

_CONFIG = {
    "routerBasename": "/",
    "extensions": [],
    "modes": [],
    "showStudyList": True,
    "maxNumberOfWebWorkers": 3,
    "showCPUFallbackMessage": False,
    "investigationalUseDialog": {"option": "never"},
    "defaultDataSourceName": "dicomweb",
    "dataSources": [
        {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "dicomweb",
            "configuration": {
                "friendlyName": "Orthanc",
                "name": "orthanc",
                **dict.fromkeys(("wadoUriRoot", "qidoRoot", "wadoRoot"), "/dicom-web"),
                **dict.fromkeys(("imageRendering", "thumbnailRendering"), "wadors"),
                "qidoSupportsIncludeField": False,
                "enableStudyLazyLoad": True,
                "supportsWildcard": True,
                "omitQuotationForMultipartRequest": True,
                "bulkDataURI": {"enabled": True},
            },
        }
    ],
}

# OHIF's own files, its one page for every address of it, and all else from Orthanc.
_SITE = """
    root {folder};
    include /etc/nginx/mime.types;
    location /viewer {{ try_files /index.html =404; }}
    location ~ \\.(js|css|wasm|json|svg|png|ico|woff2|html)$ {{ try_files $uri =404; }}
"""

_SAMPLE = """(selector) => {
    const image = document.querySelector(selector);
    if (!image || image.width < 20) return null;
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 64;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0, 64, 64);
    return context.getImageData(0, 0, 64, 64).data;
}"""

_SEEN = f"""(selector) => {{
    const values = ({_SAMPLE})(selector);
    let bright = 0;
    for (let at = 0; values && at < values.length; at += 4) bright += values[at] > 20;
    return bright > 40;
}}"""

# Seconds from each turn of the wheel until the pixels on the screen are others.
_WATCH = f"""(selector) => {{
    const sample = () => ({_SAMPLE})(selector).join();
    let before = sample(), turned = 0;
    window.delays = [];
    addEventListener("wheel", () => {{ turned = performance.now(); }}, true);
    const look = () => {{
        if (turned) {{
            const now = sample();
            if (now !== before) {{
                delays.push((performance.now() - turned) / 1000);
                [turned, before] = [0, now];
            }}
        }}
        requestAnimationFrame(look);
    }};
    look();
}}"""


def fetch(folder: Path) -> Path:
    """Take OHIF from npm's registry and return the folder of its site, set to one server."""
    subprocess.run(["npm", "pack", "--silent", f"@ohif/app@{VERSION}"], cwd=folder, check=True)
    with tarfile.open(folder / f"ohif-app-{VERSION}.tgz") as packed:
        packed.extractall(folder, filter="data")
    site = folder / "package" / "dist"
    (site / "app-config.js").write_text(f"window.config = {json.dumps(_CONFIG)};\n")
    return site


def section(here: Place, site: Path) -> str:
    """Measure both, and return the table."""
    series, folder = here.series[-1], here.empty("ohif")
    login = base64.b64encode(f"{here.orthanc.user}:{here.orthanc.password}".encode()).decode()
    measured: dict[str, tuple[list[float], list[float]]] = {}
    with (
        nginx.before(
            here.orthanc.root,
            folder,
            directives=_SITE.format(folder=site),
            inside=f'proxy_set_header Authorization "Basic {login}";',
        ) as address,
        sync_playwright() as playwright,
    ):
        for number in range(ROUNDS + 1):  # the first round warms the disk
            browser = chromium.start(playwright.chromium, "--enable-unsafe-swiftshader")
            theirs = _theirs(browser, f"{address}/viewer?StudyInstanceUIDs={series.resource.study}")
            browser.close()
            browser = chromium.start(playwright.chromium)
            ours = _ours(here, browser, series, f"beside-ohif{number}")
            browser.close()
            for what in theirs if number else ():
                pair = measured.setdefault(what, ([], []))
                pair[0].extend(theirs[what])
                pair[1].extend(ours[what])
    lines = [f"### Beside OHIF {VERSION}: {series.name}", "", "| what | OHIF | dicomdock |", "|---|---|---|"]
    lines += [f"| {what} | {_middle(one)} | {_middle(other)} |" for what, (one, other) in measured.items()]
    return "\n".join([*lines, ""])


def _middle(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3g} ({min(values):.3g} - {max(values):.3g})"


def _theirs(browser: Browser, address: str) -> dict[str, list[float]]:
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    began = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_function(_SEEN, arg=THEIRS, polling=20, timeout=PATIENCE)
    first = time.perf_counter() - began
    page.wait_for_load_state("networkidle", timeout=PATIENCE)
    return {
        "link to the first image, s": [first],
        "slice step to the screen, s": _steps(page, THEIRS),
        MEMORY: [memory_of(_browser_processes(browser))],
    }


def _ours(here: Place, browser: Browser, series: Series, name: str) -> dict[str, list[float]]:
    with warm(here, browser, name) as (dock, page):
        began = time.perf_counter()
        click(here, dock, page, series)
        page.wait_for_function(_SEEN, arg=OURS, polling=20, timeout=PATIENCE)
        first = time.perf_counter() - began
        page.wait_for_function("window.trame?.state?.state?.complete === true", timeout=PATIENCE)
        until_quiet(dock)
        steps = _steps(page, OURS)
        memory = memory_of([*_browser_processes(browser), dock.pid, *viewers_of(dock)])
    return {
        "link to the first image, s": [first],
        "slice step to the screen, s": steps,
        MEMORY: [memory],
    }


def _steps(page: Page, selector: str) -> list[float]:
    box = page.locator(selector).first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.evaluate(_WATCH, selector)
    for number in range(STEPS):
        page.mouse.wheel(0, 100 if number < STEPS / 2 else -100)
        page.wait_for_timeout(350)
    found: list[float] = page.evaluate("delays")
    return found


def _browser_processes(browser: Browser) -> list[int]:
    session = browser.new_browser_cdp_session()
    return [one["id"] for one in session.send("SystemInfo.getProcessInfo")["processInfo"]]


def main() -> None:
    """Take OHIF, measure, and print the table."""
    if shutil.which("npm") is None or nginx.missing():
        sys.exit("npm and nginx are needed.")
    with tempfile.TemporaryDirectory() as name, place(Path(name), FULL) as here:
        print(section(here, fetch(Path(name))))


if __name__ == "__main__":
    main()
