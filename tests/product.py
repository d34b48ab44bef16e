"""What tests of the whole chain share: clips, people that need no detector, and the command in a process of its own.

Not a test and not imported as a module: `runpy` reads it, so that the suite needs no package and no search path.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
#: Exit code -> the signal that asks for it.
SIGNALS = {130: signal.SIGINT, 143: signal.SIGTERM}
#: What the `dcpose` script does.
ENTRY = "from dcpose_cli.cli.app import main; main()"


class Crowd:
    """A detector that finds `count` people, the same in every frame, each at a place of its own.

    `fail`: raised at the call of that number, from 0.
    """

    name = "crowd"
    sha256 = "0" * 64

    def __init__(self, count=2, fail=None):
        self.count, self.fail, self.calls = count, fail or {}, 0

    def detect(self, images):
        from dcpose_cli import Detections

        if self.calls in self.fail:
            raise self.fail[self.calls]
        self.calls += 1
        height, width = images[0].shape[:2]
        columns = max(1, int(np.ceil(np.sqrt(self.count))))
        cell = width / columns, height / columns
        places = np.array([(i % columns, i // columns, 0.8, 0.8) for i in range(self.count)], np.float32).reshape(-1, 4)
        found = Detections(places * np.array(cell * 2, np.float32), np.full(self.count, 0.9, np.float32))
        return [found for _ in images]


#: One thread and one quality throughout: the bytes are the same on any number of cores, and frames alike have as many.
_ENCODING = {"libx264": {"preset": "ultrafast", "crf": "23"}, "mpeg2video": {"qmin": "12", "qmax": "12"}}


def make_clip(
    path, *, frames=12, size=(96, 64), fps=25, container=None, audio=False, gop=12, options=None, codec="libx264"
):
    """A clip of moving texture, so that every frame differs from the others and damage shows."""
    width, height = size
    texture = np.random.default_rng(7).integers(0, 255, (height, width + 4 * frames, 3), np.uint8)
    with av.open(str(path), "w", format=container, options=options or {}) as out:
        video = out.add_stream(codec, rate=fps, options={"threads": "1", **_ENCODING.get(codec, {})})
        context = video.codec_context
        context.width, context.height, context.pix_fmt, context.gop_size = width, height, "yuv420p", gop
        voice = "mp2" if str(path).endswith(".mpg") else "aac"
        sound = out.add_stream(voice, rate=48000) if audio else None
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(texture[:, index * 4 : index * 4 + width]))
            frame.pts, frame.time_base = index, Fraction(1, fps)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for block in range(int(frames / fps * 48000 / 1024) if sound else 0):
            tone = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.int16), format="s16", layout="stereo")
            tone.sample_rate, tone.pts, tone.time_base = 48000, block * 1024, Fraction(1, 48000)
            out.mux(sound.encode(tone))
        if sound:
            out.mux(sound.encode(None))
    return Path(path)


def save_random_detector(folder):
    """A detector with random weights that finds a few people in any picture; returns its folder."""
    import torch

    from dcpose_cli._ultralytics import detection_model
    from dcpose_cli.people.detector_files import save_detector

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = detection_model("yolov8n.yaml")
    head = list(model.model)[-1]
    for level, branch in enumerate(head.cv3):
        torch.nn.init.constant_(branch[-1].bias, 2.0 if level == 2 else -20.0)
    save_detector(model, Path(folder), name="random", imgsz=64)
    return Path(folder)


@functools.cache
def commands():
    """The commands of `dcpose` as click sees them, made once: that takes longer than some of them."""
    from typer.main import get_command

    from dcpose_cli.cli.app import app

    return get_command(app)


class Command:
    """Runs `dcpose`, with a given pose model and detector."""

    def __init__(self, model, detector):
        self.models = ["--model", str(model), "--detector", str(detector), "--device", "cpu", "--offline"]

    @staticmethod
    def environment(**changes):
        keep = {k: v for k, v in os.environ.items() if k not in ("DCPOSE_DEBUG", "FORCE_COLOR", "TERM", "NO_COLOR")}
        path = os.pathsep.join([str(ROOT), *filter(None, [keep.get("PYTHONPATH")])])
        merged = keep | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path} | changes
        return {k: str(v) for k, v in merged.items() if v is not None}

    def __call__(self, *args):
        """Run `dcpose args` in this process; what a process would end with."""
        from dcpose_cli.cli.console import run

        out, err = io.StringIO(), io.StringIO()
        handlers = {number: signal.getsignal(number) for number in SIGNALS.values()}
        debug = os.environ.pop("DCPOSE_DEBUG", None)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = run(lambda: commands()([*map(str, args)], prog_name="dcpose", standalone_mode=False))
        finally:
            os.environ.pop("DCPOSE_DEBUG", None)
            os.environ |= {} if debug is None else {"DCPOSE_DEBUG": debug}
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return subprocess.CompletedProcess(args, code, out.getvalue(), err.getvalue())

    def estimate(self, *args):
        """`dcpose estimate args` in this process, with this command's networks."""
        return self("estimate", *args, *self.models)

    def estimate_with(self, option, value, clip, out):
        """`dcpose estimate` in this process with one of this command's options changed."""
        args = list(self.models)
        args[args.index(option) + 1] = str(value)
        return self("estimate", clip, "-o", out, *args)

    def process(self, *args, cwd=None, env=None, timeout=100, before="", under=(), **options):
        """Run `dcpose args` in a process of its own; before: Python code for it to run first. under: a program, with
        its arguments, that runs it."""
        return subprocess.run(
            [*map(str, under), sys.executable, "-c", f"{before}\n{ENTRY}", *map(str, args)],
            cwd=cwd,
            env=self.environment(**(env or {})),
            timeout=timeout,
            text=True,
            errors="replace",
            check=False,
            **({"capture_output": True, "stdin": subprocess.DEVNULL} | options),
        )

    def start(self, *args, before="", cwd=None):
        """A running `dcpose args`."""
        return subprocess.Popen(
            [sys.executable, "-c", f"{before}\n{ENTRY}", *map(str, args)],
            cwd=cwd,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def require_package(kind):
    """Skip the test where the package of an output format is not installed."""
    import importlib.util

    import pytest

    if kind.needs is not None and importlib.util.find_spec(kind.needs[0]) is None:
        pytest.skip(f"needs {kind.needs[0]}: pip install 'dcpose[{kind.needs[1]}]'")


def files_in(folder):
    """Names of everything below a folder, hidden files too, sorted."""
    return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*") if not p.is_dir())


def one_line(result):
    """What a failed run said, after checking that it was one message and no traceback."""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("dcpose: "), lines
    assert result.stdout == ""
    return lines[0]


def wait_until(condition, seconds=60.0):
    """Poll until `condition()` is true; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
