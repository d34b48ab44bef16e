"""Several models as one: how their joints are combined, and the whole way through the command."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from dcpose_cli import UsageError
from dcpose_cli.checkpoints.files import find_models, open_model, save_model
from dcpose_cli.nets import HRNet
from dcpose_cli.nets.hrnet import init_weights
from dcpose_cli.pose.ensemble import PoseEnsemble, combined
from dcpose_cli.pose.network import PoseNetwork

CPU = torch.device("cpu")
BOX = np.array([[0, 0, 50, 100]], np.float32)


def joint(*places):
    """What models say of one joint: (M, 1, 1, 3)."""
    return np.array(places, np.float32).reshape(len(places), 1, 1, 3)


def test_near_places_are_averaged_by_score():
    assert combined(joint((10, 20, 0.6), (14, 20, 0.2)), BOX)[0, 0] == pytest.approx([11, 20, 0.4])


def test_models_that_disagree_do_not_meet_in_the_middle():
    found = combined(joint((10, 20, 0.6), (40, 20, 0.5), (12, 20, 0.6)), BOX)[0, 0]
    assert found[:2] == pytest.approx([11, 20])


def test_a_joint_that_one_model_lacks_is_the_other_s():
    assert combined(joint((10, 20, 0.6), (0, 0, 0)), BOX)[0, 0] == pytest.approx([10, 20, 0.6])
    assert combined(joint((0, 0, 0), (0, 0, 0)), BOX)[0, 0].tolist() == [0, 0, 0]


def test_nobody():
    assert combined(np.zeros((2, 0, 17, 3), np.float32), np.zeros((0, 4), np.float32)).shape == (0, 17, 3)


@pytest.fixture(scope="module")
def still(tiny_folder, tmp_path_factory):
    """A single-frame model of another size."""
    torch.manual_seed(8)
    net = HRNet(open_model(tiny_folder).net.config.backbone)
    init_weights(net)
    folder = tmp_path_factory.mktemp("still") / "still"
    save_model(net, folder, name="still", input_size=(96, 128), predicts=tuple(range(17)))
    return folder


def people():
    rng = np.random.default_rng(4)
    frames = list(rng.integers(0, 255, (4, 80, 100, 3), np.uint8))
    boxes = np.array([[5, 5, 30, 60], [50, 10, 30, 60]], np.float32)
    return frames, np.array([[0, 1, 2], [1, 2, 3]]), boxes, np.ones((2, 2), np.int64)


def test_the_ensemble_is_its_models_combined(tiny_folder, still):
    models = [open_model(path) for path in (tiny_folder, still)]
    options = {"device": CPU, "precision": "fp32", "flip_test": True}
    apart = [PoseNetwork(model, **options).poses(*people()) for model in models]
    together = PoseEnsemble(models, **options).poses(*people())
    np.testing.assert_allclose(together, combined(np.stack(apart), people()[2]), atol=1e-3)
    assert np.abs(together - apart[0]).max() > 0.1


def test_models_of_different_joints_are_refused(tiny_folder, tmp_path):
    folder = tmp_path / "coco"
    save_model(open_model(tiny_folder).net, folder, name="coco", joints="coco")
    with pytest.raises(UsageError, match="tiny and coco have different joints"):
        PoseEnsemble([open_model(tiny_folder), open_model(folder)], device=CPU)


def test_the_header_names_all_models(dcpose, clip, still, tmp_path):
    target = tmp_path / "out.json"
    done = dcpose("export", clip, "-o", target, *dcpose.models, "--max-frames", 2, "--ensemble", still)
    assert done.returncode == 0, done.stderr
    model = json.loads(target.read_text())["dcpose"]["model"]
    assert model["name"] == "tiny"
    used = {"joints": "posetrack", "input_size": [96, 128], "decoding": "quarter"}
    assert model["ensemble"] == [{"name": "still", "sha256": open_model(still).sha256, **used}]
    assert model["input_size"] == [48, 64]


@pytest.mark.parametrize("again", ["{0}", "{1},{2}", "{1},{1}", "a,b,c,d,e,f,g,h,i"])
def test_the_same_model_twice_and_too_many_are_refused(dcpose, product, clip, still, tmp_path, again):
    model = Path(dcpose.models[1])
    names = model, still, still / "model.safetensors"
    for command in (("export", clip, "-o", tmp_path / "out.json"), ("batch", clip.parent, "-o", tmp_path / "out")):
        done = dcpose(*command, *dcpose.models, "--ensemble", again.format(*names))
        assert done.returncode == 2
        assert re.search("are the same model|twice|9 models, 8 are the most", product.one_line(done))
    assert not (tmp_path / "out.json").exists()


def test_names_of_one_model(tiny_folder, still):
    assert find_models(tiny_folder, [still, f"{tiny_folder}:single"])[0] == tiny_folder / "model.safetensors"
    for model, further in (("auto", ["auto"]), (tiny_folder, [tiny_folder / "model.safetensors"]), (still, [still])):
        with pytest.raises(UsageError, match="are the same model; leave one out of --ensemble"):
            find_models(model, further)
