"""What the peers' users do, as programs of their own: ``python -m benchmarks.peers NAME ARGUMENTS``."""

from __future__ import annotations

import sys
from pathlib import Path

LOGIN = ("alice", "secret")


def dicomweb_client_pull(url: str, study: str, *series_and_folder: str) -> None:
    """Fetch series with dicomweb-client's iter_series and write each instance with pydicom."""
    import requests
    from dicomweb_client import DICOMwebClient
    from pydicom import dcmwrite

    *many, folder = series_and_folder
    session = requests.Session()
    session.auth = LOGIN
    client = DICOMwebClient(url, session=session)
    for series in many:
        for dataset in client.iter_series(study, series, media_types=(("application/dicom", "*"),)):
            dcmwrite(Path(folder) / f"{dataset.SOPInstanceUID}.dcm", dataset)


def dicomweb_client_studies(url: str, folder: str, *studies: str) -> None:
    """Fetch studies one after the other with dicomweb-client's iter_study and write them with pydicom."""
    import requests
    from dicomweb_client import DICOMwebClient
    from pydicom import dcmwrite

    session = requests.Session()
    session.auth = LOGIN
    client = DICOMwebClient(url, session=session)
    for study in studies:
        for dataset in client.iter_study(study, media_types=(("application/dicom", "*"),)):
            dcmwrite(Path(folder) / f"{dataset.SOPInstanceUID}.dcm", dataset)


def dicomweb_client_push(url: str, folder: str) -> None:
    """Store a folder with dicomweb-client in one call."""
    import requests
    from dicomweb_client import DICOMwebClient
    from pydicom import dcmread

    session = requests.Session()
    session.auth = LOGIN
    client = DICOMwebClient(url, session=session)
    client.store_instances([dcmread(file) for file in sorted(Path(folder).iterdir())])


def bare_import(source: str, folder: str) -> None:
    """Read each header with pydicom and copy the file: the least that an import can do."""
    import shutil

    from pydicom import dcmread

    for number, file in enumerate(sorted(Path(source).iterdir())):
        dcmread(file, stop_before_pixels=True)
        shutil.copyfile(file, Path(folder) / f"{number}.dcm")


PEERS = {
    name: function
    for name, function in list(globals().items())
    if callable(function) and getattr(function, "__module__", "") == __name__
}

if __name__ == "__main__":
    PEERS[sys.argv[1]](*sys.argv[2:])
