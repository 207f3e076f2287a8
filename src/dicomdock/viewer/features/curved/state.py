"""What the page knows of the image along a path."""

from __future__ import annotations

from dataclasses import dataclass

USUAL_WIDTH = 50.0  # mm


@dataclass
class CurvedState:
    """The shown series along a measured path, straightened.

    Parameters
    ----------
    curved_path : Tracking UID of the path; empty where none is shown.
    curved_name : the path's name.
    curved_picture : the image, as a URL; empty where there is none.
    curved_words : its size, or why there is no image.
    curved_box : how large it is drawn, in CSS.
    curved_width : of the image, in mm.
    curved_angle : degrees by which it is turned about the path.
    curved_length : of the path, in mm, up to the last row.
    curved_at : mm along the path of the row that is marked.
    curved_mark, curved_scale : where its mark is drawn, and how wide 10 mm are, in CSS.
    curved_left, curved_right : letters of the patient's directions at the ends of that row.
    """

    curved_path: str = ""
    curved_name: str = ""
    curved_picture: str = ""
    curved_words: str = ""
    curved_box: str = ""
    curved_width: float = USUAL_WIDTH
    curved_angle: float = 0
    curved_length: float = 0
    curved_at: float = 0
    curved_mark: str = ""
    curved_scale: str = ""
    curved_left: str = ""
    curved_right: str = ""
