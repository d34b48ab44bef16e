"""benchmarks/decoding.py: its shares are those of the training's own validation."""

from __future__ import annotations

import importlib.util
import json

import pytest
import torch

from dcpose_cli.checkpoints.files import save_model
from dcpose_cli.nets import DCPose
from dcpose_cli.nets.dcpose import init_head
from dcpose_cli.pose.heatmaps import DECODERS
from dcpose_cli.training.data.readers import read_samples
from dcpose_cli.training.dcpose.validation import WITHIN, find
from dcpose_cli.training.recipes import load_recipe


@pytest.fixture
def benchmark(root):
    spec = importlib.util.spec_from_file_location("decoding_benchmark", root / "benchmarks" / "decoding.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_shares_of_every_decoder(benchmark, tiny_pack, tiny_recipe, tmp_path, capsys):
    recipe = load_recipe(tiny_recipe)
    torch.manual_seed(3)
    net = DCPose(recipe.model)
    init_head(net.eval())
    save_model(net, tmp_path / "m", name="m")
    options = ["--model", str(tmp_path / "m"), "--data", str(tiny_pack), "--recipe", str(tiny_recipe)]
    assert benchmark.main([*options, "--threads", "1", "--json", str(tmp_path / "shares.json")]) == 0
    report = json.loads((tmp_path / "shares.json").read_text())
    assert set(report["shares"]["three"]) == set(DECODERS)
    assert "smoothed" in capsys.readouterr().out

    samples = read_samples(tiny_pack, recipe.data, split="val", limit=None)

    @torch.no_grad()
    def forward(x, margin):
        return net(x if x.shape[1] == 9 else x.repeat(1, 3, 1, 1), margin)

    for name, decoder in DECODERS.items():
        shares, _ = find(forward, samples, recipe.shape(), decoder, torch.device("cpu"))
        found = dict(zip(report["within"], report["shares"]["three"][name], strict=True))
        assert found[WITHIN] == pytest.approx(shares["all"])
        assert found[0.1] >= found[0.05] >= found[0.02]


def test_other_networks_are_refused(benchmark, tmp_path):
    from dcpose_cli.nets import HRNet, HRNetConfig

    save_model(HRNet(HRNetConfig(8, 8, 8, 1, (1, 1, 1), (1, 1, 1))), tmp_path / "h", name="h")
    with pytest.raises(SystemExit, match="is no DCPose"):
        benchmark.main(["--model", str(tmp_path / "h"), "--data", str(tmp_path)])
