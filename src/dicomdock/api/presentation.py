"""Presentation: a presentation state of the archive, and its images as it shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dicomdock.api.home import Home, resource_of
from dicomdock.api.instances import headers_of_each, read_single
from dicomdock.dicom.resource import Resource
from dicomdock.errors import GeometryError, InvalidInput
from dicomdock.imaging.attributes import number
from dicomdock.imaging.geometry.windows import is_inverse
from dicomdock.imaging.presentation_state import (
    Frame,
    PresentationState,
    arranged,
    presentation_state_to_dicom,
    presented,
    read_presentation_state,
)


@dataclass(frozen=True, eq=False)
class Presentation:
    """A presentation state.

    Parameters
    ----------
    state : windows, displayed areas, annotations and shutter.
    resource : the instance.
    archive : keeps it and its images.
    images : of the state, as far as the archive has them.
    remarks : what is not applied, and which images are missing, one sentence each.
    """

    state: PresentationState
    resource: Resource
    archive: Home
    images: tuple[Resource, ...]
    remarks: tuple[str, ...] = ()

    def render(self, image: Resource | str | None = None, frame: int = 1) -> npt.NDArray[np.uint8]:
        """Return the displayed area of an image in 8 bits, without annotations; of colours in a third axis.

        Parameters
        ----------
        image : an instance of ``images``; None for the first.
        frame : 1-based.

        Raises
        ------
        GeometryError
            None of its images is in the archive, the state is not for that image, or it cannot be decoded.
        """
        if image is None and not self.images:
            raise GeometryError("None of the images of the presentation state is in the archive.")
        chosen = self.images[0] if image is None else resource_of(image, "instance")
        dataset = read_single(self.archive, chosen)
        shown = presented(self.state, dataset, frame)
        return arranged(self.state, shown, chosen.instance or "", frame)


def read(archive: Home, resource: Resource) -> Presentation:
    """Read a Grayscale or Color Softcopy Presentation State; see ``Archive.presentation``."""
    dataset = read_single(archive, resource)
    state = read_presentation_state(dataset)
    study = str(dataset.StudyInstanceUID)
    series = dict.fromkeys(Resource(study, one.series) for one in state.images if one.series)
    there = {uid for one in series for uid in archive.present(one)}
    images = tuple(Resource(study, one.series, one.instance) for one in state.images if one.instance in there)
    lost = len(state.images) - len(images)
    missing = f"{lost} of the {len(state.images)} images of the presentation state are not in the archive."
    own = Resource(study, str(dataset.SeriesInstanceUID), state.instance)
    return Presentation(state, own, archive, images, (*state.remarks, *((missing,) if lost else ())))


def save(archive: Home, images: Sequence[Resource | str], state: PresentationState) -> Resource:
    """Store a presentation state for grey images of one study; see ``Archive.save_presentation``."""
    chosen = [resource_of(one) for one in images]
    headers = headers_of_each(archive, chosen)
    if not headers:
        raise InvalidInput("Name the images of the presentation state.")
    slope = number(headers[0], "RescaleSlope")
    made = replace(
        state,
        images=tuple(Frame(one.instance or "", tuple(one.frames), one.series or "") for one in chosen),
        inverse=is_inverse(headers[0]) != state.inverse,
        slope=1.0 if slope is None else slope,
        intercept=number(headers[0], "RescaleIntercept") or 0.0,
    )
    return archive.save_once(made, lambda: [presentation_state_to_dicom(made, headers)])
