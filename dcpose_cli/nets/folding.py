"""A network made ready for use: batch norm folded into the convolutions before it, tensors laid out for speed."""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .dcpose import Warp


def folded(net: nn.Module) -> nn.Module:
    """A copy in evaluation mode without batch norm, equal up to rounding; `net` stays as it was.

    In all our networks a batch norm is the child that follows its convolution, and nothing lies between the two.
    """
    out = copy.deepcopy(net).eval()
    for module in list(out.modules()):
        for (name, conv), (norm_name, norm) in pairwise(list(module.named_children())):
            if not isinstance(norm, nn.BatchNorm2d) or not isinstance(conv, (nn.Conv2d, nn.ConvTranspose2d)):
                continue
            if conv.out_channels == norm.num_features:
                transpose = isinstance(conv, nn.ConvTranspose2d)
                setattr(module, name, fuse_conv_bn_eval(conv, norm, transpose=transpose))
                setattr(module, norm_name, nn.Identity())
    return out.requires_grad_(False)


def laid_out(net: nn.Module) -> nn.Module:
    """The same network with channels last, which convolutions are fastest with, but for what takes channels apart."""
    net = net.to(memory_format=torch.channels_last)
    for module in net.modules():
        if isinstance(module, Warp) and not module.weight.is_cuda:
            module.to(memory_format=torch.contiguous_format)
    return net
