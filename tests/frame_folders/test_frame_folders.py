"""A generated data set: folders of frames, given boxes and ground truth, through a network and back to scores."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from dcpose_cli.config import EstimateConfig
from dcpose_cli.errors import InputError, OutputError, UsageError
from dcpose_cli.evaluation.evaluate import evaluate
from dcpose_cli.evaluation.poseval_files import read_frames
from dcpose_cli.frame_folders import export_dataset
from dcpose_cli.skeleton import EVAL_SLOTS, JOINT_NAMES

SIZE = (120, 90)  # width, height
LENGTHS = {"000012_mpii_test": 5, "000345_bonn_test": 3, "000007_mpiinew_test": 2}


def place(video: str, number: int, who: int) -> list[float]:
    """The box of a person: moves to the right, frame by frame."""
    return [5.0 + 3 * number + 40 * who, 10.0 + len(video) % 7, 30.0, 60.0]


def joints(box: list[float]) -> np.ndarray:
    """(17, 2) where the stand-in network sees the joints of a box."""
    x, y, width, height = box
    steps = (np.arange(17) + 1) / 18
    return np.column_stack([x + width * steps, y + height * steps[::-1]])


class StandIn:
    """A network that sees joints at fixed places of each box; remembers what it was shown.

    The blue corner of every frame holds its number, so that neighbours can be checked.
    """

    def __init__(self, predicts: tuple[int, ...] = tuple(range(17)), reach: int = 1) -> None:
        self.network, self.reach = self, reach
        self.model = SimpleNamespace(header=SimpleNamespace(predicts=predicts))
        self.seen: list[tuple[tuple[int, ...], tuple[int, int]]] = []

    def poses(self, frames: Any, windows: Any, boxes: Any, margins: Any, *_rest: Any) -> np.ndarray:
        frames = [frame.rgb() for frame in frames]
        assert all(frame.shape == (SIZE[1], SIZE[0], 3) and frame.dtype == np.uint8 for frame in frames)
        assert all(frame[0, 0, 0] == frame[0, 0, 1] == 0 for frame in frames)  # RGB, not BGR
        numbers = [int(frame[0, 0, 2]) for frame in frames]
        self.seen += [
            (tuple(numbers[k] for k in window), tuple(margin))
            for window, margin in zip(windows.tolist(), margins.tolist(), strict=True)
        ]
        out = np.zeros((len(boxes), 17, 3), np.float32)
        for row, box in enumerate(boxes.tolist()):
            out[row, :, :2] = joints(box)
            out[row, :, 2] = np.linspace(0.9, 0.5, 17)
        return out


def make(root: Path, style: str, *, people: int = 2) -> tuple[Path, Path, Path]:
    """Frames, boxes and ground truth; frames where the number is 1 modulo 3 show nobody. PoseTrack17: from 1."""
    first, digits = (1, 8) if style == "posetrack17" else (0, 6)
    boxes: list[dict[str, Any]] = []
    (root / "gt").mkdir(parents=True)
    for video, length in LENGTHS.items():
        folder = root / "images" / "val" / video
        folder.mkdir(parents=True)
        images, annotations = [], []
        for position in range(length):
            number = position + first
            picture = np.full((SIZE[1], SIZE[0], 3), 99, np.uint8)
            picture[:8, :8] = (10 * number, 0, 0)  # BGR
            name = f"images/val/{video}/{number:0{digits}d}.png"
            cv2.imwrite(str(root / name), picture)
            identity = 10**10 + int(video[:6]) * 10**4 + number
            images.append({"file_name": name, "id": identity, "frame_id": identity, "vid_id": video[:6]})
            for who in range(0 if number % 3 == 1 else people):
                box = place(video, number, who)
                boxes.append(
                    {"image_name": name, "bbox": box, "score": 0.8 - 0.3 * who, "category_id": 1, "nframes": length}
                )
                keypoints = np.column_stack([joints(box), np.ones(17)])
                keypoints[[3, 4]] = 0
                annotations.append(
                    {
                        "image_id": identity,
                        "id": identity * 100 + who,
                        "track_id": who,
                        "category_id": 1,
                        "keypoints": keypoints.reshape(-1).tolist(),
                        "bbox": box,
                        "bbox_head": [box[0], box[1], 6, 8],
                    }
                )
        data = {"images": images, "annotations": annotations, "categories": [{"name": "person", "keypoints": NAMES}]}
        (root / "gt" / f"{video}.json").write_text(json.dumps(data))
    (root / "boxes.json").write_text(json.dumps(boxes))
    return root, root / "boxes.json", root / "gt"


NAMES = list(JOINT_NAMES)


def read(path: Path) -> Any:
    return json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))


@pytest.mark.parametrize("style", ["posetrack17", "posetrack18"])
def test_perfect_network_scores_a_hundred(tmp_path: Path, style: str) -> None:
    frames, boxes, truth = make(tmp_path, style)
    summary = export_dataset(frames, boxes, tmp_path / "out", to=style, estimator=StandIn())
    assert [file.name for file in summary.files] == sorted(f"{video}.json" for video in LENGTHS)
    assert (summary.frames, summary.dropped) == (10, 0)
    result = evaluate(truth, tmp_path / "out", metrics=["ap", "pckh"])
    assert result.total.ap.total == pytest.approx(100)
    assert result.total.ap.pckh_table()["Total"] == 100
    assert list(result.sequences) == sorted(LENGTHS)
    # The same with the ground truth naming files and frames.
    export_dataset(frames, boxes, tmp_path / "again", to=style, truth=truth, estimator=StandIn())
    assert evaluate(truth, tmp_path / "again", metrics=["ap"]).total.ap.total == pytest.approx(100)
    if style == "posetrack17":
        for file in summary.files:
            assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


def test_annolist_is_what_the_published_evaluation_writes(tmp_path: Path, root: Path) -> None:
    frames, boxes, _ = make(tmp_path, "posetrack17")
    export_dataset(frames, boxes, tmp_path / "out", to="posetrack17", estimator=StandIn())
    example = read(root / "tests" / "data" / "dcpose" / "annorect_example.json")
    annolist = read(tmp_path / "out" / "000012_mpii_test.json")["annolist"]
    assert [frame["imgnum"] for frame in annolist] == [[1], [2], [3], [4], [5]]
    assert annolist[1]["image"] == {"name": "images/val/000012_mpii_test/00000002.png"}
    assert annolist[0]["annorect"] == example["empty_frame"]
    person = annolist[1]["annorect"][1]
    assert person.keys() == example["one_person"][0].keys()
    assert (person["score"], person["track_id"]) == ([0.5], [1])
    points = person["annopoints"][0]["point"]
    assert [point["id"] for point in points] == [[joint] for joint in range(15)]
    expected = joints(place("000012_mpii_test", 2, 1))
    for point, slot in zip(points, EVAL_SLOTS, strict=True):
        assert (point["x"][0], point["y"][0]) == pytest.approx(tuple(expected[slot]), abs=1e-4)
        # The point's score is the heatmap's maximum times the score of the box.
        assert point["score"][0] == pytest.approx(0.5 * np.linspace(0.9, 0.5, 17)[slot], abs=1e-6)


def test_posetrack18_ids_and_fields(tmp_path: Path) -> None:
    frames, boxes, _ = make(tmp_path, "posetrack18")
    export_dataset(frames, boxes, tmp_path / "out", to="posetrack18", estimator=StandIn())
    first = {video: read(tmp_path / "out" / f"{video}.json")["images"][1]["id"] for video in LENGTHS}
    assert first == {
        "000012_mpii_test": 10000120001,
        "000345_bonn_test": 20003450001,
        "000007_mpiinew_test": 30000070001,
    }
    data = read(tmp_path / "out" / "000012_mpii_test.json")
    assert len(data["images"]) == 5
    entry = data["annotations"][1]
    assert (entry["image_id"], entry["id"], entry["track_id"]) == (10000120000, 1000012000001, 1)
    assert entry["keypoints"][9:15] == [*entry["scores"][3:5], 0, 0, 0, 0] == [0] * 6
    assert entry["keypoints"][2] == 1
    assert entry["scores"][0] == pytest.approx(0.9 * 0.5)
    assert entry["bbox"] == place("000012_mpii_test", 0, 1)


def test_neighbours_and_margins(tmp_path: Path) -> None:
    frames, boxes, _ = make(tmp_path, "posetrack17", people=1)
    network = StandIn()
    export_dataset(frames, boxes, tmp_path / "out", to="posetrack17", estimator=network)
    # Frames 2, 3 and 5 of five show somebody (and so on); pictures hold ten times their number.
    assert len(network.seen) == 6
    assert ((10, 20, 30), (1, 1)) in network.seen
    assert ((20, 30, 40), (1, 1)) in network.seen
    assert ((40, 50, 50), (1, 1)) in network.seen  # the end: the frame itself, with margin 1
    network = StandIn()
    config = EstimateConfig(interval=3, overwrite=True)
    export_dataset(frames, boxes, tmp_path / "out", to="posetrack17", estimator=network, config=config)
    assert ((10, 20, 50), (1, 3)) in network.seen
    assert ((20, 50, 50), (3, 1)) in network.seen
    network = StandIn(reach=2)
    export_dataset(
        frames, boxes, tmp_path / "five", to="posetrack17", estimator=network, config=EstimateConfig(interval=2)
    )
    assert ((10, 10, 30, 50, 50), (2, 2)) in network.seen
    assert ((10, 10, 20, 40, 50), (1, 2)) in network.seen


def test_joints_the_model_does_not_predict_are_left_out(tmp_path: Path) -> None:
    frames, boxes, _ = make(tmp_path, "posetrack17")
    slots = tuple(slot for slot in range(17) if NAMES[slot] not in ("head_top", "head_bottom"))
    for style in ("posetrack17", "posetrack18"):
        export_dataset(frames, boxes, tmp_path / style, to=style, estimator=StandIn(slots))
        people = [p for f in read_frames(tmp_path / style / "000012_mpii_test.json") for p in f.people]
        people = [p for p in people if p.scores.max() > 0]
        assert len(people) == 6
        assert all(np.isnan(p.points[[12, 14]]).all() and not np.isnan(p.points[13]).any() for p in people)


def test_low_boxes_other_things_and_flat_boxes(tmp_path: Path) -> None:
    frames, boxes, _ = make(tmp_path, "posetrack18", people=1)
    entries = read(boxes)
    name = entries[0]["image_name"]
    entries += [
        {"image_name": name, "bbox": [1, 2, 30, 40], "score": 0.2},
        {"image_name": name, "bbox": [1, 2, 30, 40], "score": 0.19},
        {"image_name": name, "bbox": [1, 2, 30, 40], "score": 0.9, "category_id": 2},
        {"image_name": name, "bbox": [1, 2, 0, 40], "score": 0.9},
    ]
    boxes.write_text(json.dumps(entries))
    summary = export_dataset(frames, boxes, tmp_path / "out", to="posetrack18", estimator=StandIn())
    assert summary.dropped == 1
    scores = [e["score"] for e in read(tmp_path / "out" / f"{Path(name).parent.name}.json")["annotations"]]
    assert scores[:2] == [0.8, 0.2]


def test_folders_without_boxes_get_files_too(tmp_path: Path) -> None:
    frames, boxes, truth = make(tmp_path, "posetrack18")
    entries = [entry for entry in read(boxes) if "bonn" not in entry["image_name"]]
    boxes.write_text(json.dumps(entries))
    export_dataset(frames, boxes, tmp_path / "out", to="posetrack18", estimator=StandIn())
    assert read(tmp_path / "out" / "000345_bonn_test.json")["annotations"] == []
    assert evaluate(truth, tmp_path / "out", metrics=["ap"]).total.ap.total < 100


def test_the_folder_may_be_any_on_the_way(tmp_path: Path) -> None:
    frames, boxes, _ = make(tmp_path, "posetrack18")
    for number, start in enumerate((frames, frames / "images", frames / "images" / "val")):
        export_dataset(start, boxes, tmp_path / f"out{number}", to="posetrack18", estimator=StandIn())
        assert len(list((tmp_path / f"out{number}").iterdir())) == 3
    one = [entry for entry in read(boxes) if "bonn" in entry["image_name"]]
    boxes.write_text(json.dumps(one))
    folder = frames / "images" / "val" / "000345_bonn_test"
    export_dataset(folder, boxes, tmp_path / "one", to="posetrack18", estimator=StandIn())
    assert [file.name for file in (tmp_path / "one").iterdir()] == ["000345_bonn_test.json"]


def test_ground_truth_with_other_names_and_frames(tmp_path: Path) -> None:
    """PoseTrack17's files are not named as its folders are."""
    frames, boxes, _ = make(tmp_path, "posetrack17")
    (tmp_path / "old").mkdir()
    names = [f"images/val/000012_mpii_test/{number:08d}.png" for number in (1, 2, 3, 4)]
    annolist = [{"image": {"name": name}, "annorect": []} for name in names]
    (tmp_path / "old" / "000012_relpath_5sec.json").write_text(json.dumps({"annolist": annolist}))
    summary = export_dataset(
        frames, boxes, tmp_path / "out", to="posetrack17", truth=tmp_path / "old", estimator=StandIn()
    )
    assert [file.name for file in summary.files] == ["000012_relpath_5sec.json"]
    written = read(summary.files[0])["annolist"]
    assert [frame["image"]["name"] for frame in written] == names
    assert len(written[1]["annorect"]) == 2
    with pytest.raises(UsageError, match=r"000012_relpath_5sec\.json: this is the input"):
        export_dataset(
            frames, boxes, tmp_path / "old", to="posetrack17", truth=tmp_path / "old", estimator=StandIn(),
            config=EstimateConfig(overwrite=True),
        )  # fmt: skip
    assert read(tmp_path / "old" / "000012_relpath_5sec.json") == {"annolist": annolist}


