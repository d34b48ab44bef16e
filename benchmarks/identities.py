"""Identities by boxes (IoU 0.5, motmetrics): the sample clips with their truth, and a crowd with known identities.

    python benchmarks/identities.py                     the default tracker, with and without filled gaps
    python benchmarks/identities.py --tracker bytetrack
    python benchmarks/identities.py --results FOLDER    the sample clips from result files FOLDER/plaza.json, ...

Detections come once from person-n and serve every run. Everybody counts, hidden or not; for the crowd the second row
leaves out people of whom less than VISIBLE is seen, and boxes that only fit such people.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import motmetrics
import numpy as np
from crowd import FPS, FRAMES, HEIGHT, WIDTH, crowd, cutouts
from numpy.typing import NDArray

from dcpose_cli.config import EstimateConfig
from dcpose_cli.evaluation import read_truth
from dcpose_cli.people.appearance import appearances_of
from dcpose_cli.people.boxes import pairwise_iou
from dcpose_cli.people.detector import PersonDetector
from dcpose_cli.people.tracker import DEFAULT, TRACKERS
from dcpose_cli.results import read_posetrack
from dcpose_cli.settings import ResolvedSettings
from dcpose_cli.stages import Stream, track
from dcpose_cli.types import Detections, Observation
from dcpose_cli.video.reader import VideoReader

SAMPLES: Final = Path(__file__).resolve().parents[1] / "sample_videos"
CLIPS: Final = ("plaza", "portrait", "sprint")
MATCH: Final = 0.5
VISIBLE: Final = 0.3
#: num_fragmentations: how often a person who is tracked is lost and found again, under whatever identity.
METRICS: Final = ("idf1", "num_switches", "num_fragmentations", "num_misses", "num_false_positives", "num_objects")

#: People of a frame: identity -> box xywh.
Boxes = dict[int, NDArray[np.float32]]
Clip = tuple[Stream, list[Observation]]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracker", choices=list(TRACKERS), default=DEFAULT)
    parser.add_argument("--detector", default="person-n")
    parser.add_argument("--crowds", type=int, default=6, help="pasted crowds, one per seed")
    parser.add_argument("--frames", type=int, default=FRAMES, help="frames of each crowd")
    parser.add_argument("--results", type=Path, help="score these results of the sample clips instead")
    return parser.parse_args(arguments)


def settings(tracker: str, *, fill: bool) -> ResolvedSettings:
    """The default settings with this tracker."""
    config = EstimateConfig()
    return ResolvedSettings(
        conf=config.conf,
        interval=1,
        box_scale=config.box_scale,
        flip_test=False,
        share_crops=False,
        detect_every=1,
        detect_size=0,
        tracker=tracker,
        keep_conf=config.keep_conf,
        track_iou=config.track_iou,
        track_memory=config.track_memory,
        fill=fill,
        device="cpu",
        precision="float32",
        batch=1,
    )


def observed(detector: PersonDetector, image: NDArray[np.uint8], moment: float) -> Observation:
    """What the tracker gets of a frame."""
    found: Detections = detector.detect([image])[0]
    return Observation(moment, False, True, found, appearances_of(found.boxes, image))


def sample_clip(detector: PersonDetector, name: str) -> tuple[Clip, list[Boxes]]:
    """Detections and true people of a sample clip."""
    with VideoReader(SAMPLES / f"{name}.mp4") as reader:
        frames = [observed(detector, frame.image, frame.time) for frame in reader]
        stream = Stream.of(reader.info)
    truth = read_truth(SAMPLES / f"{name}.json")
    return (stream, frames), [{p.track_id: np.asarray(p.bbox, np.float32) for p in people} for people in truth]


def followed(clip: Clip, chosen: ResolvedSettings) -> list[Boxes]:
    """The people of every frame, as the tracker, gap filling and confirmation leave them."""
    stream, frames = clip
    tracked = track(enumerate(frames), stream, chosen)
    return [dict(zip(people.track_ids.tolist(), people.boxes, strict=True)) for _, people in tracked]


def score(truth: Sequence[Boxes], found: Sequence[Boxes], hidden: Sequence[Boxes] | None = None) -> Any:
    """A motmetrics table. hidden: people who do not count, nor boxes that fit them better than anybody in `truth`."""
    table = motmetrics.MOTAccumulator(auto_id=True)
    for place, (people, boxes) in enumerate(zip(truth, found, strict=True)):
        overlap = _overlap(people, boxes)
        kept = np.ones(len(boxes), bool)
        if hidden is not None and hidden[place]:
            other = _overlap(hidden[place], boxes).max(axis=0)
            kept = (other < MATCH) | (overlap.max(axis=0, initial=0) >= other)
        identities = [identity for identity, keep in zip(boxes, kept, strict=True) if keep]
        fitting = overlap[:, kept]
        table.update(list(people), identities, np.where(fitting >= MATCH, 1 - fitting, np.nan))
    return table


def _overlap(people: Boxes, boxes: Boxes) -> NDArray[np.float32]:
    first, second = (np.array(list(side.values()), np.float32).reshape(-1, 4) for side in (people, boxes))
    return pairwise_iou(first, second)


def report(title: str, tables: Sequence[Any], names: Sequence[str]) -> None:
    """Prints a row per clip and one for all."""
    computed = motmetrics.metrics.create().compute_many(
        list(tables), names=list(names), metrics=list(METRICS), generate_overall=True
    )
    print(f"\n{title}\n{'clip':12}{'IDF1':>8}{'switches':>10}{'fragments':>11}{'missed':>8}{'surplus':>9}{'people':>8}")
    for name, row in computed.iterrows():
        idf1, switches, fragments, missed, surplus, people = (row[metric] for metric in METRICS)
        counts = f"{switches:10.0f}{fragments:11.0f}{missed:8.0f}{surplus:9.0f}{people:8.0f}"
        print(f"{name:12}{100 * idf1:8.1f}{counts}")


def crowds(detector: PersonDetector, count: int, frames: int) -> Iterator[tuple[Clip, list[Boxes], list[Boxes]]]:
    """Detections of pasted crowds, their people who can be seen, and the others."""
    people = cutouts(SAMPLES)
    for seed in range(1, count + 1):
        seen, clear, covered = [], [], []
        for number, frame in enumerate(crowd(people, seed, frames)):
            seen.append(observed(detector, frame.image, number / FPS))
            boxes = {identity: np.array(box, np.float32) for identity, box in frame.boxes.items()}
            clear.append({i: box for i, box in boxes.items() if frame.visible[i] >= VISIBLE})
            covered.append({i: box for i, box in boxes.items() if frame.visible[i] < VISIBLE})
        yield (Stream(WIDTH, HEIGHT, FPS), seen), clear, covered


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark and prints its tables."""
    options = parse(arguments)
    if options.results is not None:
        tables = []
        for name in CLIPS:
            truth = [
                {p.track_id: np.asarray(p.bbox, np.float32) for p in people}
                for people in read_truth(SAMPLES / f"{name}.json")
            ]
            frames = read_posetrack(options.results / f"{name}.json").frames
            tables.append(score(truth, [{p.track_id: p.bbox for p in frame.people} for frame in frames]))
        report(f"sample clips, {options.results}", tables, CLIPS)
        return
    detector = PersonDetector(options.detector, conf=EstimateConfig().keep_conf)
    samples = [sample_clip(detector, name) for name in CLIPS]
    pasted = list(crowds(detector, options.crowds, options.frames))
    seeds = [f"crowd {seed}" for seed in range(1, len(pasted) + 1)]
    for fill in (True, False):
        chosen = settings(options.tracker, fill=fill)
        suffix = "gaps filled" if fill else "--no-fill"
        report(f"sample clips, {suffix}", [score(truth, followed(c, chosen)) for c, truth in samples], CLIPS)
        if pasted:
            started = time.process_time()
            found = [followed(clip, chosen) for clip, _, _ in pasted]
            spent = 1000 * (time.process_time() - started) / sum(len(clip[1]) for clip, _, _ in pasted)
            every = [[a | b for a, b in zip(clear, covered, strict=True)] for _, clear, covered in pasted]
            report(f"pasted crowd, {suffix}", [score(t, f) for t, f in zip(every, found, strict=True)], seeds)
            seen = [score(clear, f, covered) for (_, clear, covered), f in zip(pasted, found, strict=True)]
            report(f"pasted crowd, who can be seen, {suffix}", seen, seeds)
            print(f"tracking, filling and confirmation: {spent:.2f} ms per frame")


if __name__ == "__main__":
    main()
