"""Where sizes coincide, so that two mistakes give one scale, both are named, or the one that a trace has seen."""

import pytest

from audit.attention.contract import Contract
from audit.attention.properties.oracle import usual_mistakes
from audit.results import Outcome

from .edited_modules import Found, found_in

# 16 is 4 squared, so that 1/sqrt(embed_dim), 1/head_dim and 1/sqrt(head_dim) twice are one number.
_MODULE = """from torch import nn


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(16, 16) for _ in range(4))

    def forward(self, x, key_mask=None):
        q, k, v = (each(x).unflatten(-1, (4, 4)).transpose(1, 2) for each in (self.q, self.k, self.v))
        scores = q @ k.mT * q.shape[-1] ** -0.5
        return self.o((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2))
"""
_SPECS = """from zoo import {names}

ATTENTION = {{
    module.__name__[4:]: {{
        "class": f"{{module.__name__}}:Attention",
        "build": module.Attention,
        "forward": lambda built, x, key_mask: built(x),
        "contract": {{
            "embed_dim": 16, "num_heads": 4, "num_kv_heads": 4, "head_dim": 4, "is_causal": False,
            "projections": {{"query": "q", "key": "k", "value": "v", "output": "o"}},
        }},
    }}
    for module in ({names},)
}}
"""
_SCALE = "* q.shape[-1] ** -0.5"
EDITS = {
    "right": _SCALE,
    "of_the_width": "* x.shape[-1] ** -0.5",
    "twice": "* q.shape[-1] ** -0.5 * q.shape[-1] ** -0.5",
    "left_out": "",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    edits = {name: [(_SCALE, scale)] for name, scale in EDITS.items()}
    specs = _SPECS.format(names=", ".join(EDITS))
    return found_in(tmp_path_factory.mktemp("scales"), _MODULE, specs, edits, only=("oracle", "scale"))


@pytest.mark.slow
def test_a_width_is_not_told_as_a_scale_applied_twice(found: Found) -> None:
    results, (defect,) = found("of_the_width")
    assert "that is 1/sqrt(embed_dim)" in str(results["attention.scale"].reason)
    said = "it agrees with scale 1/sqrt(embed_dim) or the declared scale applied twice or 1/head_dim"
    assert said in str(results["attention.oracle"].reason)
    assert defect.bug == "scale_size"
    assert defect.explanation.startswith("the scale is 0.25, 1/head_dim or 1/sqrt(embed_dim), where 0.5 is right")


@pytest.mark.slow
def test_a_scale_that_a_trace_has_seen_twice_is_told_as_that(found: Found) -> None:
    results, (defect,) = found("twice")
    assert "that is the declared scale, applied twice" in str(results["attention.scale"].reason)
    assert defect.bug == "scale_form"
    assert defect.explanation.startswith("the scale is 0.25, applied twice, where 0.5 is right")


@pytest.mark.slow
def test_one_that_no_size_gives_has_one_name(found: Found) -> None:
    _, (defect,) = found("left_out")
    assert defect.bug == "scale_form"
    assert defect.explanation.startswith("the scale is 1, left out, where 0.5 is right")


@pytest.mark.slow
def test_the_right_one_passes(found: Found) -> None:
    results, defects = found("right")
    assert {each.outcome for each in results.values()} == {Outcome.PASSED}
    assert not defects


def test_every_scale_is_tried_once() -> None:
    contract = Contract(num_heads=4, num_kv_heads=4, head_dim=4, embed_dim=16, is_causal=False)
    scales = [wrong.scale for _, wrong, _ in usual_mistakes(contract) if wrong.scale is not None]
    assert len({round(float(scale), 12) for scale in scales}) == len(scales)
    assert contract.effective_scale not in scales
