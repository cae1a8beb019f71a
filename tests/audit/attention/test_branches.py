"""Branches that agree pass, those that one edit makes differ fail, and what could not be forced is never passed."""

from pathlib import Path

import pytest

from audit.judgement import Judgement
from audit.results import Outcome

from .judged_branches import FOLDER, Edit, edited, judged

NAMES = {
    "flash_option": "CausalSelfAttention",
    "flash_padded": "PaddedAttention",
    "xformers_bias": "EfficientAttention",
    "window_option": "WindowAttention",
    "fallback": "CausalAttention",
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


@pytest.mark.parametrize("style", [pytest.param(s, marks=[] if s == "fallback" else pytest.mark.slow) for s in NAMES])
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
