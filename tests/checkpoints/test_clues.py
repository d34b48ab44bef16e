"""Crop size, joint order and decoding of foreign checkpoints: found, or asked for, never guessed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcpose_cli.checkpoints.clues import Clues, clues_of
from dcpose_cli.checkpoints.files import open_model
from dcpose_cli.checkpoints.importing import import_checkpoint
from dcpose_cli.errors import UsageError, WeightsError
from dcpose_cli.nets.hrnet import HRNet, HRNetConfig
from dcpose_cli.nets.simplebaseline import SimpleBaseline, SimpleBaselineConfig
from dcpose_cli.published.table import DETECTOR, PUBLISHED
from dcpose_cli.skeleton import JOINT_NAMES

SMALL, LARGE = (192, 256), (288, 384)
#: Settings as the two generations of releases write them.
OLD_UDP = (
    "data_cfg = dict(image_size=[192, 256], heatmap_size=[48, 64], use_udp=True)\ndataset_type = 'TopDownCocoDataset'"
)
OLD_DARK = "data_cfg = dict(\n    image_size=[288, 384],\n    num_joints=17)\ntest_cfg=dict(post_process='unbiased')"
OLD_PLAIN = (
    "load_from = 'https://x/hrnet_w48_coco_384x288-314c8528_20200708.pth'\n"
    "test_cfg=dict(post_process='default', modulate_kernel=11)\nimage_size=[192, 256]\n"
    "type='TopDownPoseTrack18Dataset'"
)
NEW_UDP = "codec = dict(type='UDPHeatmap', input_size=(288, 384), heatmap_size=(72, 96), sigma=3)\ntype='CocoDataset'"
NEW_DARK = "codec = dict(\n type='MSRAHeatmap',\n input_size=(192, 256),\n unbiased=True)\ntype='PoseTrack18Dataset'"
NEW_PLAIN = "codec = dict(heatmap_size=(48, 64), input_size=(192, 256), sigma=2, type='MSRAHeatmap')"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (OLD_UDP, Clues(SMALL, "coco", "udp")),
        (OLD_DARK, Clues(LARGE, None, "dark")),
        (OLD_PLAIN, Clues(SMALL, "posetrack", "quarter")),
        (NEW_UDP, Clues(LARGE, "coco", "udp")),
        (NEW_DARK, Clues(SMALL, "posetrack", "dark")),
        (NEW_PLAIN, Clues(SMALL, None, "quarter")),
        ("lr = 0.1", Clues()),
    ],
)
@pytest.mark.parametrize("key", ["config", "cfg"])
def test_what_a_configuration_says(text, expected, key):
    assert clues_of("best.pth", {key: text, "epoch": np.int64(3), "time": "now"}) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hrnet_w48_posetrack18_384x288-5fd6d3ff_20211130.pth", Clues(LARGE, "posetrack")),
        ("td-hm_hrnet-w32_udp-8xb64-210e_coco-256x192-73ede547_20220914.pth", Clues(SMALL, "coco", "udp")),
        ("hrnet_w32_coco_256x192_dark-07f147eb_20200812.pth", Clues(SMALL, "coco", "dark")),
        ("pose_hrnet_w48_384x288.pth", Clues(LARGE)),
        ("epoch_19_state.pth", Clues()),
        ("darkness_udpate.pth", Clues()),
        ("from_256x192_to_384x288.pth", Clues()),
        ("td-hm_hrnet-w32_8xb64-210e_ap10k-256x256.pth", Clues((256, 256), other_data="ap10k")),
    ],
)
def test_what_a_name_says(name, expected):
    assert clues_of(name) == expected


@pytest.mark.parametrize(
    "entry", [e for e in PUBLISHED.values() if e.kind != DETECTOR and not e.head], ids=lambda e: e.name
)
def test_published_names_say_all(entry):
    found = clues_of(entry.file)
    assert (found.input_size, found.joints) == (entry.input_size, entry.joints)
    assert (found.decoding or "quarter") == entry.decoding


def test_a_dataset_as_release_1_says_it():
    assert clues_of("x.pth", {"dataset_meta": {"dataset_name": "posetrack18"}}).joints == "posetrack"
    assert clues_of("x.pth", {"dataset_meta": {"dataset_name": "coco"}}).joints == "coco"
    assert clues_of("x.pth", {"dataset_meta": {"dataset_name": "coco_wholebody"}}).joints is None


@pytest.fixture
def bring(tmp_path, layouts):
    def bring(state, file="best.pth", meta=None, **options):
        (tmp_path / file).write_bytes(layouts.content_of(state, meta))
        return import_checkpoint(tmp_path / file, tmp_path / "out", **options)

    return bring


@pytest.fixture(scope="module")
def hrnet(layouts):
    return layouts.state_of(PUBLISHED["hrnet-w32-coco"], short=True)


def test_what_is_not_known_is_asked_for(bring, hrnet, tmp_path):
    with pytest.raises(UsageError, match="order of its joints; say --joints coco or posetrack"):
        bring(hrnet, "hrnet_w32_256x192.pth")
    with pytest.raises(UsageError, match="crop size; say --input-size 192x256, 288x384"):
        bring(hrnet, "hrnet_w32_coco.pth")
    assert not (tmp_path / "out").exists()
    header = open_model(bring(hrnet, joints="posetrack", input_size=(96, 128))).header
    assert (header.input_size, header.joints, header.decoding) == ((96, 128), "posetrack", "quarter")


def test_name_and_configuration_that_disagree(bring, hrnet):
    with pytest.raises(UsageError, match="its name says a crop of 288x384, its configuration 192x256"):
        bring(hrnet, "hrnet_384x288.pth", {"config": OLD_UDP})
    header = open_model(bring(hrnet, "hrnet_384x288.pth", {"config": OLD_UDP}, input_size=LARGE)).header
    assert (header.input_size, header.joints, header.decoding) == (LARGE, "coco", "udp")


def test_crops_that_cannot_be(bring, hrnet):
    for size in ((190, 256), (0, 16), (16, 99_999 * 16)):
        with pytest.raises(UsageError, match="sides are multiples of 16"):
            bring(hrnet, joints="coco", input_size=size)


def test_animals_are_refused(bring, hrnet):
    with pytest.raises(WeightsError, match="data set ap10k, whose joints are not supported"):
        bring(hrnet, "td-hm_hrnet-w32_8xb64-210e_ap10k-256x256.pth")


@pytest.mark.parametrize("name", ["hrnet-w48-posetrack18", "hrnet-w48-coco-udp", "simplebaseline-r50"])
def test_layouts_of_both_releases_load_strictly(bring, layouts, name):
    """Every tensor of the file is in the network under its own name, and the network has no other."""
    entry = PUBLISHED[name]
    state = layouts.state_of(entry, short=True)
    heads = {k.split(".")[0] for k in state} - {"backbone"}
    assert heads == ({"head"} if entry.joints == "coco" else {"keypoint_head"})
    loaded = open_model(bring(state, entry.file))
    plain = {k.split(".", 1)[1]: v for k, v in state.items()}
    found = loaded.net.state_dict()
    assert found.keys() == plain.keys()
    assert all(torch.equal(found[k], plain[k]) for k in plain if not k.endswith("num_batches_tracked"))
    header = loaded.header
    assert (header.kind, header.input_size, header.joints) == (entry.kind, entry.input_size, entry.joints)
    assert header.decoding == entry.decoding


@pytest.mark.parametrize("name", ["hrnet-w48-posetrack18", "hrnet-w48-coco-udp", "simplebaseline-r50"])
def test_heatmaps_of_both_releases_are_those_of_our_own_network(bring, layouts, name):
    """The same values in a network that we build, and in one imported from a file in the published layout."""
    entry = PUBLISHED[name]
    torch.manual_seed(5)
    if entry.kind == "simplebaseline":
        net = SimpleBaseline(SimpleBaselineConfig(depth=18, width=8))
    else:
        net = HRNet(HRNetConfig(width=8, layer1_blocks=1, modules=(1, 1, 1), blocks=(1, 1, 1)))
    for norm in (m for m in net.eval().modules() if isinstance(m, torch.nn.BatchNorm2d)):
        for part in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
            part.uniform_(0.5, 1.5)
    state = dict(net.state_dict())
    file = {published: state[published.split(".", 1)[1]] for published in layouts.state_of(entry, short=True)}
    assert len(file) == len(state)
    crops = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found, expected = open_model(bring(file, entry.file)).net.eval()(crops), net(crops)
    assert expected.std() > 0.01
    assert (found - expected).abs().max() < 1e-5 * max(1, float(expected.abs().max()))


def maps(layouts, joints, ahead="keypoint_head."):
    body, head = layouts.hrnet_shapes(8, joints, short=True)
    return {f"backbone.{n}": torch.zeros(s) for n, s in body} | {f"{ahead}{n}": torch.zeros(s) for n, s in head}


@pytest.mark.parametrize(("joints", "named"), [(16, "MPII"), (19, "19 joints, whose"), (21, "a hand")])
def test_names_of_other_numbers_of_joints_are_asked_for(bring, layouts, joints, named):
    with pytest.raises(UsageError, match=rf"predicts {joints} joints.*names are not known.*--joints") as caught:
        bring(maps(layouts, joints), "x_coco_256x192.pth")
    assert named in str(caught.value)
    names = [f"point_{k}" for k in range(joints - 1)] + ["LAnkle"]
    header = open_model(bring(maps(layouts, joints), "x_coco_256x192.pth", joints=", ".join(names))).header
    assert header.joints == "named"
    assert header.channels == header.names == (*names[:-1], "left_ankle")
    assert header.result_joints == (*JOINT_NAMES, *names[:-1])
    for wrong, why in (
        (",".join(names[1:]), f"predicts {joints} joints, --joints names {joints - 1}"),
        (",".join([*names[:-1], names[0]]), "point_0 is named twice"),
        (",".join(["left_ankle", *names[1:]]), "left_ankle is named twice"),
        (",".join(["a b", *names[1:]]), "no name of a joint"),
        (",".join(["", *names[1:]]), "no name of a joint"),
        ("coco", f"predicts {joints} joints, coco has 17"),
        ("halpe", "must be one of posetrack, coco, halpe26"),
    ):
        with pytest.raises(UsageError, match=why):
            bring(maps(layouts, joints), "x_coco_256x192.pth", joints=wrong, overwrite=True)


@pytest.mark.parametrize(("joints", "name"), [(26, "halpe26"), (133, "wholebody"), (136, "halpe136")])
@pytest.mark.parametrize("ahead", ["head.", "keypoint_head."])
def test_sets_of_their_own_size_are_recognised(bring, layouts, joints, name, ahead):
    """Also where the file's name speaks of COCO, as those of COCO-WholeBody do."""
    header = open_model(bring(maps(layouts, joints, ahead), "hrnet_w32_coco_wholebody_256x192.pth")).header
    assert (header.joints, len(header.channels), header.names) == (name, joints, ())
    assert header.predicts == tuple(range(joints))


