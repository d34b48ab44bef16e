"""DCPose (CVPR 2021): heatmaps of three frames, merged, compared and resampled (SPEC 4, the *code* column of 4.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._torchvision import torchvision
from .backbones import HeatmapConfig, heatmap_net
from .blocks import ResidualSteps, residual_chain
from .hrnet import HRNetConfig

#: Neighbours of the current frame, in the order of the networks' inputs.
NEIGHBOURS: Final = ("previous", "next")
#: What may stand in for the two modules in an ablation: see DCPoseConfig.
PTM_KINDS: Final = ("chain", "sum", "current")
PRF_KINDS: Final = ("chain", "differences")


@dataclass(frozen=True, slots=True)
class DCPoseConfig:
    """Shape of a DCPose network; the defaults are the published PoseTrack models.

    input_size: crop width and height in pixels, multiples of 16. prf_blocks, ptm_blocks, combine_blocks,
    combine_width: the residual-step chains. dilations: one deformable convolution each.

    The last three are the paper's ablations (its table 5). ptm: "chain"; "sum", one 3x3 convolution of the summed
    heatmaps; "current", the current frame's heatmaps as they are. prf: "chain"; "differences", one 3x3 convolution of
    the plain differences. neighbours: which of "previous" and "next" are looked at, at least one. Raises ValueError
    for others.
    """

    backbone: HeatmapConfig = field(default_factory=HRNetConfig)
    input_size: tuple[int, int] = (288, 384)
    prf_blocks: int = 2
    ptm_blocks: int = 1
    combine_blocks: int = 2
    combine_width: int = 64
    dilations: tuple[int, ...] = (3, 6, 9, 12, 15)
    ptm: str = "chain"
    prf: str = "chain"
    neighbours: tuple[str, ...] = NEIGHBOURS

    def __post_init__(self) -> None:
        for name, value, known in (("ptm", self.ptm, PTM_KINDS), ("prf", self.prf, PRF_KINDS)):
            if value not in known:
                raise ValueError(f"{name} is {value!r}, known are {', '.join(known)}")
        if self.neighbours not in (NEIGHBOURS, NEIGHBOURS[:1], NEIGHBOURS[1:]):
            raise ValueError(f"neighbours is {self.neighbours}, known are {' and '.join(NEIGHBOURS)}, or one of them")


class DCPoseMaps(NamedTuple):
    """Everything of one pass, each (B, 17, h, w): single-frame heatmaps, merged ones and the final ones."""

    current: Tensor
    previous: Tensor
    next: Tensor
    merged: Tensor
    final: Tensor


class Warp(nn.Module):
    """One dilation of the pose correction network: offsets and masks from `f`, samples of the merged heatmaps.

    `offset_mask` holds the 2 * 9 * J offset and the 9 * J mask channels in one convolution. Masks are raw and signed
    (no sigmoid). SPEC 4.2 step 7.
    """

    def __init__(self, features: int, joints: int, dilation: int) -> None:
        super().__init__()
        self.joints, self.dilation = joints, dilation
        self.offset_mask = nn.Conv2d(features, 27 * joints, 3, padding=dilation, dilation=dilation, bias=False)
        self.weight = nn.Parameter(torch.zeros(joints, joints, 3, 3))
        self.bias = nn.Parameter(torch.zeros(joints))

    def forward(self, f: Tensor, merged: Tensor) -> Tensor:
        """f (B, features, h, w), merged (B, J, h, w) -> (B, J, h, w) float32."""
        # What follows takes the channels apart: off CUDA plane after plane is faster, whatever layout `f` came in.
        both = self.offset_mask(f if f.is_cuda else f.contiguous())
        offset, mask = both.split([18 * self.joints, 9 * self.joints], dim=1)
        return deform(merged.float(), offset, mask, self.weight.float(), self.bias.float(), self.dilation)


def deform(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    """Modulated deformable 3x3 convolution, one deformable group per input channel, always computed in float32.

    x (B, J, h, w); offset (B, 18 * J, h, w), per joint and tap (dy, dx), and mask (B, 9 * J, h, w), of any float type;
    weight (J, J, 3, 3); bias (J,). Returns (B, J, h, w) float32. torchvision's operator on CUDA. Elsewhere
    `sample_deformed`: torchvision's CPU kernel is serial (ten times slower backward), and MPS has none.
    """
    with torch.autocast(device_type=x.device.type, enabled=False):
        if x.device.type != "cuda":
            return sample_deformed(x, offset, mask, weight, bias, dilation)
        out: Tensor = torchvision().ops.deform_conv2d(
            x,
            offset.float().contiguous(),
            weight,
            bias,
            padding=dilation,
            dilation=dilation,
            mask=mask.float().contiguous(),
        )
    return out


def sample_deformed(
    x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, dilation: int, taps: Tensor | None = None
) -> Tensor:
    """The same numbers as torchvision's operator: all taps sampled at once, then one matrix product.

    taps: `undeformed(h, w, dilation)`, where the caller has it at hand.
    """
    b, joints, h, w = x.shape
    taps = undeformed(h, w, dilation, x.device) if taps is None else taps
    sx, sy = _per_pixel(w), _per_pixel(h)
    moved = offset.view(b, joints, 9, 2, h, w)
    trains = torch.is_grad_enabled()
    if trains and offset.requires_grad:
        gx = torch.add(taps[0], moved[:, :, :, 1], alpha=sx)
        gy = torch.add(taps[1], moved[:, :, :, 0], alpha=sy)
        grid = torch.stack([gx, gy], dim=2)
    else:  # the same without passes over memory for the float32 and for the stack
        grid = x.new_empty(b, joints, 2, 9, h, w)
        torch.add(taps[0], moved[:, :, :, 1], alpha=sx, out=grid[:, :, 0])
        torch.add(taps[1], moved[:, :, :, 0], alpha=sy, out=grid[:, :, 1])
    planes = grid.view(b * joints, 2, 9 * h, w).permute(0, 2, 3, 1)  # grid_sample reads x and y as planes, too
    samples = F.grid_sample(x.reshape(b * joints, 1, h, w), planes, padding_mode="zeros", align_corners=True)
    samples = samples.view(b, 9 * joints, h * w)
    weighted = samples * mask.flatten(2) if trains else samples.mul_(mask.flatten(2))
    return (weight.reshape(joints, 9 * joints) @ weighted + bias[:, None]).view(b, joints, h, w)


def undeformed(h: int, w: int, dilation: int, device: torch.device | None = None) -> Tensor:
    """Where the 9 taps of every pixel lie without offsets: (2, 9, h, w) float32, x and y as grid_sample wants them,
    -1..1 from the first to the last pixel."""
    tap = torch.arange(9, device=device)
    ys = torch.arange(h, device=device)[None, :, None] + ((tap // 3 - 1) * dilation)[:, None, None]
    xs = torch.arange(w, device=device)[None, None, :] + ((tap % 3 - 1) * dilation)[:, None, None]
    return torch.stack([(xs * _per_pixel(w) - 1).expand(9, h, w), (ys * _per_pixel(h) - 1).expand(9, h, w)])


def _per_pixel(side: int) -> float:
    """grid_sample's length of one pixel."""
    return 2 / max(side - 1, 1)


