"""A cache that only a switch returns, beside the output: found without specs, right code passes and one edit fails."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.results import Outcome

from .defects.test_found_subjects import defects_of, exit_code
from .judged_sources import JudgedSources

ROTARY = """import torch
from torch import nn
from torch.nn import functional as F


def rotate(x, start):
    half = x.shape[-1] // 2
    angles = torch.arange(start, start + x.shape[2])[:, None] * 10000.0 ** (-torch.arange(half) / half)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class Switched(nn.Module):
    \"\"\"Causal self-attention.\"\"\"

    def __init__(self, dim=48, num_heads=6):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(dim, dim) for _ in range(3))
        self.out_proj = nn.Linear(dim, dim)

    def forward(self, hidden_states, past_key_value=None, use_cache=False):
        batch, length, _ = hidden_states.shape
        q, k, v = (
            layer(hidden_states).view(batch, length, self.num_heads, -1).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        past = 0 if past_key_value is None else past_key_value[0].shape[2]
        q, k = rotate(q, past), rotate(k, past)
        if past_key_value is not None:
            k, v = torch.cat((past_key_value[0], k), dim=2), torch.cat((past_key_value[1], v), dim=2)
        mask = torch.ones(length, k.shape[2], dtype=torch.bool).tril(past)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        out = self.out_proj(out.transpose(1, 2).reshape(batch, length, -1))
        return (out, (k, v)) if use_cache else out
"""
TURNED = "q, k = rotate(q, past), rotate(k, past)"
RETURNED = "return (out, (k, v)) if use_cache else out"
PAST, SWITCH = "past_key_value", "use_cache=False"


def _renamed(cache: str, annotation: str, switch: str) -> str:
    text = ROTARY.replace(f"{PAST}=None", f"{PAST}: {annotation} = None").replace(PAST, cache)
    return text.replace(SWITCH, switch).replace("if use_cache", f"if {switch.partition(':')[0].partition('=')[0]}")


RIGHT = {
    "as it is": ROTARY,
    "unrotated": ROTARY.replace(TURNED, ""),
    "three": ROTARY.replace(RETURNED, "return (out, k, v) if use_cache else out"),
    "cache first": ROTARY.replace(RETURNED, "return ((k, v), out) if use_cache else out"),
    "dict": ROTARY.replace(RETURNED, 'return {"out": out, "past": (k, v)} if use_cache else out'),
    "output_cache": _renamed("cache", "tuple[torch.Tensor, ...] | None", "output_cache=None"),
    "return_kv": _renamed("kv_cache", "list[torch.Tensor] | None", "return_kv: bool = False"),
    "return_present": _renamed("layer_past", "tuple | None", "return_present=False"),
    "return_past_kv": _renamed("past_kv", "tuple | None", "return_past_kv=False"),
}
# What is edited, the edit, and the class of the mistake that it makes.
WRONG = {
    "positions restart": ("as it is", TURNED, "q, k = rotate(q, 0), rotate(k, 0)", "rotary_offset"),
    "diagonal restarts": ("unrotated", ".tril(past)", ".tril()", "alignment"),
    "both, elsewhere": ("three", TURNED, "q, k = rotate(q, 0), rotate(k, 0)", "rotary_offset"),
}
# It wants of its first cache what no convention has.
REFUSED = ROTARY.replace(
    TURNED, f'past = past_key_value["made by its model"].start if use_cache else 0\n        {TURNED}'
)


def _edited(name: str) -> str:
    of, before, after, _ = WRONG[name]
    assert RIGHT[of].count(before) == 1
    return RIGHT[of].replace(before, after)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JudgedSources]:
    texts = RIGHT | {name: _edited(name) for name in WRONG} | {"refused": REFUSED}
    written = JudgedSources(
        tmp_path_factory.mktemp("switched"),
        {name.replace(" ", "_").replace(",", ""): (text, "Switched") for name, text in texts.items()},
    )
    yield written
    written.close()


def _judged(sources: JudgedSources, name: str) -> tuple[Outcome, str]:
    (judgement, *_) = sources.judge(name.replace(" ", "_").replace(",", ""), "kv_cache")["kv_cache"]
    return judgement.outcome, str(judgement.reason)


@pytest.mark.parametrize("name", RIGHT)
def test_a_switched_cache_is_found_and_passes(sources: JudgedSources, name: str) -> None:
    outcome, reason = _judged(sources, name)
    assert outcome is Outcome.PASSED, reason


@pytest.mark.parametrize("name", WRONG)
def test_one_edit_fails(sources: JudgedSources, name: str) -> None:
    outcome, reason = _judged(sources, name)
    assert outcome is Outcome.FAILED, reason
    assert "decoding through the cache differs" in reason


def test_a_cache_that_cannot_be_made_is_not_judged_and_says_why(sources: JudgedSources) -> None:
    outcome, reason = _judged(sources, "refused")
    assert outcome is Outcome.NOT_APPLICABLE
    assert reason.startswith("undeclared: how its cache is called; TypeError: 'NoneType' object is not subscriptable")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["positions restart", "diagonal restarts"])
def test_the_mistake_has_its_class_and_a_script_that_shows_it(name: str, tmp_path: Path) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    for folder, text in ((right, RIGHT[WRONG[name][0]]), (wrong, _edited(name))):
        folder.mkdir()
        (folder / "switched.py").write_text(text)
    (defect,) = defects_of(wrong, "switched", "Switched")
    assert defect.bug == WRONG[name][3], defect.explanation
    assert defect.reproducer is not None, defect.unreproduced
    script = tmp_path / "script.py"
    script.write_text(defect.reproducer.script)
    assert (exit_code(script, wrong), exit_code(script, right)) == (1, 0)
