"""Sizes in a contract that are not those of the module are an error of every check, and no failure of the module."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TEXT = """import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(24, 24) for _ in range(4))

    def forward(self, x, key_mask=None):
        q, k, v = (each(x).unflatten(-1, (4, 6)).transpose(1, 2) for each in (self.q, self.k, self.v))
        return self.o(((q @ k.mT * 6**-0.5).softmax(dim=-1) @ v).transpose(1, 2).flatten(2))
"""
SPECS = """from zoo.parts import Attention

NAMED = {"projections": {"query": "q", "key": "k", "value": "v", "output": "o"}}


def declared(width, **more):
    return {
        "class": "zoo.parts:Attention", "build": Attention, "forward": lambda module, x, key_mask: module(x),
        "contract": {
            "embed_dim": width, "num_heads": 4, "num_kv_heads": 4, "head_dim": 6, "is_causal": False, **more,
        },
    }


ATTENTION = {
    "right": declared(24), "named": declared(24, **NAMED),
    "wide": declared(25), "wide_named": declared(25, **NAMED),
}
"""
CHECKS = ("depends", "repeatable", "softmax_axis", "oracle")


def audited(folder: Path, audit_of: Callable[[Path], Any], text: str = TEXT) -> Any:
    (folder / "zoo").mkdir()
    for file, content in (("__init__", ""), ("parts", text), ("specs", SPECS)):
        (folder / "zoo" / f"{file}.py").write_text(content)
    (folder / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\n')
    return audit_of(folder)


def test_a_wrong_width_is_an_error_of_the_contract(tmp_path: Path, audit_of: Callable[[Path], Any]) -> None:
    package = audited(tmp_path, audit_of)
    for check in CHECKS:
        named = package.judge("wide_named", only=f"attention.{check}")[f"attention.{check}"]
        assert named.outcome == "error"
        assert "does not fit the module: 'q.weight' is a tensor of torch.float32 of shape (24, 24)" in named.reason
        found = package.judge("wide", only=f"attention.{check}")[f"attention.{check}"]
        assert found.outcome == ("skipped" if check == "oracle" else "error")
        assert check == "oracle" or "declares embed_dim = 25" in found.reason
        assert check == "oracle" or "while one of width 24 is taken" in found.reason


@pytest.mark.parametrize("name", ["right", "named"])
def test_the_right_width_passes(name: str, tmp_path: Path, audit_of: Callable[[Path], Any]) -> None:
    package = audited(tmp_path, audit_of)
    found = [package.judge(name, only=f"attention.{check}")[f"attention.{check}"] for check in CHECKS[:3]]
    assert [each.outcome.value for each in found] == ["passed"] * 3


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (
            ".flatten(2))",
            ".flatten(1))",
        ),
        (".flatten(2))", ".flatten(2)) if x.shape[1] == 1 else self.o(x.mT)"),
    ],
)
def test_a_module_that_raises_itself_fails(
    edit: str, told: str, tmp_path: Path, audit_of: Callable[[Path], Any]
) -> None:
    package = audited(tmp_path, audit_of, TEXT.replace(edit, told))
    found = package.judge("right", only="attention.depends")["attention.depends"]
    assert found.outcome == "failed"
    assert "forward raised RuntimeError" in found.reason
    # Where one token is answered, the width is not what raises.
    assert ("embed_dim = 24 may be wrong" in found.reason) == ("x.mT" not in told)
