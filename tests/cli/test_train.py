from __future__ import annotations

import os
import signal

import pytest

from dcpose_cli.cli.train_command import stop_between_steps


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_waits_for_the_end_of_the_step(number, capsys):
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as stop, stop_between_steps() as between:
        between()  # nothing was asked yet
        os.kill(os.getpid(), number)
        between()
    assert stop.value.code == 128 + number
    assert "checkpoint is kept" in capsys.readouterr().err
    assert signal.getsignal(number) is before


def test_second_signal_ends_at_once():
    with pytest.raises(SystemExit) as stop, stop_between_steps():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.value.code == 143
