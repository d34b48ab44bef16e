"""Ablations of DCPose: `python benchmarks/ablation`."""
