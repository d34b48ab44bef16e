"""Has the program become slower than its own networks, or than a peer? A minute on two cores.

    python benchmarks/speed_check.py

Only ratios of times of one run are compared, and each limit lies well above what was measured: a busy machine passes,
a stage that takes twice as long does not.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import speed
from speed_clips import make_clip
from speed_peer import peer

#: Frames of each clip.
FRAMES: Final = {"crowd": 12, "4k": 8}
#: The architecture of the peer; it is run untrained.
PEER: Final = "yolo11n-pose.yaml"
#: Most that the whole program may take of the time of its bare networks (the pose network on crops that are not shared,
#: and the detector), and of the time of the peer.
MOST_OVER_BARE: Final = {"crowd": 1.4, "4k": 8.0}
MOST_OVER_PEER: Final = {"crowd": 9.0, "4k": 2.5}


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of times on a clip, and the limit it must not exceed."""

    clip: str
    name: str
    value: float
    limit: float

    @property
    def holds(self) -> bool:
        return self.value <= self.limit


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the ratios; 1 when one of them is above its limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    speed.add_options(parser)
    options = parser.parse_args(arguments)
    found = [ratio for name in FRAMES for ratio in ratios(name, options)]
    print(as_text(found))
    if options.json:
        options.json.write_text(json.dumps([asdict(ratio) for ratio in found], indent=1) + "\n", encoding="utf-8")
    return 0 if all(ratio.holds for ratio in found) else 1


def ratios(name: str, options: argparse.Namespace) -> list[Ratio]:
    """The ratios of a clip: over the bare networks, and over the peer where ultralytics is installed."""
    own = copy.copy(options)
    own.frames, own.rounds = FRAMES[name], 1
    with tempfile.TemporaryDirectory() as folder:
        own.clip = make_clip(name, Path(folder), own.frames)
        estimator = speed.loaded(own)
        inputs = speed.prepare(own, estimator)
        pose, people = speed.bare_network(estimator, inputs)
        bare = speed.timed(pose, own.rounds, estimator.device) * inputs.people / people
        bare += speed.timed(speed.detection(estimator, inputs), own.rounds, estimator.device)
        # The size at which frames are searched is chosen once a video, which a clip of some frames must not pay for.
        seconds = speed.whole(own, detect_size=estimator.detector.imgsz)["seconds"]
        out = [Ratio(name, "bare networks", seconds / bare, MOST_OVER_BARE[name])]
        if importlib.util.find_spec("ultralytics") is not None:
            own.peer = options.peer or PEER
            theirs = peer(own)["ms per frame"] * len(inputs.frames) / 1000
            out.append(Ratio(name, "yolo pose predict", seconds / theirs, MOST_OVER_PEER[name]))
    return out


def as_text(found: list[Ratio]) -> str:
    lines = ["the whole program over          ratio   at most"]
    for ratio in found:
        verdict = "" if ratio.holds else "   TOO SLOW"
        lines.append(f"{ratio.clip:6} {ratio.name:20} {ratio.value:9.2f} {ratio.limit:9.2f}{verdict}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
