"""Foreign checkpoints: what is recognised, what is kept, and what is refused (fault 23)."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dcpose_cli.checkpoints.files import open_model
from dcpose_cli.checkpoints.importing import import_checkpoint, load_pickle
from dcpose_cli.errors import InputError, OutputError, UsageError
from dcpose_cli.nets import DCPose, DCPoseConfig, HRNet, SimpleBaseline, SimpleBaselineConfig

BOTH_FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
TO_OFFICIAL = (
    ("backbone.", "rough_pose_estimation_net."),
    ("prf.", "diff_temporal_fuse.layers."),
    ("ptm.", "support_temporal_fuse.layers."),
    ("combine.", "offset_mask_combine_conv.layers."),
)


def official_names(net):
    """The state dict of a DCPose network as the published code would write it."""
    out = {}
    for name, value in net.state_dict().items():
        for ours, theirs in TO_OFFICIAL:
            if name.startswith(ours):
                name = theirs + name.removeprefix(ours)
        if name.startswith("warps."):
            _, k, kind = name.split(".", 2)
            if kind == "offset_mask.weight":
                out[f"offsets_list.{k}.0.weight"], out[f"masks_list.{k}.0.weight"] = value.split([306, 153])
                continue
            name = f"modulated_deform_conv_list.{k}.deform_conv.{kind}"
        if not name.startswith("rough"):
            for ours, theirs in (("reduce", "conv_bn_relu1"), ("expand", "conv_bn_relu3"), ("shortcut", "downsample")):
                name = name.replace(f".{ours}.", f".{theirs}.")
            name = name.replace(".steps.", ".conv_bn_relu2_")
        out[name] = value
    return out


@pytest.fixture(scope="module")
def dcpose(small_hrnet, randomised):
    config = DCPoseConfig(backbone=small_hrnet(), prf_blocks=1, ptm_blocks=2, combine_blocks=1, combine_width=12)
    return randomised(DCPose(config))


@pytest.fixture
def bring_hrnet(bring):
    """As `bring`; the name of the file says what tensors do not."""
    return partial(bring, file="hrnet_coco_256x192.pth")


def same_weights(path, net):
    loaded = open_model(path)
    want, got = net.state_dict(), loaded.net.state_dict()
    assert want.keys() == got.keys()
    assert all(torch.equal(want[k], got[k]) for k in want if not k.endswith("num_batches_tracked"))
    return loaded


# --- official DCPose


@BOTH_FORMATS
def test_official_container(dcpose, bring, zipped):
    state = official_names(dcpose)
    assert len(state) == len(dcpose.state_dict()) + 5
    adam = {"state": {0: {"step": 3, "exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 1e-3}]}
    path = bring(
        {"begin_epoch": 3, "state_dict": state, "optimizer": adam, "tensorboard_global_steps": 9}, zipped=zipped
    )
    loaded = same_weights(path, dcpose)
    assert loaded.net.config == dcpose.config
    assert loaded.header.joints == "posetrack"
    assert loaded.header.predicts == tuple(i for i in range(17) if i not in (3, 4))
    assert loaded.header.name == "out"
    assert {v.dtype for v in load_file(path).values()} == {torch.float32}


def test_official_without_container_and_with_module_prefixes(dcpose, bring):
    state = official_names(dcpose)
    same_weights(bring(state), dcpose)
    prefixed = {f"module.{k.replace('.layers.', '.module.layers.', 1)}": v for k, v in state.items()}
    same_weights(bring({"state_dict": prefixed}, overwrite=True), dcpose)


def test_official_with_fewer_dilations(bring, small_hrnet, randomised):
    net = randomised(DCPose(DCPoseConfig(backbone=small_hrnet(), dilations=(3, 6), combine_width=8)))
    assert same_weights(bring(official_names(net)), net).net.config.dilations == (3, 6)


def test_entries_that_are_no_tensors_do_not_matter(dcpose, bring):
    state = {**official_names(dcpose), "epoch": 3, "note": "text", "history": [1.0, 2.0], "none": None}
    same_weights(bring({"state_dict": state, "meta": {"names": ("a", "b")}}), dcpose)


def test_kept_in_float32_exactly(golden, w48_folder):
    stored = load_file(w48_folder / "model.safetensors")
    official = golden.official_state()
    name = "stage4.2.branches.0.3.conv2.weight"
    assert torch.equal(stored[f"backbone.{name}"], official[f"rough_pose_estimation_net.{name}"])
    assert {v.dtype for v in stored.values()} == {torch.float32}
    parameters = sum(v.numel() for k, v in stored.items() if "running_" not in k)
    assert parameters == 65_198_798


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda s: s.pop("masks_list.2.0.weight"), "warps.2.offset_mask.weight"),
        (lambda s: s.pop("offsets_list.0.0.weight"), "offsets_list.0.0.weight"),
        (lambda s: s.update({"offsets_list.0.0.weight": torch.zeros(3)}), "offsets_list.0.0.weight"),
        (lambda s: s.update({"stranger.weight": torch.zeros(1)}), "unexpected stranger.weight"),
        (lambda s: s.pop("rough_pose_estimation_net.conv1.weight"), "missing conv1.weight"),
        (lambda s: s.update({"rough_pose_estimation_net.conv1.weight": torch.zeros(())}), "no dimensions"),
        (
            lambda s: s.update({"rough_pose_estimation_net.conv2.weight": torch.zeros(1)}),
            "backbone.conv2.weight is (1,)",
        ),
        (lambda s: s.update({"diff_temporal_fuse.layers.7.x": torch.zeros(1)}), "prf."),
    ],
)
def test_official_with_a_fault(dcpose, bring, spoil, named, refused):
    state = official_names(dcpose)
    spoil(state)
    assert named in refused(bring, {"state_dict": state})


# --- HRNets


@pytest.mark.parametrize(
    ("width", "backbone", "head"),
    [(8, "backbone.", "keypoint_head."), (12, "backbone.", "head."), (8, "", "")],
    ids=["mmpose 0.x", "mmpose 1.x", "bare"],
)
def test_hrnets_by_name(bring_hrnet, backbone, head, width, small_hrnet, randomised):
    net = randomised(HRNet(small_hrnet(width=width)))
    state = {(head if k.startswith("final_layer") else backbone) + k: v for k, v in net.state_dict().items()}
    if backbone:
        state["data_preprocessor.mean"] = torch.zeros(3)
    loaded = same_weights(bring_hrnet({"meta": {"epoch": 210}, "state_dict": state}), net)
    assert loaded.net.config == net.config
    assert (loaded.header.kind, loaded.header.joints) == ("hrnet", "coco")
    assert loaded.header.predicts == tuple(range(17))


@pytest.mark.parametrize(("backbone", "head"), [("backbone.", "keypoint_head."), ("", "")], ids=["mmpose", "bare"])
def test_simplebaselines_by_name(bring_hrnet, backbone, head, refused, randomised):
    net = randomised(SimpleBaseline(SimpleBaselineConfig(depth=18, width=8)))
    ends = ("deconv_layers", "final_layer")
    state = {(head if k.startswith(ends) else backbone) + k: v for k, v in net.state_dict().items()}
    loaded = same_weights(bring_hrnet({"state_dict": state}), net)
    assert loaded.net.config == net.config
    assert (loaded.header.kind, loaded.header.joints) == ("simplebaseline", "coco")
    del state[f"{backbone}layer3.1.conv1.weight"]
    assert "missing layer3.1.conv1.weight" in refused(bring_hrnet, {"state_dict": state}, overwrite=True)
    shallow = {k: v for k, v in state.items() if "layer4.1" not in k}
    assert "not a SimpleBaseline we know" in refused(bring_hrnet, {"state_dict": shallow}, overwrite=True)


def test_joint_order_can_be_said(hrnet, bring_hrnet):
    header = open_model(bring_hrnet(hrnet.state_dict(), joints="posetrack", name="mine")).header
    assert (header.joints, header.name) == ("posetrack", "mine")
    assert header.predicts == tuple(i for i in range(17) if i not in (3, 4))


@BOTH_FORMATS
def test_what_training_tools_leave_in(hrnet, bring_hrnet, zipped):
    meta = {
        "mmpose_version": "1.1.0",
        "best": np.float64(0.75),
        "epoch": np.int64(210),
        "sigmas": np.array([0.026, 0.025], np.float32),
        "flip": np.arange(17),
        "config": "model = dict(type='TopdownPoseEstimator')",
        "classes": ("person",),
    }
    same_weights(bring_hrnet({"meta": meta, "state_dict": hrnet.state_dict(), "message_hub": {}}, zipped=zipped), hrnet)


def test_numpy_survives_the_loading(tmp_path):
    values = {"f": np.float32(1.5), "b": np.bool_(True), "a": np.arange(6.0).reshape(2, 3)}
    torch.save(values, tmp_path / "n.pth")
    back = load_pickle(tmp_path / "n.pth")
    assert back["f"] == 1.5
    assert back["b"] == np.True_
    assert np.array_equal(back["a"], values["a"])
    # Names as numpy 1 wrote them.
    torch.save(values, tmp_path / "n.pth", _use_new_zipfile_serialization=False)
    raw = (tmp_path / "n.pth").read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    (tmp_path / "n.pth").write_bytes(raw)
    assert np.array_equal(load_pickle(tmp_path / "n.pth")["a"], values["a"])


def test_wrong_number_of_joints(bring_hrnet, refused, small_hrnet):
    net = HRNet(small_hrnet(joints=16))
    with pytest.raises(UsageError, match=r"predicts 16 joints \(MPII\), whose names are not known.*--joints"):
        bring_hrnet(net.state_dict())


def test_a_head_that_is_more_than_a_final_layer(hrnet, bring_hrnet, refused):
    state = {("head." if k.startswith("final_layer") else "backbone.") + k: v for k, v in hrnet.state_dict().items()}
    state["head.deconv_layers.0.weight"] = torch.zeros(1)
    assert "unexpected deconv_layers.0.weight" in refused(bring_hrnet, {"state_dict": state})


def test_a_classifier_has_no_heatmaps(hrnet, bring_hrnet, refused):
    state = {k: v for k, v in hrnet.state_dict().items() if not k.startswith("final_layer")}
    state["classifier.weight"] = torch.zeros(1000, 8)
    assert "missing final_layer.weight" in refused(bring_hrnet, state)


def test_another_network(bring_hrnet, refused):
    assert "not a checkpoint we know" in refused(bring_hrnet, {"state_dict": {"fc.weight": torch.zeros(3, 3)}})


def test_safetensors_in(hrnet, tmp_path, refused):
    save_file(dict(hrnet.state_dict()), tmp_path / "h.safetensors")
    same_weights(
        import_checkpoint(tmp_path / "h.safetensors", tmp_path / "out", joints="coco", input_size=(192, 256)), hrnet
    )
    (tmp_path / "h.safetensors").write_bytes(b"nothing")
    assert "h.safetensors" in refused(import_checkpoint, tmp_path / "h.safetensors", tmp_path / "other")


# --- in and out


def test_no_such_file(tmp_path):
    for name in ("no.pth", "x" * 300, "a\0b"):
        with pytest.raises(InputError, match="there is no such file"):
            import_checkpoint(tmp_path / name, tmp_path / "out")


def test_an_existing_model_is_kept(hrnet, bring_hrnet, tmp_path):
    path = bring_hrnet(hrnet.state_dict())
    before = path.read_bytes()
    with pytest.raises(OutputError, match="--overwrite"):
        bring_hrnet(hrnet.state_dict(), joints="posetrack")
    assert path.read_bytes() == before
    bring_hrnet(hrnet.state_dict(), joints="posetrack", overwrite=True)
    assert open_model(path).header.joints == "posetrack"


def test_an_output_that_is_a_file(hrnet, bring_hrnet, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="is a file"):
        bring_hrnet(hrnet.state_dict())
    assert (tmp_path / "out").read_text() == "mine"
