"""What dead processes left is removed by the next run and by `doctor --clean`; what somebody holds, or owns, stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from dcpose_cli._claims import claim, claimed_token, release, unclaimed_token
from dcpose_cli._recovery import remove_stale
from dcpose_cli._scratch import scratch_folder
from dcpose_cli.cli.doctor import clean_folders
from dcpose_cli.errors import OutputError
from dcpose_cli.export._outputs import AtomicFolder
from dcpose_cli.files import AtomicFile, write_atomic
from dcpose_cli.segments import remove_all_finished, segments_folder

DIES = """
import os, pathlib, signal, sys
from dcpose_cli.export._outputs import AtomicFolder
from dcpose_cli.files import AtomicFile
folder = pathlib.Path(sys.argv[1])
AtomicFile(folder / "a.json").temp.write_text("half")
held = AtomicFolder(folder / "op", lambda name: True)
(held.temp / "x").write_text("half")
if sys.argv[2] == "waits":
    print("ready", flush=True)
    sys.stdin.read()
os.kill(os.getpid(), signal.SIGKILL)
"""


def temporaries(folder):
    return [path for path in folder.iterdir() if path.name.endswith(".part")]


def test_next_run_removes_what_a_killed_one_left(tmp_path):
    ended = subprocess.run([sys.executable, "-c", DIES, str(tmp_path), "dies"], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(temporaries(tmp_path)) == 2
    write_atomic(tmp_path / "b.json", "another target")
    assert len(temporaries(tmp_path)) == 2
    write_atomic(tmp_path / "a.json", "whole")
    with AtomicFolder(tmp_path / "op", lambda name: True) as folder:
        (folder.temp / "x").write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json", "op"]


def test_what_a_living_process_holds_stays(tmp_path):
    command = [sys.executable, "-c", DIES, str(tmp_path), "waits"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        write_atomic(tmp_path / "a.json", "whole")
        assert remove_stale(tmp_path) == []
        assert len(temporaries(tmp_path)) == 2
        process.stdin.close()
    assert len(remove_stale(tmp_path)) == 2


def test_doctor_removes_it_too(dcpose, tmp_path):
    subprocess.run([sys.executable, "-c", DIES, str(tmp_path), "dies"], check=False)
    result = dcpose("doctor", "--clean", tmp_path)
    assert result.returncode == 0
    assert result.stdout.count("removed ") == 2
    assert list(tmp_path.iterdir()) == []
    assert "nothing to remove" in dcpose("doctor", "--clean", tmp_path).stdout
    assert dcpose("doctor", "--clean", tmp_path / "none").returncode == 2


def _scratch():
    with scratch_folder() as folder:
        assert list(folder.iterdir()) == []


SCRATCH = """import os, signal
from dcpose_cli._scratch import scratch_folder
with scratch_folder() as f:
    (f / 'x').write_text('1')
    os.kill(os.getpid(), signal.SIGKILL)
"""
#: What an output format does whose library opens its file as it likes.
LIBRARY = """import os, pathlib, signal
from dcpose_cli.export.format import elsewhere
def write(place):
    place.write_text('1')
    os.kill(os.getpid(), signal.SIGKILL)
elsewhere(write, pathlib.Path('x.slp'), '.slp')
"""


@pytest.mark.parametrize("code", [SCRATCH, LIBRARY], ids=["scratch", "library"])
def test_scratch_folders_of_dead_processes_are_removed(dcpose, tmp_path, monkeypatch, code):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for clean in (_scratch, lambda: dcpose("doctor", "--clean", tmp_path / "other")):
        subprocess.run([sys.executable, "-c", code], check=False, env=os.environ | {"TMPDIR": str(tmp_path)})
        (dead,) = (path for path in tmp_path.iterdir() if path.name.startswith(".dcpose-"))
        (tmp_path / "other").mkdir(exist_ok=True)
        clean()
        assert not dead.exists()


def test_no_temporary_folder(tmp_path, monkeypatch):
    def none():
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.gettempdir", none)
    with pytest.raises(OutputError, match="set TMPDIR"), scratch_folder():
        pass
    assert clean_folders([tmp_path]) == 0


#: What loads torch's compiler: layers without memory, the import of torchvision, the first step of an optimiser.
COMPILERS = {
    "a detector's limits": "from dcpose_cli._ultralytics import shapes_of; conv = [-1, 1, 'Conv', [8, 3, 2]]; "
    "shapes_of({'nc': 1, 'backbone': [conv], 'head': [[[0], 1, 'Detect', ['nc']]]}, 1, 10**6)",
    "torchvision": "from dcpose_cli._torchvision import torchvision; torchvision()",
    "training": "import torch; from dcpose_cli.training.engine.config import LoopConfig; "
    "from dcpose_cli.training.engine.optimizers import build_optimizer; p = torch.nn.Parameter(torch.ones(2)); "
    "o = build_optimizer([p], LoopConfig(steps=1, batch=1)); p.sum().backward(); o.step()",
}


@pytest.mark.parametrize("code", COMPILERS.values(), ids=COMPILERS)
def test_compiler_of_torch_leaves_no_folder(dcpose, tmp_path, code):
    """It makes one in the temporary folder, and names it in the environment of child processes."""
    code += "; import os, sys; print('torch._dynamo' in sys.modules, [v for v in os.environ if 'INDUCTOR' in v])"
    env = {k: v for k, v in dcpose.environment(TMPDIR=tmp_path).items() if not k.startswith("TORCHINDUCTOR")}
    ended = subprocess.run([sys.executable, "-c", code], check=True, env=env, capture_output=True, text=True)
    assert ended.stdout.strip() == "True []"
    assert list(tmp_path.iterdir()) == []


def test_parts_of_a_result_that_is_there_are_removed(dcpose, tmp_path):
    """A run was killed after it gave its outputs their names, or made parts beside an older result."""
    names = ("finished", "under way", "nearly removed")
    finished, under_way, empty = (segments_folder(tmp_path / f"{name}.json") for name in names)
    (tmp_path / "under way.json").write_text("{}")
    for folder in (finished, under_way):
        folder.mkdir()
        (folder / "key.json").write_text("{}")
        (folder / "lock").write_text("")
    os.utime(tmp_path / "under way.json", ns=(1, 1))
    (tmp_path / "finished.json").write_text("{}")
    (tmp_path / "nearly removed.json").write_text("{}")
    empty.mkdir()
    (empty / "lock").write_text("")
    assert sorted(remove_all_finished(tmp_path)) == sorted([finished, empty])
    assert not finished.exists()
    assert under_way.exists()


def test_links_pipes_and_other_hosts_stay(tmp_path):
    mine, other = claimed_token(), unclaimed_token()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / f".a.{mine}.part").symlink_to(victim)
    os.mkfifo(tmp_path / f".b.{mine}.part")
    (tmp_path / f".c.{other}.part").write_text("of another host")
    (tmp_path / ".r.json.segments.part").mkdir()
    before = sorted(tmp_path.iterdir())
    assert remove_stale(tmp_path) == []
    assert sorted(tmp_path.iterdir()) == before
    assert victim.read_text() == "precious"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to give files away")
def test_other_users_files_stay(tmp_path):
    path = tmp_path / f".a.{claimed_token()}.part"
    path.write_text("x")
    os.chown(path, 12345, 12345)
    assert remove_stale(tmp_path) == []


def test_no_descriptor_is_left(tmp_path):
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for number in range(20):
        write_atomic(tmp_path / f"{number}", "x")
        AtomicFile(tmp_path / f"x{number}").discard()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    handle = claim(tmp_path / "1")
    release(handle)
