"""Processes that train together are one training: the same samples, the same weights, one checkpoint."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dcpose_cli.checkpoints.files import open_model
from dcpose_cli.errors import UsageError
from dcpose_cli.training.data.batches import training_batch
from dcpose_cli.training.data.config import AugmentConfig
from dcpose_cli.training.data.readers import read_samples
from dcpose_cli.training.dcpose import stages
from dcpose_cli.training.engine.distributed import Ranks, own_ranks
from dcpose_cli.training.engine.run import open_run
from dcpose_cli.training.recipes import load_recipe

#: Every process imports torch, which takes long on a busy machine.
pytestmark = pytest.mark.timeout(400)

#: A loop over a small network and random numbers; argv is the folder, and a step after which the last process alone
#: is told to stop (0: none).
TRAINS = """
import sys
from pathlib import Path
import torch
from torch import nn
from dcpose_cli.training.engine.distributed import process_group
from dcpose_cli.training.engine.loop import Loop
from dcpose_cli.training.dcpose.recipe import StageConfig

folder, last = Path(sys.argv[1]), int(sys.argv[2])
config = StageConfig(steps=6, batch=8, lr=0.05, warmup=2)
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
with process_group("cpu") as ranks:
    def after_step():
        if loop.step == last and ranks.rank == ranks.count - 1:
            raise KeyboardInterrupt
    loop = Loop("stage1", net, list(net.parameters()), config, folder, device=torch.device("cpu"),
                report=lambda progress: None, after_step=after_step, ranks=ranks)
    loop.resume()
    def loss_of(step):
        x = torch.rand(8, 3, generator=torch.Generator().manual_seed(step)).view(ranks.count, -1, 3)[ranks.rank]
        return (net(x) - x.sum(dim=1, keepdim=True)).square().mean()
    try:
        loop.run(loss_of)
    except (KeyboardInterrupt, SystemExit):
        pass
"""


def together(*command, count=2, timeout=300):
    """Started by torchrun in `count` processes."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*launch, *map(str, command)], env=environment, capture_output=True, timeout=timeout, check=False, text=True
    )


def test_alone_nothing_is_shared():
    alone = Ranks()
    gradient = torch.tensor([1.0, 2.0])
    alone.average([gradient])
    assert gradient.tolist() == [1.0, 2.0]
    assert alone.share(7, 5) == (7, 5)
    assert [alone.any(here, torch.device("cpu")) for here in (True, False)] == [True, False]
    assert alone.first


@pytest.mark.parametrize("trimmed", [{}, {"size": (96, 128), "margin": 0.1}])
@pytest.mark.parametrize("step", [0, 5, 16, 21])
def test_the_shares_of_a_step_are_its_batch(tiny_pack, tiny_recipe, step, trimmed):
    samples = read_samples(tiny_pack, load_recipe(tiny_recipe).data, split="train")
    options = {"size": (48, 64), "config": AugmentConfig(), "seed": 3, "window": False, **trimmed}
    whole = training_batch(samples, step, batch=6, **options)
    shares = [Ranks(rank, rank, 3).share(step, 6) for rank in range(3)]
    parts = [training_batch(samples, part, batch=batch, parts=3, **options) for part, batch in shares]
    assert torch.equal(torch.cat([p.images for p in parts]), whole.images)
    assert torch.equal(torch.cat([p.joints for p in parts]), whole.joints)


@pytest.mark.parametrize("margin", [None, 0.1])
def test_the_parts_that_processes_train_on_make_up_the_batch_of_one(tiny_pack, tiny_recipe, tmp_path, margin):
    recipe = replace(load_recipe(tiny_recipe), crop_margin=margin)
    recipe = replace(recipe, model=replace(recipe.model, input_size=(96, 128)))
    config = replace(recipe.stage1, phases=(), batch=4)
    samples = read_samples(tiny_pack, recipe.data, split="train")
    with open_run(tmp_path, threads=1) as run:
        one, *two = [
            stages._maker(recipe, config, samples, 3, replace(run, ranks=ranks), window=True)(7).images
            for ranks in (Ranks(), Ranks(0, 0, 2), Ranks(1, 1, 2))
        ]
    assert torch.equal(torch.cat(two), one)


def test_a_batch_that_cannot_be_shared():
    with pytest.raises(UsageError, match="a batch of 9 cannot be shared by 2 processes"):
        Ranks(0, 0, 2).share(1, 9)


def test_a_place_is_what_torchrun_says(monkeypatch):
    monkeypatch.setenv("RANK", "3")
    assert own_ranks() == Ranks()  # somebody else's variable of that name
    for name, value in {"LOCAL_RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "host", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    assert own_ranks() == Ranks(3, 1, 4)
    assert not own_ranks().first
    assert str(own_ranks().device("cuda")) == "cuda:1"
    assert str(own_ranks().device("cpu")) == "cpu"


@pytest.mark.slow
def test_two_processes_do_what_one_does_and_stop_together(tmp_path):
    script = tmp_path / "trains.py"
    script.write_text(TRAINS)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    subprocess.run([sys.executable, script, tmp_path / "one", "0"], check=True, timeout=300)

    stopped = together(script, tmp_path / "two", 3)  # only the second process is told to
    assert stopped.returncode == 0, stopped.stderr
    assert torch.load(tmp_path / "two" / "stage1.ckpt", weights_only=True)["step"] == 3
    done = together(script, tmp_path / "two", 0)
    assert done.returncode == 0, done.stderr

    one, two = (torch.load(tmp_path / name / "stage1.ckpt", weights_only=True) for name in ("one", "two"))
    assert two["step"] == 6
    for name, value in one["average"].items():
        torch.testing.assert_close(two["average"][name], value, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_the_command_started_by_torchrun(tiny_pack, tiny_recipe, tmp_path):
    dcpose = Path(sys.executable).with_name("dcpose")
    done = together(
        *("--no-python", dcpose, "train", tiny_recipe, "--data", tiny_pack, "--threads", 1),
        *("--work", tmp_path / "run", "--out", tmp_path / "model"),
    )
    assert done.returncode == 0, done.stderr
    assert open_model(tmp_path / "model" / "model.safetensors").header.input_size == (48, 64)
    with (tmp_path / "run" / "log.csv").open(newline="") as file:
        assert [(row["stage"], row["step"]) for row in csv.DictReader(file)] == [("stage1", "6"), ("stage2", "4")]
    assert done.stderr.count("stage1 6/6") == 1  # one of them reports
    assert done.stderr.count("model.safetensors written") == 1
