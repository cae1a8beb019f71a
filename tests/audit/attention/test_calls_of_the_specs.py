"""Functions of ATTENTION that do not take what they are given: an error, and nothing said of the module."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TEXT = """import torch
from torch import nn


class Cross(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(24, 24) for _ in range(4))

    def forward(self, x, context, mask=None):
        q, k, v = (
            layer(each).unflatten(-1, (4, 6)).transpose(1, 2)
            for layer, each in ((self.q, x), (self.k, context), (self.v, context))
        )
        scores = q @ k.mT * 6**-0.5
        scores = scores if mask is None else scores.masked_fill(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
        return self.out((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2))


def attend(query, key, value, is_causal, mask):
    return torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=is_causal)
"""
SPECS = """from zoo.parts import Cross, attend

MODELS = {}
SIZES = {"num_heads": 4, "num_kv_heads": 4, "head_dim": 6, "is_causal": False}


def across(forward):
    return {
        "class": "zoo.parts:Cross", "build": Cross, "forward": forward,
        "contract": {**SIZES, "embed_dim": 24, "context_dim": 24, "key_mask": True},
    }


def of_function(forward):
    return {"function": "zoo.parts:attend", "forward": forward, "contract": SIZES}


def alone(forward, **more):
    return across(forward) | {"contract": {**SIZES, "embed_dim": 24, "is_causal": True}} | more


ATTENTION = {
    "right": across(lambda module, x, key_mask, context: module(x, context, key_mask)),
    "wrong_order": across(lambda module, x, context, key_mask: module(x, context, key_mask)),
    "raises_itself": across(lambda module, x, key_mask, context: module(x, context[..., :5], key_mask)),
    "function": of_function(lambda query, key, value, is_causal, mask: attend(query, key, value, is_causal, mask)),
    "function_without_a_mask": of_function(lambda query, key, value: attend(query, key, value, False, None)),
    "decode_of_one": alone(lambda module, x, key_mask: module(x, x), decode=lambda module: module),
}
"""
EVERY = "let the specs' functions take what they are given"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory, audit_of: Callable[[Path], Any]) -> Any:
    folder = tmp_path_factory.mktemp("calls")
    (folder / "zoo").mkdir()
    for file, content in (("__init__", ""), ("parts", TEXT), ("specs", SPECS)):
        (folder / "zoo" / f"{file}.py").write_text(content)
    (folder / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\n')
    return audit_of(folder)


@pytest.mark.parametrize("name", ["wrong_order", "function_without_a_mask"])
def test_other_arguments_are_an_error_of_every_check(name: str, package: Any) -> None:
    found = package.judge(name)
    assert {each.outcome.value for each in found.values()} <= {"error", "skipped", "not_applicable"}
    raised = [each for each in found.values() if "TypeError" in (each.reason or "")]
    assert len(raised) > 5
    for each in raised:
        assert each.outcome == "error"
        assert EVERY in each.fix
        assert "forward(module, hidden_states, key_mask, context=context)" in each.fix


@pytest.mark.parametrize("name", ["right", "function"])
def test_the_right_order_passes(name: str, package: Any) -> None:
    for check in ("attention.repeatable", "attention.query_rows"):
        assert package.judge(name, only=check)[check].outcome == "passed"


def test_what_the_module_raises_is_its_own(package: Any) -> None:
    found = package.judge("raises_itself", only="attention.repeatable")["attention.repeatable"]
    assert found.outcome == "failed"
    assert found.fix is None


@pytest.mark.parametrize("check", ["attention.kv_cache", "attention.long_past"])
def test_a_decode_that_takes_no_chunks_is_an_error(check: str, package: Any) -> None:
    found = package.judge("decode_of_one", only=check)[check]
    assert found.outcome == "error", found.reason
    assert "decode(module, chunks)" in found.fix
