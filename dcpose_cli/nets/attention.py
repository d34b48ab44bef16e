"""Pre-norm transformer blocks over short sequences of tokens (DSTA SPEC 2.3). State names are the published ones."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Epsilon of the layer norms inside the blocks and at their end; the heads of DSTA use PyTorch's 1e-5.
NORM_EPS = 1e-6


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence to itself, without mask or dropout. (N, L, width) -> the same."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not divide a width of {width}")
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Logits are scaled by one over the root of a head's width."""
        n, length, width = x.shape
        qkv = self.qkv(x).view(n, length, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(n, length, width))
        return out


class EncoderBlock(nn.Module):
    """x += attention(norm(x)); x += mlp(norm(x)). drop: share of samples whose branch is skipped while training."""

    def __init__(self, width: int, heads: int, hidden: int, drop: float = 0.0) -> None:
        super().__init__()
        self.drop = drop
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.attn = SelfAttention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        layers = (("fc1", nn.Linear(width, hidden)), ("act", nn.GELU()), ("fc2", nn.Linear(hidden, width)))
        self.mlp = nn.Sequential(OrderedDict[str, nn.Module](layers))

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, width) -> (N, L, width)."""
        drop = self.drop if self.training else 0.0
        x = x + drop_path(self.attn(self.norm1(x)), drop)
        return x + drop_path(self.mlp(self.norm2(x)), drop)


class SequenceEncoder(nn.Module):
    """A learned position embedding, `depth` blocks and a layer norm. (N, length, width) -> the same.

    drop: stochastic depth of the last block; it grows linearly from 0 in the first.
    """

    def __init__(self, length: int, width: int, *, heads: int, hidden: int, depth: int, drop: float) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(length, width))
        rates = [drop * k / max(1, depth - 1) for k in range(depth)]
        self.blocks = nn.Sequential(*(EncoderBlock(width, heads, hidden, rate) for rate in rates))
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Sequences never see each other; what may be compared is decided by how they are folded."""
        out: Tensor = self.norm(self.blocks(x + self.place))
        return out


def drop_path(x: Tensor, rate: float) -> Tensor:
    """Zero whole samples (N, ...) with probability `rate`; the others are divided by the probability to survive."""
    if rate == 0.0:
        return x
    keep = 1.0 - rate
    survives = torch.rand(len(x), *(1 for _ in x.shape[1:]), device=x.device) < keep
    return x * survives.to(x.dtype) / keep
