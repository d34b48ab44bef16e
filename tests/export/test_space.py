"""Metres and the floor: the scale of a person of known height, the slope of a floor, and what cannot be found."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from dcpose_cli import UsageError
from dcpose_cli.export.format import Options
from dcpose_cli.export.formats import FORMATS, write_result
from dcpose_cli.export.space import BELOW_ANKLE, Space, pixel_height, space_of
from dcpose_cli.results import PoseTrackResult
from dcpose_cli.skeleton import JOINT_NAMES
from dcpose_cli.types import FrameResult, Person

RATE = 50


def upright(x, ground, size, *, lean=(0.0, 0.0)):
    """(17, 3): a person of `size` pixels from the sole to the head's top at x, standing on y = ground; lean: x of the
    left and the right ankle beside x."""
    points = np.zeros((17, 3), np.float32)

    def put(name, dx, up):
        points[JOINT_NAMES.index(name)] = (x + dx, ground - up * size, 0.9)

    put("head_top", 0, 1)
    put("nose", 3, 0.93)
    put("head_bottom", 0, 0.82)
    for side, place in (("left", -4), ("right", 4)):
        put(f"{side}_shoulder", place, 0.8)
        put(f"{side}_hip", place, 0.53)
        put(f"{side}_knee", place, 0.28)
    for side, place, dx in (("left", -4, lean[0]), ("right", 4, lean[1])):
        put(f"{side}_ankle", place + dx, BELOW_ANKLE)
    return points


def result_of(people, *, height=400, aspect=None):
    frames = [
        FrameResult(i, i, i / RATE, (Person(2, np.array([0, 50, 60, 300], np.float32), 0.9, points),))
        for i, points in enumerate(people)
    ]
    header = {
        "time_base": f"1/{RATE}",
        "fps": f"{RATE}/1",
        "width": 600,
        "height": height,
        "pts": [],
        "damaged_frames": [],
    }
    return PoseTrackResult(header | ({"pixel_aspect": aspect} if aspect else {}), frames)


def walking(slope, count=200):
    """Somebody who walks to the right up a floor of this slope: each foot stands for half a second, then swings."""
    people = []
    for i in range(count):
        x = 60 + 2.0 * i
        points = upright(x, 350 - slope * x, 300)
        for number, side in enumerate(("left", "right")):
            phase = (i / RATE + number * 0.5) % 1.0
            step = math.floor(i / RATE + number * 0.5)
            foot = 60 + 100 * (step - number * 0.5) + (0 if phase < 0.5 else 200 * (phase - 0.5))
            lift = 0 if phase < 0.5 else 25 * math.sin(2 * math.pi * (phase - 0.5))
            points[JOINT_NAMES.index(f"{side}_ankle"), :2] = foot, 350 - slope * foot - lift
        people.append(points)
    return result_of(people)


def test_the_height_of_a_person_gives_the_scale():
    result = result_of([upright(100 + i, 350, 300) for i in range(20)])
    # The legs stand a little apart: their lengths are those of the joints.
    assert pixel_height(result) == pytest.approx(300, abs=0.2)
    space = space_of(result, Options(person_height=1.75))
    assert space.unit == "m"
    head, foot = (space.place(np.array([100.0, y])) for y in (350 - 300, 350))
    assert head[1] - foot[1] == pytest.approx(1.75, abs=0.002)


def test_frames_in_which_limbs_point_at_the_camera_do_not_count():
    short = upright(100, 350, 300)
    short[[JOINT_NAMES.index(f"{side}_knee") for side in ("left", "right")], 1] += 40
    short[[JOINT_NAMES.index(f"{side}_ankle") for side in ("left", "right")], 1] -= 60
    people = [short if i % 3 else upright(100, 350, 300) for i in range(30)]
    assert pixel_height(result_of(people)) == pytest.approx(300, abs=0.5)


def test_pixels_that_are_not_square():
    wide = result_of([upright(100, 350, 300, lean=(0, 0)) for _ in range(5)], aspect="2/1")
    space = space_of(wide, Options(metres_per_pixel=0.01))
    np.testing.assert_allclose(space.place(np.array([10.0, 399.5])), [0.2, 0.0], atol=1e-12)


@pytest.mark.parametrize("slope", [0.0, 0.05, -0.1])
def test_the_floor_is_found_and_levelled(slope):
    space = space_of(walking(slope), Options(metres_per_pixel=0.01, floor_angle="auto"))
    assert math.degrees(space.angle) == pytest.approx(math.degrees(math.atan(slope)), abs=0.5)
    feet = space.place(np.array([(x, 350 - slope * x) for x in (60.0, 200.0, 400.0)]))
    np.testing.assert_allclose(feet[:, 1], 0, atol=0.02)
    # Distances stay.
    assert np.hypot(*(feet[2] - feet[0])) == pytest.approx(0.01 * 340 * math.hypot(1, slope))


def test_a_floor_of_given_degrees():
    slope = math.tan(math.radians(4))
    space = space_of(walking(slope), Options(metres_per_pixel=0.01, floor_angle="4"))
    feet = space.place(np.array([(x, 350 - slope * x) for x in (60.0, 400.0)]))
    np.testing.assert_allclose(feet[:, 1], 0, atol=0.02)


def test_without_a_scale_nothing_changes():
    assert space_of(walking(0.0), Options()) == Space()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"floor_angle": "auto"}, "a floor needs metres"),
        ({"metres_per_pixel": 0.01, "person_height": 1.8}, "exclude each other"),
        ({"person_height": 175.0}, "in metres"),
        ({"person_height": -1.0}, "in metres"),
        ({"metres_per_pixel": 0.01, "floor_angle": "steep"}, "auto, or degrees"),
        ({"metres_per_pixel": 0.01, "floor_angle": "80"}, "auto, or degrees"),
    ],
)
def test_what_cannot_be_meant(options, says):
    with pytest.raises(UsageError, match=says):
        space_of(walking(0.0, 20), Options(**options))


def test_what_cannot_be_found():
    standing = result_of([upright(100, 350, 300) for _ in range(20)])
    with pytest.raises(UsageError, match="no floor"):
        space_of(standing, Options(metres_per_pixel=0.01, floor_angle="auto"))
    headless = upright(100, 350, 300)
    headless[JOINT_NAMES.index("head_top"), 2] = 0.1
    with pytest.raises(UsageError, match="from head to ankle"):
        space_of(result_of([headless] * 5), Options(person_height=1.8))
    two = [FrameResult(0, 0, 0.0, tuple(Person(t, np.ones(4, np.float32), 0.9, headless) for t in (1, 2)))]
    with pytest.raises(UsageError, match="2 tracks"):
        space_of(PoseTrackResult(standing.header, two), Options(person_height=1.8))


def test_trc_and_bvh_have_the_same_metres(tmp_path):
    result = walking(0.05)
    options = Options(person_height=1.75, floor_angle="auto")
    write_result(result, tmp_path / "x.trc", "trc", options)
    write_result(result, tmp_path / "x.bvh", "bvh", options)
    rows = [line.split("\t") for line in (tmp_path / "x.trc").read_text().splitlines()]
    names = [name for name in rows[3][2:] if name]
    column = 2 + 3 * names.index("left_hip"), 2 + 3 * names.index("right_hip")
    hips = np.array([[(float(r[a]) + float(r[b])) / 2 for a, b in zip(*[range(c, c + 2) for c in column], strict=True)]
                     for r in rows[6:]])  # fmt: skip
    motion = (tmp_path / "x.bvh").read_text().split("Frame Time:")[1].splitlines()[1:]
    root = np.array([[float(cell) for cell in line.split()[:2]] for line in motion])
    np.testing.assert_allclose(root, hips, atol=1e-5)
    for to, kind in FORMATS.items():
        if not kind.measures:
            with pytest.raises(UsageError, match="trc"):
                write_result(result, tmp_path / f"y{kind.suffix}", to, options)


def bones_of(text):
    """Name -> (parent, offset) of a BVH, the order of its joints, and the rows of its motion."""
    head, _, motion = text.partition("MOTION")
    bones, order, stack, ends = {}, [], [], {}
    for line in head.splitlines():
        words = line.split()
        if words[:1] in (["ROOT"], ["JOINT"]):
            bones[words[1]] = [stack[-1] if stack else None, None]
            order.append(words[1])
            stack.append(words[1])
        elif words[:2] == ["End", "Site"]:
            stack.append(f"{stack[-1]}.end")
        elif words[:1] == ["OFFSET"]:
            place = np.array(words[1:], float)
            if stack[-1].endswith(".end"):
                ends[stack[-1][:-4]] = place
            else:
                bones[stack[-1]][1] = place
        elif words[:1] == ["}"]:
            stack.pop()
    rows = [np.array(line.split(), float) for line in motion.splitlines()[3:]]
    return bones, order, ends, rows


def test_bvh_moves_as_the_joints_do(tmp_path):
    """Places by forward kinematics: every limb has the direction that the joints have."""
    people = []
    for i in range(10):
        points = upright(100 + 5 * i, 350, 300)
        angle = math.radians(20 * i)
        elbow, wrist = (JOINT_NAMES.index(f"left_{name}") for name in ("elbow", "wrist"))
        points[elbow] = (*(points[JOINT_NAMES.index("left_shoulder"), :2] + (0, 50)), 0.9)
        points[wrist] = (*(points[elbow, :2] + 40 * np.array([math.cos(angle), math.sin(angle)])), 0.9)
        people.append(points)
    people[4][JOINT_NAMES.index("left_wrist")] = 0
    write_result(result_of(people), tmp_path / "x.bvh", "bvh", Options())
    text = (tmp_path / "x.bvh").read_text()
    assert "Frames: 10\nFrame Time: 0.02000000\n" in text
    bones, order, ends, rows = bones_of(text)
    assert order[0] == "Hips"
    for i, row in enumerate(rows):
        assert len(row) == 6 + 3 * (len(order) - 1)
        turn, place = {"Hips": 0.0}, {"Hips": row[:2]}
        for number, name in enumerate(order[1:], start=1):
            parent, offset = bones[name]
            turn[name] = turn[parent] + math.radians(row[3 + 3 * number])
            cosine, sine = math.cos(turn[parent]), math.sin(turn[parent])
            x, y, _ = offset
            place[name] = place[parent] + (cosine * x - sine * y, sine * x + cosine * y)
        x, y, _ = ends["LeftForeArm"]
        cosine, sine = math.cos(turn["LeftForeArm"]), math.sin(turn["LeftForeArm"])
        wrist = place["LeftForeArm"] + (cosine * x - sine * y, sine * x + cosine * y)
        angle = 20 * i  # clockwise in a picture whose y goes down
        seen = math.degrees(math.atan2(*(wrist - place["LeftForeArm"])[::-1]))
        assert (seen + angle + 180) % 360 - 180 == pytest.approx(0, abs=0.01), i
        assert np.hypot(*(wrist - place["LeftForeArm"])) == pytest.approx(40, abs=0.01)
        hip = (people[i][11, :2] + people[i][12, :2]) / 2
        np.testing.assert_allclose(place["Hips"], hip * (1, -1), atol=0.01)


class Recorder:
    """Stands for Blender's `bpy`: keeps the keyframes that a script sets."""

    def __init__(self):
        self.keys, self.made = {}, []
        self.context = self.data = self.objects = self.collections = self.collection = self.scene = self.render = (
            self.children
        ) = self
        self.fps = self.fps_base = self.frame_start = self.frame_end = None

    def new(self, name, *_):
        if name.startswith("dcpose_track"):
            self.made.append(name)
            return self
        return Empty(self, f"{self.made[-1]}/{name}")

    def link(self, _):
        pass


