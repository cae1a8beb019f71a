"""Where one call twice gives two outputs, that is told once; what compares two calls neither passes nor fails."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.attention.plan import plan_attention
from audit.results import Outcome
from audit.session import Request, conduct
from audit.target import Target

_MODULE = """import math

import torch
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    def __init__(self, dim: int = 24, num_heads: int = 4):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(dim, dim) for _ in range(4))
        self.calls = 0

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = (each(x).view(b, n, self.num_heads, -1).transpose(1, 2)
                   for each in (self.q_proj, self.k_proj, self.v_proj))
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        scores = scores.masked_fill(torch.ones(n, n, dtype=torch.bool).triu(1), -math.inf)
        weights = scores.softmax(dim=-1)
        {computed}
        return self.out_proj(out.transpose(1, 2).reshape(b, n, d))
"""
SUBJECTS = {
    "right": "out = weights @ v",
    "dropped": "out = F.dropout(weights, 0.1) @ v",
    "noisy": "out = weights @ (v + 1e-3 * torch.randn_like(v))",
    # Summed in another order in every second call, which is within rounding.
    "rounded": "self.calls += 1; out = weights @ v if self.calls % 2 else (weights.flip(-1) @ v.flip(-2))",
}
_SPECS = """from zoo import {names}

NAMES = {{"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}}
CONTRACT = {{"embed_dim": 24, "num_heads": 4, "num_kv_heads": 4, "head_dim": 6, "is_causal": True}}


def declared(module, **more):
    return {{
        "class": f"{{module.__name__}}:Attention",
        "build": module.Attention,
        "forward": lambda built, x, key_mask: built(x),
        "contract": {{**CONTRACT, **more}},
    }}


ATTENTION = {{f"{{each.__name__[4:]}} without oracle": declared(each) for each in ({names},)}}
ATTENTION |= {{each.__name__[4:]: declared(each, projections=NAMES) for each in ({names},)}}
"""
_WAITS = "waits on attention.repeatable"
_OF_TWO_CALLS = {
    f"attention.{name}" for name in ("depends", "causality", "prefix", "batch_rows", "noncontiguous", "low_precision")
}


def _written(root: Path, *, specs: bool) -> Path:
    (root / "zoo").mkdir()
    (root / "zoo" / "__init__.py").touch()
    for name, computed in SUBJECTS.items():
        (root / "zoo" / f"{name}.py").write_text(_MODULE.format(computed=computed))
    if specs:
        (root / "zoo" / "specs.py").write_text(_SPECS.format(names=", ".join(SUBJECTS)))
    named = 'specs = "zoo.specs"\n' if specs else ""
    (root / "pyproject.toml").write_text(f'[tool.astrobio-audit]\npackage = "zoo"\n{named}')
    return root


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for specs in (True, False):
        root = _written(tmp_path_factory.mktemp("not_repeatable"), specs=specs)
        report = conduct(Target.load(root), Request(command="attention", planners=[plan_attention], explain=False))
        for each in report.results:
            name = each.subject.spec or f"{Path(each.subject.path or '').stem} guessed"
            found.setdefault(name, {})[each.check] = each
    return lambda name: found[name]


@pytest.mark.parametrize("name", ["dropped", "noisy"])
@pytest.mark.parametrize("how", ["", " without oracle", " guessed"])
def test_what_compares_two_calls_waits_on_the_check_of_two_calls(
    results: Callable[[str], dict[str, Any]], name: str, how: str
) -> None:
    found = results(name + how)
    assert found["attention.repeatable"].outcome is Outcome.FAILED
    waiting = {check for check, each in found.items() if (each.reason or "").startswith(_WAITS)}
    assert waiting >= _OF_TWO_CALLS - ({"attention.low_precision"} if how != " guessed" else set())
    assert {found[check].outcome for check in waiting} == {Outcome.SKIPPED}
    failed = {check for check, each in found.items() if each.outcome is Outcome.FAILED}
    # Whatever the noise is, the output is not the oracle's.
    of_the_oracle = {f"attention.{name}" for name in ("oracle", "gradients", "large_logits", "long_sequences")}
    assert failed <= {"attention.repeatable", "attention.dropout_in_eval"} | (
        of_the_oracle if how != " without oracle" else set()
    )
    assert not [check for check, each in found.items() if "every token has the same" in (each.reason or "")]


@pytest.mark.parametrize("name", ["right", "rounded"])
@pytest.mark.parametrize("how", ["", " without oracle", " guessed"])
def test_calls_that_differ_by_rounding_are_judged(
    results: Callable[[str], dict[str, Any]], name: str, how: str
) -> None:
    found = results(name + how)
    assert [check for check, each in found.items() if each.outcome in (Outcome.ERROR, Outcome.FAILED)] == []
    assert not any(_WAITS in (each.reason or "") for each in found.values())
    assert found["attention.depends"].outcome is Outcome.PASSED
