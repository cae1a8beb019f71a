"""Branches of a layer whose model makes the mask, and of one that the specs declare."""

from pathlib import Path

import pytest

from audit.attention.plan import plan_attention
from audit.results import Outcome
from audit.session import Request, conduct
from audit.target import Target

from .judged_branches import judged

# One layer of a model that makes the masks: only the library is told the window by an argument.
WINDOW_OF_THE_MODEL = """
from torch import Tensor, nn
from torch.nn import functional as F


class LayerConfig:
    _attn_implementation = "eager"

    def __init__(self, hidden_size: int, num_attention_heads: int, sliding_window: int) -> None:
        self.hidden_size = hidden_size
        self.num_attention_heads = num_attention_heads
        self.sliding_window = sliding_window


class Attention(nn.Module):
    '''Self-attention over (batch, length, hidden_size).'''

    def __init__(self, config: LayerConfig) -> None:
        super().__init__()
        self.config = config
        self.is_causal = True
        self.sliding_window = config.sliding_window
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        '''attention_mask: additive (batch, 1, 1, length).'''
        q, k, v = self.qkv(hidden_states).unflatten(-1, (3, self.config.num_attention_heads, -1)).unbind(dim=2)
        if self.config._attn_implementation == "flash_attention_2":
            from flash_attn import flash_attn_func

            y = flash_attn_func(q, k, v, causal=self.is_causal, window_size=(self.sliding_window - 1, 0))
            return self.proj(y.flatten(2))
        q, k, v = (each.transpose(1, 2) for each in (q, k, v))
        if self.config._attn_implementation == "sdpa":
            causal = attention_mask is None and self.is_causal
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=attention_mask, is_causal=causal)
        else:
            scores = q @ k.mT * q.shape[-1] ** -0.5
            y = (scores if attention_mask is None else scores + attention_mask).softmax(dim=-1) @ v
        return self.proj(y.transpose(1, 2).flatten(2))
"""


@pytest.mark.slow
def test_a_window_that_a_model_puts_into_its_mask_is_not_declared_by_one_branch(tmp_path: Path) -> None:
    (found,) = judged(tmp_path, WINDOW_OF_THE_MODEL, "Attention")
    assert found.outcome is Outcome.SKIPPED, found  # for it has no flex attention, which its configuration may choose
    agree, _, not_judged = str(found.reason).partition("; not judged: ")
    assert agree.startswith("these agree: plain, _attn_implementation = 'sdpa'")
    assert "flash_attention_2" in agree
    assert "flex_attention" in not_judged


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("flash_attn_func(q, k,", "flash_attn_func(q * q.shape[-1] ** -0.5, k,"),
        ("flash_attn_func(q, k, v", "flash_attn_func(q, k, v.flip(2)"),
    ],
    ids=["scaled twice", "heads in another order"],
)
def test_what_else_differs_is_found_inside_the_window(tmp_path: Path, before: str, after: str) -> None:
    assert before in WINDOW_OF_THE_MODEL
    (found,) = judged(tmp_path, WINDOW_OF_THE_MODEL.replace(before, after), "Attention")
    assert found.outcome is Outcome.FAILED, found


_SPECS = """import torch
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(24, 72)

    def forward(self, x):
        q, k, v = (each.unflatten(-1, (4, 6)).transpose(1, 2) for each in self.qkv(x).chunk(3, dim=-1))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


ATTENTION = {
    "attention": {
        "class": "zoo.specs:Attention",
        "build": Attention,
        "forward": lambda module, x, key_mask: module(x)CHANGE,
        "contract": {"embed_dim": 24, "num_heads": 4, "num_kv_heads": 4, "head_dim": 6, "is_causal": False},
    }
}
"""


@pytest.mark.parametrize(("change", "outcome"), [("", "passed"), (".long()", "failed"), (".sum((1, 2))", "failed")])
def test_an_output_that_is_none_is_to_branches_what_it_is_to_other_checks(
    tmp_path: Path, change: str, outcome: str
) -> None:
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "__init__.py").touch()
    (tmp_path / "zoo" / "specs.py").write_text(_SPECS.replace("CHANGE", change))
    (tmp_path / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\n')
    only = ["attention.branches", "attention.repeatable"]
    request = Request(command="attention", planners=[plan_attention], only=only, subjects=["attention"], explain=False)
    found = {result.check: result for result in conduct(Target.load(tmp_path), request).results}
    assert [found[check].outcome.value for check in only] == [outcome, outcome]
    assert found[only[0]].reason == found[only[1]].reason
