"""A tiny PoseTrack, made up: two people walk through every video; its files in each layout there is.

ROOT/images/SPLIT/<video>/000000.jpg ...   PoseTrack18 numbering (six digits, from 0)
ROOT/images17/<video>/00000001.jpg ...     PoseTrack17 numbering (eight digits, from 1)
ROOT/annotations/SPLIT/<video>.json        PoseTrack18 style
ROOT/annotations17/SPLIT/<video>.json      PoseTrack17 annolists
ROOT/posetrack_SPLIT.json                  COCO-style lists, PoseTrack17 numbering
ROOT/coco_SPLIT.json                       COCO keypoints of the PoseTrack18 pictures
"""

from __future__ import annotations

import json

import cv2
import numpy as np

from dcpose_cli.datasets.labels import COCO_NAMES
from dcpose_cli.skeleton import EVAL_SLOTS, JOINT_NAMES, LABELLED_SLOTS

SIZE = (96, 80)  # width, height
FRAMES = 4
VIDEOS = {"train": ("000001_mpii_train", "000002_bonn_train"), "val": ("000003_mpii_test",)}
#: Joints of a standing person in slot order, in shares of the box.
FIGURE = np.zeros((17, 2))
FIGURE[list(LABELLED_SLOTS)] = np.array(
    [(0.5, 0.1), (0.5, 0.18), (0.5, 0.02)]
    + [(x, y) for y, w in ((0.22, 0.2), (0.36, 0.35), (0.48, 0.45)) for x in (0.5 + w, 0.5 - w)]
    + [(x, y) for y, w in ((0.52, 0.15), (0.74, 0.18), (0.96, 0.2)) for x in (0.5 + w, 0.5 - w)]
)
#: The frame of each video whose people nobody labelled.
UNLABELLED = 1


def people(video: str, frame: int) -> list[np.ndarray]:
    """Boxes xywh of a frame; the place in the list is the track id."""
    start = sum(map(ord, video)) % 8
    return [np.array([10 + start + 3 * frame, 8, 24, 60.0]), np.array([60 - 2 * frame, 14, 22, 56.0])]


def joints(box: np.ndarray) -> np.ndarray:
    """(17, 2) pixels."""
    return FIGURE * box[2:] + box[:2]


def picture(video: str, frame: int) -> np.ndarray:
    """Figures of lines over smooth noise, BGR."""
    noise = np.random.default_rng(sum(map(ord, video))).integers(90, 160, (5, 6, 3), dtype=np.uint8)
    image = cv2.resize(noise, SIZE, interpolation=cv2.INTER_CUBIC)
    for box in people(video, frame):
        for x, y in joints(box)[list(LABELLED_SLOTS)]:
            cv2.circle(image, (round(x), round(y)), 2, (20, 20, 230), -1)
    return image


def triples(box: np.ndarray, visibility: int = 1) -> list[float]:
    """17 x (x, y, v); the ears are absent."""
    out = np.zeros((17, 3))
    out[list(LABELLED_SLOTS), :2] = joints(box)[list(LABELLED_SLOTS)]
    out[list(LABELLED_SLOTS), 2] = visibility
    return out.ravel().round(2).tolist()


def head(box: np.ndarray) -> list[float]:
    x, y, w, h = box
    return [x + 0.35 * w, y, 0.3 * w, 0.18 * h]


def write_all(root) -> None:
    for split, videos in VIDEOS.items():
        lists = {"images": [], "annotations": [], "categories": [_category(JOINT_NAMES)]}
        coco = {"images": [], "annotations": [], "categories": [_category(COCO_NAMES)]}
        for video in videos:
            for frame in range(FRAMES):
                for path in (_name18(split, video, frame), _name17(video, frame)):
                    (root / path).parent.mkdir(parents=True, exist_ok=True)
                    cv2.imwrite(str(root / path), picture(video, frame), [cv2.IMWRITE_JPEG_QUALITY, 95])
            _write(root / "annotations" / split / f"{video}.json", _video18(split, video))
            _write(root / "annotations17" / split / f"{video}.json", _video17(video))
            _list(lists, video)
            _coco(coco, split, video)
        _write(root / f"posetrack_{split}.json", lists)
        _write(root / f"coco_{split}.json", coco)
    boxes = [
        {"category_id": 1, "image_name": _name18("val", v, f), "bbox": b.tolist(), "score": 0.9 - 0.5 * k}
        for v in VIDEOS["val"]
        for f in range(FRAMES)
        for k, b in enumerate(people(v, f))
    ]
    _write(root / "val_boxes.json", [*boxes, {**boxes[0], "score": 0.1}, {**boxes[0], "category_id": 3}])


