"""What is rotated otherwise than declared is told by what it computes, and has a class of its own."""

import pytest

from audit.results import Outcome

from ..rotary_text import ROTARY
from .edited_modules import Found, found_in

# Under a name by which nothing tells that it rotates.
_MODULE = ROTARY.replace("apply_rotary", "turned").replace(
    "dim: int = 48, num_heads: int = 6", "dim: int = 32, num_heads: int = 4"
)
_ROTATED = "q, k = turned(q, cos, sin), turned(k, cos, sin)"
# What is edited, what the oracle's check says of it, and the class.
WRONG: dict[str, tuple[str, str, str, str]] = {
    "llama_3": ("10000.0 **", "500000.0 **", "rotary base 500000, where base 10000 is declared", "rotary_turned"),
    "code_llama": ("10000.0 **", "1000000.0 **", "rotary base 1000000, where base 10000 is declared", "rotary_turned"),
    "half_the_exponent": ("/ half)", "/ q.shape[-1])", "half the exponent, where base 10000", "rotary_turned"),
    "twice_the_exponent": ("/ half)", "/ (half / 2))", "twice the exponent, where base 10000", "rotary_turned"),
    "not_inverted": ("(-torch.arange", "(torch.arange", "not inverted, where base 10000", "rotary_turned"),
    "keys_alone": (_ROTATED, "k = turned(k, cos, sin)", "keys that are rotated and queries that", "rotary_turned"),
    "queries_alone": (_ROTATED, "q = turned(q, cos, sin)", "queries that are rotated and keys that", "rotary_turned"),
    "keys_backwards": (
        _ROTATED, _ROTATED.replace("(k, cos, sin)", "(k, cos, -sin)"),
        "keys that are rotated the other way than queries", "rotary_turned",
    ),
    "queries_backwards": (
        _ROTATED, _ROTATED.replace("(q, cos, sin)", "(q, cos, -sin)"),
        "queries that are rotated the other way than keys", "rotary_turned",
    ),
    "both_backwards": (
        "(-second, first)", "(second, -first)", "queries and keys that are rotated the other way", "rotary_turned",
    ),
    "values_too": (_ROTATED, f"{_ROTATED}; v = turned(v, cos, sin)", "values that are rotated", "rotary_turned"),
    "none": (_ROTATED, "pass", "no rotary embedding", "rotary_turned"),
    "mixed": (
        "torch.cat((angles, angles), dim=-1)", "angles.repeat_interleave(2, dim=-1)",
        "rotary angles laid out interleaved, for pairs of features that are laid out half", "rotary_pairs",
    ),
}  # fmt: skip
RIGHT = "right"
_SPECS = """from zoo import {names}


def declared(module):
    return {{
        "class": f"{{module.__name__}}:Attention",
        "build": module.Attention,
        "forward": lambda built, x, key_mask: built(x),
        "contract": {{
            "embed_dim": 32, "num_heads": 4, "num_kv_heads": 4, "head_dim": 8, "is_causal": True,
            "rotary_base": 10000.0,
            "projections": {{"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}},
        }},
    }}


ATTENTION = {{each.__name__[4:]: declared(each) for each in ({names},)}}
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    edits = {RIGHT: [], **{name: [(before, after)] for name, (before, after, _, _) in WRONG.items()}}
    specs = _SPECS.format(names=", ".join(edits))
    return found_in(tmp_path_factory.mktemp("rotary"), _MODULE, specs, edits)


@pytest.mark.parametrize("name", WRONG)
def test_the_oracle_says_what_is_rotated_instead(found: Found, name: str) -> None:
    _, _, words, bug = WRONG[name]
    results, defects = found(name)
    assert results["attention.oracle"].outcome is Outcome.FAILED
    assert "it agrees with " in str(results["attention.oracle"].reason)
    assert words in str(results["attention.oracle"].reason)
    assert [defect.bug for defect in defects] == [bug], [defect.explanation for defect in defects]


def test_what_is_rotated_as_declared_passes(found: Found) -> None:
    results, defects = found(RIGHT)
    assert results["attention.oracle"].outcome is Outcome.PASSED
    assert not [check for check, each in results.items() if each.outcome in (Outcome.FAILED, Outcome.ERROR)]
    assert not defects
