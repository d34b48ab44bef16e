"""The default tracker: detections are assigned to tracks by motion, overlap and appearance.

Two thresholds, as in ByteTrack (Zhang et al. 2022): strong detections start and continue tracks, weak ones only
continue tracks that were just seen. A Kalman filter per track predicts the box, the assignment is optimal (lapjv).
Tracks that were lost come back by motion for a second, and by appearance for as long as they are remembered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..types import Detections, Reassignment, TrackedBoxes
from .appearance import Appearance, likeness, likenesses
from .assignment import assign
from .boxes import inside, iou, pairwise_iou
from .correction import Meetings, exchange_gain
from .motion import Motion, common_shift
from .recognition import Track, in_reach, likeness_to_owners, resembled
from .split import Splits

#: Seconds for which motion alone may bring a lost track back.
MOTION_SECONDS: Final = 1.0
#: What a lost track needs beyond the least overlap, so that someone who walks past a hidden person does not get that
#: person's identity, and what it needs where appearance agrees.
LOST_HANDICAP: Final = 0.15
#: Overlap of a weak detection with the track it continues.
WEAK_IOU: Final = 0.4
#: Detections that make a track a known one.
KNOWN_HITS: Final = 3
#: Overlap of a strong detection that certainly continues a track.
SURE_IOU: Final = 0.4
#: Weight of the appearance beside the overlap, and the likeness of somebody who is not known.
APPEARANCE_WEIGHT: Final = 1.0
UNKNOWN_LIKENESS: Final = 0.6
#: Somebody less like the track than this is somebody else, in the next frame and after more than a moment out of sight.
OTHER_LIKENESS: Final = 0.5
LOST_LIKENESS: Final = 0.65
MOMENT_SECONDS: Final = 0.15
#: Nobody looks suddenly different: least likeness to the last detection, covered or not, for these overlaps. It is not
#: asked of who looks this much like the person when nobody covered them (SURE). A lost track is asked a little less.
SUDDEN_IOU: Final = (0.4, 0.8)
SUDDEN_LIKENESS: Final = (0.6, 0.5)
LOST_SUDDEN_LIKENESS: Final = 0.55
SURE_LIKENESS: Final = 0.8

#: Someone seen for this long is expected to be there still for so long when a detection is missing.
EXPECT_AFTER_SECONDS: Final = 0.4
EXPECT_SECONDS: Final = 0.33
#: No expected box where a detected one overlaps it this much, or where less than this share of it is in the picture.
EXPECT_IOU: Final = 0.6
EXPECT_INSIDE: Final = 0.6

#: A box that overlaps another one more than this is covered: its appearance is not learnt, and its place is this much
#: less certain.
COVERED_IOU: Final = 0.1
COVERED_NOISE: Final = 3.0
#: A new track beside a known one, overlapping it this much, needs a detection of this score: it is often a part of it.
BESIDE_IOU: Final = 0.2
BESIDE_SCORE: Final = 0.8
#: Appearance corrects an identity where the sum of likenesses gets this much better. It is learnt by this share per
#: detection, from detections at least this alike.
CORRECTION_LEAD: Final = 0.15
LEARNT_SHARE: Final = 0.1
LEARNT_LIKENESS: Final = 0.4
#: A detection is where somebody who is missed may be hidden if it overlaps the box expected there this much.
MET_IOU: Final = 0.1
#: Time goes on by this share of a frame at least.
LEAST_STEP: Final = 0.25
#: Where frames are far apart (time lapse, --detect-every), motion and memory reach over so many steps of the stream: of
#: the median of the last ones, so that a pause is none.
LEAST_STEPS: Final = 2
USUAL_STEPS: Final = 9


class AssociationTracker:
    """Gives identities to the people of one video, frame by frame in order.

    fps: frames per second, for streams without times. start_score, keep_score: least score of a detection that starts
    a track and of one that continues it. match_iou: least overlap of a detection with the predicted box.
    memory: seconds for which somebody out of sight is remembered; from one frame to the next everybody is.
    """

    def __init__(
        self,
        fps: float = 30.0,
        *,
        start_score: float = 0.3,
        keep_score: float = 0.1,
        match_iou: float = 0.1,
        memory: float = 4.0,
    ) -> None:
        self._step = 1 / fps if 0 < fps < 1000 else 1 / 30
        self._start_score, self._keep_score = start_score, min(keep_score, start_score)
        self._match_iou, self._memory = match_iou, memory
        self._next_id = 0
        self._now: float | None = None
        self._steps: deque[float] = deque(maxlen=USUAL_STEPS)  # between the last frames, seconds
        self._forget_everybody()

    def _forget_everybody(self) -> None:
        self._tracks: list[Track] = []
        self._before = -np.inf
        self._meetings, self._splits = Meetings(), Splits()

    def follow(
        self,
        detections: Detections,
        appearances: Sequence[Appearance | None],
        frame_size: tuple[int, int] | None,
        /,
        *,
        time: float | None = None,
        cut: bool = False,
    ) -> TrackedBoxes:
        """The people of the next frame, as protocols.Tracker says; detections without a track are left out."""
        if cut:
            self._forget_everybody()
        self._advance(time)
        memory = max(self._memory, self._least_reach())
        self._tracks = [track for track in self._tracks if self._age(track) <= memory]
        owners = self._assign(detections, appearances)
        reassigned = self._correct(detections, appearances, owners) + self._split(detections, appearances, owners)
        self._start(detections, appearances, owners)
        self._update(detections, appearances, owners)
        return replace(self._result(detections, owners, frame_size or (0, 0), cut), reassigned=reassigned)

    def _advance(self, time: float | None) -> None:
        """The clock goes on, by part of a frame at least; times that stand still or go back count as that."""
        last = self._now
        if last is None:
            self._now = time or 0.0
            return
        self._before = last
        self._now = max(last + self._step if time is None else time, last + LEAST_STEP * self._step)
        self._steps.append(self._now - last)

    def _least_reach(self) -> float:
        """Seconds that motion and memory reach at least."""
        return LEAST_STEPS * max(float(np.median(self._steps)), self._step) if self._steps else 0.0

    def _age(self, track: Track) -> float:
        assert self._now is not None
        return self._now - track.motion.time

    def _is_fresh(self, track: Track) -> bool:
        """Whether it was seen in the frame before."""
        return track.motion.time >= self._before

    def _assign(self, dets: Detections, appearances: Sequence[Appearance | None]) -> list[Track | None]:
        """The track of every detection, None where it has none."""
        owners: list[Track | None] = [None] * len(dets)
        if not self._tracks or not len(dets):
            return owners
        strong = np.flatnonzero(dets.scores >= self._start_score)
        weak = np.flatnonzero((dets.scores >= self._keep_score) & (dets.scores < self._start_score))
        overlap, alike, same = self._compare(dets, appearances, strong)
        fresh = np.array([self._is_fresh(track) for track in self._tracks])[:, None]
        reach = max(MOTION_SECONDS, self._least_reach())
        recent = np.array([self._age(track) <= reach for track in self._tracks])[:, None]
        known = np.array([track.hits >= KNOWN_HITS for track in self._tracks])
        handicap = np.where(fresh, 0, LOST_HANDICAP)
        allowed = (overlap >= self._match_iou + handicap) & recent & same
        benefit = overlap - handicap + APPEARANCE_WEIGHT * alike
        # A weak detection that fits goes before a strong one that hardly does: that is often somebody else.
        # Tracks of a frame or two choose last: they are often a part of somebody, or nobody.
        for group in (known, ~known):
            mine = group[:, None]
            self._match(benefit, mine & allowed & (overlap >= SURE_IOU), strong, owners)
            self._match(benefit, mine & (overlap >= WEAK_IOU) & fresh & same, weak, owners)
            self._match(benefit, mine & allowed, strong, owners)
        self._recognize(dets, appearances, np.concatenate([strong, weak[~_covered(dets)[weak]]]), owners)
        return owners

    def _compare(
        self, dets: Detections, appearances: Sequence[Appearance | None], strong: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
        """Of every track and detection, (T, N): overlap, likeness, and whether they may be the same person."""
        fresh = np.array([self._is_fresh(track) for track in self._tracks])[:, None]
        ages = np.array([self._age(track) for track in self._tracks])[:, None]
        predicted = np.array([track.motion.predict(self._now or 0.0) for track in self._tracks])
        shift = common_shift(predicted[fresh[:, 0]], dets.boxes[strong])
        overlap = pairwise_iou(np.where(fresh, predicted + shift, predicted), dets.boxes)
        boxes = np.array([track.box for track in self._tracks])
        overlap = np.where(fresh, overlap, np.maximum(overlap, pairwise_iou(boxes, dets.boxes)))
        clear = likenesses([track.appearance for track in self._tracks], appearances)
        last = likenesses([track.last for track in self._tracks], appearances)
        alike = np.where(np.isnan(clear), UNKNOWN_LIKENESS, clear)
        sudden = np.where(fresh, np.interp(overlap, SUDDEN_IOU, SUDDEN_LIKENESS), LOST_SUDDEN_LIKENESS)
        same = (alike >= np.where(fresh, OTHER_LIKENESS, LOST_LIKENESS)) | np.isnan(clear)
        same |= ~fresh & (ages <= MOMENT_SECONDS) & (last >= sudden)
        same &= (last >= sudden) | np.isnan(last) | (alike >= SURE_LIKENESS)
        # Where there is no choice, light may change as it likes.
        meets = overlap >= self._match_iou
        alone = fresh & (meets.sum(axis=1) <= 1)[:, None] & (meets.sum(axis=0) <= 1)
        return overlap, alike, same | alone

    def _match(
        self,
        benefit: NDArray[np.floating],
        allowed: NDArray[np.bool_],
        columns: NDArray[np.int64],
        owners: list[Track | None],
    ) -> None:
        """Assigns these detections to tracks so that the sum of the benefits is largest; `owners` gets the result."""
        free = np.array([track not in owners for track in self._tracks])
        columns = np.array([column for column in columns if owners[column] is None], np.int64)
        for row, column in assign(benefit[:, columns], (allowed & free[:, None])[:, columns]):
            owners[columns[column]] = self._tracks[row]

    def _recognize(
        self,
        dets: Detections,
        appearances: Sequence[Appearance | None],
        candidates: NDArray[np.int64],
        owners: list[Track | None],
    ) -> None:
        """Gives lost tracks back to those who look like them and are near enough; large boxes choose first."""
        sizes = dets.boxes[candidates, 2] * dets.boxes[candidates, 3]
        sure = likeness_to_owners(owners, appearances)
        for number in candidates[np.argsort(-sizes, kind="stable")]:
            if owners[number] is None:
                near = self._in_reach(dets.boxes[number])
                owners[number] = resembled(appearances[number], self._tracks, owners, sure, near)

    def _in_reach(self, box: NDArray[np.float32]) -> set[Track]:
        return {track for track in self._tracks if in_reach(box, track, self._age(track))}

    def _correct(
        self, dets: Detections, appearances: Sequence[Appearance | None], owners: list[Track | None]
    ) -> tuple[Reassignment, ...]:
        """Exchanges identities, in place, where appearance says that motion mixed them up.

        Only detections decide that are strong and that nobody covers. What they are compared with was learnt from such
        ones too: how each looked before they met.
        """
        covered = _covered(dets)
        clear = {
            number
            for number, track in enumerate(owners)
            if track is not None and not covered[number] and dets.scores[number] >= self._start_score
        }
        for number in sorted(clear):
            mine = owners[number]
            if mine is None or mine.hits < KNOWN_HITS or likeness(appearances[number], mine.appearance) is None:
                continue
            gains = [
                (exchange_gain(number, track, appearances, owners, clear), -track.identity, track)
                for track in self._tracks
                if track is not mine and in_reach(dets.boxes[number], track, self._age(track))
            ]
            gain, _, better = max(gains, key=lambda entry: entry[:2], default=(0.0, 0, mine))
            if gain > CORRECTION_LEAD:
                if better in owners:
                    owners[owners.index(better)] = mine
                owners[number] = better
        return self._part(dets, appearances, owners)

    def _part(
        self, dets: Detections, appearances: Sequence[Appearance | None], owners: list[Track | None]
    ) -> tuple[Reassignment, ...]:
        """Where one detection is left of two people who met, it goes to the one whom it looks like."""
        missed = [track for track in self._tracks if track not in owners and track.hits >= KNOWN_HITS]
        places = np.array([track.motion.predict(self._now or 0.0) for track in missed]).reshape(-1, 4)
        met = pairwise_iou(dets.boxes, places) >= MET_IOU
        for number, owner in enumerate(owners):
            met[number] &= owner is not None and owner.hits >= KNOWN_HITS
            near = [in_reach(dets.boxes[number], track, self._age(track)) for track in missed]
            met[number] &= np.array(near, np.bool_)
        return self._meetings.correct(owners, appearances, missed, met)

    def _split(
        self, dets: Detections, appearances: Sequence[Appearance | None], owners: list[Track | None]
    ) -> tuple[Reassignment, ...]:
        """Where one box became two, the person keeps the one that looks like them; a new track has the other one."""
        now = self._now or 0.0
        known = [track if track is not None and track.hits >= KNOWN_HITS else None for track in owners]
        places = [np.full(4, np.nan) if track is None else track.motion.predict(now) for track in known]
        missed = [track for track in self._tracks if track not in owners and track.hits >= KNOWN_HITS]
        reassigned = []
        for found in self._splits.find(dets.boxes, appearances, owners, np.array(places).reshape(-1, 4), missed):
            mine = owners[found.left]
            assert mine is not None
            owners[found.free], owners[found.left] = mine, None
            box, look = dets.boxes[found.left], appearances[found.left]
            sure = likeness_to_owners(owners, appearances)
            other = resembled(look, self._tracks, owners, sure, self._in_reach(box))
            if other is None:
                other = self._new(box, look)
                other.hits = KNOWN_HITS  # it takes over detections of a known one
            owners[found.left] = other
            if found.frames:
                reassigned.append(Reassignment(mine.identity, other.identity, found.frames))
        return tuple(reassigned)

    def _new(self, box: NDArray[np.float32], appearance: Appearance | None) -> Track:
        now = self._now or 0.0
        track = Track(self._next_id, Motion(box, now), box, 0.0, now, appearance, None)
        self._tracks.append(track)
        self._next_id += 1
        return track

    def _start(self, dets: Detections, appearances: Sequence[Appearance | None], owners: list[Track | None]) -> None:
        """New tracks for the strong detections that are left; large boxes come first."""
        overlap = pairwise_iou(dets.boxes, dets.boxes)
        np.fill_diagonal(overlap, 0)
        owned = np.array([track is not None for track in owners], np.bool_)
        beside = (overlap[:, owned] >= BESIDE_IOU).any(axis=1)
        least = np.where(beside, max(self._start_score, BESIDE_SCORE), self._start_score)
        for number in np.argsort(-dets.boxes[:, 2] * dets.boxes[:, 3], kind="stable"):
            if owners[number] is None and dets.scores[number] >= least[number]:
                owners[number] = self._new(dets.boxes[number], appearances[number])

    def _update(
        self, dets: Detections, appearances: Sequence[Appearance | None], owners: Sequence[Track | None]
    ) -> None:
        """What the tracks learn; appearance slowly, and not where somebody else covers the person or may be beneath."""
        assert self._now is not None
        covered = _covered(dets)
        mixed = covered | self._meetings.shared
        for number, track in enumerate(owners):
            if track is None:
                continue
            new, before = appearances[number], track.appearance
            # A weak box among others is often a part of somebody else: how it looks says nothing of the person.
            doubtful = covered[number] and dets.scores[number] < self._start_score
            track.last = track.last if new is None or doubtful else new
            if new is None or before is None:
                track.appearance = new if before is None else before
            elif not mixed[number] and (likeness(new, before) or 0.0) >= LEARNT_LIKENESS:
                track.appearance = (1 - LEARNT_SHARE) * before + LEARNT_SHARE * new
            if track.motion.time < self._now:
                track.motion.update(dets.boxes[number], self._now, COVERED_NOISE if covered[number] else 1.0)
            track.hits += 1
            track.box, track.score = dets.boxes[number], float(dets.scores[number])

    def _result(
        self, dets: Detections, owners: Sequence[Track | None], size: tuple[int, int], cut: bool
    ) -> TrackedBoxes:
        """The detections with a track, then those who are missed for a moment; their score fades."""
        kept = [number for number, track in enumerate(owners) if track is not None]
        boxes, scores = [*dets.boxes[kept]], [*dets.scores[kept]]
        identities = [track.identity for track in owners if track is not None]
        for track in self._tracks:
            age = self._age(track)
            seen = track.motion.time - track.first
            if not 0 < age <= EXPECT_SECONDS or seen < EXPECT_AFTER_SECONDS:
                continue
            box = track.motion.predict(self._now or 0.0).astype(np.float32)
            if inside(box, size) >= EXPECT_INSIDE and (not boxes or iou(box, np.array(boxes)).max() < EXPECT_IOU):
                boxes.append(box)
                scores.append(np.float32(track.score * (1 - 0.5 * age / EXPECT_SECONDS)))
                identities.append(track.identity)
        assert len(set(identities)) == len(identities), "two people of one frame have one identity"
        return TrackedBoxes(
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array(scores, np.float32),
            np.array(identities, np.int64),
            predicted=len(boxes) - len(kept),
            cut=cut,
        )


def _covered(dets: Detections) -> NDArray[np.bool_]:
    """Which boxes overlap another one."""
    covered: NDArray[np.bool_] = (pairwise_iou(dets.boxes, dets.boxes) > COVERED_IOU).sum(axis=1) > 1
    return covered
