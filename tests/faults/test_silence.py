"""Nothing is ever sent and nothing is written to HOME, by dcpose or by anything that it loads.

An audit hook in every process, the child processes too, lists what they ask of the network. `--offline` is not given.
Libraries that open sockets without Python are not heard by it; onnxruntime is the one known, see
tests/checkpoints/test_onnx.py.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

#: Imported by each Python process at its start. One line per call to the network, and one per process.
HOOK = """
import os, sys

def _is_local(address):
    host = address[0] if isinstance(address, tuple) else address
    host = host.decode(errors="replace") if isinstance(host, bytes) else str(host)
    if not isinstance(address, tuple):  # a socket file, or the name that a look-up is for
        return host.startswith(("/", "\\0")) or host in ("", "localhost", "None")
    return host.startswith("127.") or host in ("", "::1", "localhost", "None")

def _listen(event, arguments):
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"):
        address = (arguments[0], 0)
    else:
        return
    if address is not None and not _is_local(address):
        _write(f"{event} {arguments[:3]!r}")

def _write(line):
    with open(os.environ["SILENCE_LOG"], "a") as log:
        log.write(f"{os.getpid()} {line}\\n")

_write("start")
sys.addaudithook(_listen)
"""
RECIPE = """
name = "own"
[data]
format = "coco"
train = "coco_train.json"
val = "coco_val.json"
[stage1]
epochs = 1
batch = 2
[stage2]
epochs = 1
batch = 2
"""


@pytest.fixture
def listened(tmp_path):
    """(variables of the environment, file that the hook writes to, empty folder that is HOME)."""
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(HOOK)
    home, log = tmp_path / "home", tmp_path / "log.txt"
    home.mkdir()
    dropped = ("XDG_", "YOLO_", "ULTRALYTICS_", "MPLCONFIGDIR", "TORCH_HOME", "CI", "DCPOSE_", "PYTHONNOUSERSITE")
    env = {key: None for key in os.environ if key.startswith(dropped)}
    search_path = os.pathsep.join(filter(None, [str(tmp_path / "hook"), os.environ.get("PYTHONPATH")]))
    return env | {"HOME": home, "SILENCE_LOG": log, "PYTHONPATH": search_path}, log, home


def heard(log):
    """What the processes asked of the network, and how many processes there were."""
    lines = log.read_text().splitlines()
    return [line for line in lines if not line.endswith(" start")], len({line.split()[0] for line in lines})


def test_the_hook_hears_child_processes(dcpose, listened):
    """What the other test relies on: a name that is looked up in the child of a process is in the list."""
    env, log, _ = listened
    child = (
        "import socket, contextlib\nwith contextlib.suppress(OSError):\n    socket.getaddrinfo('host.invalid', 80)\n"
    )
    child += "socket.getaddrinfo('localhost', 80)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-P', '-c', {child!r}], check=True)"
    subprocess.run([sys.executable, "-c", parent], env=dcpose.environment(**env), check=True)
    (line,), processes = heard(log)
    assert "host.invalid" in line
    assert processes == 2


@pytest.mark.timeout(600)
def test_no_command_sends_anything(dcpose, clip, tiny_model, posetrack_root, listened, tmp_path):
    env, log, home = listened
    online = dcpose.models[:-1]
    assert "--offline" not in online
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "recipe.toml").write_text(RECIPE + tiny_model)
    out = tmp_path / "out"
    out.mkdir()
    commands = (
        ("export-json", clip, "-o", out / "a.json", *online),
        ("report", out / "a.json", "--video", clip, "-o", out / "a.html"),
        ("estimate", clip, "-o", out / "b.mp4", *online),
        ("batch", tmp_path / "in", "-o", out / "batch", "--workers", 1, *online),
        ("doctor",),
        ("train", tmp_path / "recipe.toml", "--data", posetrack_root, "--out", out / "model", "--work",
         tmp_path / "work", "--threads", 1, "--device", "cpu"),
    )  # fmt: skip
    for args in commands:
        result = dcpose.process(*args, env=env, cwd=tmp_path, timeout=300)
        assert result.returncode == 0, (args[0], result.stderr)
        assert heard(log)[0] == [], args[0]
        assert [str(path) for path in home.rglob("*")] == [], args[0]
    assert heard(log)[1] >= len(commands)
    assert (out / "model").is_dir()
