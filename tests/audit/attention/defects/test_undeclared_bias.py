"""A bias or an embedding of positions that no key describes is told as that, and not as heads that are mixed up."""

import pytest

from audit.results import Outcome

from .edited_modules import Found, found_in

_MODULE = """import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, causal=False):
        super().__init__()
        self.causal = causal
        self.q, self.k, self.v, self.o = (nn.Linear(24, 24) for _ in range(4))
        self.table = nn.Embedding(65, 4)
        self.places = nn.Embedding(64, 24)

    def bias(self, length):
        apart = torch.arange(length) - torch.arange(length)[:, None]
        return self.table(apart.clamp(-32, 32) + 32).permute(2, 0, 1)

    def heads(self, x):
        return x.unflatten(-1, (4, 6)).transpose(1, 2)

    def forward(self, x, key_mask=None):
        length = x.shape[1]
        q, k, v = (self.heads(each(x)) for each in (self.q, self.k, self.v))
        scores = q @ k.mT * 6**-0.5
        if self.causal:
            scores = scores.masked_fill(~torch.ones(length, length, dtype=torch.bool).tril(), -torch.inf)
        return self.o((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2))
"""
_SPECS = """from zoo import {names}

NAMED = {{"projections": {{"query": "q", "key": "k", "value": "v", "output": "o"}}}}


def declared(module, is_causal=False, **more):
    return {{
        "class": f"{{module.__name__}}:Attention",
        "build": lambda: module.Attention(is_causal),
        "forward": lambda built, x, key_mask: built(x, key_mask),
        "contract": {{
            "embed_dim": 24, "num_heads": 4, "num_kv_heads": 4, "head_dim": 6, "is_causal": is_causal, **more,
        }},
    }}


ATTENTION = {{each.__name__[4:]: declared(each, **NAMED) for each in ({names},)}}
ATTENTION["causal_bias"] = declared(bias, True, **NAMED)
ATTENTION["causal_right"] = declared(right, True, **NAMED)
ATTENTION["unnamed_bias"] = declared(bias)
"""
_SPLIT = ("x.unflatten(-1, (4, 6)).transpose(1, 2)", "x.reshape(x.shape[0], 4, x.shape[1], 6)")
_MERGED = (".transpose(1, 2).flatten(2)", ".reshape(x.shape)")
_BIASED = ("6**-0.5\n", "6**-0.5 + self.bias(length)\n")
EDITS: dict[str, tuple[tuple[str, str], ...]] = {
    "right": (),
    "bias": (_BIASED,),
    "embedding": (
        ("length = x.shape[1]\n", "length = x.shape[1]\n        x = x + self.places(torch.arange(length))\n"),
    ),
    "split": (_SPLIT,),
    "merged": (_MERGED,),
    "split_and_merged": (_SPLIT, _MERGED),
    "split_and_bias": (_SPLIT, _BIASED),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    specs = _SPECS.format(names=", ".join(EDITS))
    return found_in(tmp_path_factory.mktemp("bias"), _MODULE, specs, EDITS, only=("oracle", "permutation"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bias", "causal_bias"])
def test_a_learned_bias_is_told_as_positions(found: Found, name: str) -> None:
    results, (defect,) = found(name)
    assert defect.bug == "undeclared_positions", defect.explanation
    assert defect.explanation.startswith("positions change the weights, as a relative bias inside does")
    assert "leave out `projections`" in str(defect.fix)
    assert set(defect.checks) == {check for check, each in results.items() if each.outcome is Outcome.FAILED}


@pytest.mark.slow
def test_an_embedding_inside_is_not_told_as_mixed_heads(found: Found) -> None:
    results, defects = found("embedding")
    assert results["attention.permutation"].outcome is Outcome.FAILED
    assert {each.bug for each in defects} == {None}
    (shown,) = [each for each in defects if "attention.permutation" in each.checks]
    assert "as where an embedding of positions is added to it" in shown.explanation


@pytest.mark.slow
@pytest.mark.parametrize("name", ["split", "merged", "split_and_merged", "split_and_bias"])
def test_heads_that_are_mixed_up_are_told_as_that(found: Found, name: str) -> None:
    results, defects = found(name)
    assert results["attention.permutation"].outcome is Outcome.FAILED
    assert [each.bug for each in defects if "attention.permutation" in each.checks] == ["heads"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["right", "causal_right"])
def test_without_positions_it_passes(found: Found, name: str) -> None:
    results, defects = found(name)
    assert results["attention.oracle"].outcome is Outcome.PASSED
    assert not defects


@pytest.mark.slow
def test_without_projections_nothing_is_promised_of_positions(found: Found) -> None:
    results, defects = found("unnamed_bias")
    assert results["attention.permutation"].outcome is Outcome.NOT_APPLICABLE
    assert "whether tokens have positions" in str(results["attention.permutation"].reason)
    assert not defects
