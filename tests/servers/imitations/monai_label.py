"""MONAI Label, as its REST interface is described, with thresholds for networks. It is not MONAI Label.

Sources
-------
github.com/Project-MONAI/MONAILabel, version 0.8: ``monailabel/endpoints`` (info, infer, datastore,
activelearning), ``interfaces/app.py`` (what ``/info/`` holds), ``client/client.py`` (the forms),
``plugins/slicer`` (the points of DeepEdit and Deepgrow).
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import nibabel
import numpy as np

from tests.servers.canned import Answer, Request


@dataclass
class MonaiLabel:
    """It knows some models and the images that were named to it; ``labels`` is what was submitted.

    Parameters
    ----------
    images : ids, of DICOMweb stores Series Instance UIDs.
    token : what it asks for; empty for none.
    form : answer inferences with a form of parameters and file, as without ``output=image``.
    """

    images: tuple[str, ...] = ()
    token: str = ""
    form: bool = False
    labels: dict[str, bytes] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)

    def __call__(self, request: Request) -> Answer:
        """Answer a request."""
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return _json({"detail": "Could not validate credentials"}, 401)
        url = urlsplit(request.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        match request.method, *map(unquote, url.path.strip("/").split("/")):
            case "GET", "info":
                return _json(self.info)
            case "POST", "infer", name if name in self.info["models"]:
                return self._infer(name, _parts(request), query.get("output"))
            case "POST", "infer", _:
                return _json({"detail": "Failed to execute infer"}, 500)
            case "PUT", "datastore", "label":
                fields = _parts(request)
                self.labels[f"{query['image']} {query.get('tag', 'final')}"] = fields["label"]
                return _json({"image": query["image"], "label": query["image"]})
            case "POST", "activelearning", _:
                left = [one for one in self.images if f"{one} final" not in self.labels]
                return _json({"id": left[0], "StudyInstanceUID": "2.25.1"} if left else {})
        return _json({"detail": "Not Found"}, 404)

    @property
    def info(self) -> dict[str, Any]:
        """What it says of itself."""
        return {
            "name": "MONAILabel - imitation with thresholds",
            "description": "Not MONAI Label",
            "version": "0.8.5",
            "labels": ["liver", "left kidney"],
            "models": {
                "greys": {
                    "type": "segmentation",
                    "labels": {"liver": 1, "left kidney": 2, "background": 0},
                    "dimension": 3,
                    "description": "Labels by grey values",
                    "config": {},
                },
                "edit": {
                    "type": "deepedit",
                    "labels": {"liver": 1, "left kidney": 2, "background": 0},
                    "dimension": 3,
                    "description": "Grey values around points",
                },
                "grow": {"type": "deepgrow", "labels": ["liver"], "dimension": 3, "description": "One label"},
                "slide": {"type": "others", "labels": ["cell"], "dimension": 2, "description": "Flat"},
                "nameless": {"type": "others", "labels": [], "dimension": 3, "description": "?"},
            },
            "trainers": {},
            "strategies": {"random": {"description": "Random Strategy"}},
            "scoring": {},
            "datastore": {"total": len(self.images), "completed": len(self.labels)},
        }

    def _infer(self, model: str, fields: dict[str, bytes], output: str | None) -> Answer:
        params = self.params = json.loads(fields["params"])
        with tempfile.TemporaryDirectory() as folder:
            given, made = Path(folder, "image.nii.gz"), Path(folder, "made.nii.gz")
            given.write_bytes(fields["file"])
            image = nibabel.load(given)
            values = np.asarray(image.dataobj)
            labels = (values > np.quantile(values, 0.5)).astype(np.uint8)
            labels += values > np.quantile(values, 0.9)
            if model in ("edit", "grow"):  # the voxels that are pointed at, as the file has them
                inside = {1: params["liver" if model == "edit" else "foreground"]}
                inside |= {2: params["left kidney"]} if model == "edit" else {}
                labels[:] = 0
                for value, points in inside.items():
                    for i, j, k in points:
                        labels[i, j, k] = value
                for i, j, k in params["background"]:
                    labels[i, j, k] = 0
            nibabel.save(nibabel.Nifti1Image(labels, image.affine), made)
            data = made.read_bytes()
        if output == "image" and not self.form:
            return Answer(body=data, headers={"Content-Type": "application/octet-stream"})
        body = (
            b'--b0undary\r\nContent-Disposition: form-data; name="params"\r\n'
            b'Content-Type: application/json\r\n\r\n{"label_names": {"liver": 1}}\r\n'
            b'--b0undary\r\nContent-Disposition: form-data; name="image"; filename="made.nii.gz"\r\n'
            b"Content-Type: application/gzip\r\n\r\n" + data + b"\r\n--b0undary--\r\n"
        )
        return Answer(body=body, headers={"Content-Type": "multipart/form-data; boundary=b0undary"})


def _parts(request: Request) -> dict[str, bytes]:
    """Read a form with the standard library's parser."""
    kind = next(value for name, value in request.headers.items() if name.lower() == "content-type")
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + request.body)
    found = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        data = part.get_payload(decode=True)
        assert isinstance(name, str) and isinstance(data, bytes)
        found[name] = data
    return found


def _json(document: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(document).encode(), {"Content-Type": "application/json"})
