"""Names of tensors in foreign checkpoints."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from dcpose_cli.checkpoints.importing import read_checkpoint


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_only_the_level_of_a_wrapper_is_taken_off_names(tmp_path, ending):
    """`module.` within a word belongs to it: `submodule.weight` must not become `subweight`."""
    names = {"module.conv1.weight": "conv1.weight", "submodule.weight": "submodule.weight", "a.module.b": "a.b"}
    names["module.my_module.c"] = "my_module.c"
    state = {name: torch.full((2,), float(number)) for number, name in enumerate(names)}
    if ending == ".pth":
        torch.save({"state_dict": state}, tmp_path / "some.pth")
    else:
        save_file(state, tmp_path / "some.safetensors")
    found = read_checkpoint(tmp_path / f"some{ending}")
    assert {name: value[0].item() for name, value in found.items()} == {
        plain: float(number) for number, plain in enumerate(names.values())
    }
