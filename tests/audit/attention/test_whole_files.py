"""A file without a name behind it: all attention, or every model, that the inventory finds in it."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from audit.attention.named import items_named
from audit.collected import Collected
from audit.errors import UsageError
from audit.named import Named, read_names
from audit.static.inventory import InventoryKind
from audit.target import Target

LAYERS = """
from torch import nn


class First(nn.Module):
    def forward(self, x):
        return nn.functional.scaled_dot_product_attention(x, x, x)


class Second(First):
    pass


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x):
        return self.layer(x)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in {"layers.py": LAYERS, "plain.py": "TEN = 10\n", "broken.py": "def\n"}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def _items(root: Path, kind: InventoryKind, names: Sequence[str]) -> list[str]:
    named = [Named(root / name.path, name.qualname) for name in read_names(names)]
    collected = Collected(Target.load_tree(root), cache=False)
    try:
        return [item.qualname for item in items_named(collected, named, kind)]
    finally:
        collected.close()


def test_all_of_a_kind_are_named_once(root: Path) -> None:
    assert _items(root, InventoryKind.ATTENTION, ["layers.py"]) == ["First", "Second"]
    assert _items(root, InventoryKind.ATTENTION, ["layers.py::Second", "layers.py"]) == ["Second", "First"]
    assert "Plain" in _items(root, InventoryKind.MODEL, ["layers.py"])


def test_a_file_without_any_is_no_matter_beside_one_that_has_some(root: Path) -> None:
    assert _items(root, InventoryKind.ATTENTION, ["plain.py", "layers.py"]) == ["First", "Second"]


@pytest.mark.parametrize(
    ("name", "said"),
    [("plain.py", "the inventory finds no attention in it; name a class as FILE::NAME"), ("broken.py", "broken.py:")],
)
def test_nothing_to_judge_is_said(root: Path, name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        _items(root, InventoryKind.ATTENTION, [name])


def test_what_repeats_a_result_is_the_file_alone() -> None:
    assert [name.text for name in read_names(["zoo/layers.py", "zoo/layers.py::First"])] == [
        "zoo/layers.py", "zoo/layers.py::First",
    ]  # fmt: skip
