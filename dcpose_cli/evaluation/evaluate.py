"""What `dcpose evaluate` says of predictions: PoseTrack AP, PCKh, OKS-AP, MOTA, IDF1; whole and by sequence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from .._text import printable
from ..config import EVERYBODY, Selection
from ..errors import UsageError
from ..selection import require_threshold
from ..skeleton import JOINT_GROUPS
from .coco_files import is_coco_truth
from .named_joints import NamedJoints, evaluate_named
from .oks_ap import OksApResult, evaluate_oks
from .poseval import TABLE, ApResult, Video, evaluate_videos, file_pairs, read_pair
from .poseval_files import EVAL_JOINTS, chosen_frames, load
from .tracking import TrackingResult, evaluate_tracking, has_tracks, shared_id

#: The metrics there are; those with a package need it installed.
METRICS: Final[dict[str, str | None]] = {"ap": None, "pckh": None, "oks": "pycocotools", "tracking": "motmetrics"}
#: Those given for COCO labels when none are asked for.
COCO_METRICS: Final = ("pckh", "oks")
#: Column of PoseTrack's tables -> its name in the JSON.
GROUPS: Final = dict(zip([*TABLE, "Total"], [*JOINT_GROUPS, "total"], strict=True))


@dataclass(frozen=True, slots=True)
class Scores:
    """Figures of one sequence or of all. oks, tracking: None when not asked for, or not possible.

    further: joints beyond the fifteen, by name.
    """

    ap: ApResult
    oks: OksApResult | None
    tracking: TrackingResult | None
    further: NamedJoints


@dataclass(frozen=True, slots=True)
class Evaluation:
    """metrics: those that were computed. total: all sequences together. sequences: by name, in order.

    detected: the same figures without the predicted people who are marked `interpolated`; None where nobody is.
    head_boxes: the truth has them; without (COCO labels) `pckh` is PCK within coco_files.PCK_SHARE of a person's box.
    untracked: why there are no figures of tracking, "" where there are some or none were asked for.
    """

    metrics: tuple[str, ...]
    total: Scores
    sequences: dict[str, Scores]
    detected: Evaluation | None = None
    head_boxes: bool = True
    untracked: str = ""


def evaluate(
    truth: Path,
    predicted: Path,
    *,
    metrics: Sequence[str] | None = None,
    kpt_thr: float = 0.3,
    selection: Selection = EVERYBODY,
) -> Evaluation:
    """Figures of prediction files against ground truth.

    truth, predicted: files, or folders of sequences with equal names. truth: PoseTrack17, 18 or 21 JSON, COCO labels
    (without AP), or the truth of a sample clip. predicted: PoseTrack JSON of any kind, a result of dcpose among them,
    or COCO results. metrics: keys of METRICS; None for all that are possible here, and for COCO labels COCO_METRICS.
    kpt_thr: least confidence of a joint that counts for tracking.
    selection: which people of the predictions count; everybody in the truth does.
    Raises InputError, and UsageError when a package for one of `metrics` is missing.
    """
    require_threshold(kpt_thr)
    chosen = available_metrics() if metrics is None else _known(metrics)
    pairs = file_pairs(Path(truth), Path(predicted))
    coco = any(is_coco_truth(load(pair[0])) for pair in pairs)
    if coco:
        chosen = _of_coco(chosen, asked=metrics is not None)
    videos = {pair[0].stem: _chosen(pair, selection) for pair in pairs}
    untracked = _untracked(videos) if "tracking" in chosen else ""
    if untracked and metrics is not None:
        raise UsageError(f"tracking needs a track_id for everybody on both sides, distinct in each frame: {untracked}")
    if untracked:
        chosen = tuple(name for name in chosen if name != "tracking")
    whole = replace(_evaluation(videos, chosen, kpt_thr), head_boxes=not coco, untracked=untracked)
    if not any(person.interpolated for _, frames in videos.values() for frame in frames for person in frame.people):
        return whole
    detected = {name: _without_interpolated(video) for name, video in videos.items()}
    return replace(whole, detected=replace(_evaluation(detected, chosen, kpt_thr), head_boxes=not coco))


def _untracked(videos: Mapping[str, Video]) -> str:
    """Why tracking cannot be evaluated; "" where it can."""
    for name, video in videos.items():
        if not has_tracks(video):
            return f"{printable(name)}: somebody has no track id"
        if shared := shared_id(video):
            return f"{printable(name)}: {shared}; `dcpose edit --separate all` gives them ids of their own"
    return ""


def _of_coco(chosen: tuple[str, ...], *, asked: bool) -> tuple[str, ...]:
    """The metrics of COCO labels: PCK and OKS-AP, and tracking where it was asked for. Raises UsageError for AP."""
    if asked and "ap" in chosen:
        raise UsageError("PoseTrack AP needs head boxes, which COCO labels lack", hint="use --metrics oks,pckh")
    # COCO labels rarely have track ids: that they lack them is worth no warning.
    return chosen if asked else tuple(name for name in chosen if name in COCO_METRICS)


def _chosen(pair: tuple[Path, Path], selection: Selection) -> Video:
    truth, frames = read_pair(*pair)
    return truth, frames if selection.everybody else chosen_frames(frames, pair[1], selection)


def _evaluation(videos: Mapping[str, Video], chosen: tuple[str, ...], kpt_thr: float) -> Evaluation:
    sequences = {name: _scores([video], chosen, kpt_thr) for name, video in videos.items()}
    parts = [scores.tracking for scores in sequences.values() if scores.tracking is not None]
    everything = list(videos.values())
    total = Scores(
        evaluate_videos(everything),
        evaluate_oks(everything) if "oks" in chosen else None,
        reduce(lambda a, b: a + b, parts) if parts else None,
        evaluate_named(everything),
    )
    return Evaluation(chosen, total, sequences)


def _without_interpolated(video: Video) -> Video:
    truth, predicted = video
    return truth, [replace(frame, people=[p for p in frame.people if not p.interpolated]) for frame in predicted]


def available_metrics() -> tuple[str, ...]:
    """The metrics whose packages are installed."""
    return tuple(name for name, package in METRICS.items() if package is None or find_spec(package) is not None)


def _known(metrics: Sequence[str]) -> tuple[str, ...]:
    for name in metrics:
        if name not in METRICS:
            raise UsageError(f"unknown metric {name!r:.40}", hint=f"choose from {', '.join(METRICS)}")
    return tuple(name for name in METRICS if name in metrics)


def _scores(videos: Sequence[Video], metrics: Sequence[str], kpt_thr: float) -> Scores:
    return Scores(
        evaluate_videos(videos),
        evaluate_oks(videos) if "oks" in metrics else None,
        evaluate_tracking(videos[0], kpt_thr) if "tracking" in metrics else None,
        evaluate_named(videos),
    )


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """The figures as a JSON object, percent throughout; what has no figure is null.

    The keys of the total, then `sequences`: {name: the same keys}. `ap`, `pckh` (`pck` without head boxes), `mota`,
    `idf1`: head, shoulder, elbow, wrist, hip, knee, ankle, total. `oks`: ap, ap50, ap75, recall. `joints`: per joint
    ap, precision, recall (percent) and annotated (a count); of joints beyond the fifteen recall and annotated alone.
    `frames`: those with annotated people. `switches`: a count. `without_interpolated`: all of these keys without the
    people marked `interpolated`; absent where nobody is.
    """
    sequences = {name: _figures(scores, evaluation) for name, scores in evaluation.sequences.items()}
    figures = {**_figures(evaluation.total, evaluation), "sequences": sequences}
    if evaluation.detected is not None:
        figures["without_interpolated"] = as_json(evaluation.detected)
    return figures


def _figures(scores: Scores, evaluation: Evaluation) -> dict[str, Any]:
    metrics = evaluation.metrics
    figures: dict[str, Any] = {"frames": scores.ap.frames}
    if "ap" in metrics:
        figures["ap"] = _groups(scores.ap.table())
    if "pckh" in metrics:
        figures["pckh" if evaluation.head_boxes else "pck"] = _groups(scores.ap.pckh_table())
    if scores.oks is not None:
        oks = scores.oks
        figures["oks"] = {key: _number(getattr(oks, key)) for key in ("ap", "ap50", "ap75", "recall")}
    if scores.tracking is not None:
        figures["mota"] = _groups(scores.tracking.table(scores.tracking.mota))
        figures["idf1"] = _groups(scores.tracking.table(scores.tracking.idf1))
        figures["switches"] = scores.tracking.switches
    figures["joints"] = {
        name: {
            "ap": _number(scores.ap.ap[joint]),
            "precision": _number(scores.ap.precision[joint]),
            "recall": _number(scores.ap.recall[joint]),
            "annotated": int(scores.ap.ground_truth[joint]),
        }
        for joint, name in enumerate(EVAL_JOINTS)
    } | {
        name: {"ap": None, "precision": None, "recall": scores.further.recall(name), "annotated": count}
        for name, count in scores.further.annotated.items()
    }
    return figures


def _groups(table: dict[str, float]) -> dict[str, float | None]:
    return {GROUPS[name]: _number(value) for name, value in table.items()}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
