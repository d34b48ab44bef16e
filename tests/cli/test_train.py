from __future__ import annotations

import os
import re
import signal

import pytest

from dcpose_cli.checkpoints.files import open_model, save_model
from dcpose_cli.cli.times import time_left
from dcpose_cli.cli.train_command import parse_stages, stop_between_steps, train_model
from dcpose_cli.errors import UsageError
from dcpose_cli.nets import HRNet
from dcpose_cli.training.recipes import load_recipe


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_waits_for_the_end_of_the_step(number, capsys):
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as stop, stop_between_steps() as after_step:
        after_step()  # nothing was asked yet
        os.kill(os.getpid(), number)
        after_step()
    assert stop.value.code == 128 + number
    assert "checkpoint is kept" in capsys.readouterr().err
    assert signal.getsignal(number) is before


def test_second_signal_ends_at_once():
    with pytest.raises(SystemExit) as stop, stop_between_steps() as after_step:
        after_step()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("the second signal was not heard")
    assert stop.value.code == 143


def test_before_the_end_of_the_first_step_one_signal_is_enough(monkeypatch, capsys):
    with pytest.raises(SystemExit) as stop, stop_between_steps():
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the signal was not heard")
    assert stop.value.code == 130
    assert "checkpoint" not in capsys.readouterr().err
    for name, value in {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "x", "MASTER_PORT": 1}.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(SystemExit), stop_between_steps() as after_step:
        os.kill(os.getpid(), signal.SIGINT)  # the other process is in this step
        after_step()
    assert "checkpoint is kept" in capsys.readouterr().err


def test_stages_by_number():
    assert parse_stages("2") == [2]
    assert parse_stages("3, 2") == [2, 3]
    for text in ("", "4", "1-3", "two"):
        with pytest.raises(UsageError, match="--stages is a list such as 2,3"):
            parse_stages(text)


RECIPE = """
name = "own"
[data]
format = "coco"
train = "coco_train.json"
val = "coco_val.json"
[stage1]
epochs = 2
batch = 2
[stage2]
epochs = 1
batch = 2
"""


def test_own_labels_and_a_backbone_make_a_model(posetrack_root, tiny_model, tmp_path, capsys):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE + tiny_model)
    backbone = save_model(HRNet(load_recipe(recipe).model.backbone), tmp_path / "backbone", name="b")
    options = {"init": str(backbone), "device": "cpu", "threads": 1, "overwrite": False, "quiet": False}
    train_model(recipe, posetrack_root, tmp_path / "out", tmp_path / "work", stages="2", workers=1, **options)
    said = capsys.readouterr().err
    first, *_, last = [line for line in said.splitlines() if line.startswith("stage")]
    assert re.fullmatch(r"stage2 1/2 loss \S+ lr \S+ \S+ samples/s, about 0:\d\d left", first)
    assert re.fullmatch(r"stage2 2/2 loss \S+ lr \S+ \S+ samples/s", last)
    assert "labelled people to train on" in said
    assert "stage1" not in said
    assert "continues" not in said
    header = open_model(tmp_path / "out").header
    assert (header.name, header.decoding) == ("own", "smoothed")
    # The stage is finished: the same command trains nothing again, and says so.
    train_model(recipe, posetrack_root, tmp_path / "again", tmp_path / "work", stages="2", workers=1, **options)
    said = capsys.readouterr().err
    assert f"continues from {tmp_path / 'work' / 'stage2.ckpt'}\n" in said
    assert "stage2 2/2" not in said
    # Other weights to start from would change nothing of what is trained already.
    other = save_model(HRNet(load_recipe(recipe).model.backbone), tmp_path / "other", name="b")
    options["init"] = str(other)
    with pytest.raises(UsageError, match=r"stage2\.ckpt: was trained with another --init"):
        train_model(recipe, posetrack_root, tmp_path / "third", tmp_path / "work", stages="2", **options)
    assert "continues" not in capsys.readouterr().err
    train_model(
        recipe, posetrack_root, tmp_path / "third", tmp_path / "work", stages="2", accept_changes=True, **options
    )
    assert "was trained with another --init; continued all the same" in capsys.readouterr().err


def test_the_time_left():
    assert [time_left(seconds) for seconds in (0.4, 65, 3599.6, 36_061)] == [
        "0:00 left", "1:05 left", "1:00:00 left", "10:01:01 left",
    ]  # fmt: skip
