"""The marks of doubtful seconds, by node where no browser is at hand."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.resources import files

import pytest

import dcpose_cli.report
from dcpose_cli.results.quality import Reason

#: Two tracks of 50 frames at 25 per second; the video begins at 0.5 s.
SCRIPT = """
globalThis.document = {
  createElement: (name) => ({ name, style: {}, parts: [],
    append(...parts) { this.parts.push(...parts.map((part) => part.textContent ?? part)); },
    addEventListener(_, call) { this.click = call; } }),
};
globalThis.clock = (seconds) => seconds.toFixed(2);
const times = Array.from({ length: 50 }, (_, k) => k / 25);
const track = (id) => ({ id, frame: times.map((_, k) => k) });
const data = { offset: 0.5, times, tracks: [track(0), track(7)], meta: {
  doubts: [[1, 0, 1], [0, 1, 18]],
  reasons: REASONS,
} };
const went = [];
const doubts = new Doubts(data, (frame) => went.push(frame), (place) => went.push(["track", place]));
const box = { parts: [], replaceChildren(...all) { this.parts = all; }, append(text) { this.parts.push(text); } };
doubts.fill(box);
box.parts.forEach((button) => button.click());
const marks = [];
const context = { set fillStyle(colour) { marks.push([colour]); }, fillRect(...rect) { marks.at(-1).push(rect); } };
doubts.draw(context, 0, 10, 100, 12, [0, 2]);
doubts.draw(context, 1, 10, 100, 12, [0, 2]);
const legend = [];
doubts.legend({ append: (...parts) => legend.push(...parts) });
console.log(JSON.stringify({ texts: box.parts.map((button) => button.parts), went, marks,
  legend: legend.map((label) => [label.parts[0].style.background, label.parts[1]]) }));
"""


def test_marks_list_and_legend():
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    source = (files(dcpose_cli.report) / "doubts.js").read_text(encoding="utf-8")
    run = subprocess.run(
        [node, "-e", source + SCRIPT.replace("REASONS", json.dumps([r.value for r in Reason]))],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = json.loads(run.stdout)
    assert found["texts"] == [
        ["#7", "low confidence", "0.00"],  # second 0 begins before the video
        ["#0", "probable swap of the legs, filled gap", "0.50"],
    ]
    assert found["went"] == [0, ["track", 1], 13, ["track", 0]]
    colours = [mark[0] for mark in found["marks"]]
    assert found["legend"] == [
        [colours[2], "low confidence"],
        [colours[0], "probable swap of the legs"],
        [colours[1], "filled gap"],
    ]
    assert len(set(colours)) == 3
    # Second 1 of track 0 is 0.5 to 1.5 s of 2 s: columns 25 to 75 of 100, half for each reason; second 0 ends at 0.5 s.
    swap, filled, low = (mark[1] for mark in found["marks"])
    assert swap == [35, 12, 25, 4]
    assert filled == [60, 12, 25, 4]
    assert low == [10, 12, 25, 4]
