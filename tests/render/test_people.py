"""Drawing over frames: what is drawn, what is not, and that the input survives."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from dcpose_cli.render.people import STYLES, draw_on, draw_people, drawn_joints, drawn_parts, track_palette
from dcpose_cli.skeleton import LABELLED_SLOTS
from dcpose_cli.skeleton.sets import FEET, JOINT_SETS, detail_joints, result_joints
from dcpose_cli.types import Person

GREY = 128


def standing(x: float = 60.0, y: float = 10.0, size: float = 1.0, track_id: int = 0) -> Person:
    """A frontal figure, 40 x 100 units, all joints but the ears at confidence 0.9."""
    head, arms = [(20, 12), (20, 20), (20, 2)], [(30, 25), (10, 25), (34, 42), (6, 42), (36, 58), (4, 58)]
    legs = [(26, 55), (14, 55), (27, 76), (13, 76), (28, 97), (12, 97)]
    keypoints = np.zeros((17, 3), np.float32)
    for slot, (px, py) in zip(LABELLED_SLOTS, head + arms + legs, strict=True):
        keypoints[slot] = (x + px * size, y + py * size, 0.9)
    return Person(track_id, np.array([x, y, 40 * size, 100 * size], np.float32), 0.8, keypoints)


def blank(width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


def changed(image: np.ndarray) -> np.ndarray:
    return (image != GREY).any(axis=2)


def test_input_is_never_written_to() -> None:
    image = blank(200, 150)
    image.setflags(write=False)
    drawn = draw_people(image, [standing()], kpt_thr=0.3)
    assert (image == GREY).all()
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    assert drawn.flags.writeable
    assert changed(drawn).sum() > 500


def test_nobody_gives_an_equal_copy() -> None:
    image = blank(64, 48)
    drawn = draw_people(image, [], kpt_thr=0.3)
    assert drawn is not image
    assert (drawn == image).all()


def test_joints_have_the_shade_of_their_side_and_sit_where_they_should() -> None:
    person = standing(x=100, y=50, size=8)
    drawn = draw_people(blank(640, 900), [person], kpt_thr=0.3, boxes=False, ids=False)
    palette = track_palette(0)
    for slot, colour in ((9, palette.left), (10, palette.right), (2, palette.centre)):
        x, y = (round(float(v)) for v in person.keypoints[slot, :2])
        assert tuple(drawn[y, x]) == (255, 255, 255)  # the joint's bright centre
        window = drawn[y - 12 : y + 13, x - 12 : x + 13].reshape(-1, 3)
        assert (window == np.array(colour)).all(axis=1).sum() > 10


def test_left_and_right_shades_differ_for_every_track() -> None:
    for track in range(40):
        palette = track_palette(track)
        light = [np.dot(colour, (0.299, 0.587, 0.114)) for colour in (palette.left, palette.right)]
        assert light[0] - light[1] > 35, track


def test_neighbouring_tracks_have_clearly_different_colours() -> None:
    colours = [np.array(track_palette(track).centre, float) for track in range(8)]
    distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(colours, 2)]
    assert min(distances) > 40


def test_weak_joint_and_its_limbs_are_left_out() -> None:
    person = standing(x=60, y=20, size=2)
    weak = person.keypoints.copy()
    weak[9, 2] = 0.29
    full = draw_people(blank(240, 260), [person], kpt_thr=0.3, boxes=False, ids=False)
    less = draw_people(blank(240, 260), [Person(0, person.bbox, 0.8, weak)], kpt_thr=0.3, boxes=False, ids=False)
    x, y = (round(float(v)) for v in weak[9, :2])
    middle = ((weak[7, :2] + weak[9, :2]) / 2).round().astype(int)
    assert changed(full)[y, x]
    assert changed(full)[middle[1], middle[0]]
    assert not changed(less)[y - 4 : y + 5, x - 4 : x + 5].any()
    assert not changed(less)[middle[1], middle[0]]


def test_absent_joints_are_never_drawn_even_without_threshold() -> None:
    person = standing(x=60, y=40)
    drawn = draw_people(blank(200, 160), [person], kpt_thr=-1.0, boxes=False, ids=False)
    assert not drawn_joints(person.keypoints, -1.0)[[3, 4]].any()
    assert not changed(drawn)[:20, :20].any()
    assert changed(drawn).any()


def test_a_joint_at_the_corner_with_confidence_is_drawn() -> None:
    keypoints = np.zeros((17, 3), np.float32)
    keypoints[0] = (0, 0, 0.9)
    drawn = draw_people(blank(64, 64), [Person(0, np.array([0, 0, 20, 20], np.float32), 0.5, keypoints)], kpt_thr=0.3)
    assert changed(drawn)[0, 0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e9, -1e9])
def test_impossible_numbers_are_left_out_quietly(bad: float) -> None:
    person = standing()
    keypoints = person.keypoints.copy()
    keypoints[16, 0] = bad
    for bbox in (person.bbox, np.full(4, bad, np.float32)):
        drawn = draw_people(blank(200, 150), [Person(1, bbox, 0.5, keypoints)], kpt_thr=0.3)
        assert changed(drawn).any()


@pytest.mark.parametrize(("width", "height"), [(426, 240), (640, 360), (1920, 1080), (3840, 2160)])
def test_lines_and_labels_suit_the_frame(width: int, height: int) -> None:
    size = height / 160
    person = standing(x=width / 3, y=height / 5, size=size, track_id=7)
    plain = draw_people(blank(width, height), [person], kpt_thr=0.3, boxes=False, ids=False)
    wrist, elbow = person.keypoints[9, :2], person.keypoints[7, :2]
    row = round(float(wrist[1] + elbow[1]) / 2)
    x = float(wrist[0] + elbow[0]) / 2
    span = changed(plain)[row, int(x - 5 * size) : int(x + 5 * size)].sum()
    assert 3 <= span <= max(0.02 * height, 10)
    label = draw_people(blank(width, height), [person], kpt_thr=2.0, boxes=False, ids=True)
    rows = np.flatnonzero(changed(label).any(axis=1))
    assert len(rows) >= 11  # readable
    assert len(rows) <= height / 14  # and small


def test_labels_stay_inside_the_frame() -> None:
    person = standing(x=-30, y=-30, track_id=1234)
    drawn = draw_people(blank(80, 60), [person], kpt_thr=2.0, boxes=False)
    assert changed(drawn)[0, 0]
    right = draw_people(blank(80, 60), [standing(x=75, y=30, track_id=1234)], kpt_thr=2.0, boxes=False)
    columns = np.flatnonzero(changed(right).any(axis=0))
    assert len(columns) == len(np.flatnonzero(changed(drawn).any(axis=0)))


def test_switches_for_boxes_and_ids() -> None:
    person = standing(x=60, y=30)
    nothing = draw_people(blank(200, 160), [person], kpt_thr=2.0, boxes=False, ids=False)
    box = draw_people(blank(200, 160), [person], kpt_thr=2.0, boxes=True, ids=False)
    assert not changed(nothing).any()
    assert changed(box)[80, 60]
    assert not changed(box)[80, 80]


def test_colour_follows_the_track_not_the_order() -> None:
    a, b = standing(x=20, track_id=3), standing(x=120, track_id=4)
    first = draw_people(blank(220, 140), [a, b], kpt_thr=0.3)
    second = draw_people(blank(220, 140), [b, a], kpt_thr=0.3)
    assert (first == second).all()


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 2, 3), (0, 5, 3)])
def test_tiny_frames(shape: tuple[int, int, int]) -> None:
    assert draw_people(np.zeros(shape, np.uint8), [standing(x=0, y=0)], kpt_thr=0.3).shape == shape


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3))])
def test_other_arrays_are_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        draw_people(image, [], kpt_thr=0.3)


def test_views_that_are_not_contiguous() -> None:
    image = blank(150, 200).transpose(1, 0, 2)[::-1]
    drawn = draw_people(image, [standing()], kpt_thr=0.3)
    assert drawn.shape == image.shape
    assert changed(drawn).any()


WHOLE = result_joints(JOINT_SETS["wholebody"].channels)


def whole_person(size: float = 6.0, hands: bool = True) -> Person:
    """`standing` with feet, hands around the wrists and a face around the nose."""
    body = standing(x=100, y=50, size=size)
    points = np.zeros((len(WHOLE), 3), np.float32)
    points[:17] = body.keypoints
    generator = np.random.default_rng(4)
    places = generator.uniform(-3, 3, (len(WHOLE), 2)) * size
    for place, name in enumerate(WHOLE[17:], start=17):
        near = (
            "nose" if "face" in name or "eye" in name else name.split("_")[0] + ("_ankle" if name in FEET else "_wrist")
        )
        if hands or place not in detail_joints(WHOLE):
            spread = places[place] if name not in FEET else (2 * size, 2 * size)
            points[place] = (*(points[WHOLE.index(near), :2] + spread), 0.9)
    return Person(0, body.bbox, 0.9, points, joints=WHOLE)


def test_fingers_and_faces_are_thin_and_under_the_body() -> None:
    with_details, without = whole_person(), whole_person(hands=False)
    drawn, plain = (
        draw_people(blank(640, 800), [p], kpt_thr=0.3, boxes=False, ids=False) for p in (with_details, without)
    )
    # Without its soft edge, which lets through what lies under it.
    body = cv2.erode(changed(plain).astype(np.uint8), np.ones((5, 5))).astype(bool)
    assert (drawn[body] == plain[body]).all()  # nothing of the body is covered
    extra = changed(drawn) & ~changed(plain)
    assert extra.sum() > 300
    palette = track_palette(0)
    left = with_details.keypoints[[WHOLE.index(f"left_{f}_4") for f in ("thumb", "index", "middle", "ring", "pinky")]]
    seen = [tuple(drawn[round(float(y)), round(float(x))]) for x, y, _ in left]
    assert palette.left in seen
    nothing = draw_people(blank(640, 800), [with_details], kpt_thr=0.95, boxes=False, ids=False)
    assert not changed(nothing).any()
    for style in STYLES:
        drawn = draw_people(blank(640, 800), [with_details], kpt_thr=0.3, boxes=False, ids=False, style=style)
        assert changed(drawn).any() == (style != "none")


def test_feet_are_drawn_as_limbs() -> None:
    person = whole_person(hands=False)
    drawn = draw_people(blank(640, 800), [person], kpt_thr=0.3, boxes=False, ids=False)
    ankle, toe = (person.keypoints[WHOLE.index(f"left_{part}"), :2] for part in ("ankle", "big_toe"))
    x, y = (round(float(v)) for v in (ankle + toe) / 2)
    assert tuple(drawn[y, x]) == track_palette(0).left


@pytest.mark.parametrize("size", [(90, 70), (640, 360), (3840, 2160)])
def test_all_that_is_drawn_lies_in_the_drawn_parts(size: tuple[int, int]) -> None:
    """People of every size, at borders and outside of the frame, with large ids, joints beside the box or nowhere."""
    rng = np.random.default_rng(2)
    width, height = size
    for _ in range(30):
        box = np.array([*rng.uniform(-0.2, 1.1, 2) * size, *rng.uniform(0.005, 1, 2) * size], np.float32)
        keypoints = np.concatenate([rng.uniform(-0.2, 1.2, (17, 2)) * size, rng.uniform(-0.2, 1, (17, 1))], axis=1)
        near = box[:2] + rng.uniform(-0.1, 1.1, (17, 2)) * box[2:]
        keypoints[:, :2] = np.where(rng.random() < 0.8, near, keypoints[:, :2])
        keypoints[rng.integers(17)] = (np.nan, 3, 0.9)
        people = [Person(int(rng.integers(0, 100_000)), box, 0.9, keypoints.astype(np.float32))]
        canvas = blank(width, height)
        draw_on(canvas, people, kpt_thr=0.3)
        for x0, y0, x1, y1 in drawn_parts(canvas.shape, people, kpt_thr=0.3):
            canvas[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)] = GREY
        assert not changed(canvas).any()


def test_a_person_without_a_box_or_joints_is_drawn_nowhere() -> None:
    nobody = Person(1, np.array([np.nan, 0, 5, 5], np.float32), 0.9, np.zeros((17, 3), np.float32))
    assert drawn_parts((360, 640, 3), [nobody], kpt_thr=0.3) == []
