"""Nothing is ever sent and nothing is written to HOME, by dcpose or by anything that it loads.

An audit hook in every process, the child processes too, lists what they ask of the network. `--offline` is not given.
Libraries that open sockets without Python are not heard by it: where strace is there, it lists every call to the
network of every process, whatever made it. onnxruntime is known for such calls since 1.32.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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
        _note(event, arguments)
        return
    if address is not None and not _is_local(address):
        _write(f"{event} {arguments[:3]!r}")

def _note(event, arguments):
    # Files and folders that are made in the temporary folder.
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & os.O_CREAT):
        return
    if event in ("open", "os.mkdir", "os.rename", "os.link", "os.symlink"):
        name = str(arguments[1 if event in ("os.rename", "os.link", "os.symlink") else 0])
        if name.startswith(os.environ["TMPDIR"] + os.sep):
            _write("made " + name)

def _write(line):
    with open(os.environ["SILENCE_LOG"], "a") as log:
        log.write(f"{os.getpid()} {line}\\n")

_write("start")
sys.addaudithook(_listen)
"""


@pytest.fixture
def listened(tmp_path):
    """(variables of the environment, file that the hook writes to, empty folder that is HOME). The temporary folder is
    one of its own, beside them."""
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(HOOK)
    home, log = tmp_path / "home", tmp_path / "log.txt"
    home.mkdir()
    (tmp_path / "temporary").mkdir()
    dropped = ("XDG_", "YOLO_", "ULTRALYTICS_", "MPLCONFIGDIR", "TORCH_HOME", "CI", "DCPOSE_", "PYTHONNOUSERSITE")
    env = {key: None for key in os.environ if key.startswith(dropped)}
    search_path = os.pathsep.join(filter(None, [str(tmp_path / "hook"), os.environ.get("PYTHONPATH")]))
    env["TMPDIR"] = tmp_path / "temporary"
    return env | {"HOME": home, "SILENCE_LOG": log, "PYTHONPATH": search_path}, log, home


def heard(log):
    """What the processes asked of the network, and how many processes there were."""
    lines = log.read_text().splitlines()
    asked = [line for line in lines if not re.match(r"\d+ (start$|made )", line)]
    return asked, len({line.split()[0] for line in lines})


def made(log):
    """What processes made in the temporary folder, without Python's own probe of it, which is removed at once."""
    lines = (re.match(r"\d+ made (.*)", line) for line in log.read_text().splitlines())
    names = {Path(line[1]).relative_to(log.with_name("temporary")).parts[0] for line in lines if line}
    return {name for name in names if not re.fullmatch(r"[a-z0-9_]{8}", name)}


def require_clean(log, home):
    """Nothing is left in HOME and in the temporary folder; what was there lay in folders that a later run removes,
    should the process be killed."""
    assert [str(path) for path in (*home.rglob("*"), *log.with_name("temporary").rglob("*"))] == []
    assert {name for name in made(log) if not re.fullmatch(r"\.dcpose-.*\.part", name)} == set()


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


#: A call to the network with an address, in the list of strace.
CALL = re.compile(r"\d+ +(connect|bind|sendto|sendmsg|sendmmsg)\(.*sa_family=(AF_\w+)(.*)")
LOOPBACK = re.compile(r"inet_addr\(\"127\.|inet_pton\(AF_INET6, \"::1\"")


def tracer(log):
    """strace, with arguments, so that it lists the calls of a program and of its children in `log`; () without it.

    It stops a process at calls to the network only, which costs next to nothing.
    """
    if shutil.which("strace") is None:
        return ()
    command = ("strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=%network", "-o", str(log))
    able = subprocess.run([*command, sys.executable, "-c", ""], capture_output=True, check=False).returncode == 0
    return command if able else ()


def sent(log):
    """The calls in a list of strace that lead out of this machine: neither to a socket file, nor to the kernel."""
    found = [CALL.match(line) for line in log.read_text(errors="replace").splitlines()]
    local = ("AF_UNIX", "AF_LOCAL", "AF_NETLINK", "AF_UNSPEC")
    return [call[0] for call in found if call and call[2] not in local and not LOOPBACK.search(call[3])]


def test_the_tracer_hears_libraries(tmp_path):
    """What the other tests rely on: calls without Python's sockets are in the list, and local ones are told apart."""
    under = tracer(tmp_path / "calls.txt")
    if not under:
        pytest.skip("needs strace, and leave to trace")
    code = """
import ctypes, socket, struct
system = ctypes.CDLL(None)
number = system.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)
for host in ("127.0.0.1", "192.0.2.1"):
    address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", 9) + socket.inet_aton(host) + bytes(8)
    system.connect(number, address, 16)
socket.socket(socket.AF_UNIX).connect_ex("/nowhere")
"""
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}], check=True)"
    subprocess.run([*under, sys.executable, "-c", parent], check=True)
    (call,) = sent(tmp_path / "calls.txt")
    assert "192.0.2.1" in call


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_export_to_onnx_sends_nothing(dcpose, listened, tmp_path):
    """Of all libraries onnxruntime is the one that reports its use, since 1.32: an older one proves nothing."""
    env, log, home = listened
    under = tracer(tmp_path / "calls.txt")
    try:
        numbers = tuple(map(int, version("onnxruntime").split(".")[:2]))
    except PackageNotFoundError:
        numbers = (0, 0)
    if not under or numbers < (1, 32):
        pytest.skip("needs strace, and onnxruntime 1.32 or later of the extra onnx")
    args = ("models", "export", dcpose.models[1], "-o", tmp_path / "x.onnx")
    result = dcpose.process(*args, env=env, cwd=tmp_path, timeout=800, under=under)
    assert result.returncode == 0, result.stderr
    assert (heard(log)[0], sent(tmp_path / "calls.txt")) == ([], [])
    require_clean(log, home)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_command_sends_anything(dcpose, clip, tiny_recipe, posetrack_root, listened, tmp_path):
    env, log, home = listened
    calls = tmp_path / "calls.txt"
    under = tracer(calls)
    online = dcpose.models[:-1]
    assert "--offline" not in online
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "recipe.toml").write_text(tiny_recipe)
    out = tmp_path / "out"
    out.mkdir()
    commands = (
        ("export-json", clip, "-o", out / "a.json", *online),
        ("report", out / "a.json", "--video", clip, "-o", out / "a.html"),
        ("estimate", clip, "-o", out / "b.mp4", *online),
        ("batch", tmp_path / "in", "-o", out / "batch", "--workers", 1, *online),
        ("doctor",),
        ("compare", clip, "--models", online[1], "-o", out / "c.mp4", "--json", out / "c.json", *online[2:]),
        ("train", tmp_path / "recipe.toml", "--data", posetrack_root, "--out", out / "model", "--work",
         tmp_path / "work", "--threads", 1, "--device", "cpu"),
    )  # fmt: skip
    for args in commands:
        result = dcpose.process(*args, env=env, cwd=tmp_path, timeout=300, under=under)
        assert result.returncode == 0, (args[0], result.stderr)
        assert heard(log)[0] == [], args[0]
        assert not under or sent(calls) == [], args[0]
        require_clean(log, home)
    assert heard(log)[1] >= len(commands)
    assert (out / "model").is_dir()
    assert len(made(log)) >= len(("detector of estimate", "compare", "fonts of train"))
