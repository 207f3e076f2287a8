"""Several processes at the same work: each reports as its own what it did, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from tests.builders import ct_series, write

PULLS = """
import json, sys
from pathlib import Path
from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.transfer.pull import pull
home, other, study = sys.argv[1:]
settings, theirs = Settings.load(Path(home)), Settings.load(Path(other))
with Archive.open(theirs) as source, Archive.open(settings) as archive:
    print("ready", flush=True)
    sys.stdin.readline()
    work = pull(source, archive, [Resource(study)], settings)
    while True:
        try:
            next(work)
        except StopIteration as end:
            report = end.value
            break
print(json.dumps([report.received, report.skipped, report.complete, report.expected]))
"""


@pytest.mark.parametrize("processes", [4])
def test_pulls_of_one_study_report_each_instance_once(tmp_path: Path, processes: int):
    """Eight processes reported 3,840 of 960 instances as theirs."""
    made = ct_series(120)
    ours, theirs = Settings.load(tmp_path / "ours"), Settings.load(tmp_path / "theirs")
    with Archive.open(theirs) as archive:
        for _ in archive.import_paths(write(tmp_path / "files", made)):
            pass
    Archive.open(ours).close()
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PULLS, str(tmp_path / "ours"), str(tmp_path / "theirs"), made[0].study],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    for process in running:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    reports = []
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in running:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        reports.append(json.loads(out))
    assert all(complete for *_, complete, _ in reports)
    assert all(received + skipped == expected == 120 for received, skipped, _, expected in reports)
    assert sum(received for received, *_ in reports) == 120
    with Archive.open(ours) as archive:
        assert len(archive.instances(Resource(made[0].study))) == 120
