"""A contract without `rotary_base` for a module that rotates is told as that, whatever else it declares."""

import pytest

from audit.results import Outcome

from .edited_modules import Found, found_in

_MODULE = """import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, length=32):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(24, 24) for _ in range(4))
        angles = torch.outer(torch.arange(length), BASE ** (-torch.arange(3) / 3))
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def turned(self, x):
        cos, sin = self.cos[: x.shape[2]].to(x), self.sin[: x.shape[2]].to(x)
        a, b = x.chunk(2, dim=-1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)

    def forward(self, x, key_mask=None):
        q, k, v = (each(x).unflatten(-1, (4, 6)).transpose(1, 2) for each in (self.q, self.k, self.v))
        q, k = self.turned(q), self.turned(k)
        allowed = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
        if key_mask is not None:
            allowed = allowed & key_mask[:, None, None, :]
        scores = (q @ k.mT * q.shape[-1] ** -0.5).masked_fill(~allowed, torch.finfo(x.dtype).min)
        return self.o((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2))
"""
_SPECS = """from zoo import {names}

NAMED = {{"projections": {{"query": "q", "key": "k", "value": "v", "output": "o"}}}}


def declared(module, **more):
    return {{
        "class": f"{{module.__name__}}:Attention",
        "build": module.Attention,
        "forward": lambda built, x, key_mask: built(x, key_mask),
        "contract": {{
            "embed_dim": 24, "num_heads": 4, "num_kv_heads": 4, "head_dim": 6, "is_causal": True, "key_mask": True,
            "empty_row": "uniform", **more,
        }},
    }}


ATTENTION = {{each.__name__[4:]: declared(each, **NAMED) for each in ({names},)}}
ATTENTION["declared"] = declared(usual, rotary_base=10000.0, **NAMED)
ATTENTION["unnamed"] = declared(usual)
"""
_PAIRS = (
    ("a, b = x.chunk(2, dim=-1)", "a, b = x[..., ::2], x[..., 1::2]"),
    ("torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)",
     "torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2)"),
)  # fmt: skip
_PLAIN = ("q, k = self.turned(q), self.turned(k)", "")
# What is edited, and what is said of it; empty where nothing rotates.
EDITS: dict[str, tuple[tuple[tuple[str, str], ...], str]] = {
    "usual": ((("BASE", "10000.0"),), "a rotary embedding of base 10000 in layout 'half'"),
    "pairs": ((("BASE", "500000.0"), *_PAIRS), "a rotary embedding of base 500000 in layout 'interleaved'"),
    "from_its_table": ((("BASE", "7300.0"),), "a rotary embedding of base 7300 in layout 'half'"),
    "unscaled": ((("BASE", "10000.0"), _PLAIN, ("* q.shape[-1] ** -0.5", "")), ""),
    "plain": ((("BASE", "10000.0"), _PLAIN), ""),
}
ROTATED = [name for name, (_, words) in EDITS.items() if words]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    edits = {name: edits for name, (edits, _) in EDITS.items()}
    specs = _SPECS.format(names=", ".join(EDITS))
    return found_in(tmp_path_factory.mktemp("rotary"), _MODULE, specs, edits, only=("oracle", "empty_rows"))


@pytest.mark.parametrize("name", ROTATED)
def test_the_contract_is_said_to_lack_the_base(found: Found, name: str) -> None:
    results, (defect,) = found(name)
    oracle = results["attention.oracle"]
    assert oracle.outcome is Outcome.FAILED
    assert f"it agrees with {EDITS[name][1]}, and the contract lacks `rotary_base`" in str(oracle.reason)
    assert defect.bug == "undeclared_positions", defect.explanation
    assert set(defect.checks) == {each.check for each in results.values() if each.outcome is Outcome.FAILED}


@pytest.mark.parametrize("name", ["plain", "declared"])
def test_what_is_declared_passes(found: Found, name: str) -> None:
    results, defects = found(name)
    assert {each.outcome for each in results.values()} == {Outcome.PASSED}
    assert not defects


def test_another_mistake_is_no_rotary_embedding(found: Found) -> None:
    results, (defect,) = found("unscaled")
    assert "rotary" not in str(results["attention.oracle"].reason)
    assert defect.bug == "scale_form"


def test_without_projections_nothing_is_known_of_it(found: Found) -> None:
    results, defects = found("unnamed")
    assert results["attention.oracle"].outcome is Outcome.SKIPPED
    assert not defects
