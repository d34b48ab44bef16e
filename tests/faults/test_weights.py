"""Fault tests 23 and 25: weights that would run code, and weights that do not fit."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch


class Touches:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("option", ["--model", "--detector"])
@pytest.mark.parametrize("ending", [".pth", ".pt", ".safetensors"])
@pytest.mark.parametrize("container", ["torch", "bare"])
def test_pickles_are_refused(dcpose, product, clip, tmp_path, option, ending, container):
    evil, touched = tmp_path / f"evil{ending}", tmp_path / "touched"
    payload = {"model": Touches(touched), "state_dict": {"conv1.weight": Touches(touched)}}
    if container == "torch":
        torch.save(payload, evil)
    else:
        evil.write_bytes(pickle.dumps(payload))
    result = dcpose.estimate_with(option, evil, clip, tmp_path / "out.mp4")
    assert result.returncode == 5, result.stderr
    assert "evil" in product.one_line(result)
    assert product.files_in(tmp_path) == [evil.name]
    pickle.loads(pickle.dumps(Touches(touched)))
    assert touched.exists()  # the trap does work


def test_import_refuses_a_pickle_that_runs_code(dcpose, product, tmp_path):
    torch.save({"state_dict": Touches(tmp_path / "touched")}, tmp_path / "evil.pth")
    result = dcpose("models", "import", tmp_path / "evil.pth", "-o", tmp_path / "new")
    assert result.returncode == 5
    assert "evil.pth" in product.one_line(result)
    assert product.files_in(tmp_path) == ["evil.pth"]


def test_tensors_that_do_not_fit_are_listed(dcpose, product, clip, tiny_folder, tmp_path):
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(tiny_folder / "model.safetensors", "pt") as file:
        metadata = file.metadata()
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    names = sorted(state)
    for name in names[:3]:
        del state[name]
    state[names[4]] = torch.zeros(1, 2, 3)
    state["surplus.one"] = state["surplus.two"] = torch.zeros(1)
    state = {name: value.clone() for name, value in state.items()}
    (tmp_path / "broken").mkdir()
    save_file(state, tmp_path / "broken" / "model.safetensors", metadata)
    result = dcpose.estimate_with("--model", tmp_path / "broken", clip, tmp_path / "out.mp4")
    assert result.returncode == 5
    text = product.one_line(result)
    assert sum(name in text for name in [*names[:3], names[4], "surplus.one", "surplus.two"]) == 5
    assert "1 more" in text


@pytest.mark.parametrize("option", ["--model", "--detector"])
def test_missing_and_cut_weights(dcpose, product, clip, tiny_folder, tmp_path, option):
    whole = Path(dcpose.models[1 if option == "--model" else 3]) / "model.safetensors"
    cut = tmp_path / "model.safetensors"
    cut.write_bytes(whole.read_bytes()[:-100])
    for bad in (tmp_path / "nothing", cut):
        result = dcpose.estimate_with(option, bad, clip, tmp_path / "out.mp4")
        assert result.returncode == 5, result.stderr
        assert str(bad) in product.one_line(result)
    assert product.files_in(tmp_path) == ["model.safetensors"]


@pytest.mark.parametrize("option", ["--model", "--detector"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1j])
def test_weights_that_are_no_real_finite_numbers(dcpose, product, clip, tmp_path, option, bad):
    """Such a network finds nobody, or joints nowhere, and says nothing."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    whole = Path(dcpose.models[1 if option == "--model" else 3]) / "model.safetensors"
    with safe_open(whole, "pt") as file:
        metadata = file.metadata()
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    name = next(name for name, value in state.items() if value.dim() == 4)
    state[name] = state[name].to(torch.complex64) if bad == 1j else state[name].clone()
    state[name].view(-1)[0] = bad
    (tmp_path / "broken").mkdir()
    save_file(state, tmp_path / "broken" / "model.safetensors", metadata)
    result = dcpose.estimate_with(option, tmp_path / "broken", clip, tmp_path / "out.mp4")
    assert result.returncode == 5, result.stderr
    text = product.one_line(result)
    assert name in text
    assert ("complex" if bad == 1j else "not finite") in text
    assert product.files_in(tmp_path) == ["broken/model.safetensors"]


def test_import_refuses_numbers_that_are_not_finite(dcpose, product, tmp_path):
    torch.save({"state_dict": {"conv1.weight": torch.full((4, 3, 3, 3), float("nan"))}}, tmp_path / "bad.pth")
    result = dcpose("models", "import", tmp_path / "bad.pth", "-o", tmp_path / "new")
    assert result.returncode == 5
    assert "'conv1.weight' holds numbers that are not finite" in product.one_line(result)
    assert product.files_in(tmp_path) == ["bad.pth"]
