"""The servers of docs/tutorials/large-cohort.md: ``make tutorial``, until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
from pathlib import Path

from tests.tutorials.servers import missing, running


def main() -> int:
    """Run the servers in a temporary folder, and say how to use them."""
    parser = argparse.ArgumentParser(prog="make tutorial", description=__doc__)
    parser.add_argument("--studies", type=int, default=200, help="studies that Orthanc has (200)")
    studies = parser.parse_args().studies
    if remedies := missing():
        print("The tutorial's servers are not all here; install them with:", *remedies, sep="\n  ")
        return 1
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="dicomdock-tutorial-") as folder:
        print(f"Starting Orthanc, moto and PostgreSQL, and making {studies} studies ...", flush=True)
        with contextlib.suppress(KeyboardInterrupt), running(Path(folder), studies) as work:
            print(f"They run. In another terminal:\n\n    cd {work} && . ./environment.sh\n")
            print("Ctrl-C ends them and removes the folder.", flush=True)
            while True:
                signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
