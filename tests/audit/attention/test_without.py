"""A class is said to hold no attention where its file shows that, and nothing is said where that is not known."""

from pathlib import Path

import pytest

from audit.attention.guessed import guessed_groups
from audit.attention.named import item_named
from audit.attention.without import holds_no_attention
from audit.collected import Collected
from audit.execute import Execution
from audit.named import Named
from audit.results import Outcome, Result
from audit.target import Target

HEAD = """
import math
import torch
from torch import nn
from torch.nn import functional as F, MultiheadAttention as Mixer
from elsewhere import Layer

ACTS = {"gelu": nn.GELU}
PARTS = {"mix": lambda q, k: q @ k.mT}

class Cell(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up, self.down = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)

    def forward(self, x):
        return self.down(F.gelu(self.up(x)))

class Mixing(nn.Module):
    def forward(self, q, k, v):
        return torch.matmul(torch.matmul(q, k.mT).sigmoid(), v)

class Subject(nn.Module):
    def __init__(self, dim, layer=None, act=nn.GELU):
        super().__init__()
        self.body = {body}

    def forward(self, x):
        return {forward}
"""
WITHOUT = {
    "layers of torch": ("nn.Sequential(nn.Linear(dim, dim), nn.Conv1d(1, 1, 3))", "self.body(x)"),
    "another class of the file": ("Cell(dim)", "self.body(x)"),
    "an activation that is handed over": ("act()", "self.body(x)"),
    "a table of the file": ("ACTS['gelu']()", "self.body(x)"),
}
# Each one edit away from one of those.
UNKNOWN = {
    "a class of the file that multiplies": ("Mixing()", "self.body(x, x, x)"),
    "a layer of torch that attends": ("nn.TransformerEncoderLayer(dim, 2)", "self.body(x)"),
    "one under another name": ("Mixer(dim, 2)", "self.body(x)"),
    "a class of another file": ("Layer(dim)", "self.body(x)"),
    "a layer that is handed over": ("layer", "self.body(x)"),
    "one that is handed over or its default": ("layer or nn.Identity()", "self.body(x)"),
    "one in a list": ("nn.Sequential(layer)", "self.body(x)"),
    "a class that is handed over": ("layer(dim)", "self.body(x)"),
    "a table that multiplies": ("PARTS['mix']", "self.body(x, x)"),
    "a product of its own": ("nn.Linear(dim, dim)", "x @ self.body(x).mT"),
    "a softmax": ("nn.Linear(dim, dim)", "self.body(x).softmax(-1)"),
    "a name that is looked up": ("getattr(nn, 'Linear')(dim, dim)", "self.body(x)"),
    "a weighted sum over logarithms": ("nn.Linear(dim, dim)", "self.body(x).logsumexp(-1)"),
    "a product called by its protocol": ("nn.Linear(dim, dim)", "x.__matmul__(self.body(x).mT)"),
}
# What stands elsewhere in the file, before or after it.
ELSEWHERE = {
    "a product under another name": ("from torch import bmm as multiply\n", "multiply(x, x)"),
    "what is put into a class later": ("", "self.body(x)\n\n\nSubject.forward = PARTS['mix']"),
    "a layer with its type": ("", "self.body(x)\n\n    def add(self, layer):\n        self.body: nn.Module = layer"),
}


def written(folder: Path, body: str, forward: str) -> Path:
    path = folder / "layers.py"
    path.write_text(HEAD.replace("{body}", body).replace("{forward}", forward))
    return path


@pytest.mark.parametrize("name", WITHOUT)
def test_a_class_without_a_product_holds_no_attention(name: str, tmp_path: Path) -> None:
    assert holds_no_attention(written(tmp_path, *WITHOUT[name]), "Subject")


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_may_attend_is_not_said_to_hold_none(name: str, tmp_path: Path) -> None:
    assert not holds_no_attention(written(tmp_path, *UNKNOWN[name]), "Subject")


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_may_attend_by_another_line_of_the_file_is_not_said_to_hold_none(name: str, tmp_path: Path) -> None:
    before, forward = ELSEWHERE[name]
    path = written(tmp_path, "nn.Linear(dim, dim)", forward)
    path.write_text(before + path.read_text())
    assert not holds_no_attention(path, "Subject")


def test_nothing_is_said_of_what_cannot_be_read(tmp_path: Path) -> None:
    path = written(tmp_path, *WITHOUT["layers of torch"])
    assert not holds_no_attention(path, "Absent")
    path.write_text("class Subject(:")
    assert not holds_no_attention(path, "Subject")
    assert not holds_no_attention(tmp_path / "absent.py", "Subject")


def test_a_file_that_imports_all_of_another_is_not_known(tmp_path: Path) -> None:
    path = written(tmp_path, *WITHOUT["layers of torch"])
    path.write_text("from elsewhere import *\n" + path.read_text())
    assert not holds_no_attention(path, "Subject")


def results_of(path: Path) -> dict[str, Result]:
    target = Target.load_tree(path.parent)
    collected = Collected(target)
    execution = Execution(target, tuple(guessed_groups(collected, [item_named(collected, Named(path, "Subject"))])))
    collected.close()
    execution.run()
    return {result.check.removeprefix("attention."): result for result in execution.results}


def test_a_class_that_is_named_and_holds_none_is_told_so_and_not_judged(tmp_path: Path) -> None:
    path = written(tmp_path, *WITHOUT["another class of the file"])
    path.write_text(path.read_text().replace("from elsewhere import Layer", ""))
    found = results_of(path)
    built = found.pop("built")
    assert built.outcome is Outcome.ERROR
    assert "Subject holds no attention as far as its file shows" in str(built.reason)
    assert "`astrobio-audit smoke layers.py::Subject`" in str(built.fix)
    assert {result.outcome for result in found.values()} == {Outcome.SKIPPED}


def test_one_that_attends_is_judged(tmp_path: Path) -> None:
    path = written(tmp_path, "nn.MultiheadAttention(dim, 4, batch_first=True)", "self.body(x, x, x)[0]")
    path.write_text(path.read_text().replace("from elsewhere import Layer", ""))
    found = results_of(path)
    assert found["built"].outcome is Outcome.PASSED
    assert found["repeatable"].outcome is Outcome.PASSED


def test_of_one_that_may_attend_it_is_told_why_it_was_not_called(tmp_path: Path) -> None:
    found = results_of(written(tmp_path, *UNKNOWN["a class of another file"]))
    assert found["built"].outcome is Outcome.ERROR
    assert "holds no attention" not in str(found["built"].reason)
    assert "Subject(dim=48) cannot be built" in str(found["built"].reason)
