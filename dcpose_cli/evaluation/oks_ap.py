"""COCO's keypoint AP on the 15 PoseTrack joints, through pycocotools (the extra `evaluate`).

Object keypoint similarity with the standard deviations of skeleton.OKS_SIGMAS; the area of a person is that of the box,
or of the box around the joints where the truth has none. At most 20 predictions per frame count, as in COCO; they are
ranked by the score of the person times the mean of the joints' scores. Frames without annotated people are left out and
points inside ignore regions are removed on both sides, as for PoseTrack AP.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..errors import UsageError
from ..skeleton import EVAL_SLOTS, OKS_SIGMAS
from .poseval import Video, outside, present
from .poseval_files import EvalPerson

_MOST_PEOPLE: Final = 20
_FIRST_ID: Final = 1  # pycocotools takes a match with annotation 0 for none


@dataclass(frozen=True, slots=True)
class OksApResult:
    """In percent; NaN without annotated people. ap: mean over OKS 0.50, 0.55, ... 0.95."""

    ap: float
    ap50: float
    ap75: float
    recall: float


def evaluate_oks(videos: Sequence[Video]) -> OksApResult:
    """OKS-AP of pairs of (ground truth, predicted) frames. Raises UsageError without pycocotools."""
    coco, coco_eval = _pycocotools()
    truth, guesses, images = _annotations(videos)
    if not truth:
        nan = float("nan")
        return OksApResult(nan, nan, nan, nan)
    with contextlib.redirect_stdout(io.StringIO()):  # it reports every step
        run = coco_eval(_dataset(coco, images, truth), _dataset(coco, images, guesses), "keypoints")
        run.params.kpt_oks_sigmas = np.array([OKS_SIGMAS[slot] for slot in EVAL_SLOTS])
        run.params.maxDets = [_MOST_PEOPLE]
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.evaluate()
        run.accumulate()
    precision, recall = run.eval["precision"][..., 0, 0, 0], run.eval["recall"][..., 0, 0, 0]
    return OksApResult(
        *(100 * float(v) for v in (precision.mean(), precision[0].mean(), precision[5].mean(), recall.mean()))
    )


def _pycocotools() -> tuple[Any, Any]:
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise UsageError("OKS-AP needs pycocotools", hint="pip install 'dcpose[evaluate]'") from error
    return COCO, COCOeval


def _dataset(coco: Any, images: int, annotations: list[dict[str, Any]]) -> Any:
    data = coco()
    data.dataset = {
        "images": [{"id": number} for number in range(images)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
    }
    data.createIndex()
    return data


def _annotations(videos: Sequence[Video]) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
    """Annotated people, predicted people, and the number of frames they are in."""
    truth: list[dict[str, Any]] = []
    guesses: list[dict[str, Any]] = []
    image = 0
    for true_frames, predicted in videos:
        for true_frame, predicted_frame in zip(true_frames, predicted, strict=True):
            if not true_frame.people:
                continue
            for person in outside(true_frame.people, true_frame.ignore):
                truth.append(_entry(person, image, len(truth)) | {"iscrowd": 0, "ignore": 0})
            for guess in outside(predicted_frame.people, true_frame.ignore):
                guesses.append(_entry(guess, image, len(guesses)) | {"score": _score(guess)})
            image += 1
    return truth, guesses, image


def _entry(person: EvalPerson, image: int, number: int) -> dict[str, Any]:
    there = present(person)
    keypoints = np.column_stack([np.nan_to_num(person.points), 2 * there])
    low, high = person.points[there].min(axis=0), person.points[there].max(axis=0)
    x, y, width, height = person.bbox or (*low.tolist(), *(high - low).tolist())
    return {
        "id": number + _FIRST_ID,
        "image_id": image,
        "category_id": 1,
        "keypoints": keypoints.reshape(-1).tolist(),
        "num_keypoints": int(there.sum()),
        "bbox": [x, y, width, height],
        "area": width * height,
    }


def _score(person: EvalPerson) -> float:
    joints = float(person.scores[present(person)].mean())
    return joints * (1.0 if person.score is None else person.score)
