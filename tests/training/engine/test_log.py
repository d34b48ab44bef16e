"""The logs of a training on a dying disk, and where somebody else put something."""

from __future__ import annotations

import csv
import os

import pytest

from dcpose_cli.errors import OutputError
from dcpose_cli.training.engine.curves import draw_curves
from dcpose_cli.training.engine.log import Logs, Progress

WHOLE = "stage,step,loss,lr,samples_per_s\r\nstage1,50,1.5,1e-3,9.0\r\n"


def write_on(folder):
    """What a resumed training does at the end."""
    logs = Logs(folder, lambda progress: None, lambda group, values, step: None)
    logs.progress(Progress("stage1", 150, 150, 1.25, 1e-3, 9.0, 0.0))
    logs.validation("stage1", 150, {"all": 0.5, "size": "48x64"})
    return draw_curves(folder)


@pytest.mark.parametrize(
    "damage",
    [
        "stage1,100,1.",
        "stage1,1",
        "\0" * 300,
        "stage1,100,much,1e-3,9.0\r\n",
        "stage1,nan,1.5,1e-3,9.0\r\n",
        "stage1,100,nan,1e-3,9.0\r\n",
        "stage1,100,1.5,1e-3,9.0,7,7\r\n",
        "x" * 200_000 + "\r\n",
        "\udcff\udcfe\r\n",
        "".join(f"stage{number},1,1.5,1e-3,9.0\r\n" for number in range(10, 999)),
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_damaged_lines_are_left_out_of_the_curves(tmp_path, damage):
    pytest.importorskip("matplotlib")
    (tmp_path / "log.csv").write_bytes((WHOLE + damage).encode(errors="surrogateescape"))
    validation = "stage,step,size,all\r\nstage1,100,48x64,lots\r\n" + damage
    (tmp_path / "validation.csv").write_bytes(validation.encode(errors="surrogateescape"))
    assert write_on(tmp_path) is not None
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "log.csv").open(newline="", encoding="utf-8", errors="replace") as file:
        *_, last = file
    assert next(csv.reader([last])) == ["stage1", "150", "1.25000", "1.000e-03", "9.0"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_logs_that_are_pipes_or_devices_are_not_waited_for(tmp_path):
    for name in ("log.csv", "validation.csv"):
        for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
            make(tmp_path / name)
            draw_curves(tmp_path)
            with pytest.raises(OutputError, match=f"{name}.*a pipe or device"):
                write_on(tmp_path)
            (tmp_path / name).unlink()


@pytest.mark.parametrize("there", [True, False], ids=["of a file", "dead"])
def test_nothing_is_written_where_a_link_leads(tmp_path, there):
    victim = tmp_path / "elsewhere.csv"
    if there:
        victim.write_text("precious\n")
    work = tmp_path / "work"
    work.mkdir()
    for name in ("log.csv", "validation.csv"):
        (work / name).symlink_to(victim)
        with pytest.raises(OutputError, match=f"{name}.*symbolic link"):
            write_on(work)
        (work / name).unlink()
        assert (victim.read_text() == "precious\n") if there else not victim.exists()


def test_curves_replace_a_link_and_not_what_it_leads_to(tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "curves.png").symlink_to(tmp_path / "victim")
    assert write_on(tmp_path)
    assert (tmp_path / "victim").read_text() == "precious"
    assert not (tmp_path / "curves.png").is_symlink()
