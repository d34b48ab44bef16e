"""Points in, on and outside polygons."""

from __future__ import annotations

import numpy as np
import pytest

from dcpose_cli.evaluation.polygons import strictly_inside

SQUARE = [(0, 0), (10, 0), (10, 10), (0, 10)]
ARROW = [(0, 0), (10, 5), (0, 10), (4, 5)]


@pytest.mark.parametrize(
    ("polygon", "point", "inside"),
    [
        (SQUARE, (5, 5), True),
        (SQUARE, (0.001, 9.999), True),
        (SQUARE, (0, 5), False),
        (SQUARE, (5, 10), False),
        (SQUARE, (10, 10), False),
        (SQUARE, (0, 0), False),
        (SQUARE, (11, 5), False),
        (SQUARE, (-1, 0), False),
        (SQUARE, (-1, 10), False),
        (SQUARE, (5, -0.001), False),
        (ARROW, (2, 5), False),
        (ARROW, (5, 5), True),
        (ARROW, (4, 5), False),
        (ARROW, (-3, 5), False),
        ([(0, 0), (10, 10)], (5, 5), False),
        ([], (0, 0), False),
    ],
)
def test_strictly_inside(polygon: list[tuple[float, float]], point: tuple[float, float], inside: bool) -> None:
    corners = np.array(polygon, float).reshape(-1, 2)
    assert strictly_inside(np.array(point, float), corners) is inside
    assert strictly_inside(np.array(point, float), corners[::-1]) is inside
    closed = np.concatenate([corners, corners[:1]])
    assert strictly_inside(np.array(point, float), closed) is inside


def test_against_half_planes_on_random_triangles() -> None:
    rng = np.random.default_rng(3)
    answers = []
    for _ in range(500):
        triangle, point = rng.uniform(-1, 1, (3, 2)), rng.uniform(-1, 1, 2)
        sides = np.roll(triangle, -1, axis=0) - triangle
        toward = point - triangle
        turn = sides[:, 0] * toward[:, 1] - sides[:, 1] * toward[:, 0]
        answers.append(bool((turn > 0).all() or (turn < 0).all()))
        assert strictly_inside(point, triangle) is answers[-1]
    assert 20 < sum(answers) < 400
