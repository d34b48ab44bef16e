"""Sudden death of every command that writes, at a random step of its work on files; then the same command again.

    python tests/faults/kills.py --kills 300 --seed 1

A case kills a command (SIGKILL, its workers too) at one of the events of Python's audit hooks that touch the folder of
its outputs: files opened, renamed, removed, folders made. The outputs of an older run are in place where the command
has --overwrite: after the kill each set of files is the old one or the new one. After the second run the bytes are
those of a run without a kill, and nothing else is in the folder. Known finding: the files of a CSV pair get their names
one after the other, so that a kill between the two leaves one new and one old file. POSIX only: each run is a
fork of this process.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import runpy
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
_EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "shutil.rmtree")


def commands(kit, out, models):
    """name -> (arguments; whether an older set of outputs is replaced)."""
    over, result, clip = "--overwrite", kit / "a.json", kit / "in" / "clip.mp4"
    found = {
        "estimate": (("estimate", clip, "-o", out / "x.mp4", *models, over), True),
        "export-json": (("export-json", clip, "-o", out / "x.json", *models, over), True),
        "export openpose": (("export-json", clip, "-o", out / "x", "--format", "openpose", *models, over), True),
        "batch": (("batch", kit / "in", "-o", out / "b", "--workers", 1, *models), False),
        "smooth": (("smooth", result, "-o", out / "x.json", over), True),
        "render": (("render", clip, result, "-o", out / "x.mp4", over), True),
        "report": (("report", result, "--video", clip, "-o", out / "x.html", over), True),
    }
    for to, name in (("openpose", "x"), ("csv", "x.csv"), ("trc", "x.trc"), ("posetrack18", "x.json")):
        found[f"convert {to}"] = (("convert", result, "-o", out / name, "--format", to, over), True)
    return found


def run(dcpose, args, out, *, kill_at=None):
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
    if code not in (0, -9):
        print(args[0], code, text, file=sys.stderr)
    return code, events


def contents(folder):
    """{name: bytes} of everything below a folder; folders too, without bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def comparable(found, changing):
    """Without the bytes of files that differ between any two runs, and with what is hidden left out."""
    visible = {name: data for name, data in found.items() if not any(p.startswith(".") for p in Path(name).parts)}
    return {name: None if name in changing else data for name, data in visible.items()}


class Case:
    """One command: what two clean runs of it make, and how many events they have."""

    def __init__(self, dcpose, args, out, *, replaces, older):
        self.dcpose, self.args, self.out, self.replaces = dcpose, args, out, replaces
        first = self._clean()
        second = self._clean()
        assert first.keys() == second.keys(), sorted(first.keys() ^ second.keys())
        self.changing = {name for name in first if first[name] != second[name]}
        self.new = first
        self.old = self._clean(older) if replaces else {}

    def _clean(self, args=None):
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()
        code, self.events = run(self.dcpose, args or self.args, self.out)
        assert code == 0, self.args
        return contents(self.out)

    def kill(self, rng):
        """Findings of one kill and the run after it."""
        shutil.rmtree(self.out)
        self.out.mkdir()
        for name, data in self.old.items():
            place = self.out / name
            place.mkdir() if data is None else place.write_bytes(data)
        at = rng.randint(1, self.events)
        code, _ = run(self.dcpose, self.args, self.out, kill_at=at)
        findings = [] if code in (-9, 0) else [f"exit {code}"]
        between = contents(self.out)
        if self.replaces:
            states = [comparable(state, self.changing) for state in (self.old, self.new)]
            if comparable(between, self.changing) not in states:
                findings.append(f"neither old nor new: {sorted(between)}")
        code, _ = run(self.dcpose, self.args, self.out)
        after = contents(self.out)
        if code != 0:
            findings.append(f"exit {code} the second time")
        if after.keys() != self.new.keys():
            findings.append(f"files after the second run: {sorted(after.keys() ^ self.new.keys())}")
        findings += [f"other bytes: {n}" for n in sorted(self.new.keys() & after.keys())
                     if n not in self.changing and after[n] != self.new[n]]  # fmt: skip
        return [f"event {at} of {self.events}: {finding}" for finding in findings]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="over all commands in turn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="commands whose name contains this")
    args = parser.parse_args()
    import torch

    torch.set_num_threads(1)  # a fork has no threads of its parent
    product = runpy.run_path(str(TESTS / "product.py"))
    fuzz = runpy.run_path(str(TESTS / "fuzz" / "run.py"))
    from dcpose_cli import export_json

    with tempfile.TemporaryDirectory() as name:
        kit, out, rng = Path(name) / "kit", Path(name) / "out", random.Random(args.seed)
        (kit / "in").mkdir(parents=True)
        estimator, model, detector = fuzz["small_estimator"](kit, product)
        clip = product["make_clip"](kit / "in" / "clip.mp4", frames=8)
        export_json(clip, kit / "a.json", estimator=estimator)
        older = product["make_clip"](kit / "older.mp4", frames=5)
        export_json(older, kit / "older.json", estimator=estimator)
        dcpose = product["Command"](model, detector)
        swap = {clip: older, kit / "a.json": kit / "older.json"}
        cases, counts, findings = {}, Counter(), []
        for title, (what, replaces) in commands(kit, out, dcpose.models).items():
            if args.only in title:
                before = [swap.get(value, value) for value in what]
                cases[title] = Case(dcpose, what, out, replaces=replaces, older=before)
                print(
                    f"{title}: {cases[title].events} events, differ by run: {sorted(cases[title].changing)}", flush=True
                )
        began = time.monotonic()
        for number in range(args.kills):
            title = list(cases)[number % len(cases)]
            found = [f"{title}, {finding}" for finding in cases[title].kill(rng)]
            counts[title] += 1
            findings += found
            print(*found, sep="\n", end="\n" if found else "", flush=True)
        print(f"{args.kills} kills in {time.monotonic() - began:.0f} s: {dict(counts)}; {len(findings)} findings")
    return bool(findings)


if __name__ == "__main__":
    sys.path.insert(0, str(TESTS.parent))
    sys.exit(main())
