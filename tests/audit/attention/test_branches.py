"""Branches that agree pass, those that one edit makes differ fail, and what could not be forced is never passed."""

from pathlib import Path

import pytest

from audit.judgement import Judgement
from audit.results import Outcome

from ...slow_cases import slow_unless
from .judged_branches import FOLDER, Edit, edited, judged

NAMES = {
    "flash_option": "CausalSelfAttention",
    "flash_padded": "PaddedAttention",
    "xformers_bias": "EfficientAttention",
    "window_option": "WindowAttention",
    "fallback": "CausalAttention",
    "module_guard": "GuardedAttention",
    "cross_packed": "CrossAttention",
    "flex_or_eager": "DistanceAttention",
    "grouped_third": "GroupedAttention",
}
# What each style's branches are, as the evidence tells them.
JUDGED = {
    "flash_option": "stand-in for flash_attn: called with float32, which the library itself refuses",
    "flash_padded": "stand-in for flash_attn: called with bfloat16",
    "xformers_bias": "stand-in for xformers: called with float32",
    "window_option": "stand-in for flash_attn, attn_implementation = 'flash_attention_2'",
    "fallback": "plain, SDPA's math kernel, SDPA's flash kernel, flash = False, without torch's fused attention",
    "module_guard": "plain, SDPA's math kernel, SDPA's flash kernel, without torch's fused attention",
    "cross_packed": "stand-in for flash_attn, use_flash_attn = True",
    "flex_or_eager": "stand-in for flex_attention: called with float32",
    "grouped_third": "stand-in for flash_attn_interface: called with float32, which the library itself refuses",
}


def _edit(name: str, style: str, before: str, after: str) -> Edit:
    return Edit(name=name, style=style, before=before, after=after)


# A row is read best as one; the formatter would put each part on a line of its own.
# fmt: off
WRONG = (
    _edit("scale passed to flash as well", "flash_option", "flash_attn_func(q, k",
          "flash_attn_func(q * self.head_dim**-0.5, k"),
    _edit("heads before positions for flash", "flash_option",
          "y = flash_attn_func(q, k, v, dropout_p=dropout, causal=True)",
          "q, k, v = (each.transpose(1, 2) for each in (q, k, v))\n"
          "            y = flash_attn_func(q, k, v, dropout_p=dropout, causal=True).transpose(1, 2)"),
    _edit("flash is not causal", "flash_option", "causal=True", "causal=False"),
    _edit("dropout in eval mode", "flash_option", "dropout_p=dropout,", "dropout_p=self.dropout,"),
    _edit("scale of the width for flash", "flash_option", "causal=True)", "causal=True, softmax_scale=dim**-0.5)"),
    _edit("mask dropped for flash", "flash_padded", "if kept is None:", "if kept is not False:"),
    _edit("keys of another order", "flash_padded", "places) for each in (k, v))", "places) for each in (v, k))"),
    _edit("mask dropped for xformers", "xformers_bias", "attn_bias=bias", "attn_bias=None"),
    _edit("scale applied before xformers", "xformers_bias", "memory_efficient_attention(q, k",
          "memory_efficient_attention(q * self.scale, k"),
    _edit("xformers is causal", "xformers_bias", "attn_bias=bias",
          "attn_bias=xops.LowerTriangularMask() if bias is None else bias"),
    _edit("window one too wide", "window_option", "window_size=(self.window_size - 1, 0)",
          "window_size=(self.window_size, 0)"),
    _edit("window left out", "window_option", ", window_size=(self.window_size - 1, 0)", ""),
    _edit("scale forgotten in the fallback", "fallback", " * (1.0 / math.sqrt(k.size(-1)))", ""),
    _edit("scale forgotten without fused attention", "module_guard", " * q.shape[-1] ** -0.5", ""),
    _edit("fused attention is not causal", "fallback", "is_causal=True", "is_causal=False"),
    _edit("beginnings of the other side", "cross_packed", "starts_q, starts_k, length, others",
          "starts_k, starts_q, others, length"),
    _edit("keys and values change places", "cross_packed", "kv.flatten(0, 1), starts_q",
          "kv.flip(2).flatten(0, 1), starts_q"),
    _edit("bias of the other sign", "flex_or_eager", "score - slopes", "score + slopes"),
    _edit("flex sees one token ahead", "flex_or_eager", "key <= query,", "key <= query + 1,"),
    _edit("cap forgotten for flash", "grouped_third", ", softcap=self.softcap)", ")"),
    _edit("heads tiled in the fallback", "grouped_third",
          "k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)",
          "k, v = k.repeat(1, groups, 1, 1), v.repeat(1, groups, 1, 1)"),
)
STILL_RIGHT = (
    _edit("the default scale said", "flash_option", "causal=True)", "causal=True, softmax_scale=self.head_dim**-0.5)"),
    _edit("scaled before, and not again", "flash_option", "flash_attn_func(q, k, v,",
          "flash_attn_func(q * self.head_dim**-0.5, k, v, softmax_scale=1.0,"),
    _edit("a window that causal cuts", "window_option", "(self.window_size - 1, 0)", "(self.window_size - 1, -1)"),
    _edit("rounded for the library", "flash_option", "y = flash_attn_func(q, k, v, dropout_p=dropout, causal=True)",
          "q, k, v = (each.to(torch.bfloat16) for each in (q, k, v))\n"
          "            y = flash_attn_func(q, k, v, dropout_p=dropout, causal=True).to(x.dtype)"),
    _edit("no mask is everything", "xformers_bias", "        bias = None\n        if mask is not None:\n",
          "        bias = None\n        if mask is None:\n"
          "            mask = torch.ones(batch, length, dtype=torch.bool)\n        if True:\n"),
)
# fmt: on


