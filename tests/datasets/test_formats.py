"""The readers of other people's labels: who is where, in which frame, and what is not taken."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dcpose_cli.datasets import read_coco, read_lists, read_posetrack17, read_posetrack18, read_posetrack_video
from dcpose_cli.datasets.labels import BOX_BORDER, clip_box
from dcpose_cli.errors import InputError
from dcpose_cli.skeleton import LABELLED_SLOTS

SLOTS = list(LABELLED_SLOTS)


def check_videos(videos, posetrack, split="train", *, boxes, tracks=True):
    assert len(videos) == len(posetrack.VIDEOS[split])
    for video, name in zip(videos, posetrack.VIDEOS[split], strict=True):
        assert name in video.name
        assert len(video.frames) == posetrack.FRAMES
        for number, frame in enumerate(video.frames):
            assert frame.picture.is_file()
            truth = posetrack.people(name, number) if number != posetrack.UNLABELLED else []
            assert len(frame.people) == len(truth)
            for k, (person, box) in enumerate(zip(frame.people, truth, strict=True)):
                assert person.joints.shape == (17, 3)
                assert np.allclose(person.joints[SLOTS, :2], posetrack.joints(box)[SLOTS], atol=0.02)
                assert person.joints[SLOTS, 2].tolist() == [1] * 15
                assert person.joints[3:5].tolist() == [[0, 0, 0]] * 2
                assert np.allclose(person.box, boxes(box), atol=0.02)
                assert person.track_id == (k if tracks else None)


def as_drawn(box):
    return box


def around_joints(box):
    """The figure spans 0.9 of the box across and 0.94 down, from 0.05 and 0.02 on."""
    x, y, w, h = box
    extent = np.array([0.9 * w, 0.94 * h])
    low = np.array([x + 0.05 * w, y + 0.02 * h])
    return [*(low - BOX_BORDER * extent), *((1 + 2 * BOX_BORDER) * extent)]


def shorter(box):
    return box - [0, 0, 1, 1]


def test_posetrack18(posetrack_root, posetrack):
    for images in (posetrack_root, posetrack_root / "images"):
        videos = read_posetrack18(posetrack_root / "annotations" / "train", images)
        check_videos(videos, posetrack, boxes=as_drawn)
    one = posetrack_root / "annotations/val/000003_mpii_test.json"
    check_videos(read_posetrack18(one, posetrack_root), posetrack, "val", boxes=as_drawn)


def test_posetrack17(posetrack_root, posetrack):
    videos = read_posetrack17(posetrack_root / "annotations17" / "train", posetrack_root)
    check_videos(videos, posetrack, boxes=around_joints)


def test_lists_know_the_frames_they_do_not_name(posetrack_root, posetrack):
    videos = read_lists(posetrack_root / "posetrack_train.json", posetrack_root)
    check_videos(videos, posetrack, boxes=shorter, tracks=False)
    assert videos[0].frames[0].picture.name == "00000001.jpg"


def test_lists_numbered_from_zero(posetrack_root, tmp_path):
    data = json.loads((posetrack_root / "posetrack_val.json").read_text())
    for image in data["images"]:
        image["file_name"] = f"images/val/000003_mpii_test/{image['frame_id'] - 1:06d}.jpg"
    (tmp_path / "list.json").write_text(json.dumps(data))
    (video,) = read_lists(tmp_path / "list.json", posetrack_root)
    assert [frame.picture.name for frame in video.frames] == [f"{k:06d}.jpg" for k in range(4)]
    assert [len(frame.people) for frame in video.frames] == [2, 0, 2, 2]


def test_coco(posetrack_root, posetrack):
    videos = read_coco(posetrack_root / "coco_train.json", posetrack_root)
    assert [len(video.frames) for video in videos] == [1, 1]
    (frame,) = videos[0].frames
    assert frame.picture.is_file()
    assert len(frame.people) == 2  # neither the crowd nor what is no person
    joints = frame.people[0].joints
    truth = posetrack.joints(posetrack.people(posetrack.VIDEOS["train"][0], 0)[0])
    assert np.allclose(joints[[0, *range(5, 17)], :2], truth[[0, *range(5, 17)]], atol=0.02)
    assert joints[:, 2].tolist() == [1, 0, 0, 1, 0, *[1] * 12]  # no neck, no crown; the hidden ear counts
    assert joints[3, :2].tolist() == [9, 9]


def test_coco_without_names_and_with_our_own(posetrack_root, tmp_path):
    data = json.loads((posetrack_root / "coco_train.json").read_text())
    whole = read_coco(posetrack_root / "coco_train.json", posetrack_root)
    del data["categories"][0]["keypoints"]
    (tmp_path / "bare.json").write_text(json.dumps(data))
    bare = read_coco(tmp_path / "bare.json", posetrack_root)
    assert np.array_equal(bare[1].frames[0].people[1].joints, whole[1].frames[0].people[1].joints)
    # Labels of one's own: any names of ours, in any order.
    data["categories"][0]["keypoints"] = ["left_knee", "right_knee", "head_top"]
    data["annotations"] = [{**data["annotations"][0], "keypoints": [1, 2, 2, 0, 0, 0, 3, 4, 1]}]
    (tmp_path / "own.json").write_text(json.dumps(data))
    (video,) = read_coco(tmp_path / "own.json", posetrack_root)
    joints = video.frames[0].people[0].joints
    assert joints[13].tolist() == [1, 2, 1]
    assert joints[2].tolist() == [3, 4, 1]
    assert joints[:, 2].sum() == 2


def test_either_style_of_one_video(posetrack_root):
    new = read_posetrack_video(posetrack_root / "annotations/val/000003_mpii_test.json", posetrack_root)
    old = read_posetrack_video(posetrack_root / "annotations17/val/000003_mpii_test.json", posetrack_root)
    assert [len(f.people) for f in new.frames] == [len(f.people) for f in old.frames] == [2, 0, 2, 2]


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        ((10, 10, 20, 20), [10, 10, 19, 19]),
        ((-5, -5, 20, 20), [0, 0, 19, 19]),
        ((80, 60, 40, 40), [80, 60, 15, 19]),
        ((96, 10, 20, 20), None),
        ((10, 10, 0, 20), None),
    ],
)
def test_boxes_end_at_the_picture(box, clipped):
    found = clip_box(box, (96, 80))
    assert (None if found is None else found.tolist()) == clipped


@pytest.mark.parametrize("content", ["[]", "{}", '{"images": 3}', "no json", '{"annolist": [{}]}', '{"images": [{}]}'])
def test_files_of_another_kind_are_named(tmp_path, content):
    path = tmp_path / "labels.json"
    path.write_text(content)
    for read in (read_coco, read_lists, read_posetrack17, read_posetrack18):
        with pytest.raises(InputError, match=r"labels\.json") as caught:
            read(path, tmp_path)
        assert "\n" not in str(caught.value)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.json"):
        read_coco(tmp_path / "none.json", tmp_path)
    with pytest.raises(InputError, match=r"holds no \.json"):
        read_posetrack18(tmp_path, tmp_path)


def spelled(names, how):
    def words(name):
        return name.split("_")

    spellings = {
        "l_shoulder": lambda n: "_".join([words(n)[0][0], *words(n)[1:]]) if len(words(n)) > 1 else n,
        "leftShoulder": lambda n: words(n)[0] + "".join(w.title() for w in words(n)[1:]),
        "Left Shoulder": lambda n: " ".join(w.title() for w in words(n)),
        "LShoulder": lambda n: words(n)[0][0].upper() + words(n)[1].title() if len(words(n)) > 1 else n.title(),
        "LSHO": lambda n: (words(n)[0][0] + words(n)[1][:3]).upper() if len(words(n)) > 1 else n.upper(),
        "shoulder_left": lambda n: "_".join(reversed(words(n))),
        "shoulder.L": lambda n: f"{words(n)[1]}.{words(n)[0][0].upper()}" if len(words(n)) > 1 else n,
    }
    return [spellings[how](name) for name in names]


@pytest.mark.parametrize(
    "how", ["l_shoulder", "leftShoulder", "Left Shoulder", "LShoulder", "LSHO", "shoulder_left", "shoulder.L"]
)
def test_joints_in_the_spellings_people_use(posetrack_root, tmp_path, how):
    whole = read_coco(posetrack_root / "coco_train.json", posetrack_root)
    data = json.loads((posetrack_root / "coco_train.json").read_text())
    data["categories"][0]["keypoints"] = spelled(data["categories"][0]["keypoints"], how)
    (tmp_path / "own.json").write_text(json.dumps(data))
    found = read_coco(tmp_path / "own.json", posetrack_root)
    for one, other in zip(whole, found, strict=True):
        for person, same in zip(one.frames[0].people, other.frames[0].people, strict=True):
            assert np.array_equal(person.joints, same.joints)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"left_knee": "linkes_knie"}, r"not understood: linkes_knie; 16 of 17 remain; known are nose, head_bottom"),
        ({"left_knee": "right_knee"}, "right_knee more than once"),
        ({"left_knee": "left knee", "left_eye": "tail"}, None),
        ({"left_ear": "tail"}, "right_ear without the other side"),
        ({name: f"k{i}" for i, name in enumerate(["nose", "left_eye", "right_eye"])}, None),
    ],
)
def test_names_that_are_not_understood(posetrack_root, tmp_path, change, says):
    data = json.loads((posetrack_root / "coco_train.json").read_text())
    names = data["categories"][0]["keypoints"]
    data["categories"][0]["keypoints"] = [change.get(name, name) for name in names]
    (tmp_path / "own.json").write_text(json.dumps(data))
    if says is None:  # every pair is there: what else is labelled does not matter
        assert read_coco(tmp_path / "own.json", posetrack_root)
        return
    with pytest.raises(InputError, match=says):
        read_coco(tmp_path / "own.json", posetrack_root)


@pytest.mark.parametrize(("name", "number"), [("Person", 1), ("human", 7), ("runner", 3), (" PEOPLE ", 2)])
def test_the_category_that_the_annotations_use_decides(posetrack_root, tmp_path, name, number):
    """The same joints in another order under a category with another name and id."""
    data = json.loads((posetrack_root / "coco_train.json").read_text())
    whole = read_coco(posetrack_root / "coco_train.json", posetrack_root)
    people = [e for e in data["annotations"] if e["category_id"] == 1]
    for entry in people:
        entry["category_id"] = number
        entry["keypoints"] = np.array(entry["keypoints"]).reshape(17, 3)[::-1].reshape(-1).tolist()
    category = {"id": number, "name": name, "keypoints": data["categories"][0]["keypoints"][::-1]}
    data |= {"annotations": people, "categories": [category, {"id": 99, "name": "ball"}]}
    (tmp_path / "own.json").write_text(json.dumps(data))
    found = read_coco(tmp_path / "own.json", posetrack_root)
    assert [len(v.frames[0].people) for v in found] == [len(v.frames[0].people) for v in whole]
    assert np.array_equal(found[0].frames[0].people[0].joints, whole[0].frames[0].people[0].joints)


def test_categories_that_are_not_clear_are_named(posetrack_root, tmp_path):
    data = json.loads((posetrack_root / "coco_train.json").read_text())
    names = data["categories"][0]["keypoints"]
    data["categories"] = [{"id": i, "name": n, "keypoints": names} for i, n in ((1, "home"), (2, "guest"))]
    for number, entry in enumerate(data["annotations"]):
        entry["category_id"] = 1 + number % 2
    (tmp_path / "own.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match="'home', 'guest', and none of them is called person"):
        read_coco(tmp_path / "own.json", posetrack_root)


def test_a_box_made_from_the_joints_gets_a_border(tmp_path):
    """CVAT exports the extent of the joints, rounded; a box that somebody drew stays. Tools write no area, or 0."""
    names = ["nose", "left_eye", "left_shoulder", "right_shoulder", "left_ankle", "right_ankle"]
    joints = np.array([[50.004, 20, 2], [52, 18, 1], [60, 30, 2], [40, 30, 2], [58, 90.333, 2], [0, 0, 0]])
    boxes = [[40, 18, 20, 72.33], [39, 18, 21, 72.33]]
    (tmp_path / "a.jpg").touch()
    entries = [
        {"image_id": 1, "category_id": 1, "keypoints": joints.ravel().tolist(), "bbox": box, "area": 0} for box in boxes
    ]  # fmt: skip
    data = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": entries,
        "categories": [{"id": 1, "name": "person", "keypoints": names}],
    }
    (tmp_path / "l.json").write_text(json.dumps(data))
    (video,) = read_coco(tmp_path / "l.json", tmp_path)
    made, drawn = (person.box.tolist() for person in video.frames[0].people)
    seen = joints[[0, 2, 3, 4], :2]  # the eye has no slot
    low, extent = seen.min(axis=0), np.ptp(seen, axis=0)
    assert made == pytest.approx([*(low - BOX_BORDER * extent), *((1 + 2 * BOX_BORDER) * extent)], abs=0.01)
    assert drawn == pytest.approx(boxes[1])
