"""Pictures and labels to correct by hand, from a result: the frames that teach most."""

from __future__ import annotations

from .choice import Choice, choose_frames
from .folder import LabelSummary, write_labels

__all__ = ["Choice", "LabelSummary", "choose_frames", "write_labels"]
