from __future__ import annotations

import pytest

from dcpose_cli.checkpoints.files import open_model
from dcpose_cli.evaluation.cost import cost_of
from dcpose_cli.nets import DSTA
from dcpose_cli.pose.model import LoadedModel, ModelHeader


def test_three_frames_and_one(tiny_folder):
    whole, single = cost_of(open_model(tiny_folder)), cost_of(open_model(f"{tiny_folder}:single"))
    assert (whole.frames, single.frames) == (3, 1)
    assert whole.gmac > 3 * single.gmac > 0
    assert whole.parameters > single.parameters


def test_the_published_figures_of_dsta(root):
    """DSTA SPEC 10: 24,691,623 parameters, 12.017 GMAC for three frames of 256x192."""
    net = DSTA().eval()
    size, network = net.config.input_size, net.config
    header = ModelHeader(kind="dsta", name="d", input_size=size, predicts=(), joints="posetrack", network=network)
    cost = cost_of(LoadedModel(net, header, root, ""))
    assert cost.parameters == 24_691_623
    assert cost.gmac == pytest.approx(12.017 + 0.00556, abs=0.02)
