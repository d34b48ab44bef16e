"""Searches at a size: tiles, surroundings, merging, the choice of a size; with a detector whose limits are known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from dcpose_cli.people.search import (
    LARGEST_TILE,
    TILE_OVERLAP,
    choose_size,
    has_sizes,
    merged,
    search,
    surroundings,
    tiles,
)
from dcpose_cli.types import Detections


class Eyes:
    """Finds bright rectangles that are 20 to 200 pixels tall once scaled; a cut one only where it is cut.

    seen: (pixels the network saw, as width and height) of every image.
    """

    imgsz = 384

    def __init__(self):
        self.seen = []

    def detect(self, images, size=None):
        return [self._one(image, size or self.imgsz) for image in images]

    def _one(self, image, size):
        height, width = image.shape[:2]
        scale = size / max(height, width)
        self.seen.append((round(width * scale), round(height * scale)))
        boxes = []
        for value in np.unique(image[..., 0]):
            ys, xs = np.nonzero(image[..., 0] == value)
            box = xs.min(), ys.min(), xs.max() + 1 - xs.min(), ys.max() + 1 - ys.min()
            if value and 20 <= box[3] * scale <= 200:
                boxes.append(box)
        return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.full(len(boxes), 0.8, np.float32))


def picture(boxes, width=1920, height=1080):
    image = np.zeros((height, width, 3), np.uint8)
    for number, (x, y, w, h) in enumerate(boxes, start=1):
        image[y : y + h, x : x + w] = number
    return image


SMALL = [(100, 100, 15, 40), (940, 500, 15, 40), (1800, 1000, 15, 40)]
LARGE = [(300, 200, 200, 700)]


def rows(found):
    return sorted(map(tuple, found.boxes.astype(int).tolist()))


def test_the_own_size_is_one_look_at_the_whole_frame():
    eyes = Eyes()
    [found] = search(eyes, [picture(SMALL + LARGE)], 384)
    assert rows(found) == LARGE
    assert eyes.seen == [(384, 216)]


def test_a_smaller_size_is_looked_at_as_it_is():
    eyes = Eyes()
    search(eyes, [picture(LARGE)], 256)
    assert eyes.seen == [(256, 144)]


@pytest.mark.parametrize("size", [1280, 1920, 3840])
def test_a_larger_size_finds_the_small_and_keeps_the_large(size):
    [found] = search(Eyes(), [picture(SMALL + LARGE)], size)
    assert rows(found) == sorted(SMALL + LARGE)


@pytest.mark.parametrize(
    ("width", "height", "scale"), [(1920, 1080, 1.0), (3840, 2160, 1.0), (3840, 2160, 0.5), (1080, 1920, 2.0)]
)
def test_tiles_cover_the_frame_overlap_and_are_not_too_long(width, height, scale):
    parts = tiles(width, height, scale)
    covered = np.zeros((height, width), bool)
    for part in parts:
        assert 0 <= part.x <= part.x + part.width <= width
        assert 0 <= part.y <= part.y + part.height <= height
        assert max(part.width, part.height) * scale <= LARGEST_TILE + 1
        covered[part.y : part.y + part.height, part.x : part.x + part.width] = True
    assert covered.all()
    xs = sorted({part.x for part in parts})
    overlaps = [first + parts[0].width - second for first, second in pairwise(xs)]
    assert all(overlap * scale >= TILE_OVERLAP - 2 for overlap in overlaps)


def test_people_on_a_border_between_tiles_are_found_once():
    xs = {part.x for part in tiles(3840, 2160, 1.0)} - {0}
    boxes = [(x - 5, 300, 15, 40) for x in sorted(xs)]
    [found] = search(Eyes(), [picture(boxes, 3840, 2160)], 3840)
    assert rows(found) == boxes


def test_later_frames_are_searched_where_people_are():
    """Surroundings of the people of the first frame; somebody new far from them waits for the next first frame."""
    eyes = Eyes()
    moved = [(x + 20, y - 10, w, h) for x, y, w, h in SMALL]
    first, second = search(eyes, [picture(SMALL), picture([*moved, (1400, 200, 15, 40)])], 1920)
    assert rows(first) == SMALL
    assert rows(second) == moved
    whole = 1920 * 1080
    assert sum(w * h for w, h in eyes.seen[4:]) < 0.1 * whole < sum(w * h for w, h in eyes.seen[2:4])


def test_unsure_detections_are_not_followed():
    class Unsure(Eyes):
        def detect(self, images, size=None):
            return [Detections(d.boxes, d.scores / 4) for d in super().detect(images, size)]

    eyes = Unsure()
    first, second = search(eyes, [picture(SMALL), picture(SMALL)], 1920)
    assert rows(first) == SMALL
    assert rows(second) == []
    assert len(eyes.seen) == 2 + len(tiles(1920, 1080, 1.0))


def test_nobody_in_the_first_frame_costs_one_more_look_only():
    eyes = Eyes()
    search(eyes, [picture([]), picture([]), picture([])], 960)
    assert len(eyes.seen) == 3 + 1


def test_surroundings_that_meet_are_joined_and_many_become_the_whole_frame():
    near = np.array([[500, 500, 20, 60], [560, 500, 20, 60]], np.float32)
    [part] = surroundings(near, 1920, 1080, 1.0)
    assert part.x < 500 - 60
    assert part.x + part.width > 580 + 60
    many = np.array([[x, y, 60, 200] for x in range(0, 1900, 200) for y in range(0, 1000, 250)], np.float32)
    assert surroundings(many, 1920, 1080, 1.0) == tiles(1920, 1080, 1.0)
    assert surroundings(np.zeros((0, 4), np.float32), 1920, 1080, 1.0) == []


def test_parts_of_somebody_near_the_camera_are_no_people():
    """At a larger size the detector sees a bright head on the large body, too."""
    image = picture(LARGE)
    image[220:270, 380:420] = 9
    [found] = search(Eyes(), [image], 1920)
    assert rows(found) == LARGE


def test_merged_keeps_the_better_of_two_boxes_of_one_person():
    boxes = np.array([[0, 0, 10, 40], [1, 0, 10, 42], [1, 1, 9, 24], [100, 0, 10, 40]], np.float32)
    found = merged(Detections(boxes, np.array([0.6, 0.9, 0.5, 0.7], np.float32)))
    assert found.scores.tolist() == pytest.approx([0.9, 0.7])


def test_the_smallest_size_that_finds_everybody_is_chosen():
    heights = {384: 300, 640: 70, 960: 45, 1280: 32, 1920: 21}
    for size, height in heights.items():
        image = picture([(200, 200, 15, height), (900, 300, 15, height)])
        assert choose_size(Eyes(), 1920, lambda image=image: [image]) == size
    assert choose_size(Eyes(), 1920, lambda: [picture([])]) == 384


def test_a_frame_whose_people_the_own_size_finds_decides_alone():
    def frames(*pictures):
        yield from pictures
        pytest.fail("another frame was read")

    eyes = Eyes()
    assert choose_size(eyes, 1920, lambda: frames(picture([]), picture(LARGE))) == 384
    assert len(tiles(1920, 1080, 1.0)) * 2 + 3 == len(eyes.seen)


def test_a_frame_with_people_only_a_larger_size_finds_does_not_decide_alone():
    """In the first frame, the own size is sure of one of two; in all of them of enough."""
    crowd = picture([(60 + 150 * k, 100, 15, 200) for k in range(12)])
    assert choose_size(Eyes(), 1920, lambda: [picture([*LARGE, (900, 300, 15, 30)]), crowd]) == 384


def test_the_own_size_must_be_sure_of_who_is_likely_at_the_largest():
    class Unsure(Eyes):
        """Sure of a tall person alone."""

        def detect(self, images, size=None):
            return [
                Detections(found.boxes, np.where(found.boxes[:, 3] > 100, 0.8, 0.3).astype(np.float32))
                for found in super().detect(images, size)
            ]

    read = []

    def frames(*pictures):
        for image in pictures:
            read.append(image)
            yield image

    two = picture([*LARGE, (900, 300, 15, 30)])
    assert choose_size(Unsure(), 1920, lambda: frames(two, two, two)) == 384
    assert len(read) == 3


def test_larger_frames_are_first_searched_at_a_size_that_costs_less():
    eyes = Eyes()
    assert choose_size(eyes, 3840, lambda: [picture(LARGE, 3840, 2160)]) == 384
    assert len(eyes.seen) == len(tiles(3840, 2160, 0.5)) + 2
    assert choose_size(Eyes(), 3840, lambda: [picture([*LARGE, (3000, 300, 15, 45)], 3840, 2160)]) == 1920


def test_small_frames_are_not_read():
    assert choose_size(Eyes(), 960, lambda: pytest.fail("read")) == 384


def test_one_more_person_in_many_does_not_decide():
    crowd = [(60 + 150 * k, 100, 15, 200) for k in range(11)]
    image = picture([*crowd, (500, 800, 15, 24)])
    assert choose_size(Eyes(), 1920, lambda: [image]) == 384


def test_detectors_without_sizes_are_known():
    assert has_sizes(Eyes())
    assert not has_sizes(object())
