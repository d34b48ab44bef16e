from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dcpose_cli.types import Frame
from dcpose_cli.video.reader import VideoReader
from dcpose_cli.window import CUT_REACH, FLASH_FRAMES, is_cut, mark_cuts, thumbnail, windows


def scene(seed: int, count: int, first: int = 0) -> list[Frame]:
    """Frames of a smooth picture that drifts slowly; another seed is another scene."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 256, 3)
    ramp = np.linspace(-40, 40, 120)[None, :, None] * rng.uniform(-1, 1, 3)
    picture = np.clip(base + ramp + np.zeros((80, 1, 1)), 0, 255).astype(np.uint8)
    return [Frame(first + i, first + i, float(first + i), np.roll(picture, 2 * i, axis=1)) for i in range(count)]


def triples(frames: list[Frame], interval: int = 1) -> list[tuple[int, int, int, tuple[int, int]]]:
    return [(w.previous.index, w.current.index, w.next.index, w.margin) for w in windows(mark_cuts(frames), interval)]


def test_ends_are_clamped_with_margin_one():
    assert triples(scene(1, 3)) == [(0, 0, 1, (1, 1)), (0, 1, 2, (1, 1)), (1, 2, 2, (1, 1))]


@pytest.mark.parametrize("count", [1, 2])
def test_shortest_clips(count):
    found = triples(scene(1, count))
    assert [t[1] for t in found] == list(range(count))
    assert found[0][0] == 0
    assert found[-1][2] == count - 1


def test_interval_and_its_margins():
    found = triples(scene(1, 6), interval=2)
    assert found[0] == (0, 0, 2, (1, 2))
    assert found[1] == (0, 1, 3, (1, 2))
    assert found[3] == (1, 3, 5, (2, 2))
    assert found[4] == (2, 4, 5, (2, 1))
    assert found[5] == (3, 5, 5, (2, 1))


def test_never_across_a_cut():
    frames = [*scene(1, 3), *scene(2, 3, first=3)]
    assert is_cut(thumbnail(frames[2].image), thumbnail(frames[3].image))
    found = triples(frames)
    assert found[2] == (1, 2, 2, (1, 1))
    assert found[3] == (3, 3, 4, (1, 1))


def test_motion_and_light_are_no_cuts():
    rng = np.random.default_rng(5)
    picture = rng.integers(0, 256, (9, 16, 3)).repeat(20, axis=0).repeat(20, axis=1).astype(np.uint8)
    moved = np.roll(picture, 60, axis=1)
    brighter = np.clip(picture * 1.1 + 5, 0, 255).astype(np.uint8)
    assert np.abs(picture.astype(int) - moved).mean() > 28
    assert not is_cut(thumbnail(picture), thumbnail(moved))
    assert not is_cut(thumbnail(picture), thumbnail(brighter))


def cuts(frames: list[Frame]) -> list[int]:
    return [frame.index for frame in mark_cuts(frames) if frame.cut]


@pytest.mark.parametrize("length", range(1, FLASH_FRAMES + 3))
def test_a_flash_is_no_cut(length):
    frames = scene(1, 30)
    for k in range(12, 12 + length):
        frames[k] = replace(frames[k], image=255 - frames[k].image)
    assert is_cut(thumbnail(frames[11].image), thumbnail(frames[12].image))
    assert cuts(frames) == ([] if length <= FLASH_FRAMES else [12, 12 + length])


def square(seed: int, count: int, first: int) -> list[Frame]:
    """Frames of a picture with edges, which drifts slowly; another seed is another place with other colours."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 200, 3) + rng.integers(-55, 56, (6, 10, 1)).repeat(20, axis=0).repeat(20, axis=1)
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    return [Frame(k, k, float(k), np.roll(picture, k - first, axis=1)) for k in range(first, first + count)]


LIGHTS = {
    "white": lambda picture: np.full_like(picture, 255),
    "black": np.zeros_like,
    "bright": lambda picture: np.clip(picture * 0.3 + 255 * 0.7, 0, 255).astype(np.uint8),
    "overexposed": lambda picture: np.clip(picture * 2.0 + 60, 0, 255).astype(np.uint8),
    "red": lambda picture: np.clip(picture * [1.2, 0.2, 0.2] + [60, 0, 0], 0, 255).astype(np.uint8),
}


