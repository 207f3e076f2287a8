"""A case over HTTP, by curl: another program finds it on the work list and does it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from pydicom.dataset import Dataset

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.project.model import CaseState, Project
from dicomdock.project.store import Projects
from tests.conftest import unavailable
from tests.origin.running import serving
from tests.project.conftest import result
from tests.worklist.test_procedure_step import FINISHED

KEY = {"00081195": {"vr": "UI", "Value": ["2.25.314159265358979"]}}
OUTPUT = {
    "0040E020": {"vr": "CS", "Value": ["DICOM"]},
    "0020000D": {"vr": "UI", "Value": ["1.2.1"]},
    "0020000E": {"vr": "UI", "Value": ["1.2.1.9"]},
    "00081199": {
        "vr": "SQ",
        "Value": [
            {
                "00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.66.4"]},
                "00081155": {"vr": "UI", "Value": ["1.2.1.9.1"]},
            }
        ],
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("archive_settings", ["sqlite"], indirect=True)
def test_curl_does_a_case(
    archive_settings: Settings, archive: Archive, projects: Projects, make: Callable[..., Project]
) -> None:
    curl = shutil.which("curl") or unavailable("curl", "apt install curl")
    make(count=2)
    with serving(archive) as server:

        def ask(path: str, data_set: Any = None, method: str = "GET") -> Any:
            command = [curl, "-sS", "--fail", "-g", "-X", method, f"{server.url}/workitems{path}"]
            if data_set is not None:
                command += ["-H", "Content-Type: application/dicom+json", "--data-binary", "@-"]
            body = None if data_set is None else json.dumps([data_set]).encode()
            done = subprocess.run(command, input=body, capture_output=True, timeout=120, check=True)
            return json.loads(done.stdout) if done.stdout.strip().startswith(b"[") else None

        def state(value: str) -> dict[str, Any]:
            return {"00741000": {"vr": "CS", "Value": [value]}, **KEY}

        found = [Dataset.from_json(one) for one in ask("?WorklistLabel=livers&ProcedureStepState=SCHEDULED")]
        step = next(one for one in found if one.StudyInstanceUID == "1.2.1")
        (parameter,) = step.ScheduledProcessingParametersSequence
        assert (parameter.ConceptNameCodeSequence[0].CodeValue, parameter.UID) == ("112002", "1.2.1.1")
        assert step.ProcedureStepLabel == "1 annotate: segment the liver"
        uid = step.SOPInstanceUID
        ask(f"/{uid}/state", state("IN PROGRESS"), "PUT")
        performed = json.loads(json.dumps(FINISHED))
        performed["00741216"]["Value"][0]["00404033"] = {"vr": "SQ", "Value": [OUTPUT]}
        ask(f"/{uid}", {**performed, **KEY}, "POST")
        ask(f"/{uid}/state", state("COMPLETED"), "PUT")
        case, _ = projects.cases("livers")
        assert (case.state, case.result) == (CaseState.SUBMITTED, result())
        assert projects.accept("livers", case.key, "rita").state is CaseState.DONE
        (review,) = ask(f"/{case.step}")
        read = Dataset.from_json(review)
        assert (read.ProcedureStepState, read.WorklistLabel) == ("COMPLETED", "livers")
        (done,) = read.UnifiedProcedureStepPerformedProcedureSequence
        assert done.ActualHumanPerformersSequence[0].HumanPerformerName == "rita"
        (drawn,) = read.InputInformationSequence
        assert drawn.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.1.9.1"
