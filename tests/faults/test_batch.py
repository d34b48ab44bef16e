"""Fault tests 19-22: bad videos, sudden death, several runs and several workers on one folder, odd names."""

from __future__ import annotations

import json
import os
import time
import unicodedata

import pytest

#: Every frame slow, and the name of each video said on stdout when it begins.
SLOW = """
import time, dcpose_cli.results.posetrack as p
real_write = p.PoseTrackWriter.write
def write(self, result):
    real_write(self, result)
    print(self._path.name, result.index, flush=True)
    time.sleep(0.03)
p.PoseTrackWriter.write = write
"""


@pytest.fixture
def folder(product, tmp_path):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for number in range(4):
        product.make_clip(tmp_path / "in" / ("sub" if number % 2 else ".") / f"{number}.mp4", frames=12)
    return tmp_path / "in"


def results(folder, product):
    return {name: (folder / name).read_bytes() for name in product.files_in(folder) if name != "manifest.jsonl"}


def lines_of(folder):
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_bytes().splitlines()]


@pytest.fixture
def straight(dcpose, product, folder, tmp_path):
    """What an undisturbed batch makes of `folder`."""
    assert dcpose("batch", folder, "-o", tmp_path / "straight", *dcpose.models).returncode == 0
    return results(tmp_path / "straight", product)


def test_sudden_death_and_again(dcpose, product, folder, straight, tmp_path):
    """Killed in the third video: the same files as undisturbed, and nothing that was done is done again."""
    out = tmp_path / "out"
    process = dcpose.start("batch", folder, "-o", out, *dcpose.models, before=SLOW)
    for _ in range(28):
        assert process.stdout.readline(), process.stderr.read()
    process.kill()
    process.communicate()
    assert [line["state"] for line in lines_of(out)] == ["done", "done"]
    assert any(name.endswith(".part") for name in product.files_in(out))
    stamps = {path: path.stat().st_mtime_ns for path in (out / "0.mp4", out / "2.json")}
    result = dcpose("batch", folder, "-o", out, *dcpose.models)
    assert result.returncode == 0, result.stderr
    assert result.stderr.endswith("2 done, 2 finished before, 0 failed, 0 skipped\n")
    assert results(out, product) == straight
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert sorted(line["input"] for line in lines_of(out)) == ["0.mp4", "2.mp4", "sub/1.mp4", "sub/3.mp4"]


@pytest.mark.slow
def test_failures_stay_failures_until_mended(dcpose, product, folder, tmp_path):
    whole = (folder / "2.mp4").read_bytes()
    (folder / "2.mp4").write_bytes(whole[:400])
    for done in (3, 0):
        result = dcpose("batch", folder, "-o", tmp_path / "out", *dcpose.models)
        assert result.returncode == 7
        assert result.stderr.endswith(f"{done} done, {3 - done} finished before, 1 failed, 0 skipped\n")
    [failed] = [line for line in lines_of(tmp_path / "out") if line["state"] == "failed"]
    assert (failed["input"], failed["code"]) == ("2.mp4", 3)
    assert "2.mp4: not a video" in failed["reason"]
    (folder / "2.mp4").write_bytes(whole)
    result = dcpose("batch", folder, "-o", tmp_path / "out", *dcpose.models)
    assert result.returncode == 0
    assert result.stderr.endswith("1 done, 3 finished before, 0 failed, 0 skipped\n")