def test_what_is_wrong_is_named_before_a_model_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcpose_cli.frame_folders.export._load", lambda _: pytest.fail("a model was loaded"))
    frames, boxes, _ = make(tmp_path, "posetrack18")
    out = tmp_path / "out"
    good = read(boxes)

    def run(entries: Any = good, **options: Any) -> None:
        boxes.write_text(entries if isinstance(entries, str) else json.dumps(entries))
        export_dataset(options.pop("frames", frames), boxes, out, **{"to": "posetrack18"} | options)

    with pytest.raises(UsageError, match="posetrack17 or posetrack18"):
        run(to="coco")
    with pytest.raises(InputError, match="no such folder"):
        run(frames=tmp_path / "none")
    for bad in ("", "{", "{}", "[]", "[1]"):
        with pytest.raises(InputError, match=r"boxes\.json"):
            run(bad)
    changes: list[dict[str, Any]] = [
        {"bbox": [1, 2, 3]},
        {"bbox": [1, 2, 3, float("nan")]},
        {"bbox": "1234"},
        {"score": None},
        {"score": float("inf")},
        {"image_name": "a/b/c.png"},
        {"image_name": "a/../../000001.png"},
        {"image_name": 3.5},
    ]
    for change in changes:
        with pytest.raises(InputError, match=r"boxes"):
            run([*good, good[0] | change])
    with pytest.raises(InputError, match=r"000099\.png"):
        run([*good, good[0] | {"image_name": "images/val/000012_mpii_test/000099.png"}])
    with pytest.raises(InputError, match="no frames"):
        run([*good, good[0] | {"image_name": "images/val/000099_mpii_test/000001.png"}])
    assert not out.exists()
    out.mkdir()
    (out / "000012_mpii_test.json").write_text("precious")
    with pytest.raises(OutputError, match="--overwrite"):
        run()
    assert (out / "000012_mpii_test.json").read_text() == "precious"
    assert len(list(out.iterdir())) == 1


