"""Joints beyond PoseTrack's fifteen, by their names: eyes, ears, feet, hands, faces, and whatever labels name.

People are paired as for AP, by the fifteen. A further joint is found within the distance that holds for the others of
its person. Joints that the predictions never have do not count: their model does not know them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..skeleton.sets import FACE, FEET, HANDS
from .poseval import MATCH, Video, head_size, outside, pairs


@dataclass(frozen=True, slots=True)
class NamedJoints:
    """annotated, found: by name of the joint, in the order in which they first occur in the labels."""

    annotated: dict[str, int]
    found: dict[str, int]

    def recall(self, name: str) -> float:
        """Of the annotated, those found, in percent."""
        return 100 * self.found[name] / self.annotated[name]

    def groups(self) -> dict[str, tuple[float, int]]:
        """Per cent found, and annotated joints, of eyes, ears, feet, hands and faces; other joints for themselves."""
        annotated, found = Counter[str](), Counter[str]()
        for name, count in self.annotated.items():
            annotated[_group(name)] += count
            found[_group(name)] += self.found[name]
        return {group: (100 * found[group] / count, count) for group, count in annotated.items()}


def evaluate_named(videos: Iterable[Video]) -> NamedJoints:
    """Further joints in pairs of (ground truth, predicted) frames."""
    annotated, found, known = Counter[str](), Counter[str](), set[str]()
    for truth, predicted in videos:
        for truth_frame, predicted_frame in zip(truth, predicted, strict=True):
            known |= {name for guess in predicted_frame.people for name in guess.further}
            people = outside(truth_frame.people, truth_frame.ignore)
            guesses = outside(predicted_frame.people, truth_frame.ignore)
            of_person = {column: guesses[row] for row, column in pairs(people, guesses)}
            for column, person in enumerate(people):
                places = of_person[column].further if column in of_person else {}
                for name, place in person.further.items():
                    annotated[name] += 1
                    apart = np.subtract(places.get(name, (np.inf, np.inf)), place)
                    found[name] += bool(np.hypot(*apart) <= MATCH * head_size(person))
    counted = [name for name in annotated if name in known]
    return NamedJoints({name: annotated[name] for name in counted}, {name: found[name] for name in counted})


def _group(name: str) -> str:
    if name in FEET:
        return "foot"
    if name in FACE:
        return "face"
    if any(name in hand for hand in HANDS.values()):
        return "hand"
    return name.removeprefix("left_").removeprefix("right_")