@pytest.mark.slow
def test_two_runs_on_one_folder(dcpose, product, folder, straight, tmp_path):
    """They share the work; nothing is done twice, nothing torn."""
    out = tmp_path / "out"
    runs = [dcpose.start("batch", folder, "-o", out, *dcpose.models, before=SLOW) for _ in range(2)]
    texts = [run.communicate(timeout=110) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], texts
    began = [line.split()[0] for said, _ in texts for line in said.splitlines() if line.endswith(" 0")]
    assert sorted(began) == ["0.json", "1.json", "2.json", "3.json"]
    assert results(out, product) == straight
    assert [line["state"] for line in lines_of(out)] == ["done"] * 4
    assert sum(text.count(" frames, ") for _, text in texts) == 4


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_several_workers_one_of_which_dies(dcpose, product, folder, straight, tmp_path):
    """The video it was at is done again; one that kills every worker fails alone."""
    out = tmp_path / "out"
    # Workers are processes of their own: a module on their path stands for a decoder that crashes.
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'from dcpose_cli.batch.workers import serve' in ' '.join(sys.orig_argv):\n"
        "    import os, pathlib, dcpose_cli.batch.run as b\n"
        "    real = b.run_job\n"
        "    def run_job(job, *args):\n"
        f"        once = pathlib.Path({str(tmp_path)!r}) / 'died'\n"
        "        if job.name == 'deadly.mp4' or (job.name == '2.mp4' and not once.exists()):\n"
        "            once.touch()\n"
        "            os.kill(os.getpid(), 11)\n"
        "        return real(job, *args)\n"
        "    b.run_job = run_job\n"
    )
    product.make_clip(folder / "deadly.mp4", frames=5)
    path = os.pathsep.join([str(tmp_path / "path"), dcpose.environment()["PYTHONPATH"]])
    result = dcpose.process(
        "batch", folder, "-o", out, "--workers", 2, *dcpose.models, env={"PYTHONPATH": path}, timeout=500
    )
    assert result.returncode == 7, result.stderr
    assert "deadly.mp4 ended the process that did it, 2 times (signal 11)" in result.stderr
    assert result.stderr.endswith("4 done, 0 finished before, 1 failed, 0 skipped\n")
    assert (tmp_path / "died").exists()
    assert results(out, product) == straight


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_workers_end_with_their_batch(dcpose, product, folder, straight, tmp_path, how):
    import psutil

    out = tmp_path / "out"
    process = dcpose.start("batch", folder, "-o", out, "--workers", 2, *dcpose.models)
    product.wait_until(lambda: any(name.endswith(".part") for name in product.files_in(tmp_path)), 100)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) == 2
    began = time.monotonic()
    getattr(process, how)()
    process.communicate()
    assert process.returncode == (143 if how == "terminate" else -9)
    assert how == "kill" or time.monotonic() - began < 30
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []
    result = dcpose("batch", folder, "-o", out, *dcpose.models)
    assert result.returncode == 0, result.stderr
    assert results(out, product) == straight


def test_odd_names_stay_inside_and_apart(dcpose, product, clip, tmp_path):
    """Links out of the tree, twins of one name, endings, dashes, newlines, 255 bytes, accents in two forms."""
    folder, out = tmp_path / "deep" / "in", tmp_path / "deep" / "out"
    (folder / "a").mkdir(parents=True)
    data = clip.read_bytes()
    twins = [unicodedata.normalize(form, "é.mp4") for form in ("NFC", "NFD")]
    names = ["a/b.mp4", "a_b.mp4", "x.mp4", "x.mov", "-dash.mp4", "new\nline.mp4", "y" * 251 + ".mp4", *twins]
    for name in names:
        (folder / name).write_bytes(data)
    (tmp_path / "x.mp4").write_bytes(data)
    (folder / "link.mp4").symlink_to("../../x.mp4")
    (folder / "loop.mp4").symlink_to("loop.mp4")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "device.mp4").symlink_to("/dev/zero")
    before = {path: path.read_bytes() for path in (tmp_path / "x.mp4", folder / "a_b.mp4")}
    result = dcpose("batch", folder, "-o", out, "--max-frames", 1, *dcpose.models)
    assert result.returncode == 0, result.stderr
    assert result.stderr.endswith("10 done, 0 finished before, 0 failed, 3 skipped\n")
    assert len(product.files_in(out)) == 2 * 10 + 2  # the manifest and the summary
    assert {path: path.read_bytes() for path in before} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "x.mp4"]
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["in", "out"]
    states = {line["input"]: (line["state"], line["reason"]) for line in lines_of(out)}
    assert set(states) >= set(names)
    assert states["pipe.mp4"] == ("skipped", "a pipe or device")
    assert states["loop.mp4"] == ("skipped", "Too many levels of symbolic links")
    result = dcpose("batch", folder, "-o", out, "--max-frames", 1, *dcpose.models)
    assert result.stderr.endswith("0 done, 10 finished before, 0 failed, 3 skipped\n")
