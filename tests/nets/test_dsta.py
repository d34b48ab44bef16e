"""DSTA against numbers of the published network (tests/data/dsta), and what its design promises."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from dcpose_cli.checkpoints.files import load_model, open_model
from dcpose_cli.checkpoints.importing import import_checkpoint
from dcpose_cli.nets import HRNetConfig
from dcpose_cli.nets.dsta import DSTA, TOKEN_OF_JOINT, DSTAConfig, init_head
from dcpose_cli.nets.official_dsta import official_flow
from dcpose_cli.nets.realnvp import RealNVP
from dcpose_cli.training.dsta.rle import rle_loss, rle_terms

TINY = HRNetConfig(width=8, stem=8, layer1_width=8, layer1_blocks=1, modules=(1, 1, 1), blocks=(1, 1, 1))
OUTPUTS = (("coordinates", "pred_jts"), ("sigma", "sigma"), ("score", "maxvals"))
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def dsta_data(root):
    return root / "tests" / "data" / "dsta"


@pytest.fixture(scope="module")
def fill(dsta_data):
    import importlib.util

    spec = importlib.util.spec_from_file_location("dsta_fill_weights", dsta_data / "fill_weights.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
def official(dsta_data, fill):
    """The formula-filled weights under the official names, 505 entries."""
    shapes = json.loads((dsta_data / "state_dict_keys.json").read_text())
    return {name: torch.from_numpy(np.array(fill.value_for(name, entry["shape"]))) for name, entry in shapes.items()}


@pytest.fixture(scope="module")
def folder(official, tmp_path_factory):
    """The published network as a user gets it: an official checkpoint, imported."""
    place = tmp_path_factory.mktemp("dsta")
    state = {f"module.{name}": value for name, value in official.items()}
    torch.save({"begin_epoch": 20, "state_dict": state, "tensorboard_global_steps": 1}, place / "epoch_19_state.pth")
    import_checkpoint(place / "epoch_19_state.pth", place / "dsta-r50")
    (place / "epoch_19_state.pth").unlink()
    return place / "dsta-r50"


@pytest.fixture(scope="module")
def net(folder):
    return load_model(folder)


@pytest.fixture(scope="module")
def flow(official):
    density = RealNVP()
    density.load_state_dict(official_flow(official))
    return density


@pytest.fixture(scope="module")
def case_a(golden, dsta_data):
    return golden.arrays(dsta_data / "caseA_256x192_b2.npz")


@pytest.fixture(scope="module")
def features(net, fill):
    """Backbone features (2, 3, 2048) of case A's clip, ready to be differentiated."""
    clip = torch.from_numpy(fill.clip_input(101, 2))
    return net.backbone(clip.flatten(0, 1)).unflatten(0, (2, 3))


def close(ours, golden_array, tolerance=TOLERANCE):
    ours = ours.detach().numpy() if isinstance(ours, torch.Tensor) else np.asarray(ours)
    assert ours.shape == golden_array.shape
    return bool((np.abs(ours - golden_array) <= tolerance * (1 + np.abs(golden_array))).all())


def test_an_imported_checkpoint_says_what_it_is(folder, official):
    header = open_model(folder).header
    assert (header.kind, header.joints, header.source) == ("dsta", "posetrack", "official DSTA checkpoint")
    assert header.input_size == (192, 256)
    assert header.predicts == tuple(slot for slot in range(17) if slot not in (3, 4))
    # Kept exactly, so that a training can go on from it.
    assert torch.equal(load_model(folder).backbone.conv1.weight, official["preact.conv1.weight"])


def test_an_earlier_container_without_a_flow(folder, official, tmp_path):
    """What the published demo once read: `model_state_dict`, and nothing of the training."""
    bare = {name: value for name, value in official.items() if not name.startswith("flow.")}
    torch.save({"model_state_dict": bare, "epoch": 19}, tmp_path / "DSTA_Resnet50.pt")
    ours = import_checkpoint(tmp_path / "DSTA_Resnet50.pt", tmp_path / "dsta-r50")
    assert ours.read_bytes() == (folder / "model.safetensors").read_bytes()


@pytest.mark.shared
def test_the_golden_files_are_the_reference_ones(shared, dsta_data):
    theirs = sorted((shared / "reference" / "dsta" / "golden").glob("case*.npz"))
    assert [path.name[:5] for path in theirs] == [f"case{letter}" for letter in "ABCDEF"]
    for path in theirs:
        assert path.read_bytes() == (dsta_data / path.name).read_bytes()


