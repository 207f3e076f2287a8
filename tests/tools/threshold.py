"""A tool for tests: labels by thresholds, and by its first word what a tool should not do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path


def main(mode: str, given: str, output: str) -> None:
    print("reading\rhalf\x1b[31m way\x1b[0m", flush=True)
    if mode == "fails":
        print("out of memory on the device")
        sys.exit(3)
    if mode == "hangs":
        sleeps = [sys.executable, "-c", "import time; print('child', flush=True); time.sleep(600)"]
        away = subprocess.Popen(sleeps, stdout=subprocess.DEVNULL, start_new_session=True)
        child = subprocess.Popen(sleeps)
        Path(os.environ["PIDS"]).write_text(f"{os.getpid()} {child.pid} {away.pid}")
        time.sleep(600)
    if mode == "large":
        with open("scratch", "wb") as file:
            while True:
                file.write(bytes(1 << 20))
    if mode == "silent":
        return
    if mode == "pipe":
        os.mkfifo(output)
        return
    if mode == "link":
        os.symlink(given, output)
        return
    if mode == "link to a folder":
        os.mkdir("elsewhere")
        Path("elsewhere", "a.dcm").write_bytes(b"of another run")
        os.symlink("elsewhere", output)
        return
    import nibabel  # takes its time, in which a tool that hangs would be ended before it began
    import numpy as np

    if mode == "garbage":
        Path(output).write_bytes(b"no label map at all" * 100)
        return
    image = nibabel.load(given)
    values = np.asarray(image.dataobj)
    labels = np.zeros(values.shape, np.uint8)
    labels[values > np.quantile(values, 0.5)] = 1
    labels[values > np.quantile(values, 0.9)] = 2
    affine = image.affine
    if mode == "unknown":
        labels[labels == 2] = 77
    if mode == "empty":
        labels[:] = 0
    if mode == "half":
        labels = labels[:, :, : labels.shape[2] // 2]
    if mode == "elsewhere":
        affine = affine.copy()
        affine[:3, 3] += 0.5
    if mode == "turned":
        labels, affine = labels[::-1], affine @ np.diag([-1, 1, 1, 1])
        affine[:3, 3] = nibabel.affines.apply_affine(image.affine, (labels.shape[0] - 1, 0, 0))
    made = nibabel.Nifti1Image(labels, affine)
    if mode == "fractions":
        made = nibabel.Nifti1Image(labels / 3, affine)
    if mode == "unplaced":
        made = nibabel.Nifti1Image(labels, None)
    nibabel.save(made, output)


if __name__ == "__main__":
    main(*sys.argv[1:])
