"""Label files that ask for more memory or work than their bytes: too many keypoints, frames, rectangles."""

from __future__ import annotations

import json

import pytest

from dcpose_cli.datasets.coco import read_coco, read_lists
from dcpose_cli.datasets.label_studio import read_label_studio
from dcpose_cli.errors import InputError
from dcpose_cli.results.foreign import read_result
from dcpose_cli.skeleton import JOINT_NAMES
from dcpose_cli.skeleton.sets import MOST_JOINTS, named_channels

pytestmark = pytest.mark.timeout(20)
PARTS = [*JOINT_NAMES[5:], *(f"tip {number}" for number in range(900))]
MANY = [f"joint {number}" for number in range(MOST_JOINTS + 1)]


def coco(names):
    person = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "keypoints": [1, 1, 2] * len(names)}
    return {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [person],
        "categories": [{"id": 1, "name": "person", "keypoints": names}],
    }


@pytest.mark.parametrize(
    ("names", "says"),
    [(MANY * 1000, "keypoints, 1,000 are the most"), (["n" * 5000], "a name of 5,000 characters, 1,000 are the most")],
)
def test_keypoints_of_no_joint_set(tmp_path, names, says):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(coco(names)))
    with pytest.raises(InputError, match=says):
        read_coco(path, tmp_path)
    table = tmp_path / "a.trc"
    head = ["PathFileType\t4", "DataRate\tUnits", "25\tpx", "Frame#\tTime\t" + "\t\t\t".join(names), ""]
    table.write_text("\n".join([*head, "1\t0" + "\t1" * 6]))
    with pytest.raises(InputError, match=says):
        read_result(table)


def test_channels_of_no_joint_set():
    with pytest.raises(ValueError, match="100000 joints, there can be 1 to 1000"):
        named_channels(f"n{number}" for number in range(100_000))


def test_frames_that_are_only_claimed(tmp_path):
    path = tmp_path / "a.json"
    images = [{"id": n, "file_name": f"v/{n}/000001.jpg", "nframes": 100_000} for n in range(11)]
    path.write_text(json.dumps({"images": images, "annotations": []}))
    with pytest.raises(InputError, match="its videos have 1,100,000 frames by nframes, 1,000,000 are the most"):
        read_lists(path, tmp_path)
    path.write_text(json.dumps({"images": [images[0] | {"file_name": f"v/{'0' * 500}.jpg"}], "annotations": []}))
    with pytest.raises(InputError, match="the name of a picture has 500 digits, 18 are the most"):
        read_lists(path, tmp_path)


def region(kind, number, label, **value):
    size = {"original_width": 100, "original_height": 100}
    return {"id": str(number), "type": kind, "value": {**value, kind: [label]}, **size}


def test_rectangles_and_points_without_end(tmp_path):
    path = tmp_path / "a.json"

    def write(regions):
        path.write_text(json.dumps([{"data": {"image": "a.png"}, "annotations": [{"result": regions}]}]))

    write([region("keypointlabels", number, name, x=1, y=1) for number, name in enumerate(MANY)])
    with pytest.raises(InputError, match="keypoints, 1,000 are the most"):
        read_label_studio(path, tmp_path)
    boxes = [region("rectanglelabels", number, "person", x=0, y=0, width=9, height=9) for number in range(2001)]
    write([*boxes, *(region("keypointlabels", f"p{k}", name, x=1, y=1) for k, name in enumerate(JOINT_NAMES[5:]))])
    with pytest.raises(InputError, match="a picture has 2,001 rectangles, 2,000 are the most"):
        read_label_studio(path, tmp_path)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ([(f"i{n}", "nose", "x") for n in range(2001)], "it has 2,001 individuals, 2,000 are the most"),
        ([(f"i{n}", part, "x") for n, part in enumerate(PARTS)], "its 912 columns are too few for 912 individuals"),
        ([("i", "n" * 2000, "x")], "neither a short text nor a number"),
    ],
)
def test_tables_that_are_laid_out_for_more_than_they_hold(tmp_path, columns, says):
    rows = [["scorer", *["net"] * len(columns)]]
    rows += [
        [name, *(column[level] for column in columns)]
        for level, name in enumerate(("individuals", "bodyparts", "coords"))
    ]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(",".join(row) for row in [*rows, ["0", *["1"] * len(columns)]]))
    with pytest.raises(InputError, match=says):
        read_result(path)


def test_heads_of_tables_that_never_end(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("scorer,n\n" + "\n".join(f"{number},n" for number in range(100_000)) + "\ncoords,x\n")
    with pytest.raises(InputError, match="coords"):
        read_result(path)
    path.write_text("scorer,n\nbodyparts,nose\ncoords,z\n0,1\n")
    with pytest.raises(InputError, match="it has no column x, y or likelihood"):
        read_result(path)
