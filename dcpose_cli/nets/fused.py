"""A network made ready for a CPU: every convolution in one step with the addition and the activation behind it.

oneDNN's convolution can add another tensor to its result and activate it before the result leaves the cache, and it can
keep its weights in the layout it computes with. torch's operators for that are not public, so they are tried once;
where they are missing or do not give what separate steps give, networks run in separate steps.
"""

from __future__ import annotations

import operator
import platform
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from .dcpose import Warp, sample_deformed, undeformed
from .dsta_backbone import HRNetFeatures, PooledBranches, ResNet50Features
from .hrnet import HRNet
from .simplebaseline import SimpleBaseline

#: What is traced as a whole: modules that make one tensor of one tensor, whatever its size.
_STRAIGHT: Final = (HRNet, HRNetFeatures, ResNet50Features, SimpleBaseline, nn.Sequential)
#: Modules of ultralytics that are their `act` of their `conv`.
_UNITS: Final = frozenset({"Conv", "DWConv"})
#: Processors that oneDNN computes on with code of its own.
_PROCESSORS: Final = frozenset({"x86_64", "amd64"})
#: oneDNN's kernels for AVX-512 make this many channels of the output at a time; the rest takes a slow path.
_CHANNELS_AT_ONCE: Final = 32
_PACKING: Final = threading.Lock()


