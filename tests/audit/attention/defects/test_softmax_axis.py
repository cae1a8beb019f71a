"""A softmax over the queries explains what differs from the oracle, masked keys and empty rows included."""

import pytest

from audit.results import Outcome

from .edited_modules import Found, found_in

_MODULE = """import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(24, 24) for _ in range(4))

    def forward(self, x, key_mask=None):
        q, k, v = (each(x).unflatten(-1, (4, 6)).transpose(1, 2) for each in (self.q, self.k, self.v))
        allowed = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
        if key_mask is not None:
            allowed = allowed & key_mask[:, None, None, :]
        scores = (q @ k.mT * q.shape[-1] ** -0.5).masked_fill(~allowed, torch.finfo(x.dtype).min)
        return self.o((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2))
"""
_SPECS = """from zoo import queries, queries_and_mask, right

NAMED = {"projections": {"query": "q", "key": "k", "value": "v", "output": "o"}}


def declared(module, **more):
    return {
        "class": f"{module.__name__}:Attention",
        "build": module.Attention,
        "forward": lambda built, x, key_mask: built(x, key_mask),
        "contract": {
            "embed_dim": 24, "num_heads": 4, "num_kv_heads": 4, "head_dim": 6, "is_causal": True, "key_mask": True,
            "empty_row": "uniform", **more,
        },
    }


ATTENTION = {each.__name__[4:]: declared(each, **NAMED) for each in (queries, queries_and_mask, right)}
ATTENTION["unnamed"] = declared(queries)
"""
_QUERIES = ("softmax(dim=-1)", "softmax(dim=-2)")
EDITS: dict[str, tuple[tuple[str, str], ...]] = {
    "right": (),
    "queries": (_QUERIES,),
    "queries_and_mask": (_QUERIES, ("key_mask[:, None, None, :]", "key_mask[:, None, None, :].roll(1, -1)")),
}
ONLY = ("oracle", "softmax_axis", "large_logits")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    return found_in(tmp_path_factory.mktemp("axes"), _MODULE, _SPECS, EDITS, only=ONLY)


def test_one_defect_explains_all(found: Found) -> None:
    results, (defect,) = found("queries")
    assert results["attention.oracle"].outcome is Outcome.FAILED
    assert defect.bug == "softmax_axis", defect.explanation
    assert set(defect.checks) == {check for check, each in results.items() if each.outcome is Outcome.FAILED}


def test_what_it_does_not_explain_is_another_defect(found: Found) -> None:
    _, defects = found("queries_and_mask")
    assert [defect.bug for defect in defects if "attention.oracle" not in defect.checks] == ["softmax_axis"]
    assert [defect.bug for defect in defects if "attention.oracle" in defect.checks] == [None]


def test_over_the_keys_there_is_none(found: Found) -> None:
    results, defects = found("right")
    assert {each.outcome for each in results.values()} == {Outcome.PASSED}
    assert not defects


def test_without_projections_the_trace_tells(found: Found) -> None:
    results, (defect,) = found("unnamed")
    assert results["attention.oracle"].outcome is Outcome.SKIPPED
    assert defect.bug == "softmax_axis"