class Empty:
    def __init__(self, recorder, name):
        self.keys = recorder.keys.setdefault(name, {})
        self.animation_data, self.values = None, {}

    def __setitem__(self, key, value):
        self.values[f'["{key}"]'] = value

    def keyframe_insert(self, data_path, frame):
        value = self.values[data_path] if data_path in self.values else getattr(self, data_path)
        self.keys.setdefault(data_path, {})[frame] = value


def test_the_blender_script_sets_every_keyframe(tmp_path, monkeypatch):
    people = [upright(100 + i, 350, 300) for i in range(6)]
    people[2][JOINT_NAMES.index("nose")] = 0
    [path] = write_result(result_of(people), tmp_path / "x.py", "blender", Options(metres_per_pixel=0.01))
    blender = Recorder()
    monkeypatch.setitem(__import__("sys").modules, "bpy", blender)
    exec(compile(path.read_text(), "x.py", "exec"), {"__name__": "x"})
    assert blender.made == ["dcpose_track2"]
    assert blender.fps / blender.fps_base == pytest.approx(RATE)
    assert (blender.frame_start, blender.frame_end) == (1, 6)
    nose = blender.keys["dcpose_track2/nose"]
    assert sorted(nose["location"]) == [1, 2, 4, 5, 6]
    x, y, z = nose["location"][4]
    assert (x, y, z) == pytest.approx(((103 + 3) * 0.01, 0, (400 - 0.5 - (350 - 0.93 * 300)) * 0.01))
    assert nose["hide_viewport"] == {1: False, 3: True, 4: False}
    assert nose['["confidence"]'][1] == pytest.approx(0.9)
    assert "dcpose_track2/left_ear" not in blender.keys
    assert all(a < b for a, b in pairwise(sorted(nose["location"])))
