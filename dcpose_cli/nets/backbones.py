"""The networks that make heatmaps of one frame: what DCPose and PoseWarper can stand on, and methods of their own."""

from __future__ import annotations

from .hrnet import HRNet, HRNetConfig, init_weights
from .simplebaseline import SimpleBaseline, SimpleBaselineConfig, init_simplebaseline

#: In recipes and headers a table without `kind` is an HRNet's.
HeatmapConfig = HRNetConfig | SimpleBaselineConfig
HeatmapNet = HRNet | SimpleBaseline


def heatmap_net(config: HeatmapConfig) -> HeatmapNet:
    """The network of a configuration: (B, 3, H, W) -> (B, joints, H / 4, W / 4)."""
    return HRNet(config) if isinstance(config, HRNetConfig) else SimpleBaseline(config)


def init_heatmap_net(net: HeatmapNet) -> None:
    """Start values for training from random weights."""
    if isinstance(net, HRNet):
        init_weights(net)
    else:
        init_simplebaseline(net)
