"""Joints beyond the fifteen are scored by their names: feet, fingers and faces of labels and of results."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from dcpose_cli.evaluation.coco_files import PCK_SHARE
from dcpose_cli.evaluation.evaluate import as_json, evaluate
from dcpose_cli.results import PoseTrackWriter, read_posetrack
from dcpose_cli.skeleton import JOINT_NAMES
from dcpose_cli.skeleton.sets import COCO_NAMES, FEET, JOINT_SETS, WHOLEBODY_LISTS, result_joints

WHOLE = result_joints(JOINT_SETS["wholebody"].channels)


@pytest.fixture(scope="module")
def whole(real, tmp_path_factory):
    """The result of a clip whose people have eyes, feet, hands and faces, all at known places in their boxes."""
    result, out = read_posetrack(real), tmp_path_factory.mktemp("whole") / "whole.json"
    places = np.random.default_rng(5).uniform(0.1, 0.9, (len(WHOLE), 2))
    first = result.frames[0].index
    with PoseTrackWriter(out, result.header, joints=WHOLE) as writer:
        for frame in result.frames:
            people = []
            for person in frame.people:
                points = np.concatenate([person.bbox[:2] + places * person.bbox[2:], np.full((len(WHOLE), 1), 0.9)], 1)
                points[:17] = person.keypoints
                people.append(replace(person, keypoints=points.astype(np.float32), joints=WHOLE))
            writer.write(replace(frame, index=frame.index - first, people=tuple(people)))
    return out


def labels_of(result, change):
    """COCO-WholeBody labels that say what a result says; change: (name, x, y, size) -> x, y, v of a joint."""
    images, annotations = [], []
    for frame in result.frames:
        images.append({"id": 500 + frame.index, "file_name": f"clip/{frame.index:06d}.jpg"})
        for person in frame.people:
            at = dict(zip(person.joints, person.keypoints.tolist(), strict=True))
            size = float(max(person.bbox[2:]))

            def said(names, at=at, size=size):
                return [
                    v for n in names for v in (change(n, *at[n][:2], size) if at.get(n, (0, 0, 0))[2] else (0,) * 3)
                ]

            entry = {"id": len(annotations) + 1, "image_id": images[-1]["id"], "category_id": 1}
            entry |= {"keypoints": said(COCO_NAMES), "bbox": person.bbox.tolist()}
            annotations.append(entry | {key: said(names) for key, names in WHOLEBODY_LISTS.items()})
    categories = [{"id": 1, "name": "person", "keypoints": list(COCO_NAMES)}]
    return {"images": images, "annotations": annotations, "categories": categories}


def same(name, x, y, size):
    return x, y, 2


def figures(tmp_path, labels, predicted):
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps(labels))
    return as_json(evaluate(truth, predicted, metrics=["pckh"]))


def test_each_joint_by_its_name(whole, tmp_path, dcpose):
    found = figures(tmp_path, labels_of(read_posetrack(whole), same), whole)
    people = sum(len(frame.people) for frame in read_posetrack(whole).frames)
    assert {"left_eye", "left_heel", "face_30", "right_pinky_4"} <= found["joints"].keys()
    assert not {"head_bottom", "head_top"} & {n for n, one in found["joints"].items() if one["annotated"]}
    further = {name: one for name, one in found["joints"].items() if name not in JOINT_NAMES}
    assert len(further) == 2 + 6 + 68 + 42
    assert all(one == {"ap": None, "precision": None, "recall": 100.0, "annotated": people} for one in further.values())
    done = dcpose("evaluate", tmp_path / "truth.json", whole, "--metrics", "pckh")
    assert done.returncode == 0, done.stderr
    assert f"foot 100.0 of {6 * people}, face 100.0 of {68 * people}, hand 100.0 of {42 * people}" in done.stdout


@pytest.mark.parametrize(("share", "recall"), [(0.9, 100.0), (1.1, 0.0)])
def test_a_joint_is_found_within_a_share_of_the_box(whole, tmp_path, share, recall):
    def moved(name, x, y, size):
        return (x + share * PCK_SHARE * size, y, 2) if name in FEET else (x, y, 2)

    joints = figures(tmp_path, labels_of(read_posetrack(whole), moved), whole)["joints"]
    assert {joints[name]["recall"] for name in FEET} == {recall}
    assert joints["left_eye"]["recall"] == 100.0


def test_what_is_not_labelled_or_not_known_does_not_count(whole, real, tmp_path):
    result = read_posetrack(whole)

    def without_heels(name, x, y, size):
        return (0, 0, 0) if name.endswith("heel") else (x, y, 2)

    joints = figures(tmp_path, labels_of(result, without_heels), whole)["joints"]
    assert "left_heel" not in joints
    assert "left_big_toe" in joints
    slots = tmp_path / "slots.json"
    with PoseTrackWriter(slots, result.header) as writer:
        for frame in result.in_slots().frames:
            writer.write(frame)
    joints = figures(tmp_path, labels_of(result, same), slots)["joints"]
    assert {*joints} <= {*JOINT_NAMES}  # a model of 17 joints loses nothing by the feet it does not know


def test_people_whom_nobody_predicted_count(whole, tmp_path):
    result = read_posetrack(whole)
    people = sum(len(frame.people) for frame in result.frames)
    fewer, less = tmp_path / "fewer.json", 0
    with PoseTrackWriter(fewer, result.header, joints=WHOLE) as writer:
        for frame in result.frames:
            less += bool(frame.people)
            writer.write(replace(frame, people=frame.people[1:]))
    joints = figures(tmp_path, labels_of(result, same), fewer)["joints"]
    assert joints["left_heel"]["annotated"] == people
    assert joints["left_heel"]["recall"] == pytest.approx(100 * (people - less) / people, abs=8)
    assert joints["left_heel"]["recall"] < 100
