"""Mutated headers, recipes, data sets and checkpoints through the commands that read them.

A finding is an exit code that the kind of file does not have, a traceback, a control character on the terminal, a file
left by a command that failed, or a run that does not end. Not imported as a module: `runpy` reads it.
"""

from __future__ import annotations

import contextlib
import copy
import faulthandler
import json
import os
import random
import re
import runpy
import shutil
import signal
import struct
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch

TESTS = Path(__file__).resolve().parents[1]
_MUTATORS = runpy.run_path(str(Path(__file__).with_name("mutators.py")))
EXTREMES = _MUTATORS["EXTREMES"]
json_text = _MUTATORS["json_text"]
laughs = _MUTATORS["laughs"]
mutate_modules = _MUTATORS["mutate_modules"]
mutate_tar = _MUTATORS["mutate_tar"]
mutate_tree = _MUTATORS["mutate_tree"]
odd_tensor = _MUTATORS["odd_tensor"]
toml_text = _MUTATORS["toml_text"]
#: A command gets SIGINT after so many seconds of computing, and again after twice as many: a training may run on.
ASK_SECONDS = 10.0
#: The same in seconds of the clock, for a command that waits.
ASK_WAITING_SECONDS = 240.0
#: What no command may take, seconds of computing.
LIMIT_SECONDS = 30.0
#: In this order, again and again: what is quick more often than a training.
ORDER = (
    *("result", "model", "recipe", "detector", "state.pth", "result", "model", "coco"),
    *("recipe", "result", "detector", "state.pth", "model", "pack", "recipe", "result", "detector.pt"),
)
#: kind -> exit codes its commands may end with. 130: a training whose recipe asks for many steps is interrupted.
CODES = {
    "result": {0, 3},
    "model": {0, 5},
    "detector": {0, 5},
    "recipe": {0, 2, 3, 6, 9, 130},
    "coco": {0, 2, 3, 9},  # 2: no samples are left for the recipe
    "pack": {0, 2, 3, 9},
    "detector.pt": {0, 5},
    "state.pth": {0, 5},
}
_JOINTS = ["nose", "left_eye", "right_eye", "left_ear", "right_ear"]
_JOINTS += [
    side + part for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for side in ("left_", "right_")
]
_NETWORK = (
    "input_size=[48,64]\ncombine_width=8\nprf_blocks=1\ncombine_blocks=1\ndilations=[2]\n[model.backbone]\nwidth=8\n"
    "stem=8\nlayer1_width=8\nlayer1_blocks=1\nmodules=[1,1,1]\nblocks=[1,1,1]\n"
)
_COCO = f'name="t"\nseed=1\n[model]\n{_NETWORK}[data]\nformat="coco"\ntrain="t.json"\nval="t.json"\nimages="img"\n'
_PACK = f'name="t"\nseed=1\n[model]\n{_NETWORK}[data]\nstills=["stills"]\ntriplets=["triplets"]\n'
_STAGE = "[stage1]\nsteps=2\nbatch=2\nwarmup=1\n"
_TINY = {
    "nc": 1,
    "backbone": [[-1, 1, "Conv", [width, 3, 2]] for width in (8, 16, 16, 16, 16)],
    "head": [[[2, 3, 4], 1, "Detect", ["nc"]]],
}


