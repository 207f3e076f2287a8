"""Several processes at the same work: each reports as its own what it did, and nothing else."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from tests.builders import ct_series, write
from tests.programs import python

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
    with ExitStack() as stack:
        running = [
            stack.enter_context(python(PULLS, tmp_path / "ours", tmp_path / "theirs", made[0].study))
            for _ in range(processes)
        ]
        for process in running:
            process.line("ready")
        for process in running:
            process.write("go\n")
        reports = [process.json() for process in running]
        for process in running:
            assert process.ends() == 0, process.stderr
    assert all(complete for *_, complete, _ in reports)
    assert all(received + skipped == expected == 120 for received, skipped, _, expected in reports)
    assert sum(received for received, *_ in reports) == 120
    with Archive.open(ours) as archive:
        assert len(archive.instances(Resource(made[0].study))) == 120
