"""A CUDA device that only knows shapes, dtypes and devices, for machines without one.

Inside `cuda()` tensors on the device "cuda" are torch's FakeTensors: an operation on tensors of two devices, or of
dtypes that do not go together, raises as on a real device. Values do not exist; what reaches numpy is zero.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from dcpose_cli.nets import folding
from dcpose_cli.pose import network


class _Mode(FakeTensorMode):
    @property
    def avoid_device_init(self) -> bool:
        """Torch must not look for the device, although is_available() says that it is there."""
        return True


#: What a real device computes in one dtype only; FakeTensor lets all but some of them pass.
_OF_ONE_DTYPE = ("convolution", "mm", "addmm", "bmm", "baddbmm", "linear", "deform_conv2d", "index_add", "scatter")


class _OneDtype(TorchDispatchMode):
    """Raises RuntimeError for products and convolutions of tensors of different dtypes."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in _OF_ONE_DTYPE:
            flat = [*args, *(kwargs or {}).values()]
            found = {value.dtype for value in flat if isinstance(value, Tensor) and value.is_floating_point()}
            if len(found) > 1:
                raise RuntimeError(f"{func}: expected one dtype, got {sorted(map(str, found))}")
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def cuda() -> Iterator[FakeTensorMode]:
    """A fake CUDA device that computes in bf16."""
    mode = _Mode(allow_non_fake_inputs=True)

    def apply(module: nn.Module, change: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        """nn.Module._apply, which cannot exchange real parameters for fake ones."""
        for part in module.modules():
            for name, value in part._parameters.items():
                if value is not None:
                    part._parameters[name] = nn.Parameter(change(_faked(mode, value.detach())), requires_grad=False)
            for name, value in part._buffers.items():
                if value is not None:
                    part._buffers[name] = change(_faked(mode, value))
        return module

    def folded(net: nn.Module) -> nn.Module:
        """What is done to a network before it goes to the device is done with its values."""
        with _disable_current_modes():
            return folding.folded(net)

    with (
        mock.patch.object(network, "folded", folded),
        mock.patch.object(torch.cuda, "is_available", return_value=True),
        mock.patch.object(torch.cuda, "is_bf16_supported", return_value=True),
        mock.patch.object(torch.cuda, "device_count", return_value=1),
        mock.patch.object(nn.Module, "_apply", apply),
        mock.patch.object(FakeTensor, "numpy", _numpy),
        mode,
        _OneDtype(),
    ):
        yield mode


def _faked(mode: FakeTensorMode, value: Tensor) -> Tensor:
    return value if isinstance(value, FakeTensor) else mode.from_tensor(value)


def _numpy(self: FakeTensor) -> np.ndarray:
    if self.device.type != "cpu":
        raise TypeError(f"can't convert {self.device} device type tensor to numpy")
    with _disable_current_modes():
        return torch.zeros(tuple(self.shape), dtype=self.dtype).numpy()