def reasons(found: list[Judgement]) -> list[str]:
    return [f"{each.outcome}: {each.reason}" for each in found]


@pytest.mark.parametrize("style", slow_unless({"fallback"}, NAMES))
def test_branches_that_agree_pass(tmp_path: Path, style: str) -> None:
    found = judged(tmp_path, (FOLDER / f"{style}.py").read_text(), NAMES[style])
    assert {each.outcome for each in found} == {Outcome.PASSED}, reasons(found)
    assert all(each.measured and JUDGED[style] in each.measured.origin for each in found), found


_FAST = {"scale passed to flash as well", "mask dropped for xformers"}


@pytest.mark.parametrize(
    "edit", [pytest.param(e, marks=[] if e.name in _FAST else pytest.mark.slow, id=e.name) for e in WRONG]
)
def test_an_edit_of_one_branch_is_found(tmp_path: Path, edit: Edit) -> None:
    found = judged(tmp_path, edited(edit), NAMES[edit.style])
    assert Outcome.FAILED in {each.outcome for each in found}, reasons(found)
    assert all(each.fix for each in found if each.outcome is Outcome.FAILED)


@pytest.mark.slow
@pytest.mark.parametrize("edit", STILL_RIGHT, ids=lambda edit: edit.name)
def test_another_way_to_write_the_same_raises_no_alarm(tmp_path: Path, edit: Edit) -> None:
    found = judged(tmp_path, edited(edit), NAMES[edit.style])
    assert {each.outcome for each in found} == {Outcome.PASSED}, reasons(found)