@pytest.mark.parametrize("length", [1, FLASH_FRAMES])
@pytest.mark.parametrize("light", LIGHTS)
def test_another_light_for_a_moment_is_no_cut(light, length):
    frames = square(3, 24, 0)
    for k in range(10, 10 + length):
        frames[k] = replace(frames[k], image=LIGHTS[light](frames[k].image))
    assert is_cut(thumbnail(frames[9].image), thumbnail(frames[10].image))
    assert cuts(frames) == []


@pytest.mark.parametrize("length", range(1, FLASH_FRAMES + 2))
def test_another_place_for_a_moment_is_a_scene_of_its_own(length):
    """The first scene comes back afterwards, which makes it no flash: other people are to be seen in between."""
    back = 10 + length
    frames = [*square(3, 10, 0), *square(4, length, 10), *square(3, 20 - back, back)]
    assert cuts(frames) == [10, back]
    damaged = [replace(frame, damaged=10 <= frame.index < back) for frame in frames]
    assert cuts(damaged) == ([] if length <= FLASH_FRAMES else [10, back])


def test_scenes_of_two_frames_in_turn_all_begin_with_a_cut():
    frames = [frame for k in range(0, 16, 4) for frame in (*square(3, 2, k), *square(4, 2, k + 2))]
    assert cuts(frames) == list(range(2, 16, 2))
    for start in range(len(frames)):
        part = frames[max(0, start - CUT_REACH) : start + 1 + CUT_REACH]
        assert [k for k in cuts(part) if k == start] == [k for k in cuts(frames) if k == start]


def test_cuts_in_a_part_are_those_of_the_whole():
    frames = [*scene(1, 9), *scene(2, 2, 9), *scene(5, 9, 11), *scene(2, 1, 20), *scene(5, 9, 21), *scene(1, 3, 30)]
    whole = cuts(frames)
    assert whole == [9, 11, 30]
    for start in range(len(frames)):
        for end in range(start + 1, len(frames) + 1):
            part = frames[max(0, start - CUT_REACH) : end + CUT_REACH]
            assert [k for k in cuts(part) if start <= k < end] == [k for k in whole if start <= k < end]


def test_frames_are_held_back_only_while_they_may_be_a_cut():
    taken = []
    frames = [*scene(1, 8), *scene(2, 8, 8)]

    def stream():
        for frame in frames:
            taken.append(frame.index)
            yield frame

    # Frame 8 waits for three more; those behind it come without delay once it has been decided.
    ahead = [len(taken) - frame.index - 1 for frame in mark_cuts(stream())]
    assert ahead == [0] * 8 + [3, 2, 1, 0] + [0] * 4


@pytest.mark.shared
def test_real_clips_have_no_cuts_and_the_cut_clip_has_one(shared):
    for name in ("sam2_bedroom.mp4", "sam2_dog.mp4", "mgt_dancer.avi", "decord_pancake.mkv", "p2s_single_cam04.mp4"):
        with VideoReader(shared / "videos" / name, max_frames=600) as reader:
            assert cuts(reader) == [], name
    with VideoReader(shared / "cases" / "users" / "scene-cut-same-track" / "cut.mp4") as reader:
        assert cuts(reader) == [20]


def test_only_frames_in_flight_are_held():
    alive = 0

    class Tracked(np.ndarray):
        def __del__(self):
            nonlocal alive
            alive -= 1

    def stream():
        nonlocal alive
        for i in range(40):
            alive += 1
            yield Frame(i, i, float(i), np.zeros((8, 8, 3), np.uint8).view(Tracked))
            assert alive < 25  # views count too

    assert sum(1 for _ in windows(mark_cuts(stream()), 2)) == 40


def test_interval_must_be_positive():
    with pytest.raises(ValueError, match="interval"):
        next(windows([], 0))


def test_farther_neighbours_are_clamped_to_the_scene():
    frames = [*scene(1, 5), *scene(2, 2, first=5)]
    found = [[f.index for f in w.frames] for w in windows(mark_cuts(frames), reach=2)]
    assert found[2] == [0, 1, 2, 3, 4]
    assert found[0] == [0, 0, 0, 1, 2]
    assert found[3] == [1, 2, 3, 4, 4]
    assert found[6] == [5, 5, 6, 6, 6]
    wide = [[f.index for f in w.frames] for w in windows(scene(1, 7), interval=2, reach=2)]
    assert wide[3] == [0, 1, 3, 5, 6]
    assert len(wide) == 7
    with pytest.raises(ValueError, match="at least 1"):
        next(windows(frames, reach=0))
