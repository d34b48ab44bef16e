from __future__ import annotations

import numpy as np
import pytest

from dcpose_cli.evaluation.side_by_side import compose, plan_grid
from dcpose_cli.types import FrameResult, Person


@pytest.mark.parametrize(
    ("count", "size", "columns", "rows"),
    [(2, (1080, 1920), 2, 1), (3, (1080, 1920), 3, 1), (2, (1920, 800), 1, 2), (4, (1920, 1080), 2, 2)],
)
def test_frames_are_shown_as_large_as_they_fit(count, size, columns, rows):
    grid = plan_grid(count, size)
    assert (grid.columns, grid.rows) == (columns, rows)
    assert columns * grid.panel[0] <= 1920
    assert rows * (grid.panel[1] + grid.bar) <= 1080
    assert grid.panel[0] / grid.panel[1] == pytest.approx(size[0] / size[1], rel=0.02)
    assert all(side % 2 == 0 for side in (*grid.panel, grid.bar))


def test_small_frames_are_not_enlarged():
    assert plan_grid(3, (320, 240)).panel == (320, 240)


def test_every_panel_shows_its_own_people_under_its_own_title():
    image = np.full((120, 160, 3), 200, np.uint8)
    keypoints = np.full((17, 3), 60, np.float32)
    keypoints[:, 0] = np.linspace(30, 100, 17)
    someone = FrameResult(0, 0, 0.0, (Person(0, np.array([20, 20, 90, 80], np.float32), 0.9, keypoints),))
    grid = plan_grid(2, (160, 120))
    both = compose(image, ["first", "second"], [someone, None], grid, 0.3)
    assert both.shape == (grid.rows * (120 + grid.bar), grid.columns * 160, 3)
    panels = [
        both[r * (120 + grid.bar) : (r + 1) * (120 + grid.bar), c * 160 : (c + 1) * 160]
        for r in range(grid.rows)
        for c in range(grid.columns)
    ]
    assert (panels[0][grid.bar :] != 200).any()
    assert (panels[1][grid.bar :] == 200).all()
    titles = [panel[: grid.bar] for panel in panels[:2]]
    assert all(title.max() > 180 for title in titles)
    assert not np.array_equal(*titles)
    assert (image == 200).all()
