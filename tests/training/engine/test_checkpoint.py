"""Which checkpoints a training continues: those of the same settings and the same sources."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch
from torch import nn

from dcpose_cli.errors import UsageError, WeightsError
from dcpose_cli.training.dcpose.recipe import StageConfig
from dcpose_cli.training.engine.loop import Loop

CONFIG = StageConfig(steps=6, batch=4, lr=0.1, warmup=2, final_lr=0.01, ema=0.9)


def make(folder, config=CONFIG, **options):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    device = torch.device("cpu")
    return Loop("stage1", net, [*net.parameters()], config, folder, device=device, report=lambda p: None, **options)


@pytest.mark.parametrize(
    ("change", "key"),
    [({"optimizer": "muon"}, "optimizer"), ({"lr": 1.0}, "lr"), ({"milestones": (1.0,)}, "milestones")],
)
def test_a_checkpoint_of_other_settings_is_refused(tmp_path, change, key):
    make(tmp_path).save()
    with pytest.raises(UsageError, match=rf"stage1\.ckpt: was trained with stage1\.{key} = .*another --work"):
        make(tmp_path, config=replace(CONFIG, **change)).resume()


@pytest.mark.parametrize(
    "change", [{"steps": 9}, {"steps": 0, "epochs": 2.0}, {"decay": 0.5}, {"validation_seconds": 9.0}]
)
def test_the_length_of_a_stage_may_change(tmp_path, change):
    make(tmp_path).save()
    assert make(tmp_path, config=replace(CONFIG, **change)).resume()


def test_checkpoints_of_version_0_6_hold_no_settings_and_resume_with_their_optimizer(tmp_path):
    loop = make(tmp_path, config=replace(CONFIG, steps=2))
    loop.run(lambda step: loop.net(torch.ones(4, 3)).square().mean())
    data = torch.load(loop.path, weights_only=True)
    del data["recipe"]
    torch.save(data, loop.path)
    assert make(tmp_path).resume()
    with pytest.raises(WeightsError, match="trained with another optimizer"):
        make(tmp_path, config=replace(CONFIG, optimizer="muon")).resume()


SOURCES = {"labels people.json": "a1", "--init": "b2"}


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({**SOURCES, "labels people.json": "c3"}, "trained on other labels: people.json has changed since"),
        ({**SOURCES, "--init": "c3"}, "trained with another --init"),
        ({"labels people.json": "a1"}, "trained with --init, which is missing now"),
        ({**SOURCES, "--teacher": "d4"}, "trained without --teacher"),
    ],
)
def test_a_checkpoint_of_other_sources_is_refused_unless_they_are_accepted(tmp_path, now, said):
    told = []
    make(tmp_path, sources=SOURCES).save()
    continues = f"continues from {tmp_path / 'stage1.ckpt'}"
    assert make(tmp_path, sources=SOURCES, notice=told.append).resume()
    assert told == [continues]
    with pytest.raises(UsageError, match=rf"stage1\.ckpt: was {said}; .*another --work.*--accept-changes") as caught:
        make(tmp_path, sources=now, notice=told.append).resume()
    assert caught.value.exit_code == 2
    assert told == [continues]
    accepted = make(tmp_path, sources=now, notice=told.append, accept_changes=True)
    assert accepted.resume()
    assert told[1:] == [f"{tmp_path / 'stage1.ckpt'}: was {said}; continued all the same", continues]
    accepted.save()
    assert make(tmp_path, sources=now).resume()  # what it goes on with is recorded


def test_checkpoints_of_version_0_6_do_not_record_their_sources_and_resume_with_a_notice(tmp_path):
    make(tmp_path).save()
    assert "sources" not in torch.load(tmp_path / "stage1.ckpt", weights_only=True)
    told = []
    assert make(tmp_path, sources=SOURCES, notice=told.append).resume()
    assert len(told) == 2
    assert "without a record of its labels and --init" in told[0]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_what_has_the_temporary_name_of_a_checkpoint_is_not_written_to(tmp_path):
    """A link leads to somebody's file, a pipe waits for a reader."""
    victim, loop = tmp_path / "victim", make(tmp_path)
    victim.write_text("precious")
    for put in (os.mkfifo, lambda path: path.symlink_to(victim), lambda path: os.link(victim, path)):
        put(tmp_path / "stage1.part")
        loop.save()
        assert victim.read_text() == "precious"
        assert make(tmp_path).resume()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["stage1.ckpt", "victim"]
