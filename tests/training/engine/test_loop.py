from __future__ import annotations

import csv
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

from dcpose_cli.errors import OutputError, TrainingError, WeightsError
from dcpose_cli.training.dcpose.recipe import StageConfig
from dcpose_cli.training.engine import loop as loop_module
from dcpose_cli.training.engine.average import Average
from dcpose_cli.training.engine.config import learning_rate
from dcpose_cli.training.engine.log import VALIDATION_COLUMNS, Progress
from dcpose_cli.training.engine.loop import Loop
from dcpose_cli.training.engine.muon import Muon

CONFIG = StageConfig(steps=6, batch=4, lr=0.1, warmup=2, final_lr=0.01, ema=0.9)


def small_net(width=3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(width, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def make(folder, net=None, config=CONFIG, **hooks):
    net = net or small_net()
    options = {"device": torch.device("cpu"), "report": lambda progress: None, **hooks}
    return Loop("stage1", net, list(net.parameters()), config, folder, **options)


def loss_for(loop, seen=None):
    """A loss that depends on the step alone."""

    def loss_of(step):
        if seen is not None:
            seen.append(step)
        x = torch.rand(4, 3, generator=torch.Generator().manual_seed(step))
        return (loop.net(x) - x.sum(dim=1, keepdim=True)).square().mean()

    return loss_of


def rows(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


# --- schedule and averaging


def test_learning_rate():
    config = StageConfig(steps=110, warmup=10, lr=1.0, final_lr=0.1)
    assert [learning_rate(s, config) for s in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert learning_rate(10, config) == pytest.approx(1.0)
    assert learning_rate(60, config) == pytest.approx(0.55)  # halfway down the cosine
    assert learning_rate(110, config) == learning_rate(999, config) == pytest.approx(0.1)
    falling = [learning_rate(s, config) for s in range(10, 111)]
    assert falling == sorted(falling, reverse=True)


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (5, 5), (5, 50)])
def test_learning_rate_of_odd_lengths(steps, warmup):
    config = StageConfig(steps=steps, warmup=warmup, lr=1.0)
    assert all(0 < learning_rate(s, config) <= 1 for s in range(steps + 1))


def test_a_cosine_may_stay_at_the_peak_first():
    config = StageConfig(steps=100, warmup=10, lr=1.0, final_lr=0.0, stable=0.5)
    wanted = {9: 1.0, 10: 1.0, 50: 1.0, 75: 0.5, 100: 0.0}
    assert {step: learning_rate(step, config) for step in wanted} == pytest.approx(wanted)


def test_multistep_falls_at_its_milestones():
    config = StageConfig(steps=40, warmup=4, lr=1.0, schedule="multistep", milestones=(10.0, 30.0), gamma=0.5)
    wanted = {0: 0.25, 3: 1.0, 9: 1.0, 10: 0.5, 29: 0.5, 30: 0.25, 99: 0.25}
    assert {step: learning_rate(step, config) for step in wanted} == pytest.approx(wanted)


def test_a_trapezoid_stays_at_the_peak_and_falls_at_the_end():
    config = StageConfig(steps=100, warmup=10, lr=1.0, final_lr=0.1, schedule="trapezoid", decay=0.25)
    wanted = {0: 0.1, 9: 1.0, 10: 1.0, 75: 1.0, 100: 0.1, 999: 0.1}
    assert {step: learning_rate(step, config) for step in wanted} == pytest.approx(wanted)
    assert learning_rate(81, config) == pytest.approx(0.1 + 0.9 * (1 - (6 / 25) ** 0.5))  # as 1 - sqrt
    longer = replace(config, steps=200)
    assert [learning_rate(s, longer) for s in range(75)] == [learning_rate(s, config) for s in range(75)]
    assert learning_rate(100, replace(config, decay=0.0)) == pytest.approx(1.0)


def test_an_average_without_memory_is_the_last_state():
    net = nn.Linear(2, 2)
    average = Average(net, 0.0)
    nn.init.constant_(net.weight, 3.0)
    average.update(net, 5)
    assert torch.equal(average.state["weight"], net.weight.detach())


def test_average_starts_fast_and_ends_slow():
    net = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(net.weight)
    average = Average(net, 0.9)
    nn.init.ones_(net.weight)
    average.update(net, 1)
    assert float(average.state["weight"]) == pytest.approx(1 - 2 / 11)
    average.update(net, 10_000)
    assert float(average.state["weight"]) == pytest.approx(1 - 0.9 * 2 / 11)
    assert average.state["weight"].data_ptr() != net.weight.data_ptr()


def test_average_takes_buffers_too_and_leaves_constants_alone():
    net = nn.BatchNorm1d(2)
    average = Average(net, 0.9)
    before = average.state["weight"].clone()
    net.running_mean += 4
    net.num_batches_tracked += 7
    average.update(net, 10_000)
    assert average.state["running_mean"].tolist() == pytest.approx([0.4, 0.4])
    assert int(average.state["num_batches_tracked"]) == 7
    assert torch.equal(average.state["weight"], before)


# --- running


def test_a_run_learns_and_tells(tmp_path, monkeypatch):
    monkeypatch.setattr(loop_module, "LOG_EVERY", 50)
    told = []
    loop = make(tmp_path, config=StageConfig(steps=120, batch=4, lr=0.05, warmup=5), report=told.append)
    first = float(loss_for(loop)(0).detach())
    loop.run(loss_for(loop), lambda: {"size": "48x64", "all": 0.5, "windows": 0.25, "pck_own": 0.125})
    assert [type(p) for p in told] == [Progress] * 4
    assert [(p.stage, p.step, p.steps) for p in told] == [("stage1", s, 120) for s in (1, 50, 100, 120)]
    assert told[-1].loss < first / 2
    log = rows(tmp_path / "log.csv")
    assert log[0] == ["stage", "step", "loss", "lr", "samples_per_s"]
    assert [row[:2] for row in log[1:]] == [["stage1", "50"], ["stage1", "100"], ["stage1", "120"]]
    assert float(log[-1][2]) == pytest.approx(told[-1].loss, abs=1e-4)
    assert rows(tmp_path / "validation.csv") == [
        [*VALIDATION_COLUMNS, "pck_own"],
        ["stage1", "120", "48x64", "0.5000", "", "0.2500", "", "0.1250"],
    ]


def test_a_slow_run_reports_its_first_step_and_by_time(tmp_path, monkeypatch):
    """A step takes 20 s: the log keeps its steps, and the user hears every half minute how long it will take."""
    now = [1000.0]
    monkeypatch.setattr(loop_module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(loop_module, "LOG_EVERY", 5)
    monkeypatch.setattr(loop_module, "CHECKPOINT_EVERY", 1e9)
    told = []
    loop = make(tmp_path, config=replace(CONFIG, steps=8), report=told.append)

    def slow(step):
        now[0] += 20
        return loss_for(loop)(step)

    loop.step = 1  # resumed: the first step is its first one
    loop.run(slow)
    assert [p.step for p in told] == [2, 4, 5, 7, 8]
    assert [row[1] for row in rows(tmp_path / "log.csv")[1:]] == ["5", "8"]
    assert [p.left for p in told] == pytest.approx([120, 80, 60, 20, 0])
    assert [p.rate for p in told] == pytest.approx([0.2] * 5)
    losses = [float(loss_for(make(tmp_path))(step).detach()) for step in (1,)]
    assert told[0].loss == pytest.approx(losses[0])


def test_validation_keeps_to_the_columns_that_are_there(tmp_path):
    (tmp_path / "validation.csv").write_text("stage,step,all\nstage1,3,0.1000\n")
    loop = make(tmp_path)
    loop.run(loss_for(loop), lambda: {"all": 0.5, "pck_own": 0.25})
    assert rows(tmp_path / "validation.csv") == [
        ["stage", "step", "all"],
        ["stage1", "3", "0.1000"],
        ["stage1", "6", "0.5000"],
    ]


def test_only_matrices_decay(tmp_path):
    loop = make(tmp_path)
    decay = {id(p): g["weight_decay"] for g in loop.optimizer.param_groups for p in g["params"]}
    assert len(decay) == len(list(loop.net.parameters()))
    assert {decay[id(p)] for p in loop.net.parameters() if p.ndim > 1} == {CONFIG.weight_decay}
    assert {decay[id(p)] for p in loop.net.parameters() if p.ndim <= 1} == {0.0}


def test_optimizers(tmp_path):
    names = ("adam", "adamw", "muon")
    kinds = {name: type(make(tmp_path, config=replace(CONFIG, optimizer=name)).optimizer) for name in names}
    assert kinds == {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "muon": Muon}


def test_gradients_are_clipped_only_where_asked(tmp_path, monkeypatch):
    norms = []
    monkeypatch.setattr(nn.utils, "clip_grad_norm_", lambda parameters, norm: norms.append(norm) or 1.0)
    for clip in (0.0, 0.5):
        (tmp_path / str(clip)).mkdir()
        loop = make(tmp_path / str(clip), config=replace(CONFIG, steps=2, clip=clip))
        loop.run(loss_for(loop))
    assert norms == [0.5, 0.5]


def test_other_logs_get_the_same_numbers(tmp_path):
    got = []
    loop = make(tmp_path, scalars=lambda group, values, step: got.append((group, set(values), step)))
    loop.run(loss_for(loop), lambda: {"all": 0.5, "size": "48x64"})
    assert got == [("stage1", {"loss", "lr", "samples_per_s"}, 6), ("stage1/validation", {"all"}, 6)]


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, monkeypatch):
    monkeypatch.setattr(loop_module, "CHECKPOINT_EVERY", -1.0)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, seen = make(tmp_path / "a"), []
    whole.run(loss_for(whole))

    def stop_at_three():
        if cut.step == 3:
            raise KeyboardInterrupt

    cut = make(tmp_path / "b", after_step=stop_at_three)
    with pytest.raises(KeyboardInterrupt):
        cut.run(loss_for(cut, seen))
    other = make(tmp_path / "b", net=small_net())
    assert other.resume()
    assert other.step == 3
    other.run(loss_for(other, seen))
    assert seen == [0, 1, 2, 3, 4, 5]
    for mine, theirs in ((whole.net.state_dict(), other.net.state_dict()), (whole.average.state, other.average.state)):
        assert all(torch.equal(mine[k], theirs[k]) for k in mine)
    assert not list((tmp_path / "b").glob("*.part"))


def test_a_finished_run_does_nothing_more(tmp_path):
    loop, seen = make(tmp_path), []
    loop.run(loss_for(loop))
    again = make(tmp_path)
    assert again.resume()
    again.run(loss_for(again, seen))
    assert seen == []


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, ValueError])
def test_whoever_stops_between_steps_leaves_a_checkpoint(tmp_path, stop):
    loop = make(tmp_path, after_step=lambda: (_ for _ in ()).throw(stop()))
    assert not loop.resume()
    with pytest.raises(stop):
        loop.run(loss_for(loop))
    again = make(tmp_path)
    assert again.resume()
    assert again.step == 1


