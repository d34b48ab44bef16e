"""Labels of pictures that their EXIF data turn by a quarter.

Labelling tools show such pictures upright, and labels are places in the upright picture; so are pictures here
(pictures.decode_picture). Some programs write places in the picture as it is stored. Which of both a file means is told
by the width and height that it gives for the picture. Pictures that are turned by a half or mirrored alone have the
same size both ways: their labels count as upright.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .labels import LabelledPerson

#: EXIF comes first in a file; the size of the picture may stand behind a preview.
_EXIF_BYTES: Final = 1 << 12
_SIZE_BYTES: Final = 1 << 18
_QUARTERS: Final = frozenset({5, 6, 7, 8})


def upright(people: list[LabelledPerson], picture: Path, size: tuple[int, int] | None) -> list[LabelledPerson]:
    """The people in the upright picture. size: width and height that the labels give, None where they do not.

    A picture that cannot be read leaves them as they are: that is said elsewhere.
    """
    if size is None or size[0] == size[1] or picture.suffix.lower() not in (".jpg", ".jpeg"):
        return people
    from ..pictures import PictureFile, exif_orientation, picture_size  # late: it loads OpenCV

    file = PictureFile(picture)
    try:
        orientation = exif_orientation(file.head(_EXIF_BYTES))
        if orientation not in _QUARTERS or picture_size(file.head(_SIZE_BYTES)) != size:
            return people
    except InputError:
        return people
    return [_turned(person, orientation, *size) for person in people]


def _turned(person: LabelledPerson, orientation: int, width: int, height: int) -> LabelledPerson:
    """width, height: of the picture as it is stored."""
    x, y, w, h = person.box.tolist()
    corners = _places(np.array([[x, y], [x + w, y + h]]), orientation, width, height)
    low, high = corners.min(axis=0), corners.max(axis=0)
    joints = person.joints.copy()
    known = joints[:, 2] > 0
    joints[known, :2] = _places(joints[known, :2].astype(np.float64), orientation, width, height)
    return replace(person, joints=joints, box=np.concatenate([low, high - low]).astype(np.float32))


def _places(xy: NDArray[np.float64], orientation: int, width: int, height: int) -> NDArray[np.float64]:
    """Places (N, 2) in the stored picture -> in the upright one."""
    across = height - 1 - xy[:, 1] if orientation in (6, 7) else xy[:, 1]
    down = width - 1 - xy[:, 0] if orientation in (7, 8) else xy[:, 0]
    return np.stack([across, down], axis=1)
