"""Reading held-out sets and measuring an estimator on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcpose_cli.errors import InputError
from dcpose_cli.evaluation.heldout import measure_parts, read_pictures, run_heldout
from dcpose_cli.skeleton import EAR_SLOTS


def folder_of(data: Path) -> Path:
    return data / "heldout-dev"


def test_pictures_people_and_colours(heldout_set: Path) -> None:
    pictures = list(read_pictures(folder_of(heldout_set)))
    assert [picture.source for picture in pictures] == ["somewhere"] * 3 + ["lspet"]  # nobody with joints in 3
    assert [len(picture.boxes) for picture in pictures] == [1, 2, 1, 1]
    first = pictures[1]
    assert first.image.shape == (160, 120, 3)
    assert first.image[0, 0].tolist() == [50, 0, 0]
    assert first.boxes[0].tolist() == [10, 10, 95, 95]
    assert first.areas.tolist() == [9025, 9025]
    assert (first.truth[:, list(EAR_SLOTS)] == 0).all()
    assert (first.truth[:, :, 2] > 0).sum() == 30


@pytest.mark.parametrize("flip", [False, True])
def test_a_perfect_estimator(heldout_set: Path, oracle: Any, flip: bool) -> None:
    estimator = oracle()
    poses = run_heldout(estimator, read_pictures(folder_of(heldout_set)), flip=flip)
    parts = measure_parts(poses)
    assert {name: part.people for name, part in parts.items()} == {"stills": 4, "lspet": 1}
    for part in parts.values():
        assert part.torso.total.value == 1
        assert part.head.total.value == 1
        assert part.oks.mean == pytest.approx(1, abs=1e-6)
    assert [mirrored for _, mirrored, _ in estimator.calls].count(True) == (4 if flip else 0)


def test_the_flip_test_mirrors_boxes_and_averages(heldout_set: Path, oracle: Any) -> None:
    estimator = oracle(shift=6.0)
    pictures = list(read_pictures(folder_of(heldout_set)))
    poses = run_heldout(estimator, iter(pictures), flip=True)
    boxes = {mirrored: boxes for number, mirrored, boxes in estimator.calls if number == 0}
    assert boxes[True][0].tolist() == [119 - 105, 10, 95, 95]
    assert boxes[False][0].tolist() == [10, 10, 95, 95]
    # An error to the right in both pictures is one to the left after mirroring back: the mean has none.
    labelled = poses.truth[:, :, 2] > 0
    np.testing.assert_allclose(poses.predicted[labelled][:, :2], poses.truth[labelled][:, :2], atol=1e-4)
    plain = run_heldout(estimator, iter(pictures))
    np.testing.assert_allclose((plain.predicted - poses.truth)[labelled][:, 0], 6, atol=1e-4)


def test_a_bad_estimator(heldout_set: Path, oracle: Any) -> None:
    parts = measure_parts(run_heldout(oracle(shift=500), read_pictures(folder_of(heldout_set))))
    assert parts["stills"].torso.total.value == 0
    assert parts["stills"].torso.total.joints == 60
    assert parts["lspet"].oks.mean == pytest.approx(0, abs=1e-9)


def test_broken_sets_are_named(heldout_set: Path, tmp_path: Path) -> None:
    folder = folder_of(heldout_set)
    with pytest.raises(InputError, match="cannot read"):
        list(read_pictures(tmp_path / "none"))
    data = json.loads((folder / "heldout-dev.json").read_text())
    for change in ({"images": 3}, {"categories": []}, {"annotations": [{"keypoints": [1, 2, 3]}]}):
        (folder / "heldout-dev.json").write_text(json.dumps(data | change))
        with pytest.raises(InputError, match=r"heldout-dev\.json"):
            list(read_pictures(folder))
    data["images"][0]["file_name"] = "gone.png"
    (folder / "heldout-dev.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"gone\.png"):
        list(read_pictures(folder))
    (folder / "heldout-dev.tar").write_bytes(b"not a tar")
    with pytest.raises(InputError, match="cannot read"):
        list(read_pictures(folder))


def test_a_set_without_people_is_refused(oracle: Any) -> None:
    with pytest.raises(InputError, match="nobody"):
        run_heldout(oracle(), iter(()))


@pytest.mark.shared
def test_counts_of_the_real_set(shared: Path) -> None:
    class Still:
        """Says nothing right; only the counts of labelled joints matter."""

        def poses(self, previous: Any, current: Any, next: Any, boxes: Any, margin: Any = (1, 1)) -> np.ndarray:  # noqa: A002
            assert current.ndim == 3
            return np.full((len(boxes), 17, 3), -1e6, np.float32)

    parts = measure_parts(run_heldout(Still(), read_pictures(shared / "data" / "heldout-dev")))
    counts = {name: (part.people, part.head.total.joints, part.torso.total.joints) for name, part in parts.items()}
    # People and joints as the set's own description lists them.
    assert counts == {"stills": (47, 157, 428), "lspet": (500, 5192, 4903)}
    assert parts["lspet"].head.total.hits == 0
