"""Forms of masks, caches, optional arguments, chunks of queries, hidden errors, long inputs and shifted positions: of
what is found without specs, correct code passes and one edit fails.
"""

from collections.abc import Iterator

import pytest

from audit.judgement import Judgement
from audit.results import Outcome

from .judged_sources import JudgedSources

HEAD = """import logging
import math
import torch
from torch import nn
from torch.nn import functional as F

logger = logging.getLogger(__name__)


def heads(x, count):
    return x.unflatten(-1, (count, -1)).transpose(1, 2)

"""
PLAIN = """
    def __init__(self, dim=48, num_heads=6):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(dim, dim) for _ in range(3))
        self.out_proj = nn.Linear(dim, dim)
"""
MASKED = (
    HEAD
    + f"""
class Masked(nn.Module):
{PLAIN}
    def forward(self, x, mask=None):
        \"\"\"Attend.

        Args:
            x: (batch, seq, dim).
            mask: (batch, seq), bool, int or float, 1 (True) for positions to attend to, 0 (False) for padding.
        \"\"\"
        q, k, v = (heads(layer(x), self.num_heads) for layer in (self.q_proj, self.k_proj, self.v_proj))
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        if mask is not None:
            keep = mask.bool()
            scores = scores.masked_fill(~keep[:, None, None, :], torch.finfo(scores.dtype).min)
        return self.out_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
"""
)
ADDED = (
    HEAD
    + f"""
class Added(nn.Module):
{PLAIN}
    def forward(self, x, attn_mask=None):
        \"\"\"Attend.

        Args:
            x: (batch, seq, dim).
            attn_mask: (batch, 1, 1, seq), a float tensor that is added to the scores (0 or -inf), or a bool tensor,
                True for positions to attend to.
        \"\"\"
        q, k, v = (heads(layer(x), self.num_heads) for layer in (self.q_proj, self.k_proj, self.v_proj))
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        if attn_mask is not None:
            if attn_mask.dtype == torch.bool:
                attn_mask = torch.zeros_like(attn_mask, dtype=x.dtype).masked_fill(~attn_mask, -1e9)
            scores = scores + attn_mask
        return self.out_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
"""
)
ROTARY = """
def apply_rotary(x, start):
    half = x.shape[-1] // 2
    frequencies = 10000.0 ** (-torch.arange(half) / half)
    angles = torch.arange(start, start + x.shape[2])[:, None] * frequencies
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)

"""
RETURNED = (
    HEAD
    + ROTARY
    + f"""
class Returned(nn.Module):
{PLAIN}
    def forward(self, x, attention_mask=None, past_key_value=None, use_cache=False):
        past = 0 if past_key_value is None else past_key_value[0].shape[2]
        q, k, v = (heads(layer(x), self.num_heads) for layer in (self.q_proj, self.k_proj, self.v_proj))
        q, k = apply_rotary(q, past), apply_rotary(k, past)
        if past_key_value is not None:
            k, v = torch.cat((past_key_value[0], k), dim=2), torch.cat((past_key_value[1], v), dim=2)
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        allowed = torch.ones(x.shape[1], k.shape[2], dtype=torch.bool).tril(past)
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
        if attention_mask is not None:
            scores = scores + attention_mask
        out = self.out_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        return (out, (k, v)) if use_cache else (out, None)
"""
)
STATEFUL = (
    HEAD
    + ROTARY
    + """
class Stateful(nn.Module):
    def __init__(self, dim=48, num_heads=6, max_batch_size=4, max_seq_len=64):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(dim, dim) for _ in range(3))
        self.out_proj = nn.Linear(dim, dim)
        size = (max_batch_size, num_heads, max_seq_len, dim // num_heads)
        self.register_buffer("cache_k", torch.zeros(size), persistent=False)
        self.register_buffer("cache_v", torch.zeros(size), persistent=False)

    def forward(self, x, start_pos=0):
        batch, length, _ = x.shape
        q, k, v = (heads(layer(x), self.num_heads) for layer in (self.q_proj, self.k_proj, self.v_proj))
        q, k = apply_rotary(q, start_pos), apply_rotary(k, start_pos)
        end = start_pos + length
        self.cache_k = self.cache_k.clone()
        self.cache_v = self.cache_v.clone()
        self.cache_k[:batch, :, start_pos:end] = k.detach()
        self.cache_v[:batch, :, start_pos:end] = v.detach()
        k = torch.cat((self.cache_k[:batch, :, :start_pos], k), dim=2)
        v = torch.cat((self.cache_v[:batch, :, :start_pos], v), dim=2)
        allowed = torch.ones(length, end, dtype=torch.bool).tril(start_pos)
        scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~allowed, float("-inf"))
        return self.out_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
"""
)
CLASSED = (
    HEAD
    + f"""
class KVCache:
    def __init__(self):
        self.k = self.v = None

    def update(self, k, v):
        self.k = k if self.k is None else torch.cat((self.k, k), dim=2)
        self.v = v if self.v is None else torch.cat((self.v, v), dim=2)
        return self.k, self.v


class Classed(nn.Module):
    \"\"\"Causal self-attention.\"\"\"
{PLAIN}
    def forward(self, x, kv_cache: KVCache = None):
        q, k, v = (heads(layer(x), self.num_heads) for layer in (self.q_proj, self.k_proj, self.v_proj))
        if kv_cache is not None:
            k, v = kv_cache.update(k, v)
        allowed = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril(k.shape[2] - q.shape[2])
        scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~allowed, float("-inf"))
        return self.out_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
"""
)
OPTIONAL = (
    HEAD
    + f"""
class Optional(nn.Module):
{PLAIN}
    def forward(self, x, key_padding_mask=None, attn_mask=None, is_causal=False, head_mask=None, need_weights=False):
        q, k, v = (heads(layer(x), self.num_heads) for layer in (self.q_proj, self.k_proj, self.v_proj))
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        lowest = torch.finfo(scores.dtype).min
        if is_causal:
            scores = scores.masked_fill(torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1), lowest)
        if attn_mask is not None:
            scores = scores.masked_fill(attn_mask, lowest) if attn_mask.dtype == torch.bool else scores + attn_mask
        if key_padding_mask is not None:
            scores = scores.masked_fill(key_padding_mask[:, None, None, :], lowest)
        weights = scores.softmax(-1)
        if head_mask is not None:
            weights = weights * head_mask
        out = self.out_proj((weights @ v).transpose(1, 2).flatten(2))
        return (out, weights) if need_weights else (out, None)
"""
)
ACROSS = (
    HEAD
    + f"""
class Across(nn.Module):
{PLAIN}
    def forward(self, x, context):
        q = heads(self.q_proj(x), self.num_heads)
        k, v = heads(self.k_proj(context), self.num_heads), heads(self.v_proj(context), self.num_heads)
        weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)
        return self.out_proj((weights @ v).transpose(1, 2).flatten(2))
"""
)
FUNCTION = (
    HEAD
    + """
def attention(q, k, v):
    weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)
    return weights @ v
"""
)
LONG = (
    HEAD
    + f"""
def softmax(scores):
    weights = (scores.float() - scores.float().amax(-1, keepdim=True)).exp()
    total = weights.sum(-1, keepdim=True)
    return (weights / total).to(scores.dtype)


class Long(nn.Module):
{PLAIN}
    def forward(self, x):
        q, k, v = (heads(layer(x), self.num_heads) for layer in (self.q_proj, self.k_proj, self.v_proj))
        weights = softmax(q @ k.mT / math.sqrt(q.shape[-1]))
        return self.out_proj((weights @ v).transpose(1, 2).flatten(2))
"""
)
TURNED = (
    HEAD
    + ROTARY
    + f"""
class Turned(nn.Module):
{PLAIN}
    def forward(self, x, mask=None):
        q, k, v = (heads(layer(x), self.num_heads) for layer in (self.q_proj, self.k_proj, self.v_proj))
        q, k = apply_rotary(q, 0), apply_rotary(k, 0)
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
        return self.out_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
"""
)

