"""Which models take token ids, and what attends inside a model, as their sources tell it."""

from pathlib import Path

import pytest

from audit.attention.inside import attention_inside, token_lookup
from audit.target import Target

ATTENTION = """
import torch
from torch import nn


class {name}(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        return (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1) @ v
"""
MODEL = """
from torch import nn
{imported}


class Block(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.attention = {used}(dim)

    def forward(self, x):
        return x + self.attention(x)


class Model(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.embed = nn.Embedding(50, dim)
        self.block = Block(dim)

    def forward(self, ids, targets=None):
        return self.block(self.embed(ids))
"""


def lookup(tmp_path: Path, made: str, call: str, parameters: str = "ids, targets=None", others: str = "") -> str | None:
    path = tmp_path / "model.py"
    path.write_text(
        f"from torch import nn\n{others}\n"
        f"class Model(nn.Module):\n    def __init__(self, n, c):\n        super().__init__()\n        {made}\n"
        f"    def forward(self, {parameters}):\n        return {call}\n"
    )
    return token_lookup(path, "Model")


@pytest.mark.parametrize(
    ("made", "call"),
    [
        ("self.wte = nn.Embedding(n, c)", "self.wte(ids)"),
        ("self.parts = nn.ModuleDict(dict(wte=nn.Embedding(n, c)))", "self.parts.wte(ids)"),
        ("self.parts = nn.ModuleDict({'wte': nn.Embedding(n, c)})", "self.parts.wte(ids)"),
    ],
)
def test_a_table_that_the_first_input_is_looked_up_in_makes_it_token_ids(tmp_path: Path, made: str, call: str) -> None:
    assert lookup(tmp_path, made, f"{call} * 3.0") == call


def test_a_table_may_be_a_class_of_the_file_further_inside(tmp_path: Path) -> None:
    others = (
        "class Embeddings(nn.Module):\n    def __init__(self, n, c):\n        self.words = nn.Embedding(n, c)\n"
        "    def forward(self, input_ids):\n        return self.words(input_ids)\n"
    )
    made = "self.embeddings = Embeddings(n, c)"
    assert lookup(tmp_path, made, "self.embeddings(ids)", others=others) == "self.embeddings(ids)"
    unlike = others.replace("self.words(input_ids)", "input_ids")
    assert lookup(tmp_path, made, "self.embeddings(ids)", others=unlike) is None


@pytest.mark.parametrize(
    ("made", "call", "parameters"),
    [
        ("self.pos = nn.Embedding(n, c)", "x + self.pos(steps)", "x, steps"),  # positions beside the input
        ("self.layer = nn.Linear(n, c)", "self.layer(x)", "x"),
        ("self.wte = nn.Embedding(n, c)", "self.wte(ids)", "ids=None, embeds=None"),  # something else in its place
        ("self.wte = nn.Embedding(n, c)", "self.wte.weight @ ids", "ids"),
    ],
)
def test_other_inputs_are_no_token_ids(tmp_path: Path, made: str, call: str, parameters: str) -> None:
    assert lookup(tmp_path, made, call, parameters) is None


def test_a_class_that_is_not_there_takes_none(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("def Model():\n    pass\n")
    assert token_lookup(tmp_path / "model.py", "Model") is None


@pytest.mark.parametrize(
    ("imported", "used"),
    [
        ("from .layers import Used", "Used"),
        ("from .layers import Used as Layer", "Layer"),
        ("from . import layers", "layers.Used"),
        ("from zoo import layers", "layers.Used"),
        ("from .layers import *", "Used"),
        ("from .reexported import Used", "Used"),
    ],
)
def test_what_a_model_uses_of_its_package_is_found_and_nothing_beside_it(
    tmp_path: Path, imported: str, used: str
) -> None:
    package = tmp_path / "zoo"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "layers.py").write_text(ATTENTION.format(name="Used") + ATTENTION.format(name="Other"))
    (package / "reexported.py").write_text("from zoo.layers import Other, Used\n")
    path = package / "model.py"
    path.write_text(MODEL.format(imported=imported, used=used) + ATTENTION.format(name="Neighbour"))
    found = attention_inside(Target.load_tree(tmp_path), path, "Model")
    assert [(each.path, each.qualname) for each in found] == [("zoo/layers.py", "Used")]


def test_what_a_model_uses_of_its_own_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(ATTENTION.format(name="Used") + MODEL.format(imported="", used="Used"))
    found = attention_inside(Target.load_tree(tmp_path), path, "Model")
    assert [(each.path, each.qualname) for each in found] == [("model.py", "Used")]