def test_pictures_that_are_none_or_of_another_size(tmp_path: Path) -> None:
    frames, boxes, _ = make(tmp_path, "posetrack18")
    target = frames / "images" / "val" / "000012_mpii_test" / "000002.png"
    whole = target.read_bytes()

    def fails(number: int, says: str) -> None:
        with pytest.raises(InputError, match=says):
            export_dataset(frames, boxes, tmp_path / f"out{number}", to="posetrack18", estimator=StandIn())
        # What was finished before stays, whole; the video that failed has no file.
        assert [file.name for file in (tmp_path / f"out{number}").iterdir()] == ["000007_mpiinew_test.json"]

    target.write_bytes(b"")
    fails(0, "not a picture")
    target.write_bytes(whole[:60])
    fails(1, "not a picture")
    cv2.imwrite(str(target), np.zeros((50, 60, 3), np.uint8))
    fails(2, "differ in size")


def save_tiny(kind: str, folder: Path) -> Path:
    """A small model of this kind with random weights."""
    import torch

    from dcpose_cli.checkpoints.files import save_model
    from dcpose_cli.nets import DSTA, DSTAConfig, HRNet, HRNetConfig, PoseWarper, PoseWarperConfig

    torch.manual_seed(1)
    tiny = HRNetConfig(width=8, stem=8, layer1_width=8, layer1_blocks=1, modules=(1, 1, 1), blocks=(1, 1, 1))
    nets = {
        "hrnet": lambda: HRNet(tiny),
        "posewarper": lambda: PoseWarper(
            PoseWarperConfig(backbone=tiny, input_size=(48, 64), blocks=1, width=8, dilations=(2,))
        ),
        "dsta": lambda: DSTA(DSTAConfig(backbone=tiny, input_size=(48, 64), frames=5)),
    }
    net = nets[kind]()
    for name, value in net.named_parameters():
        if value.ndim > 1 and "offset" not in name:
            torch.nn.init.normal_(value, std=0.05)
    save_model(net, folder, name=kind, input_size=(48, 64))
    return folder