CORRECT = {
    "masked": (MASKED, "Masked"),
    "added": (ADDED, "Added"),
    "returned": (RETURNED, "Returned"),
    "stateful": (STATEFUL, "Stateful"),
    "classed": (CLASSED, "Classed"),
    "optional": (OPTIONAL, "Optional"),
    "across": (ACROSS, "Across"),
    "function": (FUNCTION, "attention"),
    "long": (LONG, "Long"),
    "turned": (TURNED, "Turned"),
}
# What each of them is judged by here.
PASSES = {
    "masked": ("mask_forms", "swallowed_errors"),
    "added": ("mask_forms",),
    "returned": ("kv_cache",),
    "stateful": ("kv_cache",),
    "classed": ("kv_cache",),
    "optional": ("arguments_used",),
    "across": ("query_rows",),
    "function": ("query_rows",),
    "long": ("long_sequences",),
    "turned": ("shifted_positions",),
}
KEEP = "keep = mask.bool()"
SCORES = "scores = q @ k.mT / math.sqrt(q.shape[-1])"
WEIGHTS = "weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)"
# The check that must fail, words of its reason, and the edit.
SECOND = """if attn_mask is not None:
            scores = scores.masked_fill(attn_mask, lowest) if attn_mask.dtype == torch.bool else scores + attn_mask"""
