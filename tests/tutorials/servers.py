"""Orthanc with many small studies, moto and PostgreSQL, for somebody who tries cohorts on one machine."""

from __future__ import annotations

import csv
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from tests.builders import Made, changed, ct_series
from tests.servers import orthanc, postgresql, s3
from tests.servers.process import free_port

SIDE = 24  # rows and columns of a slice
SLICES = 6
SPACING = 2.0  # mm, in all directions
BALL = 1000.0 + 1024.0  # the stored value of what is to be found


def missing() -> list[str]:
    """Return the commands that install what is not here."""
    return [
        *filter(None, [orthanc.missing()]),
        *([] if postgresql.programs() else [postgresql.INSTALL]),
    ]


@contextmanager
def running(folder: Path, studies: int) -> Iterator[Path]:
    """Run the servers; yield the folder to work in, with ``environment.sh`` and ``truth.csv``.

    Parameters
    ----------
    folder : of the servers' files; everything in it belongs to them.
    studies : that Orthanc has, each a CT of a ball.
    """
    work = folder / "work"
    work.mkdir()
    with ExitStack() as stack:
        pacs = stack.enter_context(orthanc.running(folder, login=False))
        store = stack.enter_context(s3.running())
        database = stack.enter_context(postgresql.running())
        with (work / "truth.csv").open("w", newline="") as file:
            truth = csv.writer(file)
            truth.writerow(("SeriesInstanceUID", "ball_ml"))
            for number in range(studies):
                series, volume = ball(number)
                pacs.add(*(one.data for one in series))
                truth.writerow((series[0].series, volume))
        values = {
            **s3.ENVIRONMENT,
            "AWS_ENDPOINT_URL": store.url,
            "BUCKET": s3.BUCKET,
            "DATABASE": database.format(database="postgres"),
            "DICOMDOCK_HOME": str(work / "home"),
            "ORTHANC": pacs.url,
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
            "SCHEDULER": f"tcp://127.0.0.1:{free_port()}",
        }
        lines = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
        lines.append(f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"')
        (work / "environment.sh").write_text("\n".join((*lines, "")))
        yield work


def ball(number: int) -> tuple[list[Made], float]:
    """Make the CT of a ball whose size depends on the number, and return its volume in millilitres."""
    k, j, i = np.indices((SLICES, SIDE, SIDE), dtype=float)
    middle = np.array([SLICES, SIDE, SIDE])[:, None, None, None] / 2
    radius = 1.5 + number % 17 / 4
    inside = ((np.stack([k, j, i]) - middle) ** 2).sum(0) < radius**2
    values = np.where(inside, BALL, 1000.0).astype("<i2")
    series = ct_series(
        SLICES,
        rows=SIDE,
        columns=SIDE,
        spacing=(SPACING, SPACING),
        thickness=SPACING,
        PatientID=f"BALL-{number:04d}",
        PatientName=f"Ball^Number {number}",
        SeriesDescription="Ball",
    )
    made = [
        changed(one, PixelData=slice_.tobytes(), BurnedInAnnotation="NO")
        for one, slice_ in zip(series, values, strict=True)
    ]
    return made, float(inside.sum()) * SPACING**3 / 1000
