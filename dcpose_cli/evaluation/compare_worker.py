"""One method on one video, in a process of its own: a job as JSON on stdin, figures as JSON on stdout.

Run by `compare` as `python -m dcpose_cli.evaluation.compare_worker`; the exit codes are those of the command line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._schema import build
from ..config import DEFAULTS, EstimateConfig
from ..errors import DCPoseError
from ..estimator import PoseEstimator
from ..people.protocols import Find, as_taken
from ..pipeline import export_json
from ..pixels import Image, Pixels
from ..types import Detections
from .cost import cost_of


class Recorder:
    """Detections of successive frames. name, sha256: of the detector."""

    def __init__(self, name: str, sha256: str) -> None:
        self.name, self.sha256 = name, sha256
        self.found: list[Detections] = []

    def save(self, path: Path) -> None:
        """Write the recorded detections to one file."""
        np.savez(
            path,
            counts=np.array([len(d) for d in self.found], np.int64),
            boxes=np.concatenate([np.zeros((0, 4), np.float32), *(d.boxes for d in self.found)]),
            scores=np.concatenate([np.zeros(0, np.float32), *(d.scores for d in self.found)]),
            who=np.array([self.name, self.sha256]),
        )


class Replay:
    """A detector that returns recorded detections, frame by frame."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as data:
            ends = np.cumsum(data["counts"])[:-1]
            boxes, scores = np.split(data["boxes"], ends), np.split(data["scores"], ends)
            self.name, self.sha256 = map(str, data["who"])
        self._found = [Detections(b, s) for b, s in zip(boxes, scores, strict=True)]
        self._next = 0

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """The people of the next frames; the images are not used."""
        first, self._next = self._next, self._next + len(images)
        return self._found[first : self._next]


class RecordingEstimator(PoseEstimator):
    """A PoseEstimator that records what was detected, at whatever size, in `recorded`."""

    recorded: list[Detections]

    def finder(self, size: int, pixel_aspect: float = 1.0) -> Find:
        """As in PoseEstimator, recorded."""
        find = super().finder(size, pixel_aspect)
        self.recorded = []

        def recording(images: Sequence[Image | Pixels]) -> list[Detections]:
            found = find(images)
            self.recorded += found
            return found

        return recording


class ReplayingEstimator(PoseEstimator):
    """A PoseEstimator whose detector is a `Replay`: the boxes are those of the video's frames already."""

    def finder(self, size: int, pixel_aspect: float = 1.0) -> Find:
        """What returns the recorded detections of the next frames."""
        return lambda frames: self.detector.detect(as_taken(self.detector, frames))


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Estimate a video into a PoseTrack JSON; the figures of the method."""
    config = build(EstimateConfig, job["config"])
    people = Path(job["people"])
    estimator: PoseEstimator
    if people.is_file():
        estimator = ReplayingEstimator.from_config(replace(config, detect_size=DEFAULTS.detect_size))
        estimator.detector = Replay(people)
    else:
        estimator = RecordingEstimator.from_config(config)
    network = estimator.network
    cost = cost_of(network.model)
    # The first pass of a network is slow: memory is laid out, kernels are chosen.
    blank = np.zeros((64, 64, 3), np.uint8)
    estimator.poses(blank, blank, blank, [[8, 8, 40, 48]])
    network.seconds, network.people = 0.0, 0
    export_json(job["video"], job["result"], config=config, estimator=estimator)
    if isinstance(estimator, RecordingEstimator):
        recorder = Recorder(estimator.detector.name, estimator.detector.sha256)
        recorder.found = estimator.recorded
        recorder.save(people)
    return {
        "kind": network.model.header.kind,
        "frames_seen": cost.frames,
        "people": network.people,
        "ms": 1000 * network.seconds / network.people if network.people else None,
        "parameters": cost.parameters,
        "gmac": cost.gmac,
        "memory": peak_memory(),
        "sha256": network.model.sha256,
    }


def peak_memory() -> float | None:
    """Most memory this process has had, MiB; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 2**20 if sys.platform == "darwin" else most / 2**10


def main() -> int:
    """Read the job, do it, answer."""
    try:
        answer = run(json.loads(sys.stdin.read()))
    except DCPoseError as error:
        sys.stderr.write(" ".join(str(error).split("\n")) + "\n")
        return error.exit_code
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
