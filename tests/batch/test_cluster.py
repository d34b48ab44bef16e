"""How a long video is cut for a cluster. The cluster itself: tests/faults/test_cluster.py."""

from __future__ import annotations

import pytest

from dcpose_cli.batch.cluster import MOST_PARTS, part_count


@pytest.mark.parametrize(
    ("share", "segments", "workers", "parts"),
    [
        (1.0, 100, 1000, MOST_PARTS),  # alone: as many as pay
        (1.0, 3, 1000, 3),
        (1.0, 100, 2, 2),
        (1 / 1000, 100, 1000, 4),  # a worker's share: four parts, so that a slow worker holds up a quarter of it
        (1 / 8000, 100, 1000, 1),  # one of many: not worth cutting
        (0.0, 100, 1000, 1),
    ],
)
def test_parts_of_a_video(share, segments, workers, parts):
    assert part_count(share, segments, workers) == parts


def test_gpus_do_not_cut():
    assert part_count(1.0, 100, 1000, 1) == 1
