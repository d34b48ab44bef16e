"""The trackers that `--tracker` names. A new one is a file with a class as protocols.Tracker says, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Final

from ..errors import UsageError
from . import protocols
from .association import AssociationTracker
from .bytetrack import ByteTracker

#: The default one under its former name.
Tracker = AssociationTracker

DEFAULT: Final = "dcpose"
#: Name -> what builds the tracker of one video, from its frames per second and the options of `new_tracker`. `needs` of
#: a class: a package that must be installed, with the extra that brings it.
TRACKERS: Final[dict[str, Callable[..., protocols.Tracker]]] = {DEFAULT: AssociationTracker, "bytetrack": ByteTracker}


def new_tracker(
    name: str, fps: float, *, start_score: float, keep_score: float, match_iou: float, memory: float
) -> protocols.Tracker:
    """The tracker of a video.

    fps: frames per second. start_score, keep_score: least score of a detection that starts a track and of one that
    continues it. match_iou: least overlap of a detection with the box that is expected. memory: seconds for which
    somebody out of sight is remembered. Raises UsageError for an unknown name or a tracker that is not installed.
    """
    require_tracker(name)
    return TRACKERS[name](fps, start_score=start_score, keep_score=keep_score, match_iou=match_iou, memory=memory)


def require_tracker(name: str) -> None:
    """Raises UsageError for a name that is none, and for a tracker whose packages are not installed."""
    if name not in TRACKERS:
        raise UsageError(f"there is no tracker {name!r:.40}", hint=f"use {' or '.join(TRACKERS)}")
    package, extra = getattr(TRACKERS[name], "needs", None) or ("", "")
    if package and find_spec(package) is None:
        raise UsageError(f"the tracker {name} needs the package {package}", hint=f"pip install 'dcpose[{extra}]'")
