"""Small networks, and what imports a checkpoint or says why it is refused."""

from __future__ import annotations

import pytest
import torch

from dcpose_cli.checkpoints.importing import import_checkpoint
from dcpose_cli.errors import WeightsError
from dcpose_cli.nets import HRNet, HRNetConfig


@pytest.fixture(scope="session")
def small_hrnet():
    """What makes the shape of a small HRNet whose stages differ."""

    def small_hrnet(**changes):
        shape = {
            "width": 8,
            "stem": 8,
            "layer1_width": 8,
            "layer1_blocks": 2,
            "modules": (1, 2, 1),
            "blocks": (2, 1, 1),
        }
        return HRNetConfig(**{**shape, **changes})

    return small_hrnet


@pytest.fixture(scope="session")
def randomised():
    """What makes every tensor of a network different from a fresh one's, batch norm's statistics too."""

    def randomised(net):
        torch.manual_seed(5)
        with torch.no_grad():
            for value in net.state_dict().values():
                if value.is_floating_point():
                    value.uniform_(0.1, 0.9)
        return net.eval()

    return randomised


@pytest.fixture(scope="module")
def hrnet(small_hrnet, randomised):
    return randomised(HRNet(small_hrnet(width=12)))


@pytest.fixture
def bring(tmp_path):
    """Save something as a checkpoint and import it."""

    def bring(data, zipped=True, file="epoch_3_state.pth", **options):
        torch.save(data, tmp_path / file, _use_new_zipfile_serialization=zipped)
        return import_checkpoint(tmp_path / file, tmp_path / "out", **options)

    return bring


@pytest.fixture(scope="session")
def refused():
    """What calls something that must be refused: the message, one short line, of the WeightsError."""

    def refused(call, *args, **options):
        with pytest.raises(WeightsError) as caught:
            call(*args, **options)
        assert caught.value.exit_code == 5
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 600
        return str(caught.value)

    return refused