def test_case_a_through_the_public_call(net, fill, case_a):
    """`load_model(FOLDER)(clip)`, two people at once; the published network takes them as (2, 9, H, W) only."""
    with torch.no_grad():
        poses = net(torch.from_numpy(fill.clip_input(101, 2)))
    for ours, theirs in OUTPUTS:
        assert close(getattr(poses, ours), case_a[theirs], 1e-5), ours


def test_case_a_outputs(net, features, case_a):
    with torch.no_grad():
        poses = net.head(features)
    for ours, theirs in OUTPUTS:
        assert np.abs(case_a[theirs]).max() > 0.5  # the comparison means something
        assert close(getattr(poses, ours), case_a[theirs], 1e-5), ours


def test_case_a_stages(net, features, case_a):
    frame_major = features.transpose(0, 1)
    # Values reach 3e4. Eight below 2 differ by up to 4e-4 from golden ones that are as far from the float64 result.
    assert np.allclose(frame_major.reshape(6, 2048).detach(), case_a["gap"], rtol=1e-4, atol=1e-3)
    seen = {}

    def keep(name):
        def hook(module, inputs, output):
            seen[name] = output

        return hook

    hooks = [
        part.register_forward_hook(keep(f"{branch}_{name}"))
        for branch, encoder in (("spatial", net.spatial), ("temporal", net.temporal))
        for name, part in (
            ("block0", encoder.blocks[0]),
            ("block3", encoder.blocks[3]),
            ("norm", encoder.norm),
        )
    ]
    try:
        with torch.no_grad():
            tokens = net.tokens(features)
            aggregated = net.aggregate(tokens)
            logits = net.to_sigma(aggregated[:, list(TOKEN_OF_JOINT)])
    finally:
        for hook in hooks:
            hook.remove()
    assert close(tokens.transpose(0, 1), case_a["tokens"])
    assert close(aggregated, case_a["aggregated"])
    assert close(logits, case_a["sigma_logits"])
    assert len(seen) == 6
    for name, value in seen.items():
        assert close(value, case_a[name]), name


def test_case_b_a_batch_of_one_is_the_first_of_two(net, fill, golden, dsta_data):
    """The published network crashes on some shapes with a batch of one or of several; ours takes (B, T, 3, H, W)."""
    one = golden.arrays(dsta_data / "caseB_5d_b1.npz")
    with torch.no_grad():
        poses = net(torch.from_numpy(fill.clip_input(101, 2)[:1]))
    assert poses.coordinates.shape == (1, 17, 2)
    assert poses.score.shape == (1, 17, 1)
    for ours, theirs in OUTPUTS:
        assert close(getattr(poses, ours), one[theirs], 1e-5), ours


def test_case_c_another_size(net, fill, golden, dsta_data):
    case = golden.arrays(dsta_data / "caseC_384x288_b2.npz")
    clip = torch.from_numpy(fill.clip_input(202, 2, 384, 288))
    with torch.no_grad():
        features = net.backbone(clip.transpose(0, 1).flatten(0, 1)).unflatten(0, (3, 2)).transpose(0, 1)
        poses = net.head(features)
    assert np.allclose(features.transpose(0, 1).reshape(6, -1)[:, :64], case["gap_head"], rtol=1e-4, atol=1e-3)
    for ours, theirs in OUTPUTS:
        assert close(getattr(poses, ours), case[theirs]), ours


def test_case_d_loss_and_gradients(net, flow, features, fill, golden, dsta_data):
    case = golden.arrays(dsta_data / "caseD_train_loss.npz")
    target, weight = (torch.from_numpy(array) for array in fill.targets(303, 2))
    poses = net.head(features)
    poses.coordinates.retain_grad()
    poses.sigma.retain_grad()
    terms = rle_terms(poses.coordinates, poses.sigma, target, flow)
    loss = rle_loss(poses.coordinates, poses.sigma, target, weight, flow)
    net.zero_grad()
    loss.backward()
    bar = ((poses.coordinates - target) / poses.sigma).detach().reshape(-1, 2)
    z, logdet = flow.inverse(bar)
    wanted = {
        "bar_mu": bar,
        "flow_z": z,
        "flow_logdet": logdet,
        "log_phi": terms.log_phi.flatten(),
        "nf_loss": terms.nf,
        "loss": loss,
        "grad_pred": poses.coordinates.grad,
        "grad_sigma": poses.sigma.grad,
        "grad::head_coord.1.weight": net.to_coordinates[1].weight.grad,
        "grad::head_sigma.1.weight": net.to_sigma[1].weight.grad,
        "grad::weighted_mean.weight": net.merge.weight.grad,
        "grad::Spatial_pos_embed": net.spatial.place.grad,
        "grad::Temporal_pos_embed": net.temporal.place.grad[None],
        "grad::fc_coord.linear.bias": net.to_tokens.bias.grad,
        "gradnorm::preact.conv1.weight": net.backbone.conv1.weight.grad.norm(),
    }
    assert set(wanted) == set(case)
    for name, ours in wanted.items():
        difference = np.abs(ours.detach().numpy() - case[name]).max()
        # The first layer's gradient went through fifty others: in float32 the golden one is 2.2e-4 off the float64 one.
        tolerance = 5e-4 if name.startswith("gradnorm::") else 1e-5
        assert difference <= tolerance * np.abs(case[name]).max(), name
    assert net.to_tokens.bias.grad[480:].abs().max() == 0  # the two unused tokens
    assert net.to_tokens.weight.grad[480:].abs().max() == 0