HEAD = '''
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Self-attention over (batch, length, dim)."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.is_causal = True

    def heads(self, x: Tensor) -> Tensor:
        return self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)

    def by_hand(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k.mT * q.shape[-1] ** -0.5).softmax(dim=-1) @ v
'''
ONE_WAY = """
    def forward(self, x: Tensor) -> Tensor:
        return self.proj(self.by_hand(*self.heads(x)).transpose(1, 2).flatten(2))
"""
# Nothing shows the branch on a CPU: the flag is a local variable.
NEVER_CALLED = """
    def forward(self, x: Tensor) -> Tensor:
        if x.numel() > 10**9:
            from flash_attn import flash_attn_func

            return self.proj(flash_attn_func(*(each.transpose(1, 2) for each in self.heads(x))).flatten(2))
        return self.proj(self.by_hand(*self.heads(x)).transpose(1, 2).flatten(2))
"""
NO_STAND_IN = """
    def forward(self, x: Tensor) -> Tensor:
        if not x.is_cuda:
            return self.proj(self.by_hand(*self.heads(x)).transpose(1, 2).flatten(2))
        from flash_attn.modules.mha import FlashSelfAttention

        return FlashSelfAttention()(self.heads(x))
"""
BOTH_GIVEN = '''
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """mask: bool (batch, length), True where a token may be attended to."""
        q, k, v = self.heads(x)
        given = None if mask is None else mask[:, None, None, :]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=given, is_causal=True)
        return self.proj(y.transpose(1, 2).flatten(2))
'''
# As models of transformers do: they make the causal mask, and only one implementation can do without.
CAUSAL_WITHOUT_MASK = '''
        self.use_sdpa = False

    def forward(self, x: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """attention_mask: additive (batch, 1, 1, length)."""
        q, k, v = self.heads(x)
        if self.use_sdpa:
            causal = attention_mask is None and self.is_causal
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=attention_mask, is_causal=causal)
        else:
            scores = q @ k.mT * q.shape[-1] ** -0.5
            if attention_mask is not None:
                scores = scores + attention_mask
            y = scores.softmax(dim=-1) @ v
        return self.proj(y.transpose(1, 2).flatten(2))
'''


def outcome_of(tmp_path: Path, text: str) -> Judgement:
    (found,) = judged(tmp_path, text, "Attention")
    return found


def test_one_implementation_is_not_applicable(tmp_path: Path) -> None:
    found = outcome_of(tmp_path, HEAD + ONE_WAY)
    assert found.outcome is Outcome.NOT_APPLICABLE
    assert "there is one way" in str(found.reason)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "reason"),
    [(NEVER_CALLED, "the stand-in was never called"), (NO_STAND_IN, "No module named 'flash_attn.modules'")],
    ids=["never called", "a part without a stand-in"],
)
def test_a_branch_that_did_not_run_is_not_passed(tmp_path: Path, text: str, reason: str) -> None:
    found = outcome_of(tmp_path, HEAD + text)
    assert found.outcome is Outcome.SKIPPED
    assert "stand-in for flash_attn" in str(found.reason)
    assert reason in str(found.reason)


def test_a_mask_together_with_is_causal_is_told(tmp_path: Path) -> None:
    found = outcome_of(tmp_path, HEAD + BOTH_GIVEN)
    assert found.outcome is Outcome.FAILED
    assert "together with is_causal" in str(found.reason)


def test_what_is_causal_without_a_mask_is_not_declared_by_one_branch(tmp_path: Path) -> None:
    text = HEAD.replace("\n    def heads", CAUSAL_WITHOUT_MASK.partition("\n\n")[0] + "\n\n    def heads")
    found = outcome_of(tmp_path, text + CAUSAL_WITHOUT_MASK.partition("\n\n")[2])
    assert found.outcome is Outcome.NOT_APPLICABLE, found
    assert "undeclared" in str(found.reason)


@pytest.mark.slow
def test_memory_that_is_not_the_arguments_is_told(tmp_path: Path) -> None:
    (edit,) = (edit for edit in WRONG if edit.name == "beginnings of the other side")
    (found,) = judged(tmp_path, edited(edit), NAMES[edit.style])
    assert "reads outside its tensors" in str(found.reason)


CONFIGURED = '''
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass
class AttentionConfig:
    dim: int
    num_heads: int
    backend: str = "eager"


class Attention(nn.Module):
    """Self-attention over (batch, length, dim)."""

    def __init__(self, config: AttentionConfig) -> None:
        super().__init__()
        self.config = config
        self.qkv = nn.Linear(config.dim, 3 * config.dim)
        self.proj = nn.Linear(config.dim, config.dim)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.config.num_heads, -1)).permute(2, 0, 3, 1, 4)
        if self.config.backend == "sdpa":
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            y = (q @ k.mT * q.shape[-1] ** -0.5).softmax(dim=-1) @ v
        return self.proj(y.transpose(1, 2).flatten(2))
'''


