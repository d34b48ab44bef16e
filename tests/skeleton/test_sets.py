"""The table of joint sets, and what hangs on the names of joints."""

from __future__ import annotations

import pytest

from dcpose_cli.skeleton import (
    ALL_JOINTS,
    EDGES,
    FLIP_ORDER,
    FLIP_PAIRS,
    JOINT_NAMES,
    OKS_SIGMAS,
    standard_name,
)
from dcpose_cli.skeleton.sets import (
    COCO_NAMES,
    FACE,
    HANDS,
    JOINT_SETS,
    detail_joints,
    flip_order,
    limbs,
    mirrored,
    named_channels,
    result_joints,
    sets_with,
    sigmas,
)

#: Halpe's own names, in its order (github.com/Fang-Haoshu/Halpe-FullBody).
HALPE = (
    *("Nose", "LEye", "REye", "LEar", "REar", "LShoulder", "RShoulder", "LElbow", "RElbow", "LWrist", "RWrist", "LHip"),
    *("RHip", "LKnee", "Rknee", "LAnkle", "RAnkle", "Head", "Neck", "Hip", "LBigToe", "RBigToe", "LSmallToe"),
    *("RSmallToe", "LHeel", "RHeel"),
)
SETS = [pytest.param(one, id=one.name) for one in JOINT_SETS.values()]


@pytest.mark.parametrize("one", SETS)
def test_a_set_is_whole(one):
    count = len(one.channels)
    assert len({*one.channels}) == len(one.sigmas) == count
    assert {*one.predicted} <= {*range(count)}
    assert named_channels(one.channels) == one.channels  # every name can stand in a file, in our spelling
    joints = result_joints(one.channels)
    assert joints[:17] == JOINT_NAMES
    assert {*joints} == {*JOINT_NAMES, *one.channels}
    assert [one.channels[k] for k in range(count) if one.channels[k] not in JOINT_NAMES] == [*joints[17:]]
    found = sigmas(joints)
    assert all(found[joints.index(name)] == sigma for name, sigma in zip(one.channels, one.sigmas, strict=True))
    assert all(0.005 < sigma < 0.12 for sigma in found)
    for names in (one.channels, joints):
        order = flip_order(names)
        assert [order[place] for place in order] == [*range(len(names))]
        sides = [(a.split("_")[0], b.split("_")[0]) for a, b in zip(names, (names[k] for k in order), strict=True)]
        assert {pair for pair in sides if pair[0] in ("left", "right")} == {("left", "right"), ("right", "left")}
    places = [place for limb in limbs(joints) for place in limb]
    assert {*places} <= {*range(len(joints))}
    drawn = {joints[place] for place in places}
    assert {*one.channels} - drawn <= ({"nose", "left_ear", "right_ear"} if one.name == "posetrack" else set())
    assert all(start != end for start, end in limbs(joints))
    assert len({*limbs(joints)}) == len(limbs(joints))


def test_numbers_of_joints():
    assert {name: len(one.channels) for name, one in JOINT_SETS.items()} == {
        "posetrack": 17, "coco": 17, "halpe26": 26, "halpe136": 136, "wholebody": 133,
    }  # fmt: skip
    assert [one.name for one in sets_with(17)] == ["posetrack", "coco"]
    assert [one.name for one in sets_with(133)] == ["wholebody"]
    assert sets_with(16) == []


def test_the_layout_of_posetrack_and_coco():
    assert result_joints(JOINT_SETS["posetrack"].channels) == JOINT_NAMES
    assert result_joints(COCO_NAMES) == ALL_JOINTS
    assert limbs(JOINT_NAMES) == EDGES
    assert limbs(ALL_JOINTS) == (*EDGES, (0, 17), (0, 18), (17, 3), (18, 4), (5, 6), (11, 12))
    assert flip_order(JOINT_NAMES) == FLIP_ORDER
    assert tuple((a, b) for a, b in enumerate(FLIP_ORDER) if a < b) == FLIP_PAIRS
    assert sigmas(JOINT_NAMES) == OKS_SIGMAS
    assert sigmas(ALL_JOINTS) == (*OKS_SIGMAS, 0.025, 0.025)


