"""Names of devices: one, several, all."""

from __future__ import annotations

import pytest

from dcpose_cli.devices import device_names, require_one_device
from dcpose_cli.errors import UsageError


def test_names():
    assert device_names("auto") == ["auto"]
    assert device_names("cuda:0, cuda:1,cuda:0") == ["cuda:0", "cuda:1", "cuda:0"]
    assert device_names("all") == ["all"]


@pytest.mark.parametrize("text", ["cpu,", ",cpu", "cuda:0,,cuda:1", "all,cpu"])
def test_lists_that_cannot_be_meant(text):
    with pytest.raises(UsageError, match=text):
        device_names(text)


def test_one_device():
    for one in ("auto", "cpu", "cuda:3"):
        require_one_device(one)
    for several in ("all", "cpu,cpu"):
        with pytest.raises(UsageError, match="dcpose batch"):
            require_one_device(several)


def test_the_cpu_is_not_advised_on_the_cpu():
    import torch

    from dcpose_cli.pose.network import memory_hint

    assert "--device cpu" not in memory_hint(torch.device("cpu"))
    assert "--device cpu" in memory_hint(torch.device("cuda"))