def test_maps_that_are_not_one_for_each_joint(bring, layouts):
    with pytest.raises(WeightsError, match=r"predicts 51 joints \(UDP with offset regression.*not supported"):
        bring(maps(layouts, 51), "x_coco_256x192.pth")


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ("head.cls_x.weight", "RTMPose"),
        ("backbone.patch_embed.projection.weight", "ViTPose"),
        ("bbox_head.fc.weight", "MMDetection"),
        ("model.0.conv.weight", "--detector"),
        ("fc.weight", "classifier"),
        ("what.is.this", "not a checkpoint we know"),
    ],
)
def test_other_networks_are_named(bring, key, named):
    with pytest.raises(WeightsError, match="not a checkpoint we know") as caught:
        bring({key: torch.zeros(2, 2)})
    assert named in str(caught.value)


def test_posewarper_as_published(bring, layouts):
    """The published layout, and the whole head against its formula with the file's own tensors."""
    from torch.nn import functional as F
    from torchvision.ops import deform_conv2d

    entry = PUBLISHED["posewarper-w48-posetrack18"]
    state = layouts.state_of(entry, short=True)
    loaded = open_model(bring(state, entry.file))
    net = loaded.net
    assert (loaded.header.kind, loaded.header.input_size, loaded.header.joints) == ("posewarper", LARGE, "posetrack")
    body = {k.removeprefix("backbone."): v for k, v in state.items() if k.startswith("backbone.")}
    ours = net.backbone.state_dict()
    assert all(torch.equal(ours[k], v) for k, v in body.items() if not k.endswith("num_batches_tracked"))
    assert torch.equal(ours["final_layer.weight"], state["neck.trans_layer.weight"])
    assert torch.equal(ours["final_layer.bias"], state["neck.trans_layer.bias"])

    def norm(x, name):
        mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        return F.batch_norm(x, mean, variance, state[f"{name}.weight"], state[f"{name}.bias"])

    def block(x, name):
        y = norm(F.conv2d(x, state[f"{name}.conv1.weight"], padding=1), f"{name}.bn1").relu()
        y = norm(F.conv2d(y, state[f"{name}.conv2.weight"], padding=1), f"{name}.bn2")
        if f"{name}.downsample.0.weight" in state:
            x = norm(F.conv2d(x, state[f"{name}.downsample.0.weight"]), f"{name}.downsample.1")
        return (x + y).relu()

    def warped(current, other):
        """Mean over the dilations of the other frame's maps, sampled where their difference says."""
        x = current - other
        for k in range(20):
            x = block(x, f"neck.offset_feats.{k}")
        total = 0
        for k, dilation in enumerate((3, 6, 12, 18, 24)):
            offset = F.conv2d(x, state[f"neck.offset_layers.{k}.weight"], padding=dilation, dilation=dilation)
            weight = state[f"neck.deform_conv_layers.{k}.weight"]
            total = total + deform_conv2d(other, offset, weight, padding=dilation, dilation=dilation)
        return total / 5

    maps = torch.rand(5, 1, 17, 12, 9, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for name in state:  # the formula's weights make twenty blocks grow without bounds
            if ".bn2.weight" in name:
                state[name] *= 0.1
        net.load_state_dict(
            {
                **net.state_dict(),
                **{
                    k.replace("neck.offset_feats", "features"): v
                    for k, v in state.items()
                    if "offset_feats" in k and ".bn2.weight" in k
                },
            }
        )
        expected = sum(w * warped(maps[2], other) for w, other in zip((0.1, 0.25, 0.3, 0.25, 0.1), maps, strict=True))
        found = net.head(maps)
    assert expected.abs().max() > 0.01
    assert (found - expected).abs().max() < 1e-5 * max(1, float(expected.abs().max()))


def test_posewarper_with_a_fault(bring, layouts):
    entry = PUBLISHED["posewarper-w48-posetrack18"]
    state = layouts.state_of(entry, short=True)
    gone = state.pop("neck.offset_layers.4.weight")
    with pytest.raises(WeightsError, match=r"missing warps\.4\.offset\.weight"):
        bring(state, entry.file)
    state |= {"neck.offset_layers.4.weight": gone, "neck.stranger.weight": torch.zeros(1)}
    with pytest.raises(WeightsError, match=r"unexpected neck\.stranger\.weight"):
        bring(state, entry.file)