def test_frame_order_matters(net, features, case_a):
    with torch.no_grad():
        swapped = net.head(features.flip(1))
        still = net.head(features[:, [0, 1, 1]])
    assert np.abs(swapped.coordinates.numpy() - case_a["pred_jts"]).max() == pytest.approx(0.0633, abs=0.001)
    assert np.abs(still.coordinates.numpy() - case_a["pred_jts"]).max() == pytest.approx(0.0149, abs=0.001)


def test_published_size(net, flow):
    assert sum(p.numel() for p in net.backbone.parameters()) == 23_508_032
    assert sum(p.numel() for p in net.parameters()) == 24_691_623
    assert sum(p.numel() for p in flow.parameters()) == 53_784
    assert net.config == DSTAConfig()


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(1)
    network = DSTA(DSTAConfig(frames=5, input_size=(48, 64), backbone=TINY))
    init_head(network)
    # Past the tiny start of the tokens' weights, so that differences show.
    torch.nn.init.normal_(network.to_tokens.weight)
    torch.nn.init.normal_(network.temporal.place)
    return network.eval()


@pytest.fixture(scope="module")
def seen(tiny):
    return torch.rand(2, 5, tiny.backbone.channels, generator=torch.Generator().manual_seed(2))


def test_five_frames_and_hrnet(tiny):
    assert tiny.backbone.channels == 120
    with torch.no_grad():
        poses = tiny(torch.rand(2, 5, 3, 64, 48))
        again = tiny(torch.rand(1, 5, 3, 96, 96))
    assert [tuple(p.shape) for p in poses] == [(2, 17, 2), (2, 17, 2), (2, 17, 1)]
    assert all(p.dtype == torch.float32 and torch.isfinite(p).all() for p in (*poses, *again))
    assert torch.allclose(poses.score[..., 0], (1 - poses.sigma).mean(-1))


def test_hrnet_weights_fit_the_backbone(tiny):
    """Everything but the last exchange and the heatmap layer has HRNet's names and shapes."""
    from dcpose_cli.nets import HRNet

    whole = HRNet(TINY).state_dict()
    ours = tiny.backbone.state_dict()
    left = {name for name in whole if name not in ours}
    assert all(whole[name].shape == value.shape for name, value in ours.items())
    assert left
    assert all(name.startswith(("stage4.0.fuse_layers.", "final_layer.")) for name in left)


def test_every_parameter_but_the_unused_is_trained(tiny):
    network = DSTA(tiny.config)
    init_head(network)
    network.train()
    poses = network(torch.rand(2, 5, 3, 64, 64))
    (poses.coordinates.sum() + poses.sigma.sum()).backward()
    missing = [name for name, p in network.named_parameters() if p.grad is None]
    assert missing == []


def test_scale_of_the_features_and_the_merged_bias_do_not_matter(tiny, seen):
    with torch.no_grad():
        before = tiny.head(seen)
        scaled = tiny.head(seen * 7)
        bias = tiny.merge.bias.clone()
        tiny.merge.bias.add_(3)
        shifted = tiny.head(seen)
        tiny.merge.bias.copy_(bias)
    assert torch.allclose(before.coordinates, scaled.coordinates, atol=1e-5)
    assert torch.allclose(before.coordinates, shifted.coordinates, atol=1e-4)


