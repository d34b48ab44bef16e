"""Results of AlphaPose, mmpose, OpenPose and COCO labels; what is not read is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dcpose_cli.errors import InputError
from dcpose_cli.results.foreign import read_result
from dcpose_cli.skeleton import JOINT_NAMES

COCO = ["nose", "left_eye", "right_eye", *JOINT_NAMES[3:]]
OPENPOSE = [
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear"),
]
FEET = [f"{side}_{part}" for side in ("left", "right") for part in ("big_toe", "small_toe", "heel")]


#: Halpe's 26, as its documentation lists them, in our spelling.
HALPE = [*COCO, "head_top", "head_bottom", "hip"]
HALPE += [f"{side}_{part}" for part in ("big_toe", "small_toe", "heel") for side in ("left", "right")]
ALL = [*JOINT_NAMES, "left_eye", "right_eye", "hip", "neck", *HALPE[-6:]]


def place(name, frame):
    """Where a joint is in a frame."""
    number = ALL.index(name)
    return [100.0 + 10 * number + frame, 50.0 + 7 * number]


def triples(names, frame, count):
    values = [value for name in names for value in (*place(name, frame), 0.9)]
    return values + [value for k in range(count - len(names)) for value in (5.0 + k, 6.0, 0.5)]


def write(folder, tool):
    """Twelve frames with a person, in the layout of a tool; the path to read."""
    path = folder / f"{tool.replace(' ', '_')}.json"
    kind, _, count = tool.partition(" ")
    frames = range(12)
    if kind == "alphapose":
        names = COCO if count == "17" else HALPE
        data = [
            {"image_id": f"{i}.jpg", "category_id": 1, "keypoints": triples(names, i, int(count)), "score": 2.7,
             "box": [90, 40, 200, 150], "idx": 4}
            for i in reversed(frames)
        ]  # fmt: skip
    elif kind == "mmpose":
        people = [
            {"keypoints": [place(n, i) for n in COCO], "keypoint_scores": [0.9] * 17, "bbox": [[90, 40, 290, 190]],
             "bbox_score": 0.95}
            for i in frames
        ]  # fmt: skip
        data = [{"frame_id": i + (count == "video"), "instances": [person]} for i, person in enumerate(people)]
        if count == "video":
            data = {"meta_info": {"keypoint_id2name": {str(i): n for i, n in enumerate(COCO)}}, "instance_info": data}
    elif kind == "coco":
        images = [{"id": i, "file_name": f"clip/{i:06d}.jpg", "width": 640, "height": 360} for i in frames]
        people = [
            {"id": i, "image_id": i, "category_id": 1, "keypoints": triples(COCO, i, 17), "bbox": [90, 40, 200, 150]}
            for i in frames
        ]
        names = [n.replace("left_", "l_").replace("right_", "r_") for n in COCO]
        categories = [{"id": 1, "name": "Person", "keypoints": names}]
        data = {"images": images, "annotations": people, "categories": categories}
    else:
        path = folder / "openpose"
        path.mkdir()
        for i in frames:
            names = [*OPENPOSE, *FEET] if count == "25" else [n for n in OPENPOSE if n != "hip"]
            person = {"person_id": [-1], "pose_keypoints_2d": triples(names, i, int(count))}
            (path / f"clip_{i + 3:012d}_keypoints.json").write_text(json.dumps({"version": 1.3, "people": [person]}))
        return path
    path.write_text(json.dumps(data))
    return path


@pytest.mark.parametrize(
    "tool",
    [
        *("alphapose 17", "alphapose 26", "alphapose 136", "mmpose list", "mmpose video"),
        *("coco truth", "openpose 25", "openpose 18"),
    ],
)
def test_every_joint_is_where_the_tool_put_it(tmp_path, tool):
    result = read_result(write(tmp_path, tool), fps=None)
    assert result.assumed_fps
    assert [(f.index, f.time, len(f.people)) for f in result.frames] == [(i, i / 25, 1) for i in range(12)]
    halpe, openpose = tool in ("alphapose 26", "alphapose 136"), tool.startswith("openpose")
    known = HALPE if halpe else OPENPOSE if openpose else COCO
    known = [*known, *FEET] if tool == "openpose 25" else [n for n in known if tool != "openpose 18" or n != "hip"]
    assert result.joints[:17] == JOINT_NAMES
    assert result.joints[17 : len({*JOINT_NAMES, *known})] == tuple(n for n in known if n not in JOINT_NAMES)
    assert len(result.joints) == len({*JOINT_NAMES, *known}) + (110 if tool == "alphapose 136" else 0)
    for frame in result.frames:
        person = frame.people[0]
        assert person.joints == result.joints
        for name, point in zip(result.joints, person.keypoints, strict=True):
            score = 1 if tool == "coco truth" else 0.9  # labels have no confidences
            if name in ALL:
                expected = [*place(name, frame.index), score] if name in known else [0, 0, 0]
                np.testing.assert_allclose(point, expected, rtol=1e-6)
        if tool == "alphapose 136":  # face, left hand, right hand
            of = dict(zip(result.joints, person.keypoints[:, 0].tolist(), strict=True))
            assert [of["face_0"], of["face_67"], of["left_hand_root"], of["right_pinky_4"]] == [5, 72, 73, 114]
    if tool.startswith(("mmpose", "coco", "alphapose")):
        assert result.frames[3].people[0].bbox.tolist() == [90, 40, 200, 150]


@pytest.mark.parametrize("missing", [[], [4, 5], [0, 1, 6]])
def test_frames_without_people_keep_their_place(tmp_path, missing):
    path = write(tmp_path, "alphapose 17")
    data = [entry for entry in json.loads(path.read_text()) if int(entry["image_id"][:-4]) not in missing]
    path.write_text(json.dumps(data))
    assert [f.index for f in read_result(path).frames] == [i for i in range(12) if i not in missing]


def test_named_pictures_count_from_the_first(tmp_path):
    path = write(tmp_path, "alphapose 17")
    path.write_text(path.read_text().replace('.jpg"', '7.jpg"').replace('image_id": "', 'image_id": "shot_'))
    assert [f.index for f in read_result(path).frames] == [10 * i for i in range(12)]


def test_predictions_of_mmpose_as_they_are_in_python(tmp_path):
    """A list of people per frame; the first frame shows nobody."""
    path = write(tmp_path, "mmpose list")
    frames = [frame["instances"] for frame in json.loads(path.read_text())]
    path.write_text(json.dumps([[], *frames[1:]]))
    result = read_result(path)
    assert [(f.index, len(f.people)) for f in result.frames] == [(i, i > 0) for i in range(12)]
    np.testing.assert_allclose(result.frames[3].people[0].keypoints[0], [*place("nose", 3), 0.9], rtol=1e-6)


@pytest.mark.parametrize(
    "answer",
    [
        lambda people: [[people]],
        lambda people: {"predictions": [people], "visualization": []},
        lambda people: [people],
    ],
)
def test_answers_of_mmpose_in_a_list(tmp_path, answer):
    """What `[r for r in inferencer(video)]` gives, or the predictions of it: a list of pictures for each."""
    path = write(tmp_path, "mmpose list")
    frames = [frame["instances"] for frame in json.loads(path.read_text())]
    answers = [answer(people)[0] if isinstance(answer(people), list) else answer(people) for people in [[], *frames]]
    path.write_text(json.dumps(answers))
    assert [len(f.people) for f in read_result(path).frames] == [0, *[1] * 12]


@pytest.mark.parametrize(("people", "joints"), [("bodies", "joints"), ("people", "pose_keypoints_2d")])
def test_pictures_of_alphapose_in_the_forms_of_other_tools(tmp_path, people, joints):
    """`--format cmu` and `--format open`."""
    body = {joints: triples(OPENPOSE[:8] + OPENPOSE[9:12] + OPENPOSE[12:], 2, 18)}
    assert len(body[joints]) == 54
    path = tmp_path / "alphapose-results.json"
    path.write_text(json.dumps({"10.jpg": {"version": "AlphaPose v0.3", people: []}, "2.jpg": {people: [body]}}))
    result = read_result(path)
    assert [(f.index, len(f.people)) for f in result.frames] == [(2, 1), (10, 0)]
    np.testing.assert_allclose(result.frames[0].people[0].keypoints[0], [*place("nose", 2), 0.9], rtol=1e-6)


@pytest.mark.parametrize("ids", [lambda n: f"a{11 - n}", lambda n: str(n), lambda n: n if n % 2 else str(n)])
def test_pictures_whose_ids_are_text(tmp_path, ids):
    path = write(tmp_path, "coco truth")
    data = json.loads(path.read_text())
    for entry, key in [*((e, "id") for e in data["images"]), *((e, "image_id") for e in data["annotations"])]:
        entry[key] = ids(entry[key])
    data["annotations"][0]["image_id"] = str(data["annotations"][0]["image_id"])
    path.write_text(json.dumps(data))
    result = read_result(path)
    assert [f.people[0].keypoints[0, 0] for f in result.frames] == [place("nose", i)[0] for i in range(12)]


def test_rectangles_with_an_empty_list_of_joints_are_nobody(tmp_path):
    path = write(tmp_path, "coco truth")
    data = json.loads(path.read_text())
    data["annotations"][4] |= {"keypoints": [], "num_keypoints": 0}
    path.write_text(json.dumps(data))
    assert [len(f.people) for f in read_result(path).frames] == [1] * 4 + [0] + [1] * 7


def test_labels_of_other_things_and_lists_out_of_order(tmp_path):
    path = write(tmp_path, "coco truth")
    data = json.loads(path.read_text())
    data["categories"].append({"id": 2, "name": "ball"})
    data["annotations"].append({"id": 99, "image_id": 3, "category_id": 2, "bbox": [1, 2, 3, 4]})
    data["images"].reverse()
    path.write_text(json.dumps(data))
    result = read_result(path)
    assert [len(f.people) for f in result.frames] == [1] * 12
    assert [f.people[0].keypoints[0, 0] for f in result.frames] == [place("nose", i)[0] for i in range(12)]


def test_folders_of_openpose_that_a_mac_left_files_in_and_of_two_videos(tmp_path):
    folder = write(tmp_path, "openpose 25")
    (folder / "._clip_000000000003_keypoints.json").write_bytes(b"\0\5\x16\7")
    assert len(read_result(folder).frames) == 12
    (folder / "other_000000000003_keypoints.json").write_text('{"people": []}')
    with pytest.raises(InputError, match="openpose: holds the frames of 2 videos"):
        read_result(folder)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.npz", b"PK", "NumPy arrays"),
        ("x.c3d", b"", "C3D marker file"),
        ("x.slp", b"", "SLEAP"),
        ("x.pkl", b"", "pickle"),
        ("x.json", b'{"what": 1}', "layout is none that dcpose knows"),
        ("x.json", b'[{"image_id": "1.jpg", "keypoints": [1, 2, 3]}]', "1 joints are of no skeleton"),
        ("x.json", b'{"instance_info": [{"instances": 3}]}', "no result that dcpose can read"),
        ("x.json", b'{"people": [{}]}', "no result that dcpose can read"),
        ("x.json", b'[{"name": "person", "box": {"x1": 1}}]', "layout is none that dcpose knows"),
        ("x.json", b"[[1, 2], [3]]", "layout is none that dcpose knows"),
    ],
)
def test_what_is_not_read_is_named(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        read_result(tmp_path / name)
    assert str(caught.value.path) == str(tmp_path / name)
    assert "AlphaPose or mmpose" in str(caught.value)


def test_folders_of_something_else_are_named(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(InputError, match="no files like NAME_000000000000_keypoints"):
        read_result(tmp_path)
    (tmp_path / "a_000000000000_keypoints.json").write_text('{"people": [3]}')
    with pytest.raises(InputError, match="none of OpenPose"):
        read_result(tmp_path)


def test_an_annotation_of_a_picture_that_is_not_listed_is_named(tmp_path):
    path = write(tmp_path, "coco truth")
    data = json.loads(path.read_text())
    data["annotations"][3]["image_id"] = 77
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match="an annotation is of image 77, which is not in its list of images"):
        read_result(path)


def test_a_list_of_several_videos_is_refused(tmp_path):
    path = write(tmp_path, "coco truth")
    data = json.loads(path.read_text())
    for image in data["images"][6:]:
        image["file_name"] = image["file_name"].replace("clip", "other")
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match="frames of 2 videos"):
        read_result(path)


@pytest.mark.shared
def test_the_layouts_that_users_sent(shared: Path):
    for name in ("alphapose.json", "coco_gt.json", "mmpose_inf.json", "openpose_in"):
        result = read_result(shared / "cases" / "users" / "results-of-other-tools" / name)
        assert (len(result.frames), sum(len(f.people) for f in result.frames)) == (12, 12)
