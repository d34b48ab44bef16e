"""Whether a longer video costs more per frame, or more memory: a clip against itself many times over, in one run.

    python benchmarks/length.py crowd --times 10 --json length.json

Each in a process of its own: milliseconds per frame of the whole program, networks loaded before, and the most memory
the process ever held.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from accuracy import circumstances
from speed_clips import SCENES, make_clip

from dcpose_cli.files import write_atomic
from dcpose_cli.video.reader import VideoReader

#: Runs one video and prints frames, seconds and peak memory. Argument: JSON of the options.
CHILD = """
import json, resource, sys, tempfile, time
from pathlib import Path
import dcpose_cli
options = json.loads(sys.argv[1])
people = dcpose_cli.PoseEstimator(options["model"], options["device"], detector=options["detector"]).load()
with tempfile.TemporaryDirectory() as folder:
    begin = time.perf_counter()
    summary = dcpose_cli.estimate(options["clip"], Path(folder) / "out.mp4", estimator=people)
    seconds = time.perf_counter() - begin
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
print(json.dumps({"frames": summary.frames, "people": summary.people, "seconds": seconds, "MiB": peak}))
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path, help=f"a video, or {' or '.join(SCENES)}")
    parser.add_argument("--times", type=int, default=10, help="how much longer (default: %(default)s)")
    parser.add_argument("--model", default="auto")
    parser.add_argument("--detector", default="person-n")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, help="write the figures here too; an existing file is replaced")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        if str(options.clip) in SCENES:
            options.clip = make_clip(str(options.clip), Path(folder))
        # Both are made here, so that they are coded alike.
        runs = [
            run(repeated(options.clip, times, Path(folder) / f"{times}.mp4"), options) for times in (1, options.times)
        ]
    report: dict[str, Any] = {**circumstances(options.device), "clip": options.clip.name, "runs": runs}
    short, long = runs
    report["memory, long over short"] = long["MiB"] / short["MiB"]
    report["ms per frame, long over short"] = long["ms per frame"] / short["ms per frame"]
    print(as_text(report))
    if options.json is not None:
        write_atomic(options.json, json.dumps(report, indent=1) + "\n", overwrite=True)
    return 0


def repeated(clip: Path, times: int, target: Path) -> Path:
    """The clip `times` times in a row, as H.264 at a constant rate."""
    with av.open(str(target), "w") as out:
        stream, index = None, 0
        for _ in range(times):
            with VideoReader(clip) as reader:
                for frame in reader:
                    if stream is None:
                        rate = Fraction(reader.info.fps or 25).limit_denominator(1001)
                        stream = out.add_stream("libx264", rate=rate, options={"preset": "veryfast"})
                        stream.height, stream.width = (side - side % 2 for side in frame.image.shape[:2])
                        stream.pix_fmt = "yuv420p"
                    picture = av.VideoFrame.from_ndarray(frame.image[: stream.height, : stream.width].copy())
                    picture.pts, picture.time_base = index, 1 / rate
                    out.mux(stream.encode(picture))
                    index += 1
        if stream is not None:
            out.mux(stream.encode(None))
    return target


def run(clip: Path, options: argparse.Namespace) -> dict[str, Any]:
    settings = {"clip": str(clip), **{name: getattr(options, name) for name in ("model", "detector", "device")}}
    command = [sys.executable, "-c", CHILD, json.dumps(settings)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures | {"ms per frame": 1000 * figures["seconds"] / figures["frames"]}


def as_text(report: dict[str, Any]) -> str:
    lines = [f"{report['date']}, {report['machine']}: {report['clip']}", ""]
    for row in report["runs"]:
        size = f"{row['frames']:6} frames, {row['people']:6} people"
        lines.append(f"{size} {row['ms per frame']:8.1f} ms per frame {row['MiB']:6.0f} MiB")
    lines += [f"{name}: {report[name]:.3f}" for name in ("memory, long over short", "ms per frame, long over short")]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
