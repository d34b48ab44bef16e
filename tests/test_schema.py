from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from dcpose_cli._schema import build


@dataclass(frozen=True)
class Inner:
    size: tuple[int, int]
    share: float = 1.0


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner
    many: tuple[Inner, ...] = ()
    maybe: int | None = None
    flag: bool = False
    names: tuple[str, ...] = field(default_factory=tuple)


def test_everything_at_once():
    made = build(
        Outer,
        {
            "name": "n",
            "inner": {"size": [1, 2], "share": 3},
            "many": [{"size": (3, 4)}],
            "maybe": 5,
            "flag": True,
            "names": ["a", "b"],
        },
    )
    assert made == Outer("n", Inner((1, 2), 3.0), (Inner((3, 4)),), 5, True, ("a", "b"))
    assert type(made.inner.share) is float


def test_defaults_and_none():
    assert build(Outer, {"name": "n", "inner": {"size": [1, 2]}, "maybe": None}) == Outer("n", Inner((1, 2)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extra": 1}, "unknown key extra"),
        ({"inner": {"size": [1, 2], "extra": 1}}, "unknown key inner.extra"),
        ({"inner": {}}, "missing key inner.size"),
        ({"inner": 3}, "inner must be a table"),
        ({"inner": {"size": 3}}, "inner.size must be a list"),
        ({"inner": {"size": [1]}}, "inner.size must have 2 entries"),
        ({"inner": {"size": [1, 2.5]}}, "inner.size must be int"),
        ({"inner": {"size": [1, True]}}, "inner.size must be int"),
        ({"inner": {"size": [1, 2], "share": "1"}}, "inner.share must be float"),
        ({"inner": {"size": [1, 2], "share": True}}, "inner.share must be float"),
        ({"name": 1}, "name must be str"),
        ({"maybe": "1"}, "maybe must be int"),
        ({"flag": 1}, "flag must be bool"),
        ({"names": "ab"}, "names must be a list"),
        ({"many": [{"size": [1, 2]}, 3]}, "many must be a table"),
    ],
)
def test_errors_name_the_key(change, message):
    with pytest.raises(TypeError) as caught:
        build(Outer, {"name": "n", "inner": {"size": [1, 2]}, **change})
    assert str(caught.value) == message


@pytest.mark.parametrize("data", [None, [], "x", 3])
def test_the_whole_must_be_a_table(data):
    with pytest.raises(TypeError, match="it must be a table"):
        build(Outer, data)
