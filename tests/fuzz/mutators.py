"""Mutations of trees, tar files, tensors and modules. Not imported as a module: `runpy` reads it."""

from __future__ import annotations

import copy
import io
import json
import math
import tarfile

import torch

EXTREMES = (
    None, True, 0, 1, -1, 2**31, 2**63, 10**30, 0.5, -0.5, 1e-300, 1e300, math.inf, math.nan, "", "x", "\x1b[2J\x07",
    "a\0b", "../../x", "\ud800", "é" * 300, "x" * 20_000, [], {}, [[]], [1] * 5000, {"a": {"b": 1}}, "/dev/zero",
    "\u202e\x9b", "x" * 300, 10**9, -(2**31),
)  # fmt: skip


def mutate_tree(tree, rng, extremes=EXTREMES):
    """A copy of a tree of dictionaries and lists with one to three changes: other values, keys, or places."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice((1, 1, 2, 3))):
        if not tree or not isinstance(tree, dict | list):
            break
        node, key = _place(tree, rng)
        kind = rng.randrange(8)
        if kind <= 1:
            node[key] = copy.deepcopy(rng.choice(extremes))
        elif kind <= 3 and isinstance(node[key], int | float):
            node[key] = rng.choice((node[key] + 1, node[key] * 2, -node[key], float(node[key]), node[key] * 1000))
        elif kind == 4:
            del node[key]
        elif kind == 5:  # a value from elsewhere
            other, name = _place(tree, rng)
            node[key] = copy.deepcopy(other[name])
        elif kind == 6 and isinstance(node, dict):
            node[rng.choice(("x", "", "\x1b[31m", "__class__", key + "s", "9" * 400))] = node[key]
        else:
            for _ in range(rng.choice((1, 3, 60, 900))):
                node[key] = [node[key]]
    return tree


def _place(tree, rng):
    """(container, key) of something in a tree, by a walk from its root: all depths, and not the large lists alone."""
    node = tree
    while True:
        key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
        if not node[key] or not isinstance(node[key], dict | list) or rng.random() < 0.2:
            return node, key
        node = node[key]


def json_text(tree):
    """JSON that a Python or another writer makes of it; nan and inf as Python writes them."""
    return json.dumps(tree)


def toml_text(tree):
    """A dictionary as TOML with inline tables; None is left out."""
    return "".join(f"{_toml(key)} = {_toml(value)}\n" for key, value in tree.items() if value is not None)


def _toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(k)} = {_toml(v)}" for k, v in value.items() if v is not None) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(v) for v in value if v is not None) + "]"
    if isinstance(value, float):
        return repr(value) if "." in repr(value) or not math.isfinite(value) else repr(value).replace("e", ".0e")
    return json.dumps(value, ensure_ascii=True).replace("\\ud800", "\\ud7ff")


def mutate_tar(data, rng):
    """Another size, kind or name in the header of a member, whose checksum is right."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        member = rng.choice(archive.getmembers())
    raw = bytearray(data)
    field, size = rng.choice(((0, 100), (124, 12), (156, 1), (157, 100), (345, 155), (257, 8)))
    odd = (
        b"77777777777",
        b"\x80" + b"\xff" * 11,
        b"\xff" * 12,
        b"\0" * 12,
        b"0",
        b"2",
        b"5",
        b"S",
        b"L",
        b"x",
        b"/",
        b"..",
    )
    raw[member.offset + field : member.offset + field + size] = rng.choice(odd)[:size].ljust(size, b"\0")
    raw[member.offset + 148 : member.offset + 156] = b" " * 8
    total = sum(raw[member.offset : member.offset + 512])
    raw[member.offset + 148 : member.offset + 156] = f"{total:06o}\0 ".encode()
    return bytes(raw)


def laughs():
    """Forty lists of two times the one before: 2^40 leaves in a few kilobytes."""
    nested = [1]
    for _ in range(40):
        nested = [nested, nested]
    return nested


def odd_tensor(tensor, rng):
    """Another tensor in its place: other shape or type, not stored plainly, or not finite."""
    return rng.choice(
        (
            lambda: torch.zeros(1).expand(10**6, 10**6),
            lambda: tensor.float().to_sparse(),
            lambda: tensor.to("meta"),
            lambda: torch.full_like(tensor, math.nan),
            lambda: tensor.flatten()[:0],
            lambda: tensor.to(torch.complex64),
            lambda: tensor.bool(),
            lambda: tensor[None],
            lambda: tensor.double(),
        )
    )()


def mutate_modules(model, rng):
    """Other tensors or modules in a detector."""
    name, parameter = rng.choice(list(model.named_parameters()))
    module = model.get_submodule(name.rpartition(".")[0])
    kind = rng.randrange(4)
    if kind == 0:
        module._parameters[name.rpartition(".")[2]] = odd_tensor(parameter.detach(), rng)
    elif kind == 1:
        module._modules["again"] = model
    elif kind == 2:
        module.__dict__[rng.choice(("_modules", "_parameters", "_buffers"))] = rng.choice(EXTREMES)
    else:
        module._buffers["\x1b[2J"] = torch.zeros(2)
