"""`yolo pose predict` of ultralytics on the same frames, for `speed.py`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from statistics import median
from typing import Any, Final

#: The peer, timed the same way: loaded and warm, annotated video written.
PEER: Final = """
import sys, tempfile, time
from pathlib import Path
from ultralytics import YOLO
clip, weights, frames = sys.argv[1], sys.argv[2], int(sys.argv[3])
with tempfile.TemporaryDirectory() as folder:
    model = YOLO(weights)
    if weights.endswith(".yaml"):  # untrained: good enough for its time
        model.save(str(Path(folder) / "peer.pt"))
        model = YOLO(str(Path(folder) / "peer.pt"), task="pose")
    options = dict(stream=True, verbose=False, device="cpu", save=True, project=folder)
    next(iter(model.predict(clip, **options)))
    begin, count = time.perf_counter(), 0
    for _ in model.predict(clip, **options):
        count += 1
        if count == frames:
            break
    print(count, time.perf_counter() - begin)
"""


def peer(options: argparse.Namespace) -> dict[str, Any]:
    """`yolo pose predict` on the same frames, in a process of its own."""
    environment = os.environ | {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    times = []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            environment["YOLO_CONFIG_DIR"] = folder
            command = [sys.executable, "-c", PEER, str(options.clip.resolve()), options.peer, str(options.frames)]
            done = subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True, text=True)
        count, seconds = done.stdout.split()[-2:]
        times.append(1000 * float(seconds) / int(count))
    return {"weights": options.peer, "ms per frame": median(times)}