@pytest.mark.parametrize(
    ("after", "outcome"), [("(q, k, v)", Outcome.PASSED), ("(q, k, v, is_causal=True)", Outcome.FAILED)]
)
def test_an_option_of_a_configuration_is_a_branch(tmp_path: Path, after: str, outcome: Outcome) -> None:
    found = judged(tmp_path, CONFIGURED.replace("attention(q, k, v)", f"attention{after}"), "Attention")
    assert {each.outcome for each in found} == {outcome}, reasons(found)
    origins = [each.measured.origin for each in found if each.measured]
    assert "backend = 'sdpa'" in origins[0]  # and the other way round, of the one that is found with that option


# A function in torch's own words, which hands on what it is given.
HANDED_ON = """
from torch import Tensor
from torch.nn import functional as F


def attention(query: Tensor, key: Tensor, value: Tensor, attn_mask=None, dropout_p=0.0, is_causal=False):
    '''Attention over (batch, length, heads, head_dim).

    attn_mask: bool (batch, length), True where a key may be attended to.
    '''
    if attn_mask is not None and attn_mask.dim() == 2:
        attn_mask = attn_mask[:, None, None, :]
    query, key, value = (each.transpose(1, 2) for each in (query, key, value))
    y = F.scaled_dot_product_attention(query, key, value, attn_mask=attn_mask, is_causal=is_causal)
    return y.transpose(1, 2)
"""
_OWN_WORDS = (("attn_mask: bool", "mask: bool"), ("attn_mask=None", "mask=None"), ("is_causal=False", "causal=False"),
              ("if attn_mask is not None and attn_mask.dim() == 2:", "attn_mask = None"),
              ("        attn_mask = attn_mask[", "    attn_mask = None if mask is None else mask["),
              ("is_causal=is_causal", "is_causal=causal"))  # fmt: skip


def test_both_given_by_the_caller_in_torch_s_own_words_are_torch_s_to_refuse(tmp_path: Path) -> None:
    (found,) = judged(tmp_path, HANDED_ON, "attention")
    assert found.outcome is Outcome.PASSED, found
    assert found.measured
    assert "SDPA's math kernel: refuses a mask together with is_causal" in found.measured.origin


def test_a_function_in_its_own_words_must_join_them(tmp_path: Path) -> None:
    text = HANDED_ON
    for before, after in _OWN_WORDS:
        assert before in text
        text = text.replace(before, after)
    (found,) = judged(tmp_path, text, "attention")
    assert found.outcome is Outcome.FAILED
    assert "together with is_causal" in str(found.reason)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("is_causal=is_causal)", "is_causal=is_causal or attn_mask is not None)"),
        ("may be attended to.", "may be attended to. The mask is combined with the causal one."),
    ],
    ids=["turned on where a mask is given", "said to join"],
)
def test_both_given_by_the_function_are_its_own_doing(tmp_path: Path, before: str, after: str) -> None:
    assert before in HANDED_ON
    (found,) = judged(tmp_path, HANDED_ON.replace(before, after), "attention")
    assert found.outcome is Outcome.FAILED
    assert "together with is_causal" in str(found.reason)


# Rounds what it hands to torch, whose kernels then differ by that rounding.
ROUNDS = """
    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (each.bfloat16() for each in self.heads(x))
        y = F.scaled_dot_product_attention(q, k, v).to(x.dtype)
        return self.proj(y.transpose(1, 2).flatten(2))
"""
# Has besides what scales twice, to be chosen by an option.
OTHERWISE = ("        y = F", "        if not self.use_fused:\n            q = q / q.shape[-1] ** 0.5\n        y = F")


def test_kernels_agree_to_the_rounding_of_what_they_are_given(tmp_path: Path) -> None:
    found = outcome_of(tmp_path, HEAD.replace("is_causal = True", "is_causal = False") + ROUNDS)
    assert found.outcome is Outcome.PASSED, found
    assert found.measured
    assert "SDPA's math kernel" in found.measured.origin


@pytest.mark.slow
def test_another_function_is_found_beside_kernels_that_round(tmp_path: Path) -> None:
    found = outcome_of(tmp_path, HEAD.replace("is_causal = True", "use_fused = True") + ROUNDS.replace(*OTHERWISE))
    assert found.outcome is Outcome.FAILED, found
    assert "use_fused = False" in str(found.reason)