def fused(net: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A folded network on a CPU -> the same for inference, convolutions fused. dtype: what convolutions compute in.

    The result equals that of `net` under autocast to `dtype` up to rounding. `net` is used up. Where torch has no such
    operators it is returned as it is.
    """
    return with_warps_fused(with_parts(net, lambda _, part: _traced(part, dtype)), dtype) if available() else net


def parts_of(net: nn.Module, prefix: str = "") -> dict[str, nn.Module]:
    """The parts of a network that make one tensor of one tensor, by their names in it; "" is the network itself."""
    if isinstance(net, _STRAIGHT) and any(isinstance(part, nn.Conv2d) for part in net.modules()):
        return {prefix: net}
    children = ((f"{prefix}.{name}" if prefix else name, child) for name, child in net.named_children())
    return {name: part for path, child in children for name, part in parts_of(child, path).items()}


def with_parts(net: nn.Module, make: Callable[[str, nn.Module], nn.Module]) -> nn.Module:
    """The network with `make(name, part)` in the place of each of its `parts_of`; `net` is used up."""
    for name, part in parts_of(net).items():
        made = make(name, part)
        if not name:
            return made
        net.set_submodule(name, made)
    return net


def with_warps_fused(net: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The network with its deformable steps as `FusedWarp`; `net` is used up."""
    warps = [(name, module) for name, module in net.named_modules() if isinstance(module, Warp)]
    for name, warp in warps:
        net.set_submodule(name, FusedWarp(warp, dtype))
    return net


def fused_units(net: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A YOLO network on a CPU, batch norm folded -> the same with its units fused: a convolution and its SiLU each.

    dtype: what they compute in. The result equals that of `net` under autocast to `dtype` up to rounding. `net` is
    changed, unless torch has no such operators.
    """
    for unit in net.modules() if available() else ():
        conv = getattr(unit, "conv", None)
        is_unit = type(unit).__name__ in _UNITS and not hasattr(unit, "bn")
        if is_unit and isinstance(conv, nn.Conv2d) and type(unit.act) is nn.SiLU:
            unit.conv, unit.act = FusedConv(conv, dtype, then="swish"), nn.Identity()
    return net


class FusedConv(nn.Module):
    """A convolution, then the addition of `other` if there is one, then an activation: "none", "relu" or "swish".

    (B, cin, H, W) of any float type -> (B, cout, h, w) of `dtype`; other: of the shape of the result.
    """

    def __init__(self, conv: nn.Conv2d, dtype: torch.dtype, *, then: str = "none") -> None:
        super().__init__()
        # Plain attributes: a packed tensor can neither be moved nor saved.
        self._shape = list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups
        self._weight = conv.weight.detach().to(dtype).contiguous(memory_format=torch.channels_last)
        self._packed = False
        self._bias = None if conv.bias is None else conv.bias.detach().to(dtype)
        self._dtype, self._then = dtype, then

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """See the class."""
        if not self._packed:
            self._pack(x)
        x, run = x.to(self._dtype), torch.ops.mkldnn._convolution_pointwise
        if other is None:
            out: Tensor = run(x, self._weight, self._bias, *self._shape, self._then, [], "")
            return out
        then = None if self._then == "none" else self._then
        total: Tensor = run(
            x, other.to(self._dtype), self._weight, self._bias, *self._shape, "add", 1.0, then, [], None
        )
        return total

    def _pack(self, x: Tensor) -> None:
        """Lay the weights out as oneDNN wants them for inputs of this size; for others it copes, with equal results."""
        with _PACKING:
            if not self._packed:
                pack = torch.ops.mkldnn._reorder_convolution_weight
                self._weight = pack(self._weight, *self._shape, list(x.shape))
                self._packed = True


class FusedWarp(nn.Module):
    """A `Warp` that works on one person after another: offsets and samples of one fit the cache.

    dtype: what the offsets are computed in. In float32 oneDNN's convolution is the quickest way to them, once it makes
    as many channels as it does at a time; in bf16 one matrix product is.
    """

    def __init__(self, warp: Warp, dtype: torch.dtype) -> None:
        super().__init__()
        self.joints, self.dilation = warp.joints, warp.dilation
        weight = warp.offset_mask.weight.detach().to(dtype)
        more = -len(weight) % _CHANNELS_AT_ONCE if dtype == torch.float32 else 0
        self._offset_mask = F.pad(weight, (0, 0, 0, 0, 0, 0, 0, more)).contiguous()
        self._weight, self._bias = warp.weight.detach().float(), warp.bias.detach().float()
        self._taps: dict[tuple[int, int], Tensor] = {}

    def forward(self, f: Tensor, merged: Tensor) -> Tensor:
        """As `Warp`."""
        features, maps = f.to(self._offset_mask.dtype).contiguous(), merged.float().contiguous()
        with torch.autocast("cpu", enabled=False):
            return torch.cat([self._one(features[k : k + 1], maps[k : k + 1]) for k in range(len(f))])

    def _one(self, f: Tensor, merged: Tensor) -> Tensor:
        both, joints = self._offsets_and_masks(f), self.joints
        offset, mask = both[:, : 18 * joints], both[:, 18 * joints : 27 * joints]
        size = merged.shape[2], merged.shape[3]
        taps = self._taps.get(size)
        if taps is None:
            taps = undeformed(*size, self.dilation)
            self._taps = {size: taps}
        return sample_deformed(merged, offset, mask, self._weight, self._bias, self.dilation, taps)

    def _offsets_and_masks(self, f: Tensor) -> Tensor:
        """f (1, features, h, w) -> (1, at least 27 * J, h, w), plane after plane."""
        reach, (h, w) = self.dilation, f.shape[2:]
        if f.dtype == torch.float32:
            return F.conv2d(f, self._offset_mask, padding=reach, dilation=reach)
        wide = F.pad(f[0], (reach,) * 4)
        places = [(y * reach, x * reach) for y in range(3) for x in range(3)]
        taps = torch.stack([wide[:, y : y + h, x : x + w] for y, x in places], dim=1)
        return (self._offset_mask.flatten(1) @ taps.view(-1, h * w)).view(1, -1, h, w)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Branches of different sizes go into one vector: no tensor to follow."""
        return isinstance(m, PooledBranches) or super().is_leaf_module(m, module_qualified_name)


def _traced(module: nn.Module, dtype: torch.dtype) -> fx.GraphModule:
    graph = _Tracer().trace(module)
    out = fx.GraphModule(module, graph)
    out.__dict__["config"] = getattr(module, "config", None)
    parts = dict(out.named_modules())

    def is_part(node: fx.Node, kind: type[nn.Module]) -> bool:
        return node.op == "call_module" and type(parts.get(str(node.target))) is kind

    for node in list(graph.nodes):
        if is_part(node, nn.Identity):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    for number, node in enumerate(list(graph.nodes)):
        if node.op == "placeholder":
            _in_layout(graph, node, dtype)
        elif is_part(node, nn.Conv2d):
            _fuse(out, node, f"fused{number}", dtype, lambda n: is_part(n, nn.ReLU))
        elif node.op == "call_module" and isinstance(parts.get(str(node.target)), PooledBranches):
            branches = parts[str(node.target)].branches
            assert isinstance(branches, nn.ModuleList)
            for place, branch in enumerate(branches):
                branches[place] = _traced(branch, dtype)
    out.delete_all_unused_submodules()
    out.recompile()
    return out


def _in_layout(graph: fx.Graph, node: fx.Node, dtype: torch.dtype) -> None:
    """The input in the dtype and layout that every convolution wants; else each would bring it there for itself."""
    with graph.inserting_after(node):
        ready = graph.call_method("to", (node,), {"dtype": dtype, "memory_format": torch.channels_last})
    node.replace_all_uses_with(ready, delete_user_cb=lambda user: user is not ready)


def _fuse(
    out: fx.GraphModule, node: fx.Node, name: str, dtype: torch.dtype, is_relu: Callable[[fx.Node], bool]
) -> None:
    """Put a fused convolution in the place of a convolution and what follows it and nothing else looks at."""
    conv = out.get_submodule(str(node.target))
    assert isinstance(conv, nn.Conv2d)
    gone: list[fx.Node] = [node]
    others: list[Any] = []
    follower = _only_user(node)
    if follower is not None and follower.target is operator.add and follower.args[0] is not follower.args[1]:
        others = [other for other in follower.args if other is not node]
        gone.append(follower)
        follower = _only_user(follower)
    if follower is not None and is_relu(follower):
        gone.append(follower)
        follower = _only_user(follower)
    then, parts, graph = "relu" if is_relu(gone[-1]) else "none", _parts_of(follower), out.graph
    if follower is not None and parts and not others:
        width = conv.out_channels // len(parts)
        for part, user in enumerate(parts):
            piece = _piece(conv, slice(part * width, (part + 1) * width))
            out.add_submodule(f"{name}_{part}", FusedConv(piece, dtype, then=then))
            with graph.inserting_after(gone[-1]):
                user.replace_all_uses_with(graph.call_module(f"{name}_{part}", (node.args[0],)))
        gone += [follower, *parts]
    else:
        out.add_submodule(name, FusedConv(conv, dtype, then=then))
        with graph.inserting_after(gone[-1]):
            gone[-1].replace_all_uses_with(graph.call_module(name, (node.args[0], *others)))
    for old in reversed(gone):
        graph.erase_node(old)


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _parts_of(node: fx.Node | None) -> list[fx.Node]:
    """The nodes that take the parts of `x.chunk(n, dim=1)`, in order; none for any other node."""
    if node is None or node.target != "chunk" or node.kwargs.get("dim") != 1:
        return []
    users: dict[Any, fx.Node] = {user.args[1]: user for user in node.users if user.target is operator.getitem}
    whole = len(users) == len(node.users) and sorted(users) == list(range(cast("int", node.args[1])))
    return [users[part] for part in sorted(users)] if whole else []


def _piece(conv: nn.Conv2d, rows: slice) -> nn.Conv2d:
    """The convolution that makes some of the channels, so that they lie together in memory."""
    bias = conv.bias
    shape: dict[str, Any] = {name: getattr(conv, name) for name in ("kernel_size", "stride", "padding", "dilation")}
    out = nn.Conv2d(conv.in_channels, rows.stop - rows.start, **shape, bias=bias is not None, device="meta")
    out.weight = nn.Parameter(conv.weight.detach()[rows], requires_grad=False)
    out.bias = None if bias is None else nn.Parameter(bias.detach()[rows], requires_grad=False)
    return out


@lru_cache(maxsize=1)
def available() -> bool:
    """Whether this torch has the operators, and they give what separate steps give."""
    if platform.machine().lower() not in _PROCESSORS or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    try:
        return _works()
    except (AttributeError, RuntimeError, TypeError):  # another torch: the operator is missing or takes other arguments
        return False


def _works() -> bool:
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        conv = nn.Conv2d(3, 5, 3, padding=1)
        x, other = torch.randn(1, 3, 6, 7), torch.randn(1, 5, 6, 7)
        alone, plain = conv(x), FusedConv(conv, torch.float32)
        pairs = (
            (plain(x), alone),
            (plain(x, other), alone + other),
            (FusedConv(conv, torch.float32, then="relu")(x), alone.relu()),
            (FusedConv(conv, torch.float32, then="relu")(x, other), (alone + other).relu()),
            (FusedConv(conv, torch.float32, then="swish")(x), F.silu(alone)),
        )
        return all(torch.allclose(found, expected, atol=1e-5) for found, expected in pairs)
