"""`--config`: options from a file, and from the result that they made."""

from __future__ import annotations

import json
import os
import shutil

import cv2
import numpy as np
import pytest


def header(path):
    return json.loads(path.read_text())["dcpose"]


def test_a_file_and_the_command_line(dcpose, clip, tmp_path):
    lines = (
        "conf = 0.02",
        "keep-conf = 0.01",
        "detect_every = 2",
        "fix-swaps = true",
        "end = 0.3",
        "share-crops = false",
    )
    (tmp_path / "lab.toml").write_text("\n".join(lines))
    done = dcpose("export-json", clip, "-o", tmp_path / "a.json", *dcpose.models, "--config", tmp_path / "lab.toml",
                  "--keep-conf", "0.015")  # fmt: skip
    assert done.returncode == 0, done.stderr
    settings = header(tmp_path / "a.json")["settings"]
    assert (settings["conf"], settings["keep_conf"], settings["detect_every"]) == (0.02, 0.015, 2)
    assert (settings["fix_swaps"], settings["end"]) == (True, 0.3)
    assert settings["share_crops"] is False
    # The result repeats itself; what the command line says counts more.
    options = ["--model", dcpose.models[1], "--detector", dcpose.models[3], "--offline", "--device", "cpu"]
    done = dcpose("export-json", clip, "-o", tmp_path / "b.json", "--config", tmp_path / "a.json", *options)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "b.json").read_bytes() == (tmp_path / "a.json").read_bytes()


@pytest.mark.parametrize(("given", "shared"), [((), True), (("--no-share-crops",), False)])
def test_a_result_repeats_itself_by_its_own_options(dcpose, product, clip, tmp_path, given, shared):
    done = dcpose("export-json", clip, "-o", tmp_path / "a.json", *dcpose.models, *given)
    assert done.returncode == 0, done.stderr
    assert header(tmp_path / "a.json")["settings"]["share_crops"] is shared
    again = ("export-json", clip, *dcpose.models, "--config", tmp_path / "a.json")
    done = dcpose(*again, "-o", tmp_path / "b.json")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "b.json").read_bytes() == (tmp_path / "a.json").read_bytes()
    changed = (
        (tmp_path / "b.json").read_text().replace(f'"share_crops":{str(shared).lower()}', '"share_crops":"\\u001b[2J"')
    )
    (tmp_path / "a.json").write_text(changed)
    done = dcpose(*again, "-o", tmp_path / "c.json")
    assert done.returncode == 2
    assert "share_crops" in product.one_line(done)


@pytest.mark.parametrize(
    "given",
    [
        ("--shot-fps", "240"),
        ("--shot-fps", "239.76"),
        ("--shot-fps", "30000/1001", "--largest", "--roi", "1.5,0,90,64"),
        ("--ensemble", "{second}"),
        ("--detect-size", "96", "--start", "0.1", "--end", "0:00.4", "--max-people", "1"),
    ],
)
def test_a_result_names_every_option_that_made_it(dcpose, clip, tiny_folder, tmp_path, monkeypatch, given):
    """Models by names that lead to them, as those of the product do."""
    shutil.copytree(tiny_folder, tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    options = [*dcpose.models[2:], "--model", "tiny"]
    given = [part.format(second="tiny:single") for part in given]
    done = dcpose("export-json", clip, "-o", "a.json", *options, *given)
    assert done.returncode == 0, done.stderr
    done = dcpose("export-json", clip, "-o", "b.json", *dcpose.models[2:], "--config", "a.json")
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    assert (tmp_path / "b.json").read_bytes() == (tmp_path / "a.json").read_bytes()


def test_a_result_of_pictures_repeats_their_rate(dcpose, tmp_path):
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((64, 96, 3), 60 * number, np.uint8))
    for out, given in (("a.json", ("--fps", "10")), ("b.json", ("--config", tmp_path / "a.json"))):
        done = dcpose("export-json", tmp_path / "%d.png", "-o", tmp_path / out, *dcpose.models, *given)
        assert done.returncode == 0, done.stderr
    assert header(tmp_path / "b.json")["fps"] == "10/1"
    assert (tmp_path / "b.json").read_bytes() == (tmp_path / "a.json").read_bytes()


