"""Mutated clips through the library and through the command, mutated results through the reader, and mutated headers,
recipes, data sets and checkpoints through the commands that read them (headers.py).

    python tests/fuzz/run.py --clips 2000 --commands 100 --results 20000 --headers 5000 --seed 1

Every clip is made from a seed, so that a finding can be made again: `--clips 1 --seed N`. A finding is an error that is
not documented, a run of more than 30 s, or a file where none belongs. Not imported as a module: the tests read it with
`runpy`.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import random
import runpy
import sys
import tempfile
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

TESTS = Path(__file__).resolve().parents[1]
#: Longest a clip may take, seconds.
LIMIT_SECONDS = 30.0
#: name -> (video codec, sound codec, container, options of the container)
KINDS = {
    "h264.mp4": ("libx264", "aac", "mp4", {}),
    "fragments.mp4": ("libx264", "aac", "mp4", {"movflags": "frag_keyframe+empty_moov"}),
    "h264.ts": ("libx264", "aac", "mpegts", {}),
    "h264.flv": ("libx264", "aac", "flv", {}),
    "raw.h264": ("libx264", None, "h264", {}),
    "opus.mkv": ("libx264", "libopus", "matroska", {}),
    "vp9.webm": ("libvpx-vp9", "libopus", "webm", {}),
    "mpeg4.avi": ("mpeg4", "libmp3lame", "avi", {}),
    "mjpeg.avi": ("mjpeg", "pcm_s16le", "avi", {}),
    "prores.mov": ("prores_ks", "pcm_s16le", "mov", {}),
    "wmv.asf": ("wmv2", "wmav2", "asf", {}),
    "mpeg.mpg": ("mpeg2video", "mp2", "mpeg", {}),
    "ffv1.mkv": ("ffv1", "flac", "matroska", {}),
    "picture.gif": ("gif", None, "gif", {}),
    "alpha.mov": ("qtrle", None, "mov", {}),
    "plain.y4m": ("rawvideo", None, "yuv4mpegpipe", {}),
}
_PIXELS = {"mjpeg": "yuvj420p", "prores_ks": "yuv422p10le", "gif": "rgb8", "qtrle": "argb"}
_EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def make_seeds(folder):
    """One small clip of every kind this FFmpeg can write; {name: bytes}."""
    found = {}
    for name, (codec, sound, container, options) in KINDS.items():
        path = Path(folder) / name
        try:
            _make(path, codec, sound, container, options)
        except (av.FFmpegError, ValueError):
            continue
        found[name] = path.read_bytes()
        path.unlink()
    return found


def _make(path, codec, sound, container, options):
    rng = np.random.default_rng(1)
    texture = rng.integers(0, 255, (32, 96, 3), np.uint8)
    with av.open(str(path), "w", format=container, container_options=options) as out:
        quick = {"preset": "ultrafast", "threads": "1"} if codec == "libx264" else {}
        video = out.add_stream(codec, rate=25, options=quick)
        context = video.codec_context
        context.width, context.height, context.pix_fmt = 48, 32, _PIXELS.get(codec, "yuv420p")
        voice = out.add_stream(sound, rate=48000) if sound else None
        if voice is not None:
            voice.codec_context.layout = "stereo"
        for index in range(8):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(texture[:, index * 4 : index * 4 + 48]))
            frame = frame.reformat(format=context.pix_fmt)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for block in range(12 if voice else 0):
            tone = av.AudioFrame.from_ndarray(rng.integers(-999, 999, (1, 2048)).astype(np.int16), format="s16")
            tone.sample_rate, tone.pts, tone.time_base = 48000, block * 1024, Fraction(1, 48000)
            out.mux(voice.encode(tone))
        if voice is not None:
            out.mux(voice.encode(None))


def mutate(raw, others, rng):
    """`raw` with one to four changes; others: what may be spliced in."""
    data = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 4))):
        if len(data) < 16:
            break
        at, length = rng.randrange(len(data)), min(len(data) // 4, rng.choice((1, 4, 16, 64, 256, 1024)))
        kind = rng.randrange(8)
        if kind == 0:
            for _ in range(rng.choice((1, 3, 10, 50))):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at : at + length] = bytes([rng.choice((0, 0xFF))]) * length
        elif kind == 2:
            del data[at : at + length]
        elif kind == 3:
            data[at:at] = data[at : at + length]
        elif kind == 4:
            del data[max(16, at) :]
        elif kind == 5:  # a number in a header
            place = rng.randrange(min(len(data) - 4, 2048))
            data[place : place + 4] = rng.choice(_EXTREMES).to_bytes(4, rng.choice(("big", "little")))
        elif kind == 6:
            other = rng.choice(others)
            begin = rng.randrange(len(other))
            data[at : at + length] = other[begin : begin + length]
        else:
            data[at : at + length] = bytes(rng.randrange(256) for _ in range(length))
    return bytes(data)


def clip_of(seed, seeds):
    """(name, bytes) of the mutated clip with this number."""
    rng = random.Random(seed)
    name = rng.choice(sorted(seeds))
    return name, mutate(seeds[name], list(seeds.values()), rng)


def fuzz_library(numbers, seeds, estimator, folder):
    """Clips through `estimate` in this process: ({kind of end: count}, findings)."""
    from dcpose_cli import DCPoseError, InputError, estimate

    ends, findings = Counter(), []
    for number in numbers:
        name, data = clip_of(number, seeds)
        source, out = folder / f"in_{name}", folder / "out"
        out.mkdir(exist_ok=True)
        source.write_bytes(data)
        began = time.monotonic()
        faulthandler.dump_traceback_later(LIMIT_SECONDS * 4, exit=True)
        try:
            estimate(source, out / "x.mp4", estimator=estimator)
            end = "done"
        except InputError:
            end = "refused"
        except DCPoseError as error:
            end = type(error).__name__
            findings.append((number, name, repr(error)))
        except Exception as error:
            end = "crash"
            findings.append((number, name, repr(error)))
        finally:
            faulthandler.cancel_dump_traceback_later()
        ends[end] += 1
        findings += _wrong_files(number, name, folder, out, done=end == "done")
        if time.monotonic() - began > LIMIT_SECONDS:
            findings.append((number, name, f"{time.monotonic() - began:.0f} s"))
    return ends, findings


def fuzz_command(numbers, seeds, command, folder):
    """Clips through `dcpose estimate`, a process each: ({exit code: count}, findings)."""
    codes, findings = Counter(), []
    for number in numbers:
        name, data = clip_of(number, seeds)
        source, out = folder / f"in_{name}", folder / "out"
        out.mkdir(exist_ok=True)
        source.write_bytes(data)
        result = command.process("estimate", source, "-o", out / "x.mp4", *command.models, cwd=folder, timeout=600)
        codes[result.returncode] += 1
        if result.returncode not in (0, 3, 8) or "Traceback" in result.stderr:
            findings.append((number, name, f"exit {result.returncode}: {result.stderr[-300:]}"))
        findings += _wrong_files(number, name, folder, out, done=result.returncode in (0, 8))
    return codes, findings


def _wrong_files(number, name, folder, out, *, done):
    """What lies where it should not; the folder is empty afterwards."""
    wanted = {f"in_{name}", *(("out/x.mp4", "out/x.json") if done else ())}
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    for path in (*out.iterdir(), *folder.glob("in_*")):
        path.unlink()
    return [(number, name, f"files {sorted(there ^ wanted)}")] if there != wanted else []


def fuzz_results(numbers, raw, path):
    """Mutated result files through `read_posetrack`: ({kind of end: count}, findings)."""
    from dcpose_cli import InputError, read_posetrack

    ends, findings = Counter(), []
    for number in numbers:
        rng = random.Random(number)
        path.write_bytes(mutate(raw, [raw], rng) if rng.random() < 0.5 else _other_json(raw, rng))
        try:
            result = read_posetrack(path)
            bad = [p for f in result.frames for p in f.people if not np.isfinite(p.keypoints).all()]
            ends["read"] += 1
            findings += [(number, "result", "not finite")] if bad else []
        except InputError:
            ends["refused"] += 1
        except Exception as error:
            findings.append((number, "result", repr(error)))
    return ends, findings


def _other_json(raw, rng):
    """Some numbers and words replaced by others."""
    words = raw.split(b",")
    for _ in range(rng.choice((1, 1, 2, 5))):
        values = (b"-1", b"1e999", b"1e-400", b"null", b"true", b'"x"', b"[]", b"{}", b"9" * 400, b"0.5", b"NaN")
        at = rng.randrange(len(words))
        head, colon, _ = words[at].rpartition(b":")
        words[at] = head + colon + rng.choice(values)
    return b",".join(words)


def small_estimator(folder, product):
    """Small random networks: (estimator that finds one person, pose model, detector)."""
    import torch

    from dcpose_cli import PoseEstimator
    from dcpose_cli.checkpoints.files import save_model
    from dcpose_cli.nets import HRNet, HRNetConfig
    from dcpose_cli.nets.hrnet import init_weights

    torch.manual_seed(3)
    net = HRNet(HRNetConfig(width=8, stem=8, layer1_width=8, layer1_blocks=1, modules=(1, 1, 1), blocks=(1, 1, 1)))
    init_weights(net)
    save_model(net, folder / "tiny", name="tiny", input_size=(48, 64))
    (folder / "detector").mkdir()
    detector = product["save_random_detector"](folder / "detector")
    return PoseEstimator(folder / "tiny", "cpu", detector=product["Crowd"](1)), folder / "tiny", detector


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=2000, help="through the library, in this process")
    parser.add_argument("--commands", type=int, default=100, help="through `dcpose estimate`")
    parser.add_argument("--results", type=int, default=2000, help="mutated result files")
    parser.add_argument("--headers", type=int, default=400, help="mutated files of other kinds, through commands")
    parser.add_argument("--seed", type=int, default=0, help="number of the first clip")
    args = parser.parse_args()
    faulthandler.enable()
    product = runpy.run_path(str(TESTS / "product.py"))
    findings = []
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        base, work = Path(name), Path(name) / "work"
        work.mkdir()
        seeds = make_seeds(base)
        estimator, model, detector = small_estimator(base, product)
        print(f"{len(seeds)} kinds: {', '.join(seeds)}")
        for first in range(args.seed, args.seed + args.clips, 100):
            numbers = range(first, min(first + 100, args.seed + args.clips))
            ends, found = fuzz_library(numbers, seeds, estimator, work)
            findings += found
            print(f"clips {numbers.start}-{numbers.stop - 1}: {dict(ends)} {found or ''}", flush=True)
        numbers = range(args.seed, args.seed + args.commands)
        codes, found = fuzz_command(numbers, seeds, product["Command"](model, detector), work)
        findings += found
        print(f"{args.commands} commands: exit codes {dict(codes)} {found or ''}", flush=True)
        if args.results or args.headers:
            from dcpose_cli import export_json

            source = product["make_clip"](base / "good.mp4", frames=3)
            export_json(source, base / "good.json", estimator=estimator)
            raw = (base / "good.json").read_bytes()
            ends, found = fuzz_results(range(args.seed, args.seed + args.results), raw, base / "m.json")
            findings += found
            print(f"{args.results} results: {dict(ends)} {found or ''}", flush=True)
            findings += _headers(args, base, model, detector, source, product)
    print(f"{len(findings)} findings")
    return bool(findings)


def _headers(args, base, model, detector, clip, product):
    """The findings of mutated files of other kinds."""
    headers = runpy.run_path(str(Path(__file__).with_name("headers.py")))
    kit = headers["Kit"](base / "kit", model, detector, base / "good.json", clip)
    findings = []
    for first in range(args.seed, args.seed + args.headers, 80):
        numbers = range(first, min(first + 80, args.seed + args.headers))
        ends, found = headers["fuzz_headers"](numbers, kit, product["Command"](model, detector), base / "work")
        findings += found
        print(f"headers {numbers.start}-{numbers.stop - 1}: {dict(sorted(ends.items()))}", *found, sep="\n", flush=True)
    return findings


if __name__ == "__main__":
    sys.path.insert(0, str(TESTS.parent))
    sys.exit(main())