@pytest.mark.parametrize("kind", ["dcpose", "hrnet", "posewarper", "dsta"])
def test_a_real_network(tmp_path: Path, tiny_folder: Path, kind: str) -> None:
    """Any model runs; what it says equals what it says of the three frames by themselves."""
    import dcpose_cli

    model = tiny_folder if kind == "dcpose" else save_tiny(kind, tmp_path / kind)
    frames, boxes, _ = make(tmp_path / "set", "posetrack18")
    estimator = dcpose_cli.PoseEstimator(model, "cpu")
    export_dataset(frames, boxes, tmp_path / "out", to="posetrack18", estimator=estimator)
    data = read(tmp_path / "out" / "000012_mpii_test.json")
    entries = [entry for entry in data["annotations"] if entry["image_id"] == data["images"][2]["id"]]
    pictures = [
        cv2.cvtColor(cv2.imread(str(frames / image["file_name"])), cv2.COLOR_BGR2RGB) for image in data["images"]
    ]
    reach, count = estimator.network.reach, len(entries)
    assert reach == (2 if kind in ("posewarper", "dsta") else 1)
    window = np.tile(np.arange(2 - reach, 3 + reach), (count, 1))
    expected = estimator.network.poses(
        pictures, window, np.array([entry["bbox"] for entry in entries], np.float32), np.ones((count, 2), np.int64)
    )
    for entry, points in zip(entries, expected, strict=True):
        got = np.array(entry["keypoints"]).reshape(17, 3)
        keep = got[:, 2] == 1
        assert keep.sum() >= 13
        np.testing.assert_allclose(got[keep, :2], points[keep, :2], atol=1e-3)
        np.testing.assert_allclose(np.array(entry["scores"])[keep], points[keep, 2] * entry["score"], atol=1e-5)