WRONG = {
    "float_mask_is_added": (
        "masked", "mask_forms", "float keep", KEEP,
        "if mask.is_floating_point():\n                scores = scores + mask[:, None, None, :]\n"
        "            keep = mask.bool() if not mask.is_floating_point() else torch.ones_like(mask, dtype=torch.bool)",
    ),
    "int_mask_is_inverted": (
        "masked", "mask_forms", "int keep", KEEP, "keep = mask.bool() if mask.dtype != torch.int64 else mask == 0",
    ),
    "bool_mask_is_added": ("added", "mask", "masked keys", "attn_mask.dtype == torch.bool", "False"),
    "bool_mask_is_inverted": ("added", "mask", "masked keys", "masked_fill(~attn_mask", "masked_fill(attn_mask"),
    "positions_restart": ("returned", "kv_cache", "token by token", "apply_rotary(q, past), apply_rotary(k, past)",
                          "apply_rotary(q, 0), apply_rotary(k, 0)"),
    "diagonal_restarts": ("returned", "kv_cache", "chunks of three", ".tril(past)", ".tril(max(past - 1, 0))"),
    "values_lag_behind": ("returned", "kv_cache", "", "torch.cat((past_key_value[1], v), dim=2)",
                          "torch.cat((v, past_key_value[1]), dim=2)"),
    "mask_lost_in_decoding": ("returned", "kv_cache", "left padding", "if attention_mask is not None:",
                              "if attention_mask is not None and past == 0:"),
    "written_one_late": ("stateful", "kv_cache", "", "self.cache_k[:batch, :, start_pos:end] = k.detach()",
                         "self.cache_k[:batch, :, start_pos + 1 : end + 1] = k.detach()"),
    "cache_keeps_the_first_key": ("classed", "kv_cache", "", "torch.cat((self.k, k), dim=2)",
                                  "torch.cat((self.k[:, :, :1].expand_as(self.k), k), dim=2)"),
    "second_mask_unread": ("optional", "arguments_used", "attn_mask is taken", SECOND, "pass"),
    "second_mask_overwritten": (
        "optional", "arguments_used", "attn_mask", "lowest = torch",
        "attn_mask = None\n        lowest = torch",
    ),
    "causal_not_with_mask": ("optional", "arguments_used", "is_causal acts alone", "if is_causal:",
                             "if is_causal and key_padding_mask is None:"),
    "weights_not_returned": ("optional", "arguments_used", "need_weights",
                             "return (out, weights) if need_weights else (out, None)", "return out, None"),
    "softmax_over_queries": ("across", "query_rows", "other queries", ".softmax(-1)", ".softmax(-2)"),
    "queries_centred": ("across", "query_rows", "other queries", "q = heads(self.q_proj(x)",
                        "q = heads(self.q_proj(x - x.mean(1, keepdim=True))"),
    "function_normalises_over_queries": ("function", "query_rows", "other queries", WEIGHTS,
                                         "weights = (q / q.norm(dim=-2, keepdim=True) @ k.mT).softmax(-1)"),
    "masking_fails_silently": (
        "masked", "swallowed_errors", "RuntimeError", KEEP,
        "try:\n                scores = scores + mask[:, None, None, :-1]\n            except Exception:\n"
        "                logger.debug('no mask')\n            keep = mask.bool()",
    ),
    "layer_made_in_the_call": ("masked", "swallowed_errors", "parameter", "return self.out_proj(",
                               "self.out_proj = nn.Linear(*x.shape[-1:] * 2).to(x)\n        return self.out_proj("),
    "error_logged": ("masked", "swallowed_errors", "logs an error", KEEP,
                     "logger.error('the mask was not understood')\n            keep = mask.bool()"),
    "sum_in_low_precision": (
        "long", "long_sequences", "farther", "total = weights.sum(-1, keepdim=True)",
        "total = torch.zeros_like(scores[..., :1])\n"
        "    for part in weights.to(scores.dtype).split(1, dim=-1):\n"
        "        total = total + part.sum(-1, keepdim=True)",
    ),
    "keys_not_turned": ("turned", "shifted_positions", "rotated", "0), apply_rotary(k, 0)", "0), k"),
    "pairs_turned_otherwise": (
        "turned", "shifted_positions", "rotated", "first, second = x[..., :half], x[..., half:]",
        "first, second = x[..., 0::2], x[..., 1::2]\n    cos, sin = torch.cat((cos, sin), -1)[..., ::2], sin",
    ),
}  # fmt: skip


