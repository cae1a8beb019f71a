"""What no specs declare is judged by the properties that need no oracle: wrong attention fails where it is wrong, and
correct attention of any kind fails nowhere.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BASE = '''"""Self-attention as it is most often written, behind a gate that begins shut."""
import math
import torch
from torch import nn
from torch.nn import functional

AXES = 1, 2  # positions and heads, which change places
COARSE = {torch.bfloat16: torch.float8_e4m3fn}


class Attention(nn.Module):
    def __init__(self, dim=24, heads=4):
        super().__init__()
        self.heads, self.scale, self.dropout = heads, (dim // heads) ** -0.5, 0.0
        self.norm = nn.Identity()
        self.to_qkv = nn.Linear(dim, 3 * dim)
        self.to_out = nn.Linear(dim, dim)
        self.gate = nn.Parameter(torch.zeros(dim))

    def split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(*AXES)

    def forward(self, x, key_mask=None, other=False):
        x = self.norm(x)
        length = x.shape[1]
        query, key, value = (self.split(each) for each in self.to_qkv(x).chunk(3, dim=-1))
        scores = query @ key.transpose(-2, -1) * self.scale
        future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(length)
        scores = scores.masked_fill(future, torch.finfo(scores.dtype).min)
        if key_mask is not None:
            scores = scores.masked_fill(~key_mask[:, None, None, :], torch.finfo(scores.dtype).min)
        weights = scores.softmax(dim=-1)
        weights = functional.dropout(weights, self.dropout, self.training)
        context = (weights @ value).transpose(*AXES).flatten(2)
        return self.gate * self.to_out(context)
'''
Edit = tuple[str, str]
CAUSAL = ("triu(length)", "triu(1)")
NORM = "x = self.norm(x)"
FILL = "scores.masked_fill(~key_mask[:, None, None, :], torch.finfo(scores.dtype).min)"
SOFTMAX = "weights = scores.softmax(dim=-1)"
RETURN = "return self.gate * self.to_out(context)"
SCORES = "scores = query @ key.transpose(-2, -1) * self.scale"
GATE = "self.gate = nn.Parameter(torch.zeros(dim))"
IDENTITY = "self.norm = nn.Identity()"

# Two keys and values of every sample that are no tokens'.
MEMORY = """memory = self.to_out.weight[:2].unflatten(-1, (self.heads, -1)).transpose(0, 1).expand(len(x), -1, -1, -1)
        key, value = torch.cat((memory, key), dim=2), torch.cat((memory, value), dim=2)
        key_mask = None if key_mask is None else functional.pad(key_mask, (2, 0), value=True)
        scores = query @ key.transpose(-2, -1) * self.scale
        length += 2"""
SDPA = """bias = torch.zeros(x.shape[0], 1, 1, length).to(x)
        bias = bias if key_mask is None else bias.masked_fill(~key_mask[:, None, None, :], -math.inf)
        context = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias).transpose(1, 2).flatten(2)
        return self.gate * self.to_out(context)"""

# The property that must fail, words of the reason, and the edit. Others may fail too: a wrong mask is wrong in batches.
WRONG: dict[str, tuple[str, str, Edit]] = {
    "mask_ignored": ("mask", "accepted and then ignored", ("if key_mask is not None", "if False")),
    "mask_inverted": ("mask", "inverted mask", ("~key_mask", "key_mask")),
    "mask_of_queries": ("mask", "masked keys", ("[:, None, None, :], torch", "[:, None, :, None], torch")),
    "mask_added_as_one": ("mask", "masked keys", (FILL, "scores + key_mask[:, None, None, :]")),
    "mask_multiplied": ("mask", "masked keys", (FILL, "scores * key_mask[:, None, None, :]")),
    "mask_after_softmax": (
        "noop_mask", "changes the outputs",
        (FILL, "scores.log_softmax(-1).exp() - 1 * ~key_mask[:, None, None, :]"),
    ),
    "mask_scales_again": ("noop_mask", "changes the outputs", (FILL, f"{FILL} * self.scale")),
    "mask_of_the_first_sample": ("batch_rows", "padded samples alone", ("key_mask[:, None", "key_mask[:1, None")),
    "softmax_over_batch": ("batch_rows", "other samples", (SOFTMAX, "weights = scores.softmax(dim=0)")),
    "centred_over_batch": ("batch_rows", "other samples", (NORM, "x = x - x.mean(dim=0)")),
    "batch_squeezed": ("batch_rows", "shape", (RETURN, f"{RETURN}.squeeze(0)")),
    "dropout_always": (
        "repeatable", "dropout is active in eval mode",
        ("self.dropout, self.training", "self.dropout, True"),
    ),
    "noise_always": ("repeatable", "the same call again", (NORM, "x = x + 1e-3 * torch.randn_like(x)")),
    "call_remembered": ("repeatable", "the same call again", (SOFTMAX, f"{SOFTMAX}\n        self.scale *= 1.1")),
    "input_remembered": (
        "repeatable", "the same call behind one on another input",
        (SCORES, f"""before = getattr(self, "before", value)
        self.before = value.detach()
        value = value + (before if before.shape == value.shape else value)
        {SCORES}"""),
    ),
    "scale_in_eval_only": ("train_eval", "one path only", ("* self.scale", "* (1.0 if self.training else self.scale)")),
    "strides_ignored": (
        "noncontiguous", "not contiguous",
        (NORM, "x = x.as_strided(x.shape, (x[0].numel(), x.shape[2], 1))"),
    ),
    "heads_among_themselves": ("depends", "no other token", ("AXES = 1, 2", "AXES = 2, 2")),
    "itself_only": ("depends", "exactly zero", (SOFTMAX, "weights = torch.eye(length).expand_as(scores).to(x)")),
    "one_key": (
        "depends", "exactly zero",
        (SCORES, f"key, value = key[:, :, :1], value.mean(2, keepdim=True)\n        {SCORES}"),
    ),
    "logits_cut_off": ("depends", "exactly zero", (SOFTMAX, "weights = scores.detach().softmax(dim=-1)")),
    "input_returned": ("depends", "is the input", (RETURN, "return x")),
    "output_pooled": ("depends", "every position", (RETURN, f"{RETURN}.mean(dim=1, keepdim=True).expand_as(x)")),
    "output_constant": ("depends", "same output", (RETURN, "return self.gate.expand_as(x) + 0 * self.to_out(context)")),
    "positions_in_low_precision": (
        "low_precision",
        "farther from that of float32",
        (NORM, "x = x + (1.7 * torch.arange(x.shape[1], dtype=x.dtype)).sin()[:, None]"),
    ),
    "half_precision_everywhere": (
        "low_precision", "farther",
        (SOFTMAX, f"scores = scores.to(COARSE.get(x.dtype, x.dtype)).to(x)\n        {SOFTMAX}"),
    ),
    "other_sample_beside_empty": (
        "empty_rows", "another",
        (RETURN, f"context = context - context.mean(dim=0)\n        {RETURN}"),
    ),
    "dead_parameter": (
        "gradients", "no output is computed from",
        (GATE, f"{GATE}\n        self.unused = nn.Parameter(torch.ones(dim))"),
    ),
    "gate_detached": ("gradients", "though the output is computed", ("self.gate * self", "self.gate.detach() * self")),
    "gate_times_zero": ("gradients", "exactly zero", (RETURN, "return self.to_out(context) + 0 * self.gate")),
    "gradient_not_finite": ("gradients", "not finite", (RETURN, f"{RETURN} + (x - x).square().sum().sqrt()")),
    "input_overwritten": ("inputs_untouched", "hidden_states", (NORM, "x = x if x.requires_grad else x.mul_(1.001)")),
    "mask_overwritten": (
        "inputs_untouched", "key_mask",
        (SOFTMAX, f"{SOFTMAX}\n        key_mask is None or key_mask.fill_(True)"),
    ),
}  # fmt: skip
# Edits of the causal twin.
WRONG_CAUSAL: dict[str, tuple[str, str, Edit]] = {
    "sees_the_next": ("causality", "an earlier output changed", ("triu(1)", "triu(2)")),
    "sees_all": ("causality", "an earlier output changed", ("triu(1)", "triu(length)")),
    "scale_by_length": ("prefix", "shorter input", ("* self.scale", "* length**-0.5")),
    "normalised_over_tokens": ("causality", "an earlier output changed", (NORM, "x = x - x.mean(dim=1, keepdim=True)")),
}
# Samples in pairs, whose tokens at one place attend to each other.
FRAMES = """if x.shape[1] > 2:
            pairs = self(x.view(-1, 2, *x.shape[1:]).transpose(1, 2).flatten(0, 1))
            return pairs.view(-1, *x.shape[1:2], 2, x.shape[2]).transpose(1, 2).reshape(x.shape)
        x = self.norm(x)"""
CORRECT: dict[str, Edit] = {
    "unchanged": ("", ""),
    "layer_norm": (IDENTITY, "self.norm = nn.LayerNorm(dim)"),
    "exponential_features": (SCORES, "scores = (query.exp() @ key.exp().mT).log()"),
    "residual": (RETURN, f"{RETURN} + x"),
    "projection_begins_as_zero": (GATE, f"{GATE}\n        nn.init.zeros_(self.to_out.weight)"),
    "gate_as_a_scalar": (GATE, "self.gate = nn.Parameter(torch.zeros(()))"),
    "empty_rows_are_nan": (FILL, FILL.replace("torch.finfo(scores.dtype).min", "-math.inf")),
    "sdpa": (SOFTMAX, SDPA),
    "memory_keys": (SCORES, MEMORY),
    "sink": (
        SOFTMAX,
        "weights = torch.cat((scores, scores[..., :1] * 0 + self.gate.mean()), dim=-1).softmax(dim=-1)[..., :-1]",
    ),
    "learned_positions": (
        NORM,
        "x = x + self.gate.outer(torch.arange(64).sin()).T[: x.shape[1]].view(1, x.shape[1], -1)",
    ),
    "one_length_only": (NORM, "x = x + self.gate.outer(torch.arange(11).sin()).T.view(1, 11, -1)"),
    "float32_only": (NORM, "x = x.mul(torch.ones(())) if x.dtype == torch.float32 else torch.bmm(x.float(), x)"),
    "wider_output": (RETURN, "return torch.cat([self.gate * self.to_out(context)] * 2, dim=-1)"),
    "mean_over_positions_added": (RETURN, "return self.gate * self.to_out(context) + self.gate * 0.1"),
    "used_by_other_calls": (
        RETURN,
        "return self.gate * self.to_out(context) if not other else self.gate * self.other(context)",
    ),
    "frozen": (GATE, f"{GATE}\n        self.to_qkv.requires_grad_(False)"),
    "refuses_strides": (NORM, "x = x.view(-1).view(x.shape)"),
}  # fmt: skip
# What it is that cannot be judged, by the property that must say so.
UNDECLARED: dict[str, tuple[str, str, Edit]] = {
    "group_norm": (
        "mask", "GroupNorm",
        (IDENTITY, "self.group = nn.GroupNorm(4, dim)\n        self.norm = lambda x: self.group(x.mT).mT"),
    ),
    "convolution": (
        "mask", "Conv1d",
        (IDENTITY, "self.conv = nn.Conv1d(dim, dim, 3, padding=1)\n        self.norm = lambda x: self.conv(x.mT).mT"),
    ),
    "batch_norm": (
        "train_eval", "BatchNorm",
        (IDENTITY, "self.group = nn.BatchNorm1d(dim)\n        self.norm = lambda x: self.group(x.mT).mT"),
    ),
    "drop_in_training": ("train_eval", "undeclared", (NORM, "x = functional.dropout(x, 0.1, self.training)")),
    "strides_refused": ("noncontiguous", "refuses", (NORM, "assert x.is_contiguous()")),
    "float32_alone": (
        "low_precision", "refuses",
        (NORM, "assert x.dtype == torch.float32 and not torch.is_autocast_enabled('cpu')"),
    ),
    "nan_where_empty": (
        "empty_rows", "observed: not finite",
        (FILL, FILL.replace("torch.finfo(scores.dtype).min", "-math.inf")),
    ),
    "with_positions": (
        "permutation", "their order matters",
        (NORM, "x = x + torch.arange(x.shape[1]).sin().to(x)[:, None]"),
    ),
    "causal_by_itself": ("causality", "later tokens do not change", CAUSAL),
    "bidirectional": ("causality", "later tokens change", ("", "")),
    "mask_in_place_of_causality": (
        "noop_mask", "replaces the causal one",
        ("triu(length)", "triu(1) & (key_mask is None)"),
    ),
    "not_finite": ("depends", "not finite", (NORM, "x = x / 0")),
}  # fmt: skip
SIZES: dict[str, object] = {"embed_dim": 24, "num_heads": 4, "num_kv_heads": 4, "head_dim": 6, "key_mask": True}
SPECS = """
import importlib

