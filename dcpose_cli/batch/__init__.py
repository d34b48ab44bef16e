"""Folders of videos: what there is to do, who does it, what became of it; one machine or a Ray cluster."""

from __future__ import annotations

from .plan import Job, Plan, plan_batch
from .run import Outcome, Runner, run_batch

__all__ = ["Job", "Outcome", "Plan", "Runner", "plan_batch", "run_batch"]