def test_halpe_in_its_own_words():
    own = {"Head": "head_top", "Neck": "head_bottom"}
    assert JOINT_SETS["halpe26"].channels == tuple(own.get(name) or standard_name(name) for name in HALPE)
    assert JOINT_SETS["halpe136"].channels[:26] == JOINT_SETS["halpe26"].channels
    assert JOINT_SETS["halpe136"].channels[26:94] == FACE
    assert JOINT_SETS["halpe136"].channels[94:115] == HANDS["left"]


def test_coco_wholebody_in_its_order():
    """17 of the body, 6 of the feet, 68 of the face, 21 of each hand."""
    channels = JOINT_SETS["wholebody"].channels
    assert channels[:17] == COCO_NAMES
    assert channels[17:23] == tuple(f"{s}_{p}" for s in ("left", "right") for p in ("big_toe", "small_toe", "heel"))
    assert channels[23:91] == FACE
    assert channels[91:112] == HANDS["left"]
    assert channels[112:] == HANDS["right"]
    assert (channels[91], channels[95], channels[96], channels[132]) == (
        "left_hand_root", "left_thumb_4", "left_index_1", "right_pinky_4",
    )  # fmt: skip


def test_the_mirrored_face():
    """Pairs of iBUG's points: jaw, brows, nostrils, eyes, lips; the middle line stays."""
    for one, other in ((0, 16), (3, 13), (8, 8), (17, 26), (21, 22), (27, 27), (31, 35), (36, 45), (39, 42), (41, 46)):
        assert mirrored(FACE[one]) == FACE[other]
        assert mirrored(FACE[other]) == FACE[one]
    for one, other in ((48, 54), (50, 52), (51, 51), (59, 55), (58, 56), (57, 57), (60, 64), (67, 65), (62, 62)):
        assert mirrored(FACE[one]) == FACE[other]
    assert {mirrored(name) for name in FACE} == {*FACE}
    assert mirrored("hip") == "hip"
    assert mirrored("left_index_3") == "right_index_3"


def test_details_are_faces_and_hands():
    joints = result_joints(JOINT_SETS["wholebody"].channels)
    details = detail_joints(joints)
    assert len(details) == 110
    assert not {joints[place] for place in details} & {"left_wrist", "left_heel", "left_eye", "nose"}
    assert detail_joints(result_joints(JOINT_SETS["halpe26"].channels)) == frozenset()


def test_feet_and_hands_are_joined_to_the_body():
    joints = result_joints(JOINT_SETS["wholebody"].channels)
    reached = {0}
    body = [limb for limb in limbs(joints) if not {*limb} & {joints.index(name) for name in FACE}]
    for _ in joints:
        reached |= {place for limb in body if {*limb} & reached for place in limb}
    # The head hangs on the eyes; COCO knows no neck that joins it to the shoulders.
    assert {joints[k] for k in reached} == {"nose", "left_eye", "right_eye", "left_ear", "right_ear"}
    reached = {joints.index("left_hip")}
    for _ in joints:
        reached |= {place for limb in body if {*limb} & reached for place in limb}
    assert {"right_pinky_4", "left_thumb_4", "right_small_toe", "left_heel"} <= {joints[k] for k in reached}


def test_names_that_somebody_gives():
    assert named_channels(["LAnkle", " tail_1", "left_eye_1"]) == ("left_ankle", "tail_1", "left_eye_1")
    joints = result_joints(("tail_1", "left_paw", "right_paw", "nose"))
    assert joints == (*JOINT_NAMES, "tail_1", "left_paw", "right_paw")
    assert flip_order(joints)[17:] == (17, 19, 18)
    assert sigmas(joints)[17:] == (None, None, None)
    for names, why in (((), "0 joints"), (("a", "a"), "twice"), (("a,b",), "no name"), (("-",), "no name")):
        with pytest.raises(ValueError, match=why):
            named_channels(names)
    with pytest.raises(ValueError, match="1001 joints"):
        named_channels(f"p{k}" for k in range(1001))
