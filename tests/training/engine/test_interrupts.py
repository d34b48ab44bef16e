"""A signal in the backward pass of a step, which is one long call of torch."""

from __future__ import annotations

import signal

import pytest
import torch
from torch import nn

from dcpose_cli.training.dcpose.recipe import StageConfig
from dcpose_cli.training.engine.loop import Loop

WIDTH = 512


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that sends signals")
def test_signals_are_heard_within_a_backward_pass(tmp_path):
    net = nn.Sequential(*(nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(40)))
    first, last = net[0].weight, net[-1].weight
    loop = Loop(
        "stage1", net, [*net.parameters()], StageConfig(steps=1), tmp_path, device=torch.device("cpu"), report=print
    )

    def loss_of(step):
        last.register_post_accumulate_grad_hook(start_timer)
        return net(torch.ones(WIDTH, WIDTH)).square().mean()

    def start_timer(weight):
        signal.setitimer(signal.ITIMER_REAL, 1e-3)

    def stop(number, frame):
        raise SystemExit(130)

    before = signal.signal(signal.SIGALRM, stop)
    try:
        with pytest.raises(SystemExit):
            loop.run(loss_of)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert last.grad is not None
    assert first.grad is None
    assert not first._post_accumulate_grad_hooks  # none is left
