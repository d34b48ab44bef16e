"""Sudden death of every command that writes, at a random step of its work on files; then the same command again.

    python tests/faults/kills.py --kills 300 --seed 1

A case kills a command (SIGKILL, its workers too) at one of the events of Python's audit hooks that touch the folder of
its outputs: files opened, renamed, removed, folders made. The outputs of an older run are in place where the command
has --overwrite. After the kill the visible files are the old set or the new one; where they are neither there is a
journal, and the next command that touches the output (`doctor --clean`, a command that reads the result, or the same
command again) makes them the new one. After the second run the bytes are those of a run without a kill, nothing else is
in the folder, and nothing is in the temporary folder. POSIX only: each run is a fork of this process.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import runpy
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
_EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "shutil.rmtree")


#: Commands that take long; they have their turn in every fourth round.
_SLOW = ("compare", "train", "models export")
#: The published model that is fetched from a file.
PUBLISHED_NAME = "hrnet-w48-posetrack18"
#: Inputs -> the ends of the names of those from which the older outputs are made.
_OLDER = {"a.json": ".json", "walk.json": "_walk.json", "a.pth": ".pth", "posetrack/val_boxes.json": "_boxes.json"}
#: Tables and pictures of a training, which logs some steps again when it goes on after a kill.
_LOGS = re.compile(r"work/.*\.(csv|png)")


def commands(kit, out, models):
    """name -> (arguments; whether an older set of outputs is replaced)."""
    over, result, clip = "--overwrite", kit / "a.json", kit / "in" / "clip.mp4"
    model, single, truth = models[:2], kit / "tiny", kit / "posetrack" / "annotations" / "val"
    posetrack, network = kit / "posetrack", [*models[:2], *models[4:]]
    found = {
        "estimate": (("estimate", clip, "-o", out / "x.mp4", *models, over), True),
        "estimate, two folders": (
            ("estimate", clip, "-o", out / "x.mp4", "--json", out / "sub" / "y.json", *models, over),
            True,
        ),
        "export-json": (("export-json", clip, "-o", out / "x.json", *models, over), True),
        "export-json csv": (("export-json", clip, "-o", out / "x.csv", "--format", "csv", *models, over), True),
        "export-json openpose": (("export-json", clip, "-o", out / "x", "--format", "openpose", *models, over), True),
        "batch": (("batch", kit / "in", "-o", out / "b", "--workers", 1, *models), False),
        "batch, two": (("batch", kit / "two", "-o", out / "b", "--workers", 1, *models), False),
        "batch, resumed": (("batch", kit / "two", "-o", out / "b", "--workers", 1, *models, "--resume"), False),
        "estimate, resumed": (("estimate", clip, "-o", out / "x.mp4", *models, "--resume", over), True),
        "estimate, several": (
            ("estimate", *sorted((kit / "two").iterdir()), "-o", out / "sub", *models, over),
            False,
        ),
        "export-json, resumed": (("export-json", clip, "-o", out / "x.json", *models, "--resume", over), True),
        "export-json, data set": (
            ("export-json", posetrack, "--boxes", posetrack / "val_boxes.json", "-o", out / "x", *network, over),
            True,
        ),
        "dataset from-result": (
            ("dataset", "from-result", result, clip, "-o", out / "x", "--frames", 3, over),
            True,
        ),
        "events": (
            ("events", kit / "walk.json", "-o", out / "x.csv", "--heel-strikes", "--repetitions", "nose", over),
            True,
        ),
        "smooth": (("smooth", result, "-o", out / "x.json", over), True),
        "edit": (
            ("edit", result, "-o", out / "x.json", "--delete", "1", "--save-script", out / "x.txt", over),
            True,
        ),
        "render": (("render", clip, result, "-o", out / "x.mp4", over), True),
        "report": (("report", result, "--video", clip, "-o", out / "x.html", over), True),
        "evaluate": (("evaluate", truth, truth, "--json", out / "x.json", over), True),
        "compare": (
            ("compare", clip, "--models", model[1], "-o", out / "x.mp4", "--json", out / "x.json", *models[2:], over),
            True,
        ),
        "models export": (("models", "export", single, "-o", out / "x.onnx", over), True),
        "models import": (
            ("models", "import", kit / "a.pth", "-o", out / "m", "--input-size", "48x64", "--joints", "coco", over),
            True,
        ),
        "models get": (("models", "get", PUBLISHED_NAME, "--from", kit / "published.pth"), False),
        "train": (
            ("train", kit / "recipe.toml", "--data", kit / "posetrack", "--out", out / "model", "--work", out / "work",
             "--threads", 1, "--device", "cpu", over),
            False,
        ),
    }  # fmt: skip
    if find_spec("onnxruntime") is None or find_spec("onnxscript") is None:
        del found["models export"]
    from dcpose_cli.export.formats import FORMATS

    for to, kind in FORMATS.items():
        if kind.needs is None or find_spec(kind.needs[0]) is not None:
            args = ("convert", result, "-o", out / f"x{kind.suffix}", "--format", to, over)
            found[f"convert {to}"] = (args, True)
    return found


def run(dcpose, args, out, *, kill_at=None, quiet=False):
    """Run a command in a fork: (exit code, -9 for the kill; how many events of files in `out` it had)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        seen = 0

        def count(event, arguments):
            nonlocal seen
            if event in _EVENTS and str(out) in " ".join(map(str, arguments[:2])):
                seen += 1
                if seen == kill_at:
                    os.killpg(0, signal.SIGKILL)

        sys.addaudithook(count)
        result = dcpose(*args)
        os.write(writing, json.dumps([seen, result.stderr[-400:]]).encode())
        os._exit(result.returncode)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    events, text = json.loads(told) if told else (0, "")
    if code not in (0, -9) and not quiet:
        print(args[0], code, text, file=sys.stderr)
    return code, events


