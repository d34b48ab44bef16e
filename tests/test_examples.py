"""The notebook and the scripts of examples/, and the files that describe the project to others."""

from __future__ import annotations

import json
import re
import runpy
import sys

import numpy as np
import pytest
import yaml

from dcpose_cli.datasets.coco import read_coco


def test_notebook_runs_from_top_to_bottom(root, monkeypatch, capsys):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.chdir(root / "examples")
    notebook = json.loads((root / "examples/first_steps.ipynb").read_text(encoding="utf-8"))
    names: dict[str, object] = {"__name__": "__main__"}
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [], "commit the notebook without outputs"
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
    out = capsys.readouterr().out
    assert re.match(r"6 frames, [1-9] tracks\n", out)
    assert len(re.findall(r"left wrist \(\d+, \d+\)  confidence \d", out)) >= 3


def test_steps_of_a_known_walk(root):
    """Ankles that pass each other every 0.55 s; legs exchanged, a wrong frame and a gap; 50 frames per second."""
    step_times = runpy.run_path(str(root / "examples/steps.py"))["step_times"]
    time = np.arange(0, 4, 0.02)
    distance = 40 * np.sin(np.pi * (time - 0.1) / 0.55)
    distance[40:55] *= -1
    distance[100] = 90
    distance[60:63] = np.nan
    expected = 0.1 + 0.55 * (np.arange(7) + 0.5)
    found = step_times(time, distance)
    assert found == pytest.approx(expected, abs=0.025)


def test_labels_of_a_sample_clip_become_the_true_joints(root, tmp_path, monkeypatch, capsys):
    """A folder of wrong labels, corrected by the script, holds the truth and can be read by the trainer."""
    truth = json.loads((root / "sample_videos/sprint.json").read_text(encoding="utf-8"))
    names = ["nose", "left_ear", "right_ear", *truth["joints"][1:]]
    labels = tmp_path / "annotations/person_keypoints_default.json"
    labels.parent.mkdir()
    images = [{"id": n, "file_name": f"sprint_{n:06d}.jpg", "width": 640, "height": 360, "frame": n} for n in (3, 40)]
    wrong = [{"id": 1, "image_id": 3, "category_id": 1, "bbox": [0, 0, 9, 9], "keypoints": [5, 5, 2] * len(names)}]
    categories = [{"id": 1, "name": "person", "keypoints": names}]
    labels.write_text(json.dumps({"images": images, "annotations": wrong, "categories": categories}))
    script = root / "examples/sample_labels.py"
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path), str(root / "sample_videos/sprint.json")])
    runpy.run_path(str(script), run_name="__main__")
    videos = read_coco(labels, tmp_path / "images")
    assert [video.name for video in videos] == ["sprint_000003.jpg", "sprint_000040.jpg"]
    for video, frame in zip(videos, (3, 40), strict=True):
        people = truth["frames"][frame]["persons"]
        assert len(video.frames[0].people) == len(people)
        for found, person in zip(video.frames[0].people, people, strict=True):
            assert (found.joints[:, 2] > 0).sum() == 15  # the truth has no ears
            assert found.joints[0, :2].tolist() == pytest.approx(person["keypoints"][0][:2], abs=1e-4)

    before = labels.read_bytes()
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path), str(root / "sample_videos/plaza.json")])
    with pytest.raises(SystemExit):
        runpy.run_path(str(script), run_name="__main__")
    assert "sprint_000003.jpg is not a picture of the clip plaza" in capsys.readouterr().err
    assert labels.read_bytes() == before


def test_hosted_checks_are_those_of_ci_run(root):
    if not (root / ".ci/run").exists():
        pytest.skip("the source archive has no files of hosted services")
    steps = yaml.safe_load((root / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]
    hosted = {step["run"] for job in steps.values() for step in job["steps"] if "run" in step}
    local = (root / ".ci/run").read_text(encoding="utf-8")
    for command in ("ruff check .", "ruff format --check .", "mypy", "python -m pytest"):
        assert command in hosted
        assert f"\n{command}\n" in local
    assert "mkdocs build --strict" in hosted
    assert "\nmkdocs build " in local
    matrix = steps["test"]["strategy"]["matrix"]
    assert matrix["os"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    assert matrix["python"] == ["3.11", "3.12", "3.13"]


def test_citation_names_the_paper_of_the_network(root):
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)
    assert "Deep Dual Consecutive Network" in citation["references"][0]["title"]


def test_image_holds_what_the_build_needs(root):
    """.dockerignore lets in what pyproject.toml and the build hook read."""
    if not (root / ".dockerignore").exists():
        pytest.skip("the source archive has no .dockerignore")
    listed = {line[1:] for line in (root / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert listed >= {"dcpose_cli", "models", "pyproject.toml", "hatch_build.py", "README.md", "LICENSE"}
    assert all((root / name).exists() for name in listed)
    stages = (root / "Dockerfile").read_text().split("\nFROM ")[1:]
    assert 'ENTRYPOINT ["dcpose"]' in stages[0]
    assert [stage.split()[2] for stage in stages] == ["base", "cuda", "cpu"]
    for stage in stages[1:]:
        assert stage.rstrip().endswith("USER 10001"), "the image must not run as root"


def test_command_reference_has_every_option(root):
    pytest.importorskip("mkdocs", reason="the site needs the extra docs")
    page = runpy.run_path(str(root / "docs/site_build.py"))["command_reference"]()
    assert "## `dcpose models import`" in page
    for option in ("--share-crops", "--keep-conf", "--blur-faces", "--metres-per-pixel", "--ray"):
        assert f"`{option}`" in page
    assert "``" not in re.sub(r"```", "", page), "an empty default"