class DCPose(nn.Module):
    """The full network. `net(x, margin)` returns the final heatmaps.

    x: (B, 9, H, W) normalised RGB in the order current, previous, next. margin: (B, 2), frames from previous to
    current and from current to next, both >= 1; integers welcome. Returns (B, 17, H / 4, W / 4) float32.
    """

    def __init__(self, config: DCPoseConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DCPoseConfig()
        joints = config.backbone.joints
        self.backbone = heatmap_net(config.backbone)
        self.prf, self.ptm = _prf(config), _ptm(config)
        self.combine = residual_chain(3 * joints, config.combine_width, config.combine_blocks)
        self.warps = nn.ModuleList(Warp(config.combine_width, joints, d) for d in config.dilations)

    def forward(self, x: Tensor, margin: Tensor) -> Tensor:
        """Final heatmaps, (B, 17, H / 4, W / 4) float32."""
        return self.maps(x, margin).final

    def maps(self, x: Tensor, margin: Tensor) -> DCPoseMaps:
        """The same pass with its single-frame, merged and final heatmaps."""
        frames = torch.cat([x[:, 0:3], x[:, 3:6], x[:, 6:9]])
        current, previous, following = self.backbone(frames).float().chunk(3)
        return self.head(current, previous, following, margin)

    def head(self, current: Tensor, previous: Tensor, following: Tensor, margin: Tensor) -> DCPoseMaps:
        """From three sets of heatmaps (B, 17, h, w) to the final ones; margin as in `forward`.

        A neighbour that the configuration leaves out is not looked at.
        """
        merged, f = self.merge(current, previous, following, margin)
        total = torch.zeros_like(current)
        for warp in self.warps:
            total = total + warp(f, merged)
        return DCPoseMaps(current, previous, following, merged, total / len(self.warps))

    def merge(self, current: Tensor, previous: Tensor, following: Tensor, margin: Tensor) -> tuple[Tensor, Tensor]:
        """PTM's heatmaps (B, 17, h, w) and the features (B, width, h, w) that steer the deformable step."""
        weighted = self._weighted(previous, following, margin.to(device=current.device, dtype=current.dtype))
        if self.config.prf == "chain":
            prf = self.prf(interleave(*(d for maps, w in weighted for d in (current - maps, (current - maps) * w))))
        else:
            prf = self.prf(interleave(*(current - maps for maps, _ in weighted)))
        near = [maps * w for maps, w in weighted]
        if self.config.ptm == "chain":
            merged = self.ptm(interleave(current, *near))
        else:
            merged = self.ptm(torch.stack([current, *near]).sum(dim=0) if self.config.ptm == "sum" else current)
        return merged, self.combine(torch.cat([prf, merged], dim=1))

    def _weighted(self, previous: Tensor, following: Tensor, margin: Tensor) -> list[tuple[Tensor, Tensor | float]]:
        """The neighbours looked at, with their weights; the nearer one in time weighs more."""
        pairs = [
            (maps, (margin[:, other] / margin.sum(dim=1))[:, None, None, None])
            for name, maps, other in (("previous", previous, 1), ("next", following, 0))
            if name in self.config.neighbours
        ]
        # One alone has the whole weight: with nobody to share it, its distance says nothing.
        return [(maps, 1.0) for maps, _ in pairs] if len(pairs) == 1 else list(pairs)


def _prf(config: DCPoseConfig) -> nn.Module:
    """Differences of heatmaps, 2 or 4 per joint -> 2 features per joint."""
    joints, count = config.backbone.joints, len(config.neighbours)
    if config.prf == "differences":
        return nn.Conv2d(count * joints, 2 * joints, 3, padding=1)
    return residual_chain(2 * count * joints, 2 * joints, config.prf_blocks)


def _ptm(config: DCPoseConfig) -> nn.Module:
    """Heatmaps of the frames -> one merged heatmap per joint."""
    joints = config.backbone.joints
    if config.ptm == "current":
        return nn.Identity()
    if config.ptm == "sum":
        return nn.Conv2d(joints, joints, 3, padding=1)
    return residual_chain((1 + len(config.neighbours)) * joints, joints, config.ptm_blocks)


def interleave(*maps: Tensor) -> Tensor:
    """k maps (B, J, h, w) -> (B, J * k, h, w), joint-major: all of joint 0, then all of joint 1, ..."""
    return torch.stack(maps, dim=2).flatten(1, 2)


#: Mean and standard deviation of trained heatmaps, roughly: where the merged maps' batch norm starts.
_MAP_MEAN, _MAP_STD = 0.005, 0.06


def init_head(net: DCPose, std: float = 0.001) -> None:
    """Start values of the head for training; `start_near_merged` completes them.

    The published start (SPEC 8.2) is N(0, 0.001) everywhere with identity deformable weights, so that the output is
    almost 0 and the head must first learn to pass heatmaps through. Here PTM begins as the weighted mean of the three
    frames, its residual path shut; offsets begin near zero. The mask of every centre tap begins as the mean of the
    features, which is one on average, but larger where joints are.
    """
    for chain in (net.prf, net.ptm, net.combine):
        for module in chain.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    with torch.no_grad():
        _init_ptm(net.ptm, net.config)
        for warp in net.warps:
            assert isinstance(warp, Warp)
            _init_warp(warp, std)


def _init_ptm(ptm: nn.Module, config: DCPoseConfig) -> None:
    """The weighted mean of the frames' heatmaps; the weights of the neighbours add up to one."""
    joints, frames = config.backbone.joints, 1 + len(config.neighbours)
    if isinstance(ptm, nn.Conv2d):
        ptm.weight.zero_()
        ptm.weight[range(joints), range(joints), 1, 1] = 0.5
    elif isinstance(ptm, nn.Sequential):
        first = ptm[0]
        assert isinstance(first, ResidualSteps)
        assert first.shortcut is not None
        first.expand.bn.weight.zero_()
        first.shortcut.bn.weight.fill_(_MAP_STD)
        first.shortcut.bn.bias.fill_(_MAP_MEAN)
        first.shortcut.conv.weight.zero_()
        for joint in range(joints):
            # Channels are joint-major: current, weighted previous, weighted next.
            first.shortcut.conv.weight[joint, frames * joint : frames * (joint + 1)] = 0.5


def _init_warp(warp: Warp, std: float) -> None:
    """Identity weights, small offsets, centre masks of one on average."""
    joints = warp.joints
    features = warp.offset_mask.in_channels
    nn.init.normal_(warp.offset_mask.weight, 0.0, std)
    # The features are rectified unit normals, mean 0.4 each; their mean over the channels stands for "one".
    warp.offset_mask.weight[_centre_masks(warp), :, 1, 1] += 1 / (0.4 * features)
    warp.weight.zero_()
    for joint in range(joints):
        warp.weight[joint, joint, 1, 1] = 1.0
    warp.bias.zero_()


@torch.no_grad()
def start_near_merged(net: DCPose, current: Tensor, previous: Tensor, following: Tensor, margin: Tensor) -> None:
    """After `init_head`: the final heatmaps begin near the merged ones, the weighted mean of the three frames.

    The masks of the centre taps become, by least squares over these heatmaps, one where the merged heatmaps are high.
    current, previous, following: (B, J, h, w) heatmaps of some windows; margin: (B, 2), as in `forward`.
    """
    training = net.training
    merged, features = net.train().merge(current, previous, following, margin)
    f = features.float().transpose(0, 1).flatten(1)
    weighted = f * merged.float().square().sum(dim=1).flatten()
    gram = weighted @ f.T
    gram += 1e-4 * gram.diagonal().mean() * torch.eye(len(f), device=f.device)
    mask = torch.linalg.solve(gram, weighted.sum(dim=1))
    for warp in net.warps:
        assert isinstance(warp, Warp)
        warp.offset_mask.weight[_centre_masks(warp), :, 1, 1] = mask
    net.train(training)


def _centre_masks(warp: Warp) -> Tensor:
    """The channels of `offset_mask` with the masks of the centre taps, one per joint."""
    return torch.arange(warp.joints) * 9 + 4 + 18 * warp.joints


def init_published_head(net: DCPose, std: float = 0.001) -> None:
    """The published start values of the head (SPEC 8.2): its output begins at almost 0."""
    for chain in (net.prf, net.ptm, net.combine):
        for module in chain.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, std)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    for warp in net.warps:
        assert isinstance(warp, Warp)
        nn.init.normal_(warp.offset_mask.weight, 0.0, std)
        with torch.no_grad():
            warp.weight.zero_()
            warp.weight[range(warp.joints), range(warp.joints), 1, 1] = 1.0
            warp.bias.zero_()
