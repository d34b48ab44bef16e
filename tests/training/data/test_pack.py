from __future__ import annotations

import json

import numpy as np
import pytest

from dcpose_cli.errors import InputError
from dcpose_cli.training.data.pack import SUSPECT_WEIGHT, UNSURE_WEIGHT, is_held_out, joints_of, read_parts

BOX = (10, 10, 30, 60)


@pytest.fixture
def person(tools):
    return tools["person"]


def read(root, part="stills", split="train", **options):
    return read_parts(root, [part], split=split, **options)


# --- weights of labels


def test_joints_go_to_their_slots(person):
    annotation = person(BOX, ears=[1, 2, 2, 3, 4, 2])
    out = joints_of(annotation)
    assert out.shape == (17, 3)
    assert out.dtype == np.float32
    flat = np.reshape(annotation["keypoints"], (15, 3))
    assert np.allclose(out[:3, :2], flat[:3, :2])
    assert np.allclose(out[5:, :2], flat[3:, :2])
    assert out[3:5].tolist() == [[1, 2, 1], [3, 4, 1]]


def test_ears_nobody_labelled_weigh_nothing(person):
    assert joints_of(person(BOX))[3:5].tolist() == [[0, 0, 0], [0, 0, 0]]


def test_hidden_joints_of_a_person_count_fully(person):
    v = [0, 1, 2] * 5
    out = joints_of(person(BOX, v=v, label_kind="human"))
    assert out[[0, 1, 2, 5, 6, 7], 2].tolist() == [0, 1, 1, 0, 1, 1]


def test_unsure_joints_of_a_teacher_count_less(person):
    out = joints_of(person(BOX, v=[0, 1, 2] * 5, ears=[1, 1, 1, 2, 2, 2]))
    assert out[[0, 1, 2, 3, 4], 2] == pytest.approx([0, UNSURE_WEIGHT, 1, UNSURE_WEIGHT, 1])
    assert UNSURE_WEIGHT == 0.4


def test_joint_kind_decides_joint_by_joint(person):
    kinds = "hht" + "tt" + "h" * 6 + "t" * 5 + "-"
    out = joints_of(person(BOX, v=[1] * 14 + [0], ears=[1, 1, 1, 1, 1, 1], label_kind="human", joint_kind=kinds))
    wanted = [{"h": 1.0, "t": UNSURE_WEIGHT, "-": 0.0}[k] for k in kinds]
    assert out[:, 2] == pytest.approx(wanted)


def test_weights_by_score(person):
    scores = [90, 50, 10] * 5
    out = joints_of(person(BOX, v=[2, 1, 0] * 5, scores=scores, ears=[1, 1, 1, 2, 2, 2]), by_score=True)
    assert out[:3, 2] == pytest.approx([0.9, 0.5, 0])
    assert out[3:5, 2] == pytest.approx([UNSURE_WEIGHT, 1])  # ears have no scores
    human = joints_of(person(BOX, v=[2, 1, 0] * 5, scores=scores, label_kind="human"), by_score=True)
    assert human[:3, 2].tolist() == [1, 1, 0]


def test_suspects_weigh_half(person):
    out = joints_of(person(BOX, v=[1, 2, 0] * 5, suspect=["swap_legs_low"]))
    assert out[:3, 2] == pytest.approx([SUSPECT_WEIGHT * UNSURE_WEIGHT, SUSPECT_WEIGHT, 0])
    assert joints_of(person(BOX, suspect=[]))[0, 2] == 1


# --- stills


def test_stills(writer, tmp_path, person):
    pack = writer()
    pack.add([person(BOX, label_kind="human"), person((20, 5, 25, 70))])
    pack.add([{"bbox": list(BOX), "label_kind": "teacher"}])  # a box without joints
    pack.add([person((10, 10, 0, 60))])  # nothing to cut out
    pack.add([])
    pack.write()
    first, second = read(tmp_path)
    assert first.pictures[0].shape == (80, 60, 3)
    assert first.pictures[0].dtype == np.uint8
    assert first.joints.shape == (1, 17, 3)
    assert first.boxes.tolist() == [list(BOX)]
    assert (first.human, second.human) == (True, False)
    assert (first.margin, first.source, first.name) == ((1, 1), "own", "stills/00001.jpg")
    assert second.pictures[0] is first.pictures[0]


def test_pictures_are_rgb(writer, tmp_path, person):
    import cv2

    blue = np.zeros((40, 40, 3), np.uint8)
    blue[..., 0] = 250  # OpenCV writes BGR
    pack = writer()
    pack.add([person(BOX)], data=cv2.imencode(".png", blue)[1].tobytes())
    pack.write()
    assert read(tmp_path)[0].pictures[0][5, 5].tolist() == [0, 0, 250]


def test_split_exclude_and_limit(writer, tmp_path, person):
    pack = writer()
    for k in range(10):
        pack.add([person((10 + k, 10, 30, 60))], split="val" if k % 5 == 4 else "train", source="ab"[k % 2])
    pack.write()

    def lefts(**options):
        return [int(s.boxes[0, 0]) - 10 for s in read(tmp_path, **options)]

    assert lefts() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert lefts(split="val") == [4, 9]
    assert lefts(split=None) == list(range(10))
    assert lefts(exclude=["a"]) == [1, 3, 5, 7]
    assert lefts(limit=3) == [0, 3, 8]
    assert lefts(limit=99) == lefts()
    assert lefts(limit=0) == []