# --- what goes wrong


def broken(loop):
    with pytest.raises(WeightsError) as caught:
        loop.resume()
    assert "stage1.ckpt" in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_damaged_checkpoint(tmp_path, share):
    make(tmp_path).save()
    path = tmp_path / "stage1.ckpt"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert "delete it to start over" in broken(make(tmp_path))


def test_checkpoint_of_another_network(tmp_path):
    make(tmp_path).save()
    broken(make(tmp_path, net=small_net(width=5)))
    torch.save({"net": {}}, tmp_path / "stage1.ckpt")
    broken(make(tmp_path))


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "victim",)

    torch.save({"net": Evil()}, tmp_path / "stage1.ckpt")
    broken(make(tmp_path))
    assert not (tmp_path / "victim").exists()


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    loop = make(tmp_path)
    before = [p.detach().clone() for p in loop.net.parameters()]
    with pytest.raises(TrainingError, match="nan at step 0; lower its lr") as caught:
        loop.run(lambda step: loss_for(loop)(step) * float("nan"))
    assert caught.value.exit_code == 9
    assert all(torch.equal(a, b) for a, b in zip(before, loop.net.parameters(), strict=True))


def infinite_gradient(loop, steps):
    """A finite loss whose gradient is not, in the given steps."""

    def loss_of(step):
        loss = loss_for(loop)(step)
        return loss + (torch.sqrt(loss * 0) if step in steps else 0)

    return loss_of