def _write(path, data) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))


def _category(names) -> dict:
    return {"id": 1, "name": "person", "keypoints": list(names)}


def _name18(split: str, video: str, frame: int) -> str:
    return f"images/{split}/{video}/{frame:06d}.jpg"


def _name17(video: str, frame: int) -> str:
    return f"images17/{video}/{frame + 1:08d}.jpg"


def _number(video: str) -> int:
    return 10**10 + int(video[:6]) * 10**4


def _video18(split: str, video: str) -> dict:
    images, annotations = [], []
    for frame in range(FRAMES):
        number = _number(video) + frame
        images.append(
            {
                "id": number,
                "frame_id": number,
                "vid_id": video[:6],
                "nframes": FRAMES,
                "file_name": _name18(split, video, frame),
                "is_labeled": frame != UNLABELLED,
            }
        )
        for track, box in enumerate(people(video, frame) if frame != UNLABELLED else []):
            annotations.append(
                {
                    "id": number * 100 + track,
                    "image_id": number,
                    "track_id": track,
                    "category_id": 1,
                    "bbox": box.tolist(),
                    "bbox_head": head(box),
                    "keypoints": triples(box),
                    "scores": [],
                }
            )
    return {"images": images, "annotations": annotations, "categories": [_category(JOINT_NAMES)]}


def _video17(video: str) -> dict:
    frames = []
    for frame in range(FRAMES):
        rects = []
        for track, box in enumerate(people(video, frame) if frame != UNLABELLED else []):
            x, y, w, h = head(box)
            where = joints(box)
            points = [
                {"id": [k], "x": [where[slot, 0]], "y": [where[slot, 1]], "is_visible": [1]}
                for k, slot in enumerate(EVAL_SLOTS)
            ]
            rects.append(
                {
                    "x1": [x],
                    "y1": [y],
                    "x2": [x + w],
                    "y2": [y + h],
                    "track_id": [track],
                    "annopoints": [{"point": points}],
                }
            )
        frames.append({"image": [{"name": _name17(video, frame)}], "imgnum": [frame + 1], "annorect": rects})
    return {"annolist": frames}


def _list(lists: dict, video: str) -> None:
    for frame in range(FRAMES):
        if frame == UNLABELLED:
            continue
        number = _number(video) + frame
        lists["images"].append(
            {
                "id": number,
                "file_name": _name17(video, frame),
                "frame_id": frame + 1,
                "nframes": FRAMES,
                "width": SIZE[0],
                "height": SIZE[1],
            }
        )
        for track, box in enumerate(people(video, frame)):
            lists["annotations"].append(
                {
                    "id": number * 100 + track,
                    "image_id": number,
                    "category_id": 1,
                    "iscrowd": 0,
                    "bbox": box.tolist(),
                    "area": float(box[2] * box[3]),
                    "keypoints": triples(box, 2),
                }
            )


def _coco(coco: dict, split: str, video: str) -> None:
    number = _number(video)
    coco["images"].append(
        {"id": number, "file_name": _name18(split, video, 0), "width": SIZE[0], "height": SIZE[1]},
    )
    for k, box in enumerate(people(video, 0)):
        keypoints = np.reshape(triples(box, 2), (17, 3))
        keypoints[1:3] = [7, 7, 2]  # the eyes
        keypoints[3] = [9, 9, 1]  # the left ear, hidden
        base = {"image_id": number, "bbox": box.tolist(), "area": 99.0, "keypoints": keypoints.ravel().tolist()}
        coco["annotations"].append({**base, "id": number * 100 + k, "category_id": 1, "iscrowd": 0})
    coco["annotations"].append({**base, "id": number * 100 + 50, "category_id": 1, "iscrowd": 1})
    coco["annotations"].append({**base, "id": number * 100 + 51, "category_id": 17, "iscrowd": 0})
