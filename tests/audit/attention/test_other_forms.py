"""Properties on functions and on attention to another sequence, where no oracle knows what is computed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CROSS = '''"""Attention of one sequence to another."""
from torch import nn

class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.to_q, self.to_k, self.to_v = nn.Linear(24, 32), nn.Linear(20, 32), nn.Linear(20, 32)
        self.to_out = nn.Linear(32, 24)

    def forward(self, x, context, key_mask=None):
        split = lambda x: x.unflatten(-1, (4, 8)).transpose(1, 2)
        scores = split(self.to_q(x)) @ split(self.to_k(context)).mT * 8**-0.5
        if key_mask is not None:
            scores = scores.masked_fill(~key_mask[:, None, None, :], -1e4)
        return self.to_out((scores.softmax(dim=-1) @ split(self.to_v(context))).transpose(1, 2).flatten(2))
'''
FUNCTION = '''"""Attention as a function."""

def attention(query, key, value, is_causal, mask):
    key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], dim=1) for x in (key, value))
    scores = query @ key.mT * query.shape[-1] ** -0.5
    if is_causal:
        future = scores.new_ones(scores.shape[-2:]).triu(1 + key.shape[2] - query.shape[2]) > 0
        scores = scores.masked_fill(future, -1e4)
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e4)
    return scores.softmax(dim=-1) @ value
'''
Edit = tuple[str, str]
NOTHING = ("", "")
# The property that must fail, and the edit; None where nothing may fail.
CROSSES: dict[str, tuple[str | None, Edit]] = {
    "cross": (None, NOTHING),
    "cross_mask_ignored": ("mask", ("if key_mask is not None", "if False")),
    "cross_context_ignored": ("depends", ("self.to_k(context)).mT", "self.to_k(context * 0)).mT")),
    "cross_one_key": ("depends", ("scores = split", "context = context.mean(1, keepdim=True)\n        scores = split")),
    "cross_context_shared": ("batch_rows", ("self.to_v(context)", "self.to_v(context).roll(1, 0)")),
}
FUNCTIONS: dict[str, tuple[str | None, Edit]] = {
    "function": (None, NOTHING),
    "function_mask_ignored": ("mask", ("if mask is not None", "if False")),
    "function_mask_replaces": ("noop_mask", ("if is_causal:", "if is_causal and mask is None:")),
    "function_over_heads": ("depends", ("scores.softmax(dim=-1) @ value", "value")),
    "function_over_batch": ("batch_rows", ("softmax(dim=-1)", "softmax(dim=0)")),
    "function_scale_by_length": ("prefix", ("query.shape[-1] **", "query.shape[-2] **")),
    "function_strides": (
        "noncontiguous",
        (" = query @", " = query.as_strided(query.shape, key.new_empty(query.shape).stride()) @"),
    ),
    "function_query_detached": ("gradients", ("scores = query @", "scores = query.detach() @")),
}  # fmt: skip
SPECS = """
import importlib

def cross(name):
    class_ = importlib.import_module(f"zoo.{name}").Attention
    return {
        "class": f"zoo.{name}:Attention", "build": class_, "contract": {},
        "forward": lambda module, x, key_mask, context: module(x, context, key_mask),
    }

def function(name):
    attention = importlib.import_module(f"zoo.{name}").attention
    return {
        "function": f"zoo.{name}:attention", "contract": {},
        "forward": lambda query, key, value, is_causal, mask: attention(query, key, value, is_causal, mask),
    }

ATTENTION = {name: (cross if name.startswith("cross") else function)(name) for name in NAMES}
"""


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory, audit_of: Callable[[Path], Any]) -> Any:
    """One package that holds every module and function."""
    root = tmp_path_factory.mktemp("forms")
    (root / "zoo").mkdir()
    sources = {"__init__": "", "specs": f"NAMES = {[*CROSSES, *FUNCTIONS]}\n{SPECS}"}
    for base, table in ((CROSS, CROSSES), (FUNCTION, FUNCTIONS)):
        for name, (_, (old, new)) in table.items():
            assert not old or base.count(old) == 1, f"{old!r} occurs {base.count(old)} times"
            sources[name] = base.replace(old, new) if old else base
    for name, text in sources.items():
        (root / "zoo" / f"{name}.py").write_text(text)
    (root / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\n')
    return audit_of(root)


def failed(found: dict[str, Any]) -> dict[str, str]:
    return {check: j.reason for check, j in found.items() if j.outcome in ("failed", "error")}


@pytest.mark.parametrize("name", CROSSES)
def test_attention_to_another_sequence(zoo: Any, name: str) -> None:
    check, _ = CROSSES[name]
    found = zoo.judge_found(name, embed_dim=24, context_dim=20, num_heads=4, key_mask=True)
    if check is None:
        assert failed(found) == {}
        passed = {each for each, judgement in found.items() if judgement.outcome == "passed"}
        assert {"depends", "mask", "noop_mask", "batch_rows", "permutation", "noncontiguous", "gradients"} <= passed
    else:
        assert found[check].outcome == "failed", (failed(found), found[check])


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("is_causal", [None, True])
def test_functions(zoo: Any, name: str, is_causal: bool | None) -> None:
    check, _ = FUNCTIONS[name]
    sizes = {"num_heads": 6, "num_kv_heads": 3, "head_dim": 10, "key_mask": True}
    found = zoo.judge_found(name, is_causal=is_causal, **sizes)
    if check is None:
        assert failed(found) == {}
    elif is_causal is None and check in ("prefix", "noop_mask"):
        assert found[check].outcome in ("not_applicable", "passed")  # it is not known to be causal, and not called so
    else:
        assert found[check].outcome == "failed", (failed(found), found[check])


@pytest.mark.parametrize(("fixture", "outcome"), [("clean", "passed"), ("cache_off_by_one", "failed")])
def test_a_cache_is_judged_without_an_oracle(audit_of: Callable[[Path], Any], fixture: str, outcome: str) -> None:
    audited = audit_of(Path(__file__).parents[2] / "fixtures" / "attention" / fixture)
    found = audited.judge_found("attention", decodes=True, embed_dim=24, is_causal=True, key_mask=True)
    assert found["kv_cache"].outcome == outcome, found["kv_cache"]
