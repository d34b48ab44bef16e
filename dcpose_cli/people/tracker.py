"""Person boxes -> identities over time: ByteTrack, with every detection given an id.

ByteTrack follows motion; it hides people it is not sure of and forgets who was hidden for long. A second layer gives
every detection an id (from 0, in order of appearance) and finds people again who come back near where they were last
seen, in the same clothes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dcpose_cli import _ultralytics
from dcpose_cli.people.boxes import iou
from dcpose_cli.types import Detections, TrackedBoxes

#: Boxes at or above this score start tracks; weaker ones continue them.
STRONG_SCORE: Final = 0.5
#: ByteTrack joins a track and a box from this intersection over union on; a lost track needs more, so that someone
#: who walks past a hidden person does not get that person's id.
LEAST_IOU: Final = 0.1
LOST_HANDICAP: Final = 0.15
#: Seconds for which motion alone, and clothes as well, may bring an id back.
MOTION_SECONDS: Final = 1.0
MEMORY_SECONDS: Final = 4.0
#: Without a track: overlap with the last box that keeps the id.
RELINK_IOU: Final = 0.3
#: Likeness of clothes (Bhattacharyya coefficient) that keeps the id, and its lead over everybody else known: in one
#: scene strangers are alike too, by its light and background.
LEAST_LIKENESS: Final = 0.65
LIKENESS_LEAD: Final = 0.05
#: How far someone may have gone meanwhile: box heights at once, and more per second.
REACH_HEIGHTS: Final = 1.0
REACH_PER_SECOND: Final = 0.7

#: Someone seen for this long is expected to be there still for so long when a detection is missing.
BRIDGE_AFTER_SECONDS: Final = 0.4
BRIDGE_SECONDS: Final = 0.33
#: What is left of the motion of someone unseen, per frame; also how fast motion is learnt.
MOTION_FADE: Final = 0.8
#: No expected box where a detected one overlaps it this much, or where less than this share of it is in the picture.
BRIDGE_IOU: Final = 0.6
BRIDGE_INSIDE: Final = 0.6

#: Two people whose boxes overlap this much have met; they have parted when these overlap less than that. Who is who is
#: then asked of their clothes, whose likeness must be this much better for the exchanged ids.
MET_IOU: Final = 0.3
PARTED_IOU: Final = 0.1
EXCHANGE_LEAD: Final = 0.1

_BINS: Final = (12, 6, 6)
#: Numbers in a look.
LOOK_SIZE: Final = 12 * 6 * 6


@dataclass(slots=True, eq=False)
class _Seen:
    """Where and how someone was last seen. box: xywh. look: colour histogram, sums to 1, None without pictures.
    score: of the detection. hits: detections so far. motion: pixels per frame, smoothed."""

    frame: int
    box: NDArray[np.float32]
    look: NDArray[np.float32] | None
    score: float
    hits: int
    motion: NDArray[np.float32]


class _Boxes:
    """Detections as ByteTrack wants them: arrays conf, cls, xywh (centre), selectable by mask."""

    def __init__(self, boxes: NDArray[np.float32], scores: NDArray[np.float32]) -> None:
        self.conf = scores
        self.cls = np.zeros(len(scores), np.float32)
        self._xywh = boxes

    @property
    def xywh(self) -> NDArray[np.float32]:
        return np.concatenate([self._xywh[:, :2] + self._xywh[:, 2:] / 2, self._xywh[:, 2:]], 1)

    def __getitem__(self, mask: NDArray[np.bool_]) -> _Boxes:
        return _Boxes(self._xywh[mask], self.conf[mask])

    def __len__(self) -> int:
        return len(self.conf)


class Tracker:
    """Gives ids to the people of one video, frame by frame in order.

    fps: frames per second; decides for how many frames a hidden person is remembered.
    """

    def __init__(self, fps: float = 30.0) -> None:
        self._fps = fps if 0 < fps < 1000 else 30.0
        self._next_id = 0
        self.reset()

    def reset(self) -> None:
        """Forgets everyone, as at a cut; ids that were given are not given again."""
        self._tracker = _ultralytics.byte_tracker(
            track_high_thresh=STRONG_SCORE,
            track_low_thresh=0.0,
            new_track_thresh=STRONG_SCORE,
            track_buffer=max(1, round(MOTION_SECONDS * self._fps)),
            match_thresh=1 - LEAST_IOU,
            fuse_score=False,
            lost_handicap=LOST_HANDICAP,
        )
        self._frame = 0
        self._ids: dict[int, int] = {}
        self._seen: dict[int, _Seen] = {}
        self._met: set[tuple[int, int]] = set()

    def update(self, dets: Detections, image: NDArray[np.uint8] | None = None) -> TrackedBoxes:
        """Ids for the boxes of the next frame; boxes, scores and their order come back unchanged.

        After them come people who were seen for a while and are missed for a moment, where they are expected
        (`predicted` counts them). image: the frame, (H, W, 3) uint8 RGB; without it people are not known again by
        their clothes and none are expected.
        """
        size = None if image is None else (image.shape[1], image.shape[0])
        return self.follow(dets, looks_of(dets.boxes, image), size)

    def follow(
        self,
        dets: Detections,
        looks: Sequence[NDArray[np.float32] | None],
        size: tuple[int, int] | None,
        *,
        time: float | None = None,
        cut: bool = False,
    ) -> TrackedBoxes:
        """`update` without the picture. looks: of every box, from `looks_of`. size: width and height of the frame.

        time: of the frame, seconds. cut: a new scene begins with it, nobody of the frames before is known in it.
        """
        if cut:
            self.reset()
        self._frame += 1
        tracks = self._follow(dets)
        ids = [self._ids.get(track, -1) if track is not None else -1 for track in tracks]
        for number in self._by_size(dets):
            if ids[number] < 0:
                ids[number] = self._again(dets.boxes[number], looks[number], set(ids))
                track = tracks[number]
                if track is not None:
                    self._ids[track] = ids[number]
        self._sort_out(dets, ids, looks, tracks)
        for number, identity in enumerate(ids):
            self._remember(identity, number, looks[number], dets)
        self._forget()
        return replace(self._with_expected(dets, ids, size or (0, 0)), cut=cut)

    def _sort_out(
        self,
        dets: Detections,
        ids: list[int],
        looks: Sequence[NDArray[np.float32] | None],
        tracks: list[int | None],
    ) -> None:
        """Exchanges the ids, in place, of two people who met and have parted in each other's clothes.

        Motion alone mixes them up where one box stood for both. Clothes are not learnt while boxes overlap, so what
        is remembered is how each looked before.
        """
        place = {identity: number for number, identity in enumerate(ids)}
        for first, second in zip(*np.nonzero(_overlaps(dets.boxes) >= MET_IOU), strict=True):
            self._met.add((min(ids[first], ids[second]), max(ids[first], ids[second])))
        for pair in sorted(self._met):
            first, second = place.get(pair[0], -1), place.get(pair[1], -1)
            if min(first, second) >= 0 and _iou(dets.boxes[first], dets.boxes[second]) < PARTED_IOU:
                self._met.discard(pair)
                kept = self._likeness(looks[first], ids[first]) + self._likeness(looks[second], ids[second])
                exchanged = self._likeness(looks[first], ids[second]) + self._likeness(looks[second], ids[first])
                if exchanged > kept + EXCHANGE_LEAD:
                    ids[first], ids[second] = ids[second], ids[first]
                    place[ids[first]], place[ids[second]] = first, second
                    for number in (first, second):
                        track = tracks[number]
                        if track is not None:
                            self._ids[track] = ids[number]

    def _likeness(self, look: NDArray[np.float32] | None, identity: int) -> float:
        """Bhattacharyya coefficient of a look and somebody's remembered one; 0 where either is unknown."""
        seen = self._seen.get(identity)
        return 0.0 if look is None or seen is None or seen.look is None else float(np.sqrt(look * seen.look).sum())

    def _with_expected(self, dets: Detections, ids: list[int], size: tuple[int, int]) -> TrackedBoxes:
        """The detections, then those who are missed for a moment; their score fades."""
        boxes, scores, identities = [*dets.boxes], [*dets.scores], [*ids]
        for identity, seen in self._seen.items():
            if identity in ids or not self._is_missed(seen):
                continue
            box = seen.box.copy()
            # Motion fades: someone who goes out of sight has often just stopped.
            box[:2] += seen.motion * (1 - MOTION_FADE ** (self._frame - seen.frame)) / (1 - MOTION_FADE)
            if _inside(box, size) >= BRIDGE_INSIDE and all(_iou(box, other) < BRIDGE_IOU for other in boxes):
                boxes.append(box)
                scores.append(np.float32(seen.score * (1 - 0.5 * self._age(seen) / BRIDGE_SECONDS)))
                identities.append(identity)
        return TrackedBoxes(
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array(scores, np.float32),
            np.array(identities, np.int64),
            predicted=len(boxes) - len(dets),
        )

    def _is_missed(self, seen: _Seen) -> bool:
        return seen.hits >= BRIDGE_AFTER_SECONDS * self._fps and self._age(seen) <= BRIDGE_SECONDS

    def _follow(self, dets: Detections) -> list[int | None]:
        """ByteTrack's track of every detection, None where it has none."""
        tracks: list[int | None] = [None] * len(dets)
        self._tracker.update(_Boxes(dets.boxes, dets.scores))
        for track in self._tracker.tracked_stracks:
            track.is_activated = True  # a new track is as good as any: its person was detected
            if track.frame_id == self._tracker.frame_id and 0 <= int(track.idx) < len(dets):
                tracks[int(track.idx)] = int(track.track_id)
        return tracks

    @staticmethod
    def _by_size(dets: Detections) -> NDArray[np.int64]:
        """Large boxes choose first: small ones are more often parts of somebody."""
        return np.argsort(-dets.boxes[:, 2] * dets.boxes[:, 3], kind="stable").astype(np.int64)

    def _again(self, box: NDArray[np.float32], look: NDArray[np.float32] | None, taken: set[int]) -> int:
        """The id of someone who was here before and is not in the frame yet, else a new one."""
        held = {self._ids[t.track_id] for t in self._tracker.tracked_stracks if t.track_id in self._ids}
        free = {i: s for i, s in self._seen.items() if i not in taken and i not in held}
        near = {i: _iou(box, s.box) for i, s in free.items() if self._age(s) <= MOTION_SECONDS}
        best = max(near, key=lambda i: near[i], default=-1)
        if best >= 0 and near[best] >= RELINK_IOU:
            return best
        best = self._by_clothes(box, look, free)
        if best < 0:
            best = self._next_id
            self._next_id += 1
        return best

    def _by_clothes(self, box: NDArray[np.float32], look: NDArray[np.float32] | None, free: dict[int, _Seen]) -> int:
        if look is None:
            return -1
        likeness = {i: float(np.sqrt(look * s.look).sum()) for i, s in self._seen.items() if s.look is not None}
        likeness = {i: v for i, v in likeness.items() if i not in free or self._in_reach(box, free[i])}
        ranked = sorted(likeness, key=lambda i: (-likeness[i], i))
        if not ranked or ranked[0] not in free or likeness[ranked[0]] < LEAST_LIKENESS:
            return -1
        if len(ranked) > 1 and likeness[ranked[0]] - likeness[ranked[1]] < LIKENESS_LEAD:
            return -1
        return ranked[0]

    def _in_reach(self, box: NDArray[np.float32], seen: _Seen) -> bool:
        reach = (REACH_HEIGHTS + REACH_PER_SECOND * self._age(seen)) * max(float(box[3]), float(seen.box[3]))
        gap = (box[:2] + box[2:] / 2) - (seen.box[:2] + seen.box[2:] / 2)
        return float(np.hypot(*gap)) <= reach

    def _age(self, seen: _Seen) -> float:
        return (self._frame - seen.frame) / self._fps

    def _remember(self, identity: int, number: int, look: NDArray[np.float32] | None, dets: Detections) -> None:
        """Clothes are learnt slowly, and not while somebody else covers the person."""
        box = dets.boxes[number]
        before = self._seen.get(identity)
        if before is not None and before.look is not None:
            covered = sum(_iou(box, other) > 0.1 for other in dets.boxes) > 1
            look = before.look if covered or look is None else 0.9 * before.look + 0.1 * look
        hits, motion = 1, np.zeros(2, np.float32)
        if before is not None:
            step = (box[:2] + box[2:] / 2 - before.box[:2] - before.box[2:] / 2) / (self._frame - before.frame)
            hits, motion = before.hits + 1, MOTION_FADE * before.motion + (1 - MOTION_FADE) * step
        self._seen[identity] = _Seen(self._frame, box, look, float(dets.scores[number]), hits, motion)

    def _forget(self) -> None:
        self._seen = {i: s for i, s in self._seen.items() if self._age(s) <= MEMORY_SECONDS}
        self._met = {pair for pair in self._met if pair[0] in self._seen and pair[1] in self._seen}
        alive = [*self._tracker.tracked_stracks, *self._tracker.lost_stracks]
        known = {int(track.track_id) for track in alive}
        self._ids = {track: identity for track, identity in self._ids.items() if track in known}