def test_what_a_result_says_and_no_option_can_repeat_is_named(dcpose, product, clip, tmp_path):
    done = dcpose("export-json", clip, "-o", tmp_path / "a.json", *dcpose.models)
    assert done.returncode == 0, done.stderr
    made = json.loads((tmp_path / "a.json").read_text())
    made["dcpose"]["settings"] |= {"box_scale": 1.5, "of_later": True}
    (tmp_path / "a.json").write_text(json.dumps(made))
    given = (clip, *dcpose.models, "--config", tmp_path / "a.json")
    done = dcpose("export-json", *given, "-o", tmp_path / "b.json")
    assert done.returncode == 0, done.stderr
    assert "a.json: box_scale, of_later: not an option of this version, passed over" in done.stderr
    del made["dcpose"]["settings"]
    (tmp_path / "a.json").write_text(json.dumps(made))
    done = dcpose("export-json", *given, "-o", tmp_path / "c.json")
    assert done.returncode == 3
    assert "a.json: it does not say which options made it" in product.one_line(done)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ('start = "00:00:00.2"\nend = "0:00.4"\n', 0.2, 0.4),
        ('start = "0.2"\nend = "0:0,4"\n', 0.2, 0.4),
        ("start = 00:00:00.2\nend = 0.4\n", 0.2, 0.4),
    ],
)
def test_times_are_written_as_on_the_command_line(dcpose, clip, tmp_path, text, start, end):
    (tmp_path / "lab.toml").write_text(text)
    done = dcpose("export-json", clip, "-o", tmp_path / "a.json", *dcpose.models, "--config", tmp_path / "lab.toml")
    assert done.returncode == 0, done.stderr
    made = header(tmp_path / "a.json")
    assert (made["settings"]["start"], made["settings"]["end"], made["frames"]) == (start, end, 5)


def test_measures_may_stand_in_the_file(dcpose, clip, tmp_path):
    (tmp_path / "lab.toml").write_text("resample-fps = 50\nlargest = true\nmetres-per-pixel = 0.01\n")
    done = dcpose("export-json", clip, "-f", "trc", "-o", tmp_path / "a.trc", *dcpose.models,
                  "--config", tmp_path / "lab.toml")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.trc").read_text().splitlines()[2].split("\t")[:5] == ["50", "50", "23", "17", "m"]


def test_one_file_serves_several_commands(dcpose, clip, tmp_path):
    """kpt-thr and audio are settings of `estimate`, resample-fps one of `export-json`."""
    (tmp_path / "lab.toml").write_text("kpt-thr = 0.2\naudio = false\nresample-fps = 50\nmax-frames = 3\n", "utf-8-sig")
    given = (clip, *dcpose.models, "--config", tmp_path / "lab.toml")
    for command, output, said, frames in (
        ("estimate", "a.mp4", "resample-fps:", 3),
        ("export-json", "b.json", "kpt-thr, audio:", 5),
    ):
        done = dcpose(command, *given, "-o", tmp_path / output)
        assert done.returncode == 0, done.stderr
        assert f"lab.toml: {said} not a setting of this command" in done.stderr
        assert header((tmp_path / output).with_suffix(".json"))["frames"] == frames


@pytest.mark.parametrize(
    ("name", "text", "code", "says"),
    [
        ("x.toml", 'start = "soon"', 2, "start: 'soon' is not a time: write 90, 1:30"),
        ("x.toml", "start = [1]", 2, "start cannot be"),
        ("x.toml", "colour = 3", 2, "unknown setting 'colour'"),
        ("x.toml", 'conf = "much"', 2, "conf"),
        ("x.toml", "max_people = 1\nmax-people = 2", 2, "max_people and max-people are one setting"),
        ("x.toml", "[estimate]\nconf = 0.3", 2, "is a table"),
        ("x.toml", "conf =", 3, "not valid TOML"),
        ("x.toml", "conf = " + "[" * 20_000, 3, "not valid TOML: it has too many levels"),
        ("x.toml", ".".join("a" * 20_000) + " = 1", 3, "not valid TOML: a key has too many parts"),
        ("x.toml", "conf = 1" + " " * (1 << 20), 3, "1,048,576 are the most"),
        ("x.toml", "\0" * 5000, 3, "it begins with zeros"),
        ("x.json", "{}", 3, "not a result"),
    ],
)
def test_files_that_cannot_be_meant(dcpose, product, clip, tmp_path, name, text, code, says):
    (tmp_path / name).write_text(text)
    done = dcpose("export-json", clip, "-o", tmp_path / "a.json", *dcpose.models, "--config", tmp_path / name)
    assert done.returncode == code, done.stderr
    assert says in product.one_line(done)
    assert product.files_in(tmp_path) == [name]
    done = dcpose("export-json", clip, "-o", tmp_path / "a.json", "--config", tmp_path / "none.toml")
    assert done.returncode == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_what_is_no_file_is_not_waited_for(dcpose, product, clip, tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    for name in ("pipe.toml", "zero.toml"):
        done = dcpose("export-json", clip, "-o", tmp_path / "a.json", *dcpose.models, "--config", tmp_path / name)
        assert done.returncode == 3
        assert "a pipe or device" in product.one_line(done)
