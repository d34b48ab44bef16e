"""Official DSTA checkpoints, by name: recognised, read without a flow, and strictly."""

from __future__ import annotations

import json

import pytest
import torch

from dcpose_cli.checkpoints.files import load_state
from dcpose_cli.errors import WeightsError
from dcpose_cli.nets.dsta import DSTA, DSTAConfig
from dcpose_cli.nets.official_dsta import from_official_dsta, infer_dsta, is_official_dsta, official_flow
from dcpose_cli.nets.realnvp import RealNVP


@pytest.fixture(scope="module")
def names(root):
    return json.loads((root / "tests" / "data" / "dsta" / "state_dict_keys.json").read_text())


@pytest.fixture
def official(names):
    """Names and shapes of the 505 entries, without memory."""
    return {name: torch.empty(entry["shape"], device="meta") for name, entry in names.items()}


@pytest.fixture(scope="module")
def wanted():
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in DSTA(DSTAConfig()).state_dict().items()}


def test_recognised(official):
    assert is_official_dsta(official)
    assert not is_official_dsta({"preact.conv1.weight": torch.zeros(1)})  # another regression network of that family
    assert not is_official_dsta({"rough_pose_estimation_net.conv1.weight": torch.zeros(1)})
    assert not is_official_dsta({})


def test_every_official_name_has_its_place(official, wanted):
    ours = {name: tuple(value.shape) for name, value in from_official_dsta(official).items()}
    assert ours == wanted
    assert len(official) - len(ours) == 73  # the flow


def test_flow_is_optional_and_goes_to_training(official, wanted):
    bare = {name: value for name, value in official.items() if not name.startswith("flow.")}
    assert set(from_official_dsta(bare)) == set(wanted)
    assert official_flow(bare) == {}
    assert {name: value.shape for name, value in official_flow(official).items()} == {
        name: value.shape for name, value in RealNVP().state_dict().items()
    }


def test_five_frames_are_read_off_the_time_embedding(official):
    official["Temporal_pos_embed"] = torch.empty(1, 5, 32, device="meta")
    assert infer_dsta(official) == DSTAConfig(frames=5)
    assert from_official_dsta(official)["temporal.place"].shape == (5, 32)


@pytest.mark.parametrize("shape", [(1, 4, 32), (3, 32), ()])
def test_an_impossible_time_embedding_is_named(official, shape):
    official["Temporal_pos_embed"] = torch.empty(shape, device="meta")
    with pytest.raises(ValueError, match=r"Temporal_pos_embed|odd number"):
        infer_dsta(official)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("Spatial_norm.bias"), "missing spatial.norm.bias"),
        (lambda state: state.update(stranger=torch.zeros(1)), "unexpected stranger"),
        (lambda state: state.update({"flow.q.0.0.weight": torch.zeros(1)}), "unexpected flow.q.0.0.weight"),
        (lambda state: state.update({"weighted_mean.bias": torch.zeros(2)}), r"merge.bias is \(2,\), expected \(1,\)"),
    ],
)
def test_what_does_not_fit_is_reported(official, tmp_path, change, said):
    change(official)
    with torch.device("meta"):
        net = DSTA(infer_dsta(official))
    with pytest.raises(WeightsError, match=said):
        load_state(net, from_official_dsta(official), tmp_path / "dsta.pth")