def test_body_parts_and_joints_are_looked_at_apart(tiny, seen):
    with torch.no_grad():
        tokens = tiny.tokens(seen)
        moved = tokens.clone()
        moved[:, :, 4] += torch.randn(32)  # left elbow, in the group of tokens 3 to 5
        in_space = (tiny.over_space(moved[:, 2]) - tiny.over_space(tokens[:, 2])).abs().amax(dim=(0, 2)) > 1e-6
        in_time = (tiny.over_time(moved) - tiny.over_time(tokens)).abs().amax(dim=(0, 2)) > 1e-6
    assert in_space.nonzero().flatten().tolist() == [3, 4, 5]
    assert in_time.nonzero().flatten().tolist() == [4]


def test_space_looks_at_the_current_frame_only(tiny, seen):
    with torch.no_grad():
        tokens = tiny.tokens(seen)
        other = tokens.clone()
        other[:, [0, 1, 3, 4]] += torch.rand(2, 4, 17, 32)
        tiny.merge.weight[0, 0] = 0  # without the temporal branch
        same = torch.equal(tiny.aggregate(tokens), tiny.aggregate(other))
        tiny.merge.weight[0, 0] = 0.5
        differs = not torch.allclose(tiny.aggregate(tokens), tiny.aggregate(other))
    assert same
    assert differs


def test_both_ears_are_head_top(tiny, seen):
    with torch.no_grad():
        coordinates = tiny.head(seen).coordinates
    assert torch.equal(coordinates[:, 3], coordinates[:, 2])
    assert torch.equal(coordinates[:, 4], coordinates[:, 2])
    assert not torch.equal(coordinates[:, 0], coordinates[:, 2])
    assert sorted(set(TOKEN_OF_JOINT)) == list(range(15))


def test_a_frame_without_features_gives_no_nan(tiny):
    with torch.no_grad():
        poses = tiny.head(torch.zeros(1, 5, tiny.backbone.channels))
    assert torch.isfinite(poses.coordinates).all()


def test_autocast_leaves_the_head_in_float32(tiny, seen):
    with torch.no_grad():
        plain = tiny.head(seen)
        with torch.autocast("cpu", torch.bfloat16):
            cast = tiny.head(seen)
    assert torch.equal(plain.coordinates, cast.coordinates)


def test_stochastic_depth_only_while_training(tiny, seen):
    with torch.no_grad():
        assert torch.equal(tiny.head(seen).sigma, tiny.head(seen).sigma)
        tiny.train()
        torch.manual_seed(0)
        wide = seen.repeat(20, 1, 1)
        differs = not torch.equal(tiny.head(wide).sigma, tiny.head(wide).sigma)
        tiny.eval()
    assert differs
    assert [round(block.drop, 4) for block in tiny.spatial.blocks] == [0, 0.0333, 0.0667, 0.1]


@pytest.mark.parametrize("shape", [(2, 9, 64, 48), (1, 3, 3, 64, 48), (1, 5, 1, 64, 48)])
def test_other_shapes_are_refused(tiny, shape):
    with pytest.raises(ValueError, match=r"clip must be \(B, 5, 3, H, W\)"):
        tiny(torch.zeros(shape))


@pytest.mark.parametrize("frames", [0, 2, 4, -1])
def test_even_clips_are_refused(frames):
    with pytest.raises(ValueError, match="odd number"):
        DSTAConfig(frames=frames)


@pytest.mark.parametrize("config", [DSTAConfig(), DSTAConfig(frames=5, backbone=TINY)])
def test_config_travels_through_json(config):
    from dcpose_cli._schema import build

    assert build(DSTAConfig, json.loads(json.dumps(dataclasses.asdict(config)))) == config


def test_places_of_activity():
    from dcpose_cli.nets.dsta_backbone import HRNetFeatures, centres

    maps = torch.zeros(1, 2, 5, 9)
    maps[0, 0, 0, 8] = 3.0
    maps[0, 1, 2, 4] = -1.0
    x, y = centres(maps)
    assert x[0].tolist() == pytest.approx([1.0, 0.0], abs=1e-5)
    assert y[0].tolist() == pytest.approx([-1.0, 0.0], abs=1e-5)
    assert torch.isfinite(torch.cat(centres(torch.zeros(1, 1, 2, 2)))).all()
    plain, wide = HRNetFeatures(TINY).eval(), HRNetFeatures(TINY, "places").eval()
    wide.load_state_dict(plain.state_dict())
    with torch.no_grad():
        picture = torch.rand(1, 3, 64, 48, generator=torch.Generator().manual_seed(0))
        features = wide(picture)
        assert torch.equal(features[:, :120], plain(picture))
    assert wide.channels == features.shape[1] == 360
    assert features[:, 120:].abs().max() <= 1
    with pytest.raises(ValueError, match="pooling"):
        DSTAConfig(pooling="places")
