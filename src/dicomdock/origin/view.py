"""View: how a picture is wanted, as a request says it.

References
----------
PS3.18 §8.3.5.1 (query parameters of rendered resources).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from dicomdock.errors import InvalidInput
from dicomdock.origin.accept import PictureType

VoiFunction = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]

MAX_VIEWPORT = 4096  # pixels, either side of a picture that we make
DEFAULT_QUALITY = 90
FUNCTIONS: Mapping[str, VoiFunction] = {
    "linear": "LINEAR",
    "linear-exact": "LINEAR_EXACT",
    "linear_exact": "LINEAR_EXACT",
    "sigmoid": "SIGMOID",
}


@dataclass(frozen=True, slots=True)
class Window:
    """Which values are shown from black to white.

    Parameters
    ----------
    centre, width : in the modality's unit (HU for CT).
    function : how values in between are spread.

    References
    ----------
    PS3.3 §C.11.2.1.2.
    """

    centre: float
    width: float
    function: VoiFunction = "LINEAR"

    def __post_init__(self) -> None:
        smallest = 1.0 if self.function == "LINEAR" else 0.0
        if not (math.isfinite(self.centre) and math.isfinite(self.width)) or self.width < smallest:
            raise InvalidInput(f"A window of centre {self.centre} and width {self.width} shows nothing.")

    @classmethod
    def parse(cls, text: str) -> Window:
        """Read ``centre,width[,function]`` of a request.

        Raises
        ------
        InvalidInput
            It is not that.
        """
        words = text.split(",")
        try:
            centre, width = float(words[0]), float(words[1])
            function = FUNCTIONS[words[2].strip().lower()] if len(words) > 2 else "LINEAR"
        except (ValueError, IndexError, KeyError):
            raise InvalidInput(
                f"window={text[:60]!r} is not centre,width[,linear|linear-exact|sigmoid]."
            ) from None
        return cls(centre, width, function)


@dataclass(frozen=True, slots=True)
class Viewport:
    """How large the picture may be, and which part of the image it shows.

    Parameters
    ----------
    width, height : pixels; the picture fits into them, its proportions unchanged.
    left, top, crop_width, crop_height : the part of the image in its own pixels; 0 for all that is left. A
        negative crop flips the picture.
    """

    width: int
    height: int
    left: float = 0
    top: float = 0
    crop_width: float = 0
    crop_height: float = 0

    def __post_init__(self) -> None:
        if not (1 <= self.width <= MAX_VIEWPORT and 1 <= self.height <= MAX_VIEWPORT):
            raise InvalidInput(f"A viewport has 1 to {MAX_VIEWPORT} pixels a side.")
        if not all(map(math.isfinite, (self.left, self.top, self.crop_width, self.crop_height))):
            raise InvalidInput("The part of the image to show must be given in numbers.")

    @classmethod
    def parse(cls, text: str) -> Viewport:
        """Read ``width,height[,left,top,crop width,crop height]`` of a request; empty ones are the default.

        Raises
        ------
        InvalidInput
            It is not that.
        """
        words = [word.strip() for word in text.split(",")]
        try:
            crop = [float(word) if word else 0.0 for word in words[2:6]]
            return cls(int(words[0]), int(words[1]), *crop)
        except (ValueError, IndexError):
            raise InvalidInput(f"viewport={text[:60]!r} is not width,height[,x,y,width,height].") from None


@dataclass(frozen=True, slots=True)
class View:
    """How a picture is wanted.

    Parameters
    ----------
    window : which values to show; None for what the image itself names.
    viewport : size and part; None for the image's own size.
    media_type : of the picture.
    quality : 1-100, of a JPEG.
    """

    window: Window | None = None
    viewport: Viewport | None = None
    media_type: PictureType = "image/jpeg"
    quality: int = DEFAULT_QUALITY

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 100:
            raise InvalidInput("The quality of a picture is 1 to 100.")