def _iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Intersection over union of two xywh boxes."""
    low = np.maximum(a[:2], b[:2])
    high = np.minimum(a[:2] + a[2:], b[:2] + b[2:])
    inter = float(np.prod(np.clip(high - low, 0, None)))
    return inter / max(float(a[2] * a[3] + b[2] * b[3]) - inter, 1e-6)


def _overlaps(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of every two xywh boxes (N, 4), each pair once: (N, N), 0 on and below the diagonal."""
    return np.triu(np.array([iou(box, boxes) for box in boxes], np.float32).reshape(len(boxes), len(boxes)), 1)


def _inside(box: NDArray[np.float32], size: tuple[int, int]) -> float:
    """Share of an xywh box that lies in an image of this width and height."""
    sides = np.minimum(box[:2] + box[2:], size) - np.maximum(box[:2], 0)
    return float(np.prod(np.clip(sides, 0, None)) / max(float(box[2] * box[3]), 1e-6))


def looks_of(boxes: NDArray[np.float32], image: NDArray[np.uint8] | None) -> list[NDArray[np.float32] | None]:
    """How the people in the (N, 4) xywh `boxes` of a frame look, as `Tracker.follow` wants it.

    image: (H, W, 3) uint8 RGB. A look is a (432,) float32 histogram of colours that sums to 1, or None.
    """
    return [_look(box, image) for box in boxes]


def _look(box: NDArray[np.float32], image: NDArray[np.uint8] | None) -> NDArray[np.float32] | None:
    """Colours of the body's middle: joint HSV histogram, sums to 1; None where there is nothing to see."""
    if image is None:
        return None
    x, y, w, h = (float(v) for v in box)
    rows = slice(max(0, int(y + 0.12 * h)), max(0, int(y + 0.62 * h)))
    columns = slice(max(0, int(x + 0.25 * w)), max(0, int(x + 0.75 * w)))
    patch = image[rows, columns]
    if patch.shape[0] < 4 or patch.shape[1] < 4:
        return None
    small = cv2.resize(patch, (24, 32), interpolation=cv2.INTER_AREA)
    hsv = cv2.cvtColor(small, cv2.COLOR_RGB2HSV)
    counts = cv2.calcHist([hsv], [0, 1, 2], None, list(_BINS), [0, 180, 0, 256, 0, 256])
    return np.asarray(counts.ravel() / counts.sum(), np.float32)
