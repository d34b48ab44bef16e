"""Engines: networks computed by another runtime give what torch gives, and what is made for them is made once."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dcpose_cli import PoseEstimator, UsageError, export_json
from dcpose_cli.cli.model_commands import optimise_model
from dcpose_cli.config_checks import require_settings
from dcpose_cli.engines import ENGINES, Engine, engine_named, require_engine
from dcpose_cli.engines import parts as engine_parts
from dcpose_cli.engines.parts import Setup, computed, record, with_engine
from dcpose_cli.nets.folding import folded, laid_out
from dcpose_cli.nets.fused import parts_of
from dcpose_cli.pose.methods import method_of
from dcpose_cli.results import read_posetrack

ROOT = Path(__file__).parents[2]
KINDS = ["dcpose", "dsta", "hrnet", "posewarper", "simplebaseline"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where the files of engines go."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "dcpose" / "engines"


class Exported:
    """An engine that needs no package: the exported program, computed by torch."""

    def __init__(self):
        self.shapes = []
        self.engine = Engine(name="exported", precisions=("fp32", "bf16"), converted=self.converted, loaded=self.loaded)

    def converted(self, program, shape):
        self.shapes.append(shape)
        out = io.BytesIO()
        torch.export.save(program, out)
        return out.getvalue()

    @staticmethod
    def loaded(data, precision, threads, where):
        run = torch.export.load(io.BytesIO(data)).module()

        def call(x):
            with torch.no_grad():
                return run(torch.from_numpy(x)).numpy()

        return call


@pytest.fixture
def exported(monkeypatch):
    """That engine, in the registry."""
    one = Exported()
    monkeypatch.setitem(ENGINES, "exported", one.engine)
    return one


def setup_of(engine):
    return Setup(engine, "fp32", "cpu")


def installed(name):
    engine = ENGINES[name]
    for package in engine.packages:
        pytest.importorskip(package, reason=f"needs the extra {engine.extra}")
    return engine


def alive(net):
    """Folded, with weights that keep the output alive and offsets small."""
    torch.manual_seed(4)
    for name, value in net.named_parameters():
        if value.ndim == 4:
            torch.nn.init.normal_(value, 0, 1e-5) if "offset" in name else torch.nn.init.kaiming_normal_(value)
    return laid_out(folded(net))


def example(net):
    method = method_of(net)
    return method.run(torch.zeros(len(method.frames), 2, 3, 64, 48), torch.ones(2, 2, dtype=torch.int64))


def both(net, engine, count):
    """What a network gives in torch and by an engine, for `count` people."""
    method = method_of(net)
    crops, margin = torch.randn(len(method.frames), count, 3, 64, 48), torch.ones(count, 2, dtype=torch.int64)

    def run(some):
        codes = some.encode(crops.flatten(0, 1))
        return some.predict(codes.view(*crops.shape[:2], *codes.shape[1:]), margin).float()

    with torch.inference_mode():
        expected = run(method)
        other = with_engine(folded(net), setup_of(engine), example, dtype=torch.float32, cores=1)
        return expected, run(method_of(other)), other


SLOW = {"dsta", "posewarper", "simplebaseline"}


@pytest.mark.parametrize("kind", [pytest.param(k, marks=[pytest.mark.slow] if k in SLOW else []) for k in KINDS])
def test_parts_give_what_torch_gives(small_nets, exported, kind):
    expected, found, net = both(alive(small_nets.net(kind)), exported.engine, 3)
    assert expected.std() > 1e-4
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert any(isinstance(module, engine_parts.Computed) for module in net.modules())
    assert not parts_of(net)


def of_other_sizes(net, engine):
    """What torch and the engine make of crops of three sizes, the parts having been made for one."""
    ready = folded(net)
    expected, found = [], []
    other = method_of(
        with_engine(deepcopy(ready), setup_of(engine), example, dtype=torch.float32, cores=1, any_size=True)
    )
    for height, width in ((64, 48), (96, 48), (64, 112)):
        crops, margin = torch.randn(len(other.frames), 2, 3, height, width), torch.ones(2, 2, dtype=torch.int64)
        with torch.inference_mode():
            for method, out in ((method_of(ready), expected), (other, found)):
                codes = method.encode(crops.flatten(0, 1))
                out.append(method.predict(codes.view(*crops.shape[:2], *codes.shape[1:]), margin).float())
    return expected, found


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hrnet", "dcpose"])
def test_parts_take_crops_of_other_sizes_where_they_are_trimmed(small_nets, exported, kind):
    expected, found = of_other_sizes(alive(small_nets.net(kind)), exported.engine)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_a_part_takes_pictures_of_any_size(exported):
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU()).eval().requires_grad_(False)
    part = computed(net, setup_of(exported.engine), torch.zeros(2, 3, 12, 44), free=(0, 2, 3), stride=None, cores=1)
    for shape in ((1, 3, 12, 28), (3, 3, 10, 44)):
        x = torch.randn(shape)
        torch.testing.assert_close(part(x), net(x))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["openvino", "onnx"])
def test_engines_take_crops_of_other_sizes_where_they_are_trimmed(small_nets, name):
    expected, found = of_other_sizes(alive(small_nets.net("dcpose")), installed(name))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["openvino", "onnx"])
def test_float_engines_give_what_torch_gives(small_nets, name, kind):
    engine = installed(name)
    for count in (1, 5):
        expected, found, _ = both(alive(small_nets.net(kind)), engine, count)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["openvino", "onnx"])
def test_one_part_for_any_batch_and_thread(name):
    engine = installed(name)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU()).eval().requires_grad_(False)
    part = computed(net, setup_of(engine), torch.zeros(2, 3, 8, 6), free=(0,), cores=2)
    given = [torch.randn(count, 3, 8, 6) for count in (1, 2, 7, 3)]
    with ThreadPoolExecutor(2) as pool:
        for x, y in zip(given, pool.map(part, given), strict=True):
            torch.testing.assert_close(y, net(x), atol=1e-5, rtol=1e-5)


def test_files_are_made_once_and_never_half(exported, folder, monkeypatch):
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)).eval().requires_grad_(False)

    def make(net=net):
        computed(net, setup_of(exported.engine), torch.zeros(2, 3, 8, 6), free=(0,), cores=1)

    def files():
        return sorted(path.name for path in folder.iterdir() if path.name != ".lock")

    make()
    make()
    assert (len(exported.shapes), len(files())) == (1, 1)
    assert exported.shapes == [(None, 3, 8, 6)]
    other = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)).eval().requires_grad_(False)
    make(other)
    assert len(files()) == 2
    damaged = folder / files()[0]
    sound = damaged.read_bytes()
    for bad in (b"", sound[:-1], sound[:-1] + bytes([sound[-1] ^ 1])):
        damaged.write_bytes(bad)
        before = len(exported.shapes)
        for _ in range(2):
            make(), make(other)
        assert len(exported.shapes) == before + 1
    broken = replace(exported.engine, name="broken", converted=lambda *_: 1 / 0)
    with pytest.raises(UsageError, match=r"the engine broken does not take this network: division by zero"):
        computed(net, setup_of(broken), torch.zeros(2, 3, 8, 6), free=(0,), cores=1)
    assert len(files()) == 2


def test_an_engine_stands_in_the_header_and_gives_the_same_joints(exported, tiny_folder, product, clip, tmp_path):
    results = []
    for engine in ("auto", "exported"):
        people = PoseEstimator(tiny_folder, "cpu", detector=product.Crowd(), precision="fp32", engine=engine)
        export_json(clip, tmp_path / f"{engine}.json", estimator=people)
        results.append(read_posetrack(tmp_path / f"{engine}.json"))
    assert [one.header["settings"]["engine"] for one in results] == ["torch", "exported"]
    assert [one.header["settings"]["device"] for one in results] == ["cpu", "cpu"]
    first, second = ([p.keypoints for f in one.frames for p in f.people] for one in results)
    np.testing.assert_allclose(first, second, atol=1e-2)


def test_detectors_are_computed_for_frames_of_any_size(exported, product, tmp_path):
    from dcpose_cli.people.detector import PersonDetector

    source = product.save_random_detector(tmp_path)
    plain, other = (PersonDetector(source, conf=1e-4, **more) for more in ({}, {"engine": setup_of(exported.engine)}))
    rng = np.random.default_rng(3)
    for shape in ((90, 160, 3), (160, 90, 3), (64, 64, 3)):
        image = rng.integers(0, 255, shape, np.uint8)
        (expected,), (found,) = plain.detect([image]), other.detect([image])
        assert len(expected.boxes) > 0
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-2)


@pytest.mark.timeout(300)
def test_models_are_optimised_ahead(exported, tiny_folder, product, folder, tmp_path, capsys):
    detector = product.save_random_detector(tmp_path / "detector")
    optimise_model(str(tiny_folder), "exported", "auto", str(detector), quiet=False)
    assert re.search(
        "ready for the engine exported, (float32|bfloat16)", capsys.readouterr().out
    )  # as the CPU computes
    made = {path.name for path in folder.glob("*.exported")}
    assert len(made) == len(exported.shapes) == 5
    PoseEstimator(tiny_folder, detector=detector, engine="exported").load()
    assert {path.name for path in folder.glob("*.exported")} == made
    with pytest.raises(UsageError, match="torch computes the weights as they are"):
        optimise_model(str(tiny_folder), "auto", "auto", str(detector), quiet=True)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"engine": "abacus"}, "there is no engine 'abacus'; use auto, torch, openvino, onnx"),
        ({"precision": "int8"}, "unknown precision 'int8'"),
        ({"engine": "exported", "device": "cuda"}, "the engine exported works on the CPU, not on cuda"),
        ({"engine": "exported", "precision": "fp16"}, "the engine exported does not compute in fp16; use fp32, bf16"),
    ],
)
def test_what_cannot_be_asked_for(exported, settings, says):
    with pytest.raises(UsageError, match=says):
        require_settings(**settings)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(ENGINES, "far", Engine(name="far", packages=("no_such_package",), extra="far"))
    with pytest.raises(
        UsageError, match=r"the engine far needs no_such_package; pip install 'dcpose\[far\]'"
    ) as caught:
        require_engine("far")
    assert caught.value.exit_code == 2
    assert engine_named("auto").is_torch


def test_inputs_are_recorded_part_by_part(small_nets):
    net = folded(small_nets.net("dcpose"))
    found = record(net, list(parts_of(net)), lambda: example(net))
    assert sorted(found) == ["backbone", "combine", "prf", "ptm"]
    assert [tuple(x.shape) for x in found["backbone"]] == [(6, 3, 64, 48)]
    assert not any(module._forward_pre_hooks for module in net.modules())


#: What OpenVINO does for a network of one convolution.
WORK = """
import sys, numpy, torch
from dcpose_cli.engines import openvino
net = torch.nn.Conv2d(3, 4, 3).eval().requires_grad_(False)
program = torch.export.export(net, (torch.zeros(1, 3, 8, 8),))
made = openvino.converted(program, (1, 3, 8, 8))
out = openvino.loaded(made, "fp32", 1, "cpu")(numpy.ones((1, 3, 8, 8), numpy.float32))
assert out.shape == (1, 4, 6, 6)
"""


@pytest.mark.slow
def test_openvino_sends_nothing(tmp_path):
    """It reports its use, and stores an id in HOME, where the package for that can be imported."""
    installed("openvino")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("XDG_") and k != "CI"}
    trace = tmp_path / "calls.txt"
    strace = ["strace", "-f", "-qq", "-o", trace, "-e", "trace=connect"] if shutil.which("strace") else []
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [*strace, sys.executable, "-W", "ignore", "-c", WORK], env=kept | {"HOME": str(home), "TMPDIR": str(home)},
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [path.name for path in home.rglob("*") if path.is_file()] == []
    assert "AF_INET" not in (trace.read_text(errors="replace") if trace.exists() else "")