class Kit:
    """Good files of every kind in a folder, from which the mutated ones are made."""

    def __init__(self, folder, model, detector, result, clip):
        self.folder, self.clip, self.detector, self.model = Path(folder), clip, detector, model
        self.weights = {"model": model / "model.safetensors", "detector": detector / "model.safetensors"}
        self.result = json.loads(Path(result).read_text())
        self.mutate = runpy.run_path(str(Path(__file__).with_name("run.py")))["mutate"]
        self.coco = self._coco()
        pack = runpy.run_path(str(TESTS / "training" / "conftest.py"))
        self._pack(pack["PackWriter"], pack["person"])

    def _coco(self):
        import cv2

        pictures = self.folder / "coco" / "img"
        pictures.mkdir(parents=True)
        for number in range(4):
            picture = np.random.default_rng(number).integers(0, 255, (80, 60, 3), np.uint8)
            cv2.imwrite(str(pictures / f"{number}.jpg"), picture)
        keypoints = [value for joint in range(17) for value in (10 + joint, 10 + 2 * joint, 2)]
        person = {"category_id": 1, "keypoints": keypoints, "bbox": [5, 5, 40, 60], "area": 100}
        return {
            "images": [{"id": n, "file_name": f"{n}.jpg", "width": 60, "height": 80} for n in range(4)],
            "annotations": [{"id": n, "image_id": n} | person for n in range(4)],
            "categories": [{"id": 1, "name": "person", "keypoints": _JOINTS}],
        }

    def _pack(self, writer, person):
        root = self.folder / "pack"
        root.mkdir()
        stills, windows = writer(root, "stills"), writer(root, "triplets")
        for number in range(4):
            stills.add([person((8 + number, 8, 36, 64))], split="val" if number == 3 else "train")
            windows.add_window(number + 1, split="val" if number == 3 else "train")
        stills.write()
        windows.write()

    def make(self, kind, rng, work):
        """Write a mutated file of a kind into `work` -> arguments of the command that reads it; outputs in work/out."""
        return getattr(self, "make_" + kind.replace(".", "_"))(rng, work)

    def make_result(self, rng, work):
        (work / "m.json").write_text(json_text(mutate_tree(self.result, rng)))
        return rng.choice(
            (
                ("convert", work / "m.json", "-o", work / "out" / "x.csv", "--format", "csv"),
                ("smooth", work / "m.json", "-o", work / "out" / "x.json"),
                ("report", work / "m.json", "--video", self.clip, "-o", work / "out" / "x.html"),
                ("render", self.clip, work / "m.json", "-o", work / "out" / "x.mp4"),
            )
        )

    def _safetensors(self, which, rng, work):
        raw = self.weights[which].read_bytes()
        (length,) = struct.unpack("<Q", raw[:8])
        header, data = json.loads(raw[8 : 8 + length]), raw[8 + length :]
        if rng.random() < 0.75:
            ours = mutate_tree(json.loads(header["__metadata__"]["dcpose"]), rng)
            header["__metadata__"]["dcpose"] = json_text(ours)
        elif rng.random() < 0.7:
            header = mutate_tree(header, rng)
        else:
            data = self.mutate(data, [data], rng)
        text = json_text(header).encode()
        (work / "m").mkdir()
        (work / "m" / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
        return work / "m"

    def make_model(self, rng, work):
        model = self._safetensors("model", rng, work)
        return rng.choice((("models", "info", model), self._estimate(model, self.detector, work)))

    def make_detector(self, rng, work):
        return self._estimate(self.model, self._safetensors("detector", rng, work), work)

    def _estimate(self, model, detector, work):
        options = ("--device", "cpu", "--offline", "--max-frames", 2)
        return (
            "export-json",
            self.clip,
            "-o",
            work / "out" / "x.json",
            "--model",
            model,
            "--detector",
            detector,
            *options,
        )

    def _train(self, work, data):
        places = ("--data", data, "--out", work / "out" / "m", "--work", work / "run")
        return ("train", work / "r.toml", *places, "--threads", 1, "--device", "cpu", "-q")

    def make_recipe(self, rng, work):
        import tomllib

        (self.folder / "coco" / "t.json").write_text(json_text(self.coco))
        tree = mutate_tree(tomllib.loads(_COCO + _STAGE), rng)
        (work / "r.toml").write_text(toml_text(tree) if isinstance(tree, dict) else str(tree))
        if rng.random() < 0.2:
            (work / "r.toml").write_bytes(self.mutate((_COCO + _STAGE).encode(), [_COCO.encode()], rng))
        return self._train(work, self.folder / "coco")

    def make_coco(self, rng, work):
        shutil.copytree(self.folder / "coco", work / "data")
        (work / "data" / "t.json").write_text(json_text(self.coco))
        (work / "r.toml").write_text(_COCO + _STAGE)
        if rng.random() < 0.7:
            (work / "data" / "t.json").write_text(json_text(mutate_tree(self.coco, rng)))
        else:
            for picture in rng.sample(sorted((work / "data" / "img").iterdir()), 3):
                picture.write_bytes(self.mutate(picture.read_bytes(), [b"\xff\xd8" * 99], rng))
        return self._train(work, work / "data")

    def make_pack(self, rng, work):
        shutil.copytree(self.folder / "pack", work / "data")
        (work / "r.toml").write_text(_PACK + _STAGE + _STAGE.replace("1]", "2]"))
        part = rng.choice(("stills", "triplets"))
        if rng.random() < 0.7:
            file = work / "data" / f"{part}.json"
            file.write_text(json_text(mutate_tree(json.loads(file.read_text()), rng)))
        else:
            file = work / "data" / "images" / f"{part}-000.tar"
            change = mutate_tar if rng.random() < 0.5 else lambda data, rng: self.mutate(data, [b"\0" * 1024], rng)
            file.write_bytes(change(file.read_bytes(), rng))
        return self._train(work, work / "data")

    def make_detector_pt(self, rng, work):
        from dcpose_cli._ultralytics import detection_model

        model = detection_model(_TINY)
        model.names, path = {0: "person"}, work / "m.pt"
        if rng.random() < 0.5:
            model.yaml = mutate_tree(_TINY, rng, (*EXTREMES, laughs(), torch.zeros(1).expand(10**12), 1j, b"x"))
        if rng.random() < 0.3:
            model.names = rng.choice((*EXTREMES, {0: "person", "a": 1}, {10**9: "person"}, ["person"] * 10**4))
        if rng.random() < 0.4:
            mutate_modules(model, rng)
        torch.save({"model": model, "ema": None}, path)
        if rng.random() < 0.3:
            path.write_bytes(self.mutate(path.read_bytes(), [b"PK\x03\x04"], rng))
        return self._estimate(self.model, path, work)

    def make_state_pth(self, rng, work):
        from safetensors.torch import load_file

        state = load_file(self.weights["model"])
        for name in rng.sample(sorted(state), rng.choice((1, 2, 5))):
            kind = rng.randrange(4)
            if kind == 0:
                state[name] = odd_tensor(state[name], rng)
            elif kind == 1:
                state[re.sub(r"\d+", rng.choice(("0", "77", "9" * 9, "9" * 400)), name, count=1)] = state.pop(name)
            elif kind == 2:
                state[rng.choice(("\x1b[2J", "", "a\0b", name + ".x"))] = state[name]
            else:
                state[name] = copy.deepcopy(rng.choice(EXTREMES))
        torch.save(rng.choice((state, {"state_dict": state}, {"state_dict": {"a": state}})), work / "m.pth")
        said = ("--joints", "coco", "--input-size", "192x256")
        return ("models", "import", work / "m.pth", "-o", work / "out" / "m", *said)


def fuzz_headers(numbers, kit, dcpose, folder):
    """Mutated files of all kinds in turn through commands of this process: ({kind and exit code: count}, findings)."""
    ends, findings = Counter(), []
    for number in numbers:
        kind, rng, work = ORDER[number % len(ORDER)], random.Random(number), Path(folder) / f"case{number}"
        (work / "out").mkdir(parents=True)
        try:
            args = kit.make(kind, rng, work)
        except (UnicodeEncodeError, RecursionError, TypeError, AttributeError, ValueError, RuntimeError):
            ends["not made"] += 1  # the writer cannot write it
            shutil.rmtree(work)
            continue
        code, stderr, seconds = _timed(dcpose, args)
        ends[f"{kind} {code}"] += 1
        problems = []
        if code not in CODES[kind] or "Traceback" in stderr:
            problems.append(f"exit {code}: {stderr[-300:]}")
        if re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", stderr):
            problems.append(f"control character: {stderr[-300:]!r}")
        if code not in (0, 130) and any((work / "out").iterdir()):
            problems.append(f"files: {sorted(p.name for p in (work / 'out').rglob('*'))}")
        if seconds > LIMIT_SECONDS:
            problems.append(f"{seconds:.0f} s")
        findings += [(number, kind, args[0], problem) for problem in problems]
        shutil.rmtree(work)
    return ends, findings


def _timed(dcpose, args):
    """(exit code, stderr, seconds of computing) of a command, which is interrupted when it takes long."""
    began, over = time.process_time(), threading.Event()
    watch = threading.Thread(target=_interrupt, args=(began, over), daemon=True)
    faulthandler.dump_traceback_later(ASK_WAITING_SECONDS * 3, exit=True)
    watch.start()
    try:
        with _without_curves():
            result = dcpose(*args)
        code, stderr = result.returncode, result.stderr
    except (KeyboardInterrupt, SystemExit) as error:
        code, stderr = getattr(error, "code", 130), ""
    except BaseException as error:
        code, stderr = 1, f"Traceback: {error!r}"
    finally:
        over.set()
        watch.join()
        faulthandler.cancel_dump_traceback_later()
    return code, stderr, time.process_time() - began


def _interrupt(began, over):
    """SIGINT for this process when a command has taken long, and once more."""
    asked, waiting = 0, time.monotonic()
    while not over.wait(0.25) and asked < 2:
        spent = (time.process_time() - began) / ASK_SECONDS, (time.monotonic() - waiting) / ASK_WAITING_SECONDS
        if max(spent) > asked + 1:
            asked += 1
            os.kill(os.getpid(), signal.SIGINT)


@contextlib.contextmanager
def _without_curves():
    """A training draws no picture of its log, which takes longer than its two steps."""
    from dcpose_cli.training.engine import run

    drawn, run.draw_curves = run.draw_curves, lambda work: None
    try:
        yield
    finally:
        run.draw_curves = drawn
