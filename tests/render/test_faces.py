"""Faces: what the circle covers, that it is coarse inside and untouched outside, and that it stays for a moment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dcpose_cli.evaluation.sample_truth import read_truth
from dcpose_cli.render.faces import HOLD_SECONDS, FaceBlur, _circle_at, coverage_warnings, head_circle
from dcpose_cli.skeleton.sets import JOINT_SETS, result_joints
from dcpose_cli.types import FrameResult, Person

TEXTURE = np.random.default_rng(3).integers(0, 255, (200, 160, 3), np.uint8)


def standing(track=0, head=((60, 40), (60, 60), (60, 22)), score=0.05):
    """A person 40 x 150 whose nose, head_bottom and head_top are at `head`, at low confidence."""
    keypoints = np.zeros((17, 3), np.float32)
    for slot, place in enumerate(head):
        keypoints[slot] = (*place, score)
    return Person(track, np.array([40, 20, 40, 150], np.float32), 0.9, keypoints)


def frame(*people, time=0.0):
    return FrameResult(0, 0, time, people)


def test_the_circle_covers_every_head_joint_at_any_confidence():
    for head in (((60, 40), (60, 60), (60, 22)), ((80, 40), (60, 60), (40, 22)), ((60, 40), (60, 41), (60, 39))):
        person = standing(head=head)
        x, y, radius = head_circle(person)
        assert all(np.hypot(px - x, py - y) < radius for px, py in head)
        assert radius >= 0.07 * 150


def test_without_head_joints_the_top_of_the_box_counts():
    person = Person(0, np.array([40, 20, 40, 150], np.float32), 0.9, np.zeros((17, 3), np.float32))
    x, y, radius = head_circle(person)
    assert (x, y) == (60, 20 + 0.125 * 150)
    assert radius > 15


def test_inside_is_coarse_and_outside_is_untouched():
    image = TEXTURE.copy()
    person = standing()
    out = FaceBlur()(image, frame(person))
    assert (image == TEXTURE).all()
    x, y, radius = head_circle(person)
    rows, columns = np.ogrid[:200, :160]
    distance = np.hypot(columns - x, rows - y)
    assert (out[distance > radius + 1] == image[distance > radius + 1]).all()
    inside = out[int(y - radius / 2) : int(y + radius / 2), int(x - radius / 2) : int(x + radius / 2)].astype(float)
    before = TEXTURE[int(y - radius / 2) : int(y + radius / 2), int(x - radius / 2) : int(x + radius / 2)].astype(float)
    assert np.abs(np.diff(inside, axis=0)).mean() < 0.1 * np.abs(np.diff(before, axis=0)).mean()


def test_somebody_missing_stays_hidden_for_a_moment():
    blur, person = FaceBlur(), standing()
    first = blur(TEXTURE, frame(person))
    assert (blur(TEXTURE, frame(time=0.8 * HOLD_SECONDS)) == first).all()
    assert (blur(TEXTURE, frame(time=1.2 * HOLD_SECONDS)) == TEXTURE).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e9, -500])
def test_impossible_places_do_no_harm(bad):
    person = standing(head=((bad, 40), (60, bad), (60, 22)))
    assert FaceBlur()(TEXTURE, frame(person)).shape == TEXTURE.shape


def walking(times, *, track=0, speed=20.0, swing=0.0):
    """Frames at 25 per second; the person is in those of `times` and goes right, up and down by `swing` pixels."""
    frames = []
    for index in range(100):
        time = index / 25
        x, y = 20 + speed * time, 30 + swing * abs(np.sin(5 * time))
        head = ((x, y + 20), (x, y + 40), (x, y + 2))
        person = Person(track, np.array([x - 20, y, 40, 150], np.float32), 0.9, standing(head=head).keypoints)
        frames.append(FrameResult(index, index, time, (person,) if index in times else ()))
    return frames


def require_hidden(blur, seen, truth):
    """The head of the true person is coarse in this frame."""
    plain = np.full((200, 160, 3), 100, np.uint8) + TEXTURE // 2
    out = blur(plain, seen)
    x, y, _ = head_circle(truth.people[0])
    face = (slice(int(y) - 8, int(y) + 9), slice(int(x) - 8, int(x) + 9))
    coarse, fine = (np.abs(np.diff(image[face].astype(float), axis=0)).mean() for image in (out, plain))
    assert coarse < 0.3 * fine, seen.index


@pytest.mark.parametrize("gap", [range(10, 12), range(10, 55), range(5, 95)])
def test_no_bare_face_in_a_gap_of_a_track(gap):
    """The head of the true walk is covered in every frame of the gap, though it also goes up and down."""
    truth = walking(range(100), swing=12)
    result = walking([i for i in range(100) if i not in gap], swing=12)
    blur = FaceBlur(result)
    for index in gap:
        require_hidden(blur, result[index], truth[index])


@pytest.mark.parametrize(("seen", "lost"), [(range(15), range(15, 27)), (range(18, 30), range(6, 18))])
def test_no_bare_face_where_somebody_walks_on_unseen(seen, lost):
    """Two thirds of their height per second, until the moment after the last and before the first sighting is over."""
    truth, result = walking(range(100), speed=100.0), walking(seen, speed=100.0)
    blur = FaceBlur(result)
    for index in lost:
        require_hidden(blur, result[index], truth[index])


def test_whoever_stops_unseen_is_hidden_and_the_mosaic_is_bounded():
    result = walking(range(12), speed=100.0)
    blur = FaceBlur(result)
    for index in range(12, 24):
        require_hidden(blur, result[index], result[11])
    fast = walking([0, 1], speed=1e5)[:2]
    radius = head_circle(fast[1].people[0])[2]
    sightings = FaceBlur(fast)._seen[0]
    assert _circle_at(sightings, fast[1].time + HOLD_SECONDS)[2] <= radius + 0.35 * 150 + 1e-6


def test_a_moment_before_the_first_sighting_is_hidden():
    result = walking(range(50, 100))
    blur = FaceBlur(result)
    hidden = [bool((blur(TEXTURE, frame) != TEXTURE).any()) for frame in result]
    assert hidden.index(True) == 50 - round(25 * HOLD_SECONDS)


def test_what_is_not_covered_is_said():
    whole = walking(range(100))
    assert coverage_warnings(whole, (160, 200)) == []
    assert coverage_warnings(walking([*range(10), *range(20, 100)]), (160, 200)) == []
    [line] = coverage_warnings(walking([*range(10), *range(55, 100)]), (160, 200))
    assert "track 0 from 0.36 to 2.20 s" in line
    [line] = coverage_warnings(walking(range(10, 50)), (400, 400))
    assert "faces may be bare from 2.46 to 3.96 s (after track 0)" in line
    # At the side of the picture somebody may have left it.
    assert coverage_warnings(walking(range(50)), (82, 400)) == []
    two = [a if a.people else b for a, b in zip(walking(range(25)), walking(range(75, 100), track=4), strict=True)]
    [line] = coverage_warnings(two, (400, 400))
    assert "1.46 to 2.50 s (after track 0), 1.46 to 2.50 s (before track 4)" in line
    assert coverage_warnings([], None) == []


def test_whoever_comes_elsewhere_does_not_cover_who_was_lost():
    """A newcomer far away is somebody else: the face of track 0 may be bare all the same."""
    lost = walking(range(25), speed=0.0)
    for far, span in ((600, "1.46 to 3.96 s (after track 0)"), (60, None)):
        newcomer = walking(range(30, 100), track=4, speed=0.0)
        frames = [
            replace(a, people=(*(aside(p, 60) for p in a.people), *(aside(p, 60 + far) for p in b.people)))
            for a, b in zip(lost, newcomer, strict=True)
        ]
        said = coverage_warnings(frames, (1000, 400))
        assert (span in said[0]) if span else said == []


def aside(person, pixels):
    return replace(
        person,
        bbox=person.bbox + np.array([pixels, 0, 0, 0], np.float32),
        keypoints=person.keypoints + np.array([pixels, 0, 0], np.float32),
    )


def test_a_portrait_that_ends_at_the_lower_side_has_not_left_the_picture():
    """The head is in the middle; only the box touches the side."""
    frames = [replace(f, people=tuple(aside(p, 60) for p in f.people)) for f in walking(range(25), speed=0.0)]
    [line] = coverage_warnings(frames, (400, 180))
    assert "1.46 to 3.96 s (after track 0)" in line


@pytest.mark.parametrize(
    ("name", "gap"), [("portrait", range(10, 55)), ("sprint", range(12, 30)), ("plaza", range(8, 50))]
)
def test_true_heads_stay_hidden_in_gaps_of_the_sample_clips(root, name, gap):
    """The rendered people's own heads, at 25 frames per second, with the people of `gap` taken out."""
    truth = read_truth(root / "sample_videos" / f"{name}.json")
    rows = [
        [Person(p.track_id, p.bbox.astype(np.float32), 0.9, p.keypoints.astype(np.float32)) for p in people]
        for people in truth
    ]
    blur = FaceBlur([frame(*([] if i in gap else people), time=i / 25) for i, people in enumerate(rows)])
    checked = 0
    for index in gap:
        for one in rows[index] if index < len(rows) else []:
            seen = blur._seen.get(one.track_id)
            if seen is None or not seen[0].time < index / 25 < seen[-1].time or one.keypoints[0, 2] < 2:
                continue
            x, y, radius = _circle_at(seen, index / 25)
            nose = one.keypoints[0, :2]
            assert np.hypot(nose[0] - x, nose[1] - y) < radius, (index, one.track_id)
            checked += 1
    assert checked > 5


def test_points_of_the_face_belong_to_the_head_and_feet_do_not():
    joints = result_joints(JOINT_SETS["wholebody"].channels)
    keypoints = np.zeros((len(joints), 3), np.float32)
    keypoints[:17] = standing().keypoints
    box = np.array([40, 20, 40, 150], np.float32)
    plain = head_circle(Person(0, box, 0.9, keypoints, joints=joints))
    assert plain == head_circle(standing())
    for name in joints[19:]:
        if "face" not in name:
            keypoints[joints.index(name)] = (60, 170, 0.9)
    assert head_circle(Person(0, box, 0.9, keypoints, joints=joints)) == plain
    keypoints[joints.index("face_16")] = (95, 45, 0.9)
    x, y, radius = head_circle(Person(0, box, 0.9, keypoints, joints=joints))
    assert np.hypot(95 - x, 45 - y) < radius