def contents(folder):
    """{name: bytes} of everything below a folder; folders too, without bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def comparable(found, changing):
    """Without the bytes of files that differ between any two runs, and with what is hidden left out."""
    visible = {name: data for name, data in found.items() if not any(p.startswith(".") for p in Path(name).parts)}
    return {name: None if name in changing else data for name, data in visible.items()}


def litter():
    """Findings in the temporary folder, which is empty then."""
    left = sorted(Path(tempfile.gettempdir()).iterdir())
    for path in left:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return [f"temporary folder: {[path.name for path in left]}"] if left else []


def touch(dcpose, out, state, rng):
    """What a user may do next, other than the same command: clean the folder, or read the result. What it was."""
    readable = [name for name in state if name.endswith(".json")]
    if readable and rng.random() < 0.5:
        run(dcpose, ("evaluate", out / readable[0], out / readable[0], "--quiet"), out, quiet=True)
        return "reading"
    for folder in {out, *(path for path in out.iterdir() if path.is_dir())}:
        run(dcpose, ("doctor", "--clean", folder), out)
    return "doctor"


def published_file(path):
    """A stand-in for the file of PUBLISHED_NAME, whose hash the table has then; the user's models lie in `out`."""
    import dcpose_cli.published.table as table

    layouts = runpy.run_path(str(TESTS / "layouts.py"))
    entry = table.PUBLISHED[PUBLISHED_NAME]
    path.write_bytes(layouts["content_of"](layouts["state_of"](entry, short=True)))
    table.PUBLISHED[PUBLISHED_NAME] = layouts["relabelled"](entry, path.read_bytes())


def write_walk(path, fps):
    """The result of somebody who walks: it has heel strikes and bends of the knee."""
    from dcpose_cli.results import PoseTrackWriter

    made = runpy.run_path(str(TESTS / "events" / "test_gait.py"))["walk"](fps=fps)
    with PoseTrackWriter(path, {"time_base": f"1/{fps}", "fps": f"{fps}/1", "width": 640, "height": 240}) as out:
        for frame in made.frames:
            out.write(frame)