@pytest.mark.parametrize("key", ["id", "frame_id"])
def test_boxes_that_name_pictures_by_the_ids_of_the_truth(tmp_path: Path, key: str) -> None:
    """The layout of mmpose's detections for PoseTrack18."""
    frames, boxes, truth = make(tmp_path, "posetrack18")
    export_dataset(frames, boxes, tmp_path / "a", to="posetrack18", truth=truth, estimator=StandIn())
    ids: dict[str, int] = {}
    for file in truth.iterdir():
        data = read(file)
        for image in data["images"]:
            image["frame_id"] += 1_000_000  # told apart from the id
            ids[image["file_name"]] = image[key]
        file.write_text(json.dumps(data))
    entries = [{k: v for k, v in e.items() if k in ("bbox", "score", "category_id")} for e in read(boxes)]
    for entry, named in zip(entries, read(boxes), strict=True):
        entry["image_id"] = ids[named["image_name"]]
    boxes.write_text(json.dumps(entries))
    export_dataset(frames, boxes, tmp_path / "b", to="posetrack18", truth=truth, estimator=StandIn())
    for video in LENGTHS:
        assert read(tmp_path / "a" / f"{video}.json") == read(tmp_path / "b" / f"{video}.json")
    with pytest.raises(InputError, match=r"entry 0 .*image_id and no image_name: give the ground truth with --gt"):
        export_dataset(frames, boxes, tmp_path / "c", to="posetrack18", estimator=StandIn())
    entries[0]["image_id"] = 5
    boxes.write_text(json.dumps(entries))
    with pytest.raises(InputError, match="no picture of the ground truth has the id 5"):
        export_dataset(frames, boxes, tmp_path / "c", to="posetrack18", truth=truth, estimator=StandIn())