def edited(name: str) -> tuple[str, str]:
    of, _, _, before, after = WRONG[name]
    text, judged = CORRECT[of]
    assert text.count(before) == 1, f"{name}: {text.count(before)} x {before!r}"
    return text.replace(before, after), judged


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JudgedSources]:
    written = JudgedSources(tmp_path_factory.mktemp("sources"), CORRECT | {name: edited(name) for name in WRONG})
    yield written
    written.close()


def _outcomes(judged: dict[str, list[Judgement]]) -> dict[str, list[str]]:
    return {check: [f"{each.outcome.value}: {each.reason}" for each in many] for check, many in judged.items()}


@pytest.mark.parametrize("name", CORRECT)
def test_what_is_correct_passes_and_raises_no_alarm(sources: JudgedSources, name: str) -> None:
    judged = sources.judge(name)
    alarms = {check for check, many in judged.items() if any(each.outcome is Outcome.FAILED for each in many)}
    assert not alarms, _outcomes(judged)
    for check in PASSES[name]:
        assert Outcome.PASSED in {each.outcome for each in judged[check]}, _outcomes(judged)


@pytest.mark.parametrize("name", WRONG)
def test_one_edit_fails(sources: JudgedSources, name: str) -> None:
    _, check, words, _, _ = WRONG[name]
    judged = sources.judge(name, check)
    failed = [each for each in judged[check] if each.outcome is Outcome.FAILED]
    assert failed, _outcomes(judged)
    assert words in str(failed[0].reason)


@pytest.mark.parametrize(
    ("name", "check", "words"),
    [
        ("function", "mask_forms", "there is no key mask"),
        ("turned", "mask_forms", "undeclared: forms of a mask besides"),
        ("masked", "kv_cache", "no argument takes a cache"),
        ("masked", "arguments_used", "no optional mask"),
        ("masked", "query_rows", "cannot be parted"),
        ("masked", "shifted_positions", "nothing says"),
        ("function", "shifted_positions", "no positions of its own"),
        ("returned", "long_sequences", "no oracle"),
    ],
)
def test_what_cannot_be_judged_says_why(sources: JudgedSources, name: str, check: str, words: str) -> None:
    (judgement, *_) = sources.judge(name, check)[check]
    assert judgement.outcome is Outcome.NOT_APPLICABLE
    assert words in str(judgement.reason)
