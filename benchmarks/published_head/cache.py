"""Maps of augmented windows, made once by every source: all see the same crops, clean and damaged alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sources import Source

from dcpose_cli.training.data.augment import random_crops
from dcpose_cli.training.data.config import AugmentConfig
from dcpose_cli.training.data.pack import PoseSample

#: Windows between two notes of how far a cache is.
CHUNK = 16


@dataclass(frozen=True, slots=True)
class Shape:
    """crop, map: width and height of the crops that are cut, and of the head's maps."""

    crop: tuple[int, int]
    map: tuple[int, int]

    @property
    def stride(self) -> NDArray[np.float32]:
        """Pixels of the crop per pixel of the map, x and y."""
        return np.array([self.crop[0] / self.map[0], self.crop[1] / self.map[1]], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """maps: by source, (N, 3, 17, h, w) float16: current, previous, next. joints: (N, 17, 3) in pixels of the maps,
    weight. margin: (N, 2) float32."""

    maps: dict[str, NDArray[np.float16]]
    joints: NDArray[np.float32]
    margin: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.joints)


def cached_windows(
    sources: Sequence[Source],
    samples: Sequence[PoseSample],
    count: int,
    shape: Shape,
    augment: AugmentConfig,
    folder: Path,
    say: Callable[[str], None],
    seed: int = 1,
) -> Windows:
    """`count` windows of `samples` (three pictures each), in `folder` from then on; an interrupted cache continues."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {source.name: folder / f"{number}-{source.sha256[:12]}.npy" for number, source in enumerate(sources)}
    if not all(path.is_file() for path in (*files.values(), folder / "joints.npy")):
        _fill(sources, samples, count, shape, augment, folder, files, say, seed)
    return Windows(
        {name: np.load(path, mmap_mode="r") for name, path in files.items()},
        np.load(folder / "joints.npy"),
        np.load(folder / "margin.npy"),
    )


def _fill(
    sources: Sequence[Source],
    samples: Sequence[PoseSample],
    count: int,
    shape: Shape,
    augment: AugmentConfig,
    folder: Path,
    files: dict[str, Path],
    say: Callable[[str], None],
    seed: int,
) -> None:
    parts = {name: path.with_suffix(".part.npy") for name, path in files.items()}
    progress = folder / "done.txt"
    done = int(progress.read_text()) if progress.is_file() else 0
    size = (count, 3, 17, shape.map[1], shape.map[0])
    maps = {
        name: np.lib.format.open_memmap(path, "r+" if done else "w+", np.float16, None if done else size)
        for name, path in parts.items()
    }
    joints, margin = np.zeros((count, 17, 3), np.float32), np.zeros((count, 2), np.float32)
    for number in range(count):
        # What was made before is cut again for its labels: that is cheap beside the networks.
        sample, crops, found = _window(samples, number, shape, augment, seed)
        joints[number], margin[number] = found, sample.margin
        if number < done:
            continue
        for source in sources:
            maps[source.name][number] = source.maps(crops, shape.map).cpu().numpy()
        if (number + 1) % CHUNK == 0:
            for values in maps.values():
                values.flush()
            progress.write_text(str(number + 1))
            if (number + 1) % (16 * CHUNK) == 0:
                say(f"cached {number + 1} of {count} windows")
    for name, values in maps.items():
        values.flush()
        parts[name].replace(files[name])
    np.save(folder / "margin.npy", margin)
    np.save(folder / "joints.npy", joints)


def _window(
    samples: Sequence[PoseSample], number: int, shape: Shape, augment: AugmentConfig, seed: int
) -> tuple[PoseSample, NDArray[np.uint8], NDArray[np.float32]]:
    """A sample, its crops (3, H, W, 3), current first, and the joints (17, 3) of the current one in map pixels."""
    epoch, place = divmod(number, len(samples))
    sample = samples[int(np.random.default_rng([seed, epoch]).permutation(len(samples))[place])]
    rng = np.random.default_rng([seed, 1, number])
    other = samples[int(rng.integers(len(samples)))]
    crops = random_crops(sample, shape.crop, augment, rng, other=other, window=True)
    joints = crops.joints[1].copy()
    joints[:, :2] /= shape.stride
    return sample, np.ascontiguousarray(crops.images[[1, 0, 2]]), joints