def test_steps_without_a_finite_gradient_are_left_out(tmp_path):
    loop = make(tmp_path, config=replace(CONFIG, ema=0.0))
    states = []
    loop.after_step = lambda: states.append([p.detach().clone() for p in loop.net.parameters()])
    loop.run(infinite_gradient(loop, {2, 4}))
    changed = [any(not torch.equal(a, b) for a, b in zip(*pair, strict=True)) for pair in pairwise(states)]
    assert changed == [True, False, True, False, True]


def test_a_gradient_that_stays_infinite_stops_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(loop_module, "MOST_SKIPPED", 2)
    loop = make(tmp_path)
    with pytest.raises(TrainingError, match="not finite in 3 steps up to 4; lower its lr"):
        loop.run(infinite_gradient(loop, {2, 3, 4}))


def test_terms_of_a_loss_are_added_and_logged(tmp_path):
    told = []
    loop, twin = make(tmp_path, report=told.append), make(tmp_path, net=small_net())

    def terms(step):
        loss = loss_for(loop)(step)
        return {"near": 0.25 * loss, "far": 0.75 * loss}

    loop.run(terms, samples_of=lambda step: step)
    log = rows(tmp_path / "log.csv")
    assert log[0][-2:] == ["near", "far"]
    assert float(log[1][-1]) == pytest.approx(3 * float(log[1][-2]), rel=1e-3)
    assert [p.loss for p in told] == pytest.approx([sum(p.parts.values()) for p in told])
    (tmp_path / "stage1.ckpt").unlink()
    twin.run(loss_for(twin))
    for ours, theirs in zip(loop.net.parameters(), twin.net.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_validation_waits_its_time_and_may_have_several_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(loop_module, "CHECKPOINT_EVERY", -1.0)
    loop = make(tmp_path, config=replace(CONFIG, validation_seconds=1000.0))
    loop.run(loss_for(loop), lambda: [{"size": 64, "part": part, "ap50": 0.5} for part in "ab"])
    assert rows(tmp_path / "validation.csv") == [
        ["stage", "step", "size", "part", "ap50"],
        ["stage1", "6", "64", "a", "0.5000"],
        ["stage1", "6", "64", "b", "0.5000"],
    ]


def test_a_checkpoint_that_cannot_be_written(tmp_path):
    folder = tmp_path / "gone"
    with pytest.raises(OutputError, match=r"stage1\.ckpt"):
        make(folder).save()
    (tmp_path / "log.csv").mkdir()
    loop = make(tmp_path)
    with pytest.raises(OutputError, match=r"log\.csv"):
        loop.run(loss_for(loop))


def test_a_failed_write_keeps_the_checkpoint_before(tmp_path, monkeypatch):
    loop = make(tmp_path)
    loop.save()
    before = (tmp_path / "stage1.ckpt").read_bytes()

    def full(data, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OutputError, match="disk full"):
        loop.save()
    assert (tmp_path / "stage1.ckpt").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["stage1.ckpt"]
