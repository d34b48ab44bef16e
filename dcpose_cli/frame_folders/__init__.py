"""Data sets in PoseTrack's layout: folders of frames and a file of person boxes in, prediction files out."""

from __future__ import annotations

from .export import DatasetSummary, export_dataset

__all__ = ["DatasetSummary", "export_dataset"]
