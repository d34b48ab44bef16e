"""From person boxes to joints: crops, networks, heatmaps."""