class Case:
    """One command: what two clean runs of it make, and how many events they have."""

    def __init__(self, dcpose, args, out, *, replaces, older):
        self.dcpose, self.args, self.out, self.replaces = dcpose, args, out, replaces
        self.cured, self.findings = 0, []
        first = self._clean()
        second = self._clean()
        assert first.keys() == second.keys(), sorted(first.keys() ^ second.keys())
        self.changing = {name for name in first if first[name] != second[name] or _LOGS.fullmatch(name)}
        self.new = {name: data for name, data in first.items() if not _LOGS.fullmatch(name)}
        self.old = self._clean(older) if replaces else {}

    def _clean(self, args=None):
        shutil.rmtree(self.out, ignore_errors=True)
        (self.out / "sub").mkdir(parents=True)
        code, self.events = run(self.dcpose, args or self.args, self.out)
        assert code == 0, self.args
        self.findings += [f"without a kill: {finding}" for finding in litter()]
        return contents(self.out)

    def kill(self, rng):
        """Findings of one kill and the run after it."""
        shutil.rmtree(self.out)
        (self.out / "sub").mkdir(parents=True)
        for name, data in self.old.items():
            place = self.out / name
            place.mkdir(exist_ok=True) if data is None else place.write_bytes(data)
        at = rng.randint(1, self.events)
        code, _ = run(self.dcpose, self.args, self.out, kill_at=at)
        findings = [] if code in (-9, 0) else [f"exit {code}"]
        between = contents(self.out)
        if self.replaces:
            states = [comparable(state, self.changing) for state in (self.old, self.new)]
            visible = comparable(between, self.changing)
            if visible not in states:
                how = touch(self.dcpose, self.out, visible, rng)
                visible = comparable(contents(self.out), self.changing)
                self.cured += 1
            if visible not in states:
                findings.append(f"neither old nor new, after {how} too: {sorted(between)}")
        code, _ = run(self.dcpose, self.args, self.out)
        after = {name: data for name, data in contents(self.out).items() if not _LOGS.fullmatch(name)}
        if code != 0:
            findings.append(f"exit {code} the second time")
        if after.keys() != self.new.keys():
            findings.append(f"files after the second run: {sorted(after.keys() ^ self.new.keys())}")
        findings += [f"other bytes: {n}" for n in sorted(self.new.keys() & after.keys())
                     if n not in self.changing and after[n] != self.new[n]]  # fmt: skip
        findings += litter()
        return [f"event {at} of {self.events}: {finding}" for finding in findings]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="over all commands in turn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="commands whose names contain this, or one of these with commas")
    args = parser.parse_args()
    import torch

    torch.set_num_threads(1)  # a fork has no threads of its parent
    product = runpy.run_path(str(TESTS / "product.py"))
    fuzz = runpy.run_path(str(TESTS / "fuzz" / "run.py"))
    from safetensors.torch import load_file

    from dcpose_cli import PoseEstimator, export_json

    with tempfile.TemporaryDirectory() as name:
        kit, out, rng = Path(name) / "kit", Path(name) / "out", random.Random(args.seed)
        for folder in (kit / "in", kit / "two", kit / "posetrack", Path(name) / "temporary"):
            folder.mkdir(parents=True)
        tempfile.tempdir = os.environ["TMPDIR"] = str(Path(name) / "temporary")
        _, model, detector = fuzz["small_estimator"](kit, product)
        clip = product["make_clip"](kit / "in" / "clip.mp4", frames=8)
        people = [PoseEstimator(model, "cpu", detector=product["Crowd"](count)) for count in (2, 3)]
        export_json(clip, kit / "a.json", estimator=people[0])
        for number in range(2):
            product["make_clip"](kit / "two" / f"{number}.mp4", frames=5)
        runpy.run_path(str(TESTS / "posetrack_files.py"))["write_all"](kit / "posetrack")
        boxes = json.loads((kit / "posetrack" / "val_boxes.json").read_bytes())
        (kit / "older_boxes.json").write_text(json.dumps([one | {"score": 0.9 * one["score"]} for one in boxes]))
        (kit / "recipe.toml").write_text(runpy.run_path(str(TESTS / "conftest.py"))["TINY_RECIPE"])
        older = product["make_clip"](kit / "older.mp4", frames=5)
        export_json(older, kit / "older.json", estimator=people[1])
        for name, fps in (("walk.json", 25), ("older_walk.json", 30)):
            write_walk(kit / name, fps)
        state = load_file(model / "model.safetensors")
        for name, factor in (("a.pth", 1), ("older.pth", 2)):
            torch.save({key: value * factor for key, value in state.items()}, kit / name)
        published_file(kit / "published.pth")
        os.environ["XDG_DATA_HOME"] = str(out / "data")
        dcpose = product["Command"](model, detector)
        swap = {clip: older, **{kit / name: kit / f"older{end}" for name, end in _OLDER.items()}}
        cases, counts, findings = {}, Counter(), []
        for title, (what, replaces) in commands(kit, out, dcpose.models).items():
            if any(part in title for part in args.only.split(",")):
                before = [swap.get(value, value) for value in what]
                cases[title] = Case(dcpose, what, out, replaces=replaces, older=before)
                print(
                    f"{title}: {cases[title].events} events, differ by run: {sorted(cases[title].changing)}", flush=True
                )
        quick = [title for title in cases if title not in _SLOW]
        turns = [*quick * (4 if quick else 0), *(title for title in cases if title in _SLOW)]
        findings += [f"{title}, {finding}" for title, case in cases.items() for finding in case.findings]
        print(*findings, sep="\n", end="\n" if findings else "", flush=True)
        began = time.monotonic()
        for number in range(args.kills):
            title = turns[number % len(turns)]
            found = [f"{title}, {finding}" for finding in cases[title].kill(rng)]
            counts[title] += 1
            findings += found
            print(*found, sep="\n", end="\n" if found else "", flush=True)
        cured = sum(case.cured for case in cases.values())
        print(f"{cured} times the files were neither old nor new until the next command")
        print(f"{args.kills} kills in {time.monotonic() - began:.0f} s: {dict(counts)}; {len(findings)} findings")
    return bool(findings)


if __name__ == "__main__":
    sys.path.insert(0, str(TESTS.parent))
    sys.exit(main())
