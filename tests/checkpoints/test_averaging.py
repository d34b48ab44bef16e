"""Averages of models: the numbers, what is kept of the first model, and what does not fit together."""

from __future__ import annotations

import pytest
import torch

from dcpose_cli.checkpoints.averaging import average_models
from dcpose_cli.checkpoints.files import load_model, open_model, save_model
from dcpose_cli.errors import OutputError, UsageError, WeightsError


@pytest.fixture(scope="module")
def models(tmp_path_factory, small_nets):
    """Folders of two networks of one architecture, and of another one."""
    root = tmp_path_factory.mktemp("models")
    for name, kind, seed in (("first", "dcpose", 1), ("second", "dcpose", 2), ("other", "hrnet", 3)):
        net = small_nets.net(kind)
        torch.manual_seed(seed)
        with torch.no_grad():
            for value in net.state_dict().values():
                if value.is_floating_point():
                    value.uniform_(0.1, 0.9)
        margin = {"crop_margin": 0.1 * seed} if kind == "dcpose" else {}
        save_model(net, root / name, name=name, decoding="smoothed", input_size=(64, 96), **margin)
    return root


@pytest.mark.parametrize(("weights", "share"), [(None, 0.5), ([3.0, 1.0], 0.75)])
def test_every_weight_and_statistic_is_the_weighted_mean(models, tmp_path, weights, share):
    path = average_models([models / "first", models / "second"], tmp_path / "mean", weights=weights)
    first, second, mean = (load_model(folder).state_dict() for folder in (models / "first", models / "second", path))
    assert any("running_var" in name for name in mean)
    for name, value in mean.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, share * first[name] + (1 - share) * second[name])


def test_the_header_is_that_of_the_first(models, tmp_path):
    average_models([models / "second", models / "first"], tmp_path / "mean")
    header = open_model(tmp_path / "mean").header
    assert (header.name, header.decoding, header.crop_margin) == ("mean", "smoothed", 0.2)
    assert header.network == open_model(models / "second").header.network
    assert header.source == "mean of 2 models"


@pytest.mark.parametrize(
    ("names", "weights", "said"),
    [
        (["first"], None, "at least two"),
        (["first", "other"], None, "not built alike"),
        (["first", "second"], [1.0], "1 weights for 2 models"),
        (["first", "second"], [1.0, 0.0], "above 0"),
        (["first", "second"], [1.0, float("nan")], "above 0"),
        (["first", "second"], [1.0, float("inf")], "above 0"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(models, tmp_path, names, weights, said):
    with pytest.raises(UsageError, match=said):
        average_models([models / name for name in names], tmp_path / "mean", weights=weights)
    assert not (tmp_path / "mean").exists()


def test_a_model_that_is_not_there_and_one_that_is(models, tmp_path):
    with pytest.raises(WeightsError, match="no such model"):
        average_models([models / "first", tmp_path / "nobody"], tmp_path / "mean")
    average_models([models / "first", models / "second"], tmp_path / "mean")
    with pytest.raises(OutputError):
        average_models([models / "first", models / "second"], tmp_path / "mean")
    average_models([models / "first", models / "second"], tmp_path / "mean", overwrite=True)


def test_the_command(dcpose, models, tmp_path):
    given = ("models", "average", models / "first", models / "second", "-o", tmp_path / "mean")
    result = dcpose(*given, "--weights", "0.7,0.3")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.strip().endswith("the mean of 2 models")
    refused = dcpose(*given, "--weights", "much,little")
    assert refused.returncode == 2
    assert "--weights must be numbers" in refused.stderr