ATTENTION = {}
for name in NAMES:
    class_ = importlib.import_module(f"zoo.{name}").Attention
    ATTENTION[name] = {
        "class": f"zoo.{name}:Attention", "build": class_,
        "forward": lambda module, x, key_mask: module(x, key_mask),
        "contract": {"embed_dim": 24, "num_heads": 4, "num_kv_heads": 4, "head_dim": 6, "is_causal": False},
    }
"""


def edited(source: str, edit: Edit) -> str:
    old, new = edit
    assert not old or source.count(old) == 1, f"{old!r} occurs {source.count(old)} times"
    return source.replace(old, new) if old else source


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory, audit_of: Callable[[Path], Any]) -> Any:
    """One package that holds every module."""
    root = tmp_path_factory.mktemp("found")
    (root / "zoo").mkdir()
    twin = edited(BASE, CAUSAL)
    sources = {name: edited(BASE, edit) for name, (_, _, edit) in (WRONG | UNDECLARED).items()}
    sources |= {name: edited(BASE, edit) for name, edit in CORRECT.items()}
    sources |= {name: edited(twin, edit) for name, (_, _, edit) in WRONG_CAUSAL.items()} | {"causal": twin}
    sources["frames"] = edited(BASE, (NORM, FRAMES))
    names = sorted(sources)
    sources |= {"__init__": "", "specs": f"NAMES = {names}\n{SPECS}"}
    for name, text in sources.items():
        (root / "zoo" / f"{name}.py").write_text(text)
    (root / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\n')
    return audit_of(root)


def told(found: dict[str, Any], *outcomes: str) -> list[str]:
    return [f"{check}: {j.outcome}: {j.reason}; {j.measured}" for check, j in found.items() if j.outcome in outcomes]


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_one_fails_where_it_is_wrong(zoo: Any, name: str) -> None:
    check, words, _ = WRONG[name]
    found = zoo.judge_found(name, **SIZES)
    assert found[check].outcome == "failed", told(found, "failed", "error")
    assert words in found[check].reason


@pytest.mark.parametrize("name", WRONG_CAUSAL)
def test_a_wrong_causal_one_fails_where_it_is_wrong(zoo: Any, name: str) -> None:
    check, words, _ = WRONG_CAUSAL[name]
    found = zoo.judge_found(name, is_causal=True, **SIZES)
    assert found[check].outcome == "failed", told(found, "failed", "error")
    assert words in found[check].reason


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", CORRECT)
def test_a_correct_one_fails_nowhere(zoo: Any, name: str, seed: int) -> None:
    found = zoo.judge_found(name, seed=seed, **SIZES)
    assert told(found, "failed", "error") == []
    assert found["depends"].outcome == "passed"


@pytest.mark.parametrize("seed", range(4))
def test_a_causal_one_that_is_correct_fails_nowhere(zoo: Any, seed: int) -> None:
    found = zoo.judge_found("causal", seed=seed, is_causal=True, **SIZES)
    assert told(found, "failed", "error") == []
    passed = {check for check, judgement in found.items() if judgement.outcome == "passed"}
    assert {"causality", "prefix", "mask", "noop_mask", "batch_rows", "gradients", "repeatable", "train_eval"} <= passed


@pytest.mark.parametrize("name", UNDECLARED)
def test_what_cannot_be_judged_is_told_with_what_was_observed(zoo: Any, name: str) -> None:
    check, words, _ = UNDECLARED[name]
    found = zoo.judge_found(name, **SIZES)
    assert found[check].outcome == ("error" if name == "not_finite" else "not_applicable"), told(
        found, "failed", "error"
    )
    assert words in found[check].reason
    assert told(found, "failed") == []


def test_without_positions_the_order_does_not_matter(zoo: Any) -> None:
    assert zoo.judge_found("unchanged", **SIZES)["permutation"].outcome == "passed"


def test_frames_that_are_folded_into_the_batch_are_undeclared(zoo: Any) -> None:
    found = zoo.judge_found("frames", **SIZES | {"key_mask": False})
    assert told(found, "failed", "error") == []
    assert "over what it attends" in found["depends"].reason
    assert "which batch sizes" in found["batch_rows"].reason