def test_people_held_out_by_their_photograph(writer, tmp_path, person):
    pack = writer()
    for k in range(60):
        people = [person((10 + k % 3, 10, 30, 60))]
        pack.add(people, source="ab"[k % 2], origin=f"photo{k // 6}", split="val" if k >= 58 else "train")
    pack.write()

    def photos(split, **held_out):
        images = {f"stills/{k + 1:05d}.jpg": ("ab"[k % 2], k // 6) for k in range(60)}
        return [images[s.name] for s in read(tmp_path, split=split, held_out=held_out)]

    kept, held = photos("train", a=0.5), photos("val", a=0.5)
    assert len(kept) + len(held) == 60
    assert 3 < len(held) < 30
    assert not set(kept) & set(held) - {("a", 9), ("b", 9)}  # people of one photograph stay together
    assert {source for source, _ in held if (source, _) != ("b", 9)} == {"a"}
    assert photos("val", a=1.0, c=1.0) == [("a", k // 6) for k in range(0, 60, 2)] + [("b", 9)]
    assert len(photos("val")) == 2


def test_windows_are_held_out_by_their_clip(writer, tmp_path):
    pack = writer("triplets")
    for k in range(20):
        pack.add_window(k)
    pack.write()
    names = [{s.name for s in read(tmp_path, "triplets", split, held_out={"own": 0.4})} for split in ("train", "val")]
    assert sum(map(len, names)) == 20
    assert names[1] == {f"clip{k}" for k in range(20) if is_held_out(f"own/clip{k}", 0.4)}


def test_a_part_in_its_own_folder(writer, tmp_path, person):
    pack = writer()
    pack.add([person(BOX)])
    pack.write()
    (tmp_path / "images").rename(tmp_path / "part")
    (tmp_path / "stills.json").rename(tmp_path / "part" / "stills.json")
    (tmp_path / "part").rename(tmp_path / "stills")
    assert len(read(tmp_path)) == 1


# --- windows


def test_windows(writer, tmp_path):
    pack = writer("triplets")
    pack.add_window(7, gaps=(-3, 2))
    pack.write()
    (sample,) = read(tmp_path, "triplets")
    assert len(sample.pictures) == 3
    assert sample.boxes[:, 0].tolist() == [10, 14, 18]  # previous, current, next
    assert sample.joints.shape == (3, 17, 3)
    assert np.allclose(sample.joints[1, 5:, 0] - sample.joints[0, 5:, 0], 4)
    assert sample.margin == (3, 2)
    assert sample.name == "clip7"


def test_incomplete_windows_are_left_out(writer, tmp_path, person):
    pack = writer("triplets")
    pack.add_window(1, roles="pc")
    pack.add_window(2, people=[person(BOX), person(BOX)])
    pack.add_window(3, people=[])
    pack.add_window(4, people=[{"bbox": list(BOX)}])
    pack.add_window(5)
    pack.write()
    assert [s.name for s in read(tmp_path, "triplets")] == ["clip5"]


def test_a_window_repeats_what_a_still_repeats(writer, tmp_path):
    pack = writer("triplets")
    pack.add_window(1, gaps=(0, 0))
    pack.write()
    assert read(tmp_path, "triplets")[0].margin == (1, 1)


# --- what cannot be read


def complaint(root, part="stills"):
    with pytest.raises(InputError) as caught:
        read(root, part)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3
    return str(caught.value)


def test_missing_json(tmp_path):
    assert "stills.json" in complaint(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "{",
            "[]",
            "3",
            "{}",
            '{"images": [], "annotations": 3}',
            '{"images": [{"split": "train"}], "annotations": []}',
        ),
        '{"images": [{"id": 1, "role": "x", "split": "train"}], "annotations": []}',
        '{"images": [], "annotations": [{"bbox": [1, 2, 3, 4]}]}',
        "\ud800".encode("utf-8", "surrogatepass"),
    ],
)
def test_json_that_is_no_pack(tmp_path, text):
    (tmp_path / "stills.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert "stills.json" in complaint(tmp_path)


@pytest.mark.parametrize("change", [{"keypoints": [1, 2, 3]}, {"bbox": [1, 2]}, {"joint_kind": "h"}, {"ears": [1]}])
def test_annotation_of_the_wrong_length(writer, tmp_path, person, change):
    pack = writer()
    pack.add([{**person(BOX), **change}])
    pack.write()
    assert "stills.json" in complaint(tmp_path)


def test_missing_and_damaged_shards(writer, tmp_path, person):
    pack = writer()
    pack.add([person(BOX)])
    pack.write()
    shard = tmp_path / "images" / "stills-000.tar"
    raw = shard.read_bytes()
    shard.write_bytes(raw[:700])
    assert "stills-000.tar" in complaint(tmp_path)
    shard.write_bytes(b"no tar at all")
    assert "stills-000.tar" in complaint(tmp_path)
    shard.unlink()
    assert "stills-000.tar" in complaint(tmp_path)


def test_picture_that_is_not_in_the_shard(writer, tmp_path, person):
    pack = writer()
    pack.add([person(BOX)])
    pack.write()
    data = json.loads((tmp_path / "stills.json").read_text())
    data["images"][0]["file_name"] = "a\nb.jpg"
    (tmp_path / "stills.json").write_text(json.dumps(data))
    assert "a\\nb.jpg" in complaint(tmp_path)


@pytest.mark.parametrize("raw", [b"", b"no picture", b"\xff\xd8\xff\xe0" + bytes(50)])
def test_corrupt_picture(writer, tmp_path, person, raw):
    pack = writer()
    pack.add([person(BOX)], data=raw)
    pack.write()
    text = complaint(tmp_path)
    assert "stills/00001.jpg" in text
    assert "not a picture" in text
