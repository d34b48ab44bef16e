"""What the stages need of a person detector and of a tracker. Any object with these members will do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..pixels import Image, Pixels, pixels_of
from ..types import Detections, TrackedBoxes

#: A detector as the stages use it: frames, as pixels or (H, W, 3) uint8 RGB -> the people in each.
Find = Callable[[Sequence[Image | Pixels]], list[Detections]]


class Detector(Protocol):
    """What finds people. It is used by one thread at a time, not always the same one.

    name, sha256: go into the header of the result.
    """

    @property
    def name(self) -> str: ...

    @property
    def sha256(self) -> str: ...

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """People in each (H, W, 3) uint8 RGB image, in the order of the images."""
        ...


def as_taken(detector: object, frames: Sequence[Image | Pixels]) -> Sequence[Any]:
    """Frames as a detector takes them: as pixels where its `takes_pixels` is true, else as arrays (H, W, 3) of RGB."""
    return frames if getattr(detector, "takes_pixels", False) else [pixels_of(frame).rgb() for frame in frames]


class Tracker(Protocol):
    """Assigns identities to the people of one video, frame by frame in order."""

    def follow(
        self,
        detections: Detections,
        appearances: Sequence[NDArray[np.float32] | None],
        frame_size: tuple[int, int] | None,
        /,
        *,
        time: float | None = None,
        cut: bool = False,
    ) -> TrackedBoxes:
        """The people of the next frame on which the detector ran.

        appearances: one vector per detection, None where nothing can be seen. frame_size: width and height, pixels.
        time: of the frame, seconds. cut: a new scene began after the frame before; nobody keeps an identity.
        Returns the detections in their order, then people who were missed and are expected (`predicted`), and what this
        frame says of the ones before (`reassigned`).
        """
        ...
