"""The demonstration study, made in code: a CT of a head that nobody has, and a segmentation of it.

It is the same, byte for byte, whenever it is made, so it can be made again at every start without a conflict
in the archive.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dicomdock.sources import Part


def demo_study() -> Iterator[Part]:
    """Make the demonstration study: 120 CT slices, then a DICOM SEG of skull, brain, ventricles and lesion.

    Each part is given as soon as it is made, with its resource set; nothing is written anywhere. Takes 2-4 s
    in all.

    Returns
    -------
    Parts of ``application/dicom``, Explicit VR Little Endian, whose bodies can be read more than once.
    """
    from dicomdock.demo.study import make_parts

    return make_parts()
