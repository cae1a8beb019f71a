"""Wrong attention, each one edit away from a correct one: some property must fail on every one of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ...slow_cases import slow_unless

CLEAN = Path(__file__).parents[2] / "fixtures" / "attention" / "clean" / "zoo" / "attention.py"
Edit = tuple[str, str]

SCALE = " * self.head_dim**-0.5"
MASKED = "scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)"
KEY_MASK = "key_mask[:, None, None, :]"
SOFTMAX = "scores.softmax(dim=-1)"
OUTPUT = "return self.out_proj(context.transpose(1, 2).flatten(2))"
SPREAD = "key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)"
CACHED = 'key, value = torch.cat((cache["key"], key), dim=2), torch.cat((cache["value"], value), dim=2)'
VALUE = "value = self._heads(self.v_proj(x), self.num_kv_heads)"
QUERY = "query = self._rotate(self._heads(self.q_proj(x), self.num_heads), start)"
KEY = "key = self._rotate(self._heads(self.k_proj(x), self.num_kv_heads), start)"

# Edits of the clean fixture: causal, grouped heads, rotary positions, a key mask, a cache.
MODULES: dict[str, Edit] = {
    "no_scale": (SCALE, ""),
    "scale_by_head_dim": (SCALE, " / self.head_dim"),
    "scale_by_embed_dim": (SCALE, " * self.embed_dim**-0.5"),
    "scale_by_heads": (SCALE, " * self.num_heads**-0.5"),
    "scale_twice": (SCALE, SCALE + SCALE),
    "scale_inverted": (SCALE, " * self.head_dim**0.5"),
    "softmax_over_queries": (SOFTMAX, "scores.softmax(dim=-2)"),
    "softmax_over_heads": (SOFTMAX, "scores.softmax(dim=1)"),
    "softmax_over_batch": (SOFTMAX, "scores.softmax(dim=0)"),
    "softmax_twice": (SOFTMAX, "scores.softmax(dim=-1).softmax(dim=-1)"),
    "softmax_left_out": (SOFTMAX, "scores.masked_fill(~allowed, 0.0)"),
    "sigmoid_for_softmax": (SOFTMAX, "scores.sigmoid()"),
    "softmax_in_half_precision": (SOFTMAX, "scores.half().softmax(dim=-1).to(scores.dtype)"),
    "softmax_without_maximum": (SOFTMAX, "(scores.exp() / scores.exp().sum(dim=-1, keepdim=True))"),
    "dropout_in_eval": (SOFTMAX, "nn.functional.dropout(scores.softmax(dim=-1), 0.1)"),
    "mask_ignored": (f"allowed & {KEY_MASK}", "allowed"),
    "mask_inverted": (KEY_MASK, f"~{KEY_MASK}"),
    "mask_of_queries": (KEY_MASK, "key_mask[:, None, :, None]"),
    "mask_of_the_first_sample": (KEY_MASK, "key_mask[:1, None, None, :]"),
    "mask_shifted": (KEY_MASK, "key_mask.roll(1, dims=1)[:, None, None, :]"),
    "mask_in_place_of_causality": (f"allowed & {KEY_MASK}", KEY_MASK),
    "mask_by_or": (f"allowed & {KEY_MASK}", f"allowed | {KEY_MASK}"),
    "mask_after_softmax": (f"{MASKED}\n        context = {SOFTMAX}", f"context = ({SOFTMAX} * allowed)"),
    "mask_added_as_one": (MASKED, "scores = scores + allowed"),
    "mask_multiplied": (MASKED, "scores = scores * allowed"),
    "masked_with_minus_ten": (MASKED, "scores = scores.masked_fill(~allowed, -10.0)"),
    "masked_with_minus_hundred": (MASKED, "scores = scores.masked_fill(~allowed, -100.0)"),
    "mask_overwritten": (OUTPUT, f"key_mask is None or key_mask.fill_(True)\n        {OUTPUT}"),
    "input_overwritten": (OUTPUT, OUTPUT.replace("return", "output =") + "\n        x.zero_()\n        return output"),
    "input_overwritten_without_gradient": (
        OUTPUT,
        OUTPUT.replace("return", "output =") + "\n        x.requires_grad or x.zero_()\n        return output",
    ),
    "causal_sees_the_next": ("diagonal=cached)", "diagonal=cached + 1)"),
    "causal_misses_itself": ("diagonal=cached)", "diagonal=cached - 1)"),
    "causal_left_out": (".tril(diagonal=cached)", ""),
    "causal_from_the_other_end": (".tril(diagonal=cached)", ".triu(diagonal=cached)"),
    "causal_top_left_with_cache": ("diagonal=cached)", "diagonal=0)"),
    "causal_with_a_window": ("diagonal=cached)", "diagonal=cached).triu(diagonal=cached - 7)"),
    "grouping_tiled": (SPREAD, "key, value = key.repeat(1, groups, 1, 1), value.repeat(1, groups, 1, 1)"),
    "grouping_of_value_tiled": ("value.repeat_interleave(groups, dim=1)", "value.repeat(1, groups, 1, 1)"),
    "first_key_head_for_all": (SPREAD, SPREAD + "\n        key = key[:, :1].expand_as(key)"),
    "heads_split_without_transpose": (
        "x.unflatten(-1, (heads, self.head_dim)).transpose(1, 2)",
        "x.reshape(x.shape[0], heads, x.shape[1], self.head_dim)",
    ),
    "heads_joined_without_transpose": (
        "context.transpose(1, 2).flatten(2)",
        "context.reshape(*x.shape[:2], -1)",
    ),
    "head_features_interleaved": (
        "x.unflatten(-1, (heads, self.head_dim)).transpose(1, 2)",
        "x.unflatten(-1, (self.head_dim, heads)).permute(0, 3, 1, 2)",
    ),
    "key_and_value_swapped": (SPREAD, SPREAD.replace("key, value =", "value, key =")),
    "key_for_value": ("self.v_proj(x)", "self.k_proj(x)"),
    "values_of_the_other_sample": (VALUE, VALUE + ".roll(1, dims=0)"),
    "query_normalised": (QUERY, QUERY + "\n        query = nn.functional.normalize(query, dim=-1)"),
    "query_bias_left_out": ("self.q_proj(x)", "x @ self.q_proj.weight.T"),
    "output_bias_twice": (OUTPUT, OUTPUT + " + self.out_proj.bias"),
    "output_not_projected": (OUTPUT, "return context.transpose(1, 2).flatten(2)"),
    "residual_added": (OUTPUT, OUTPUT + " + x"),
    "keys_not_rotated": (KEY, "key = self._heads(self.k_proj(x), self.num_kv_heads)"),
    "queries_not_rotated": (QUERY, "query = self._heads(self.q_proj(x), self.num_heads)"),
    "values_rotated": (VALUE, "value = self._rotate(self._heads(self.v_proj(x), self.num_kv_heads), start)"),
    "query_one_position_ahead": (QUERY, QUERY.replace("start)", "start + 1)")),
    "rotated_backwards": ("angles = torch", "angles = -torch"),
    "rotary_base_thousand": ("10000.0", "1000.0"),
    "rotary_exponent_by_head_dim": ("arange(half) / half)", "arange(half) / self.head_dim)"),
    "rotary_pairs_neighbours": (
        "x[..., :half], x[..., half:]",
        "x[..., 0::2], x[..., 1::2]",
    ),
    "positions_restart_with_cache": ("start = cached", "start = 0"),
    "positions_one_too_low_with_cache": ("start = cached", "start = max(cached - 1, 0)"),
    "positions_one_too_high_with_cache": ("start = cached", "start = cached + bool(cached)"),
    "cache_not_read": (CACHED, "pass"),
    "cache_drops_the_first": (CACHED, CACHED.replace('["key"]', '["key"][:, :, 1:]')),
    "cache_drops_a_token": (CACHED, CACHED.replace('"],', '"][:, :, 1:],')),
    "cache_repeats_a_token": (CACHED, 'key, value = (torch.cat((cache[n], cache[n][:, :, -1:], t), dim=2) '
                                      'for n, t in (("key", key), ("value", value)))'),
    "cache_in_the_wrong_order": (CACHED, CACHED.replace('(cache["key"], key)', '(key, cache["key"])')),
    "cache_of_keys_overwritten": (CACHED, CACHED.replace('(cache["key"], key)', '(0 * cache["key"], key)')),
    "cache_never_written": ('cache["key"], cache["value"] = key, value', "pass"),
    "cache_rounded": (CACHED, CACHED.replace('"],', '"].bfloat16().to(x.dtype),')),
    "value_detached": (VALUE, VALUE + ".detach()"),
    "query_detached": (QUERY, QUERY + ".detach()"),
    "softmax_detached": (SOFTMAX, "scores.detach().softmax(dim=-1)"),
    "input_detached": ("self.k_proj(x)", "self.k_proj(x.detach())"),
    "gradient_doubled": (VALUE, VALUE + "\n        value = 2 * value - value.detach()"),
}  # fmt: skip

FUNCTION = '''"""Attention as a function."""
import math
import torch
from torch.nn.functional import scaled_dot_product_attention

def attention(query, key, value, is_causal, mask):
    length_q, length_k = query.shape[2], key.shape[2]
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    keep = torch.ones(length_q, length_k, dtype=torch.bool)
    if is_causal:
        keep = keep.tril(diagonal=length_k - length_q)
    if mask is not None:
        keep = keep & mask
    keep = keep.expand(query.shape[0], 1, length_q, length_k)
    some = keep.any(dim=-1, keepdim=True)
    scores = query @ key.mT * query.shape[-1] ** -0.5
    scores = scores.masked_fill(~keep & some, -math.inf)
    return (scores.softmax(dim=-1) * some) @ value
'''
RETURN = "return (scores.softmax(dim=-1) * some) @ value"
# Edits of a function with a mask and zeros for a query that may attend to nothing.
FUNCTIONS: dict[str, Edit] = {
    "causal_top_left": ("diagonal=length_k - length_q", "diagonal=0"),
    "causal_flag_ignored": ("if is_causal:", "if False:"),
    "causal_flag_ignored_with_mask": ("if is_causal:", "if is_causal and mask is None:"),
    "causal_always": ("if is_causal:", "if True:"),
    "mask_ignored_with_causal": ("if mask is not None:", "if mask is not None and not is_causal:"),
    "scale_by_length": ("query.shape[-1] ** -0.5", "length_k**-0.5"),
    "torch_with_is_causal": (
        RETURN,
        "if mask is None:\n        return scaled_dot_product_attention(query, key, value, is_causal=is_causal)\n    "
        + RETURN,
    ),
    "empty_rows_average": (RETURN, "return scores.softmax(dim=-1) @ value"),
    "empty_rows_nan": ("~keep & some", "~keep"),
    "empty_rows_nan_in_the_gradient_only": (
        f"scores = scores.masked_fill(~keep & some, -math.inf)\n    {RETURN}",
        "scores = scores + torch.zeros(keep.shape).masked_fill(~keep, -math.inf)\n"
        "    return scores.softmax(dim=-1).nan_to_num() @ value",
    ),
}  # fmt: skip

MODULE_CONTRACT = {
    "embed_dim": 24, "num_heads": 4, "num_kv_heads": 2, "head_dim": 8, "is_causal": True, "key_mask": True,
    "rotary_base": 10000.0, "dtypes": ["float32", "bfloat16", "float16"],
    "projections": {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"},
}  # fmt: skip
FUNCTION_CONTRACT = {
    "num_heads": 6, "num_kv_heads": 3, "head_dim": 10, "is_causal": True, "key_mask": True, "empty_row": "zeros",
}  # fmt: skip
SPECS = f"""
import importlib
import torch

def decode(module, chunks):
    cache = {{}}
    return torch.cat([module(chunk, cache=cache) for chunk in chunks], dim=1)

def module_entry(name):
    class_ = importlib.import_module(f"zoo.modules.{{name}}").Attention
    return {{
        "class": f"zoo.modules.{{name}}:Attention", "build": class_, "decode": decode,
        "forward": lambda module, x, key_mask: module(x, key_mask=key_mask), "contract": {MODULE_CONTRACT},
    }}

def function_entry(name):
    function = importlib.import_module(f"zoo.functions.{{name}}").attention
    return {{
        "function": f"zoo.functions.{{name}}:attention", "contract": {FUNCTION_CONTRACT},
        "forward": lambda query, key, value, is_causal, mask: function(query, key, value, is_causal, mask),
    }}

ATTENTION = {{name: module_entry(name) for name in {["unchanged_module", *MODULES]}}}
ATTENTION |= {{name: function_entry(name) for name in {["unchanged_function", *FUNCTIONS]}}}
"""
NOTHING: Edit = ("", "")
# One of each kind of mistake; all together take minutes.
QUICK = {
    "scale_by_embed_dim", "softmax_over_heads", "softmax_in_half_precision", "dropout_in_eval", "mask_ignored",
    "causal_left_out", "cache_drops_a_token", "query_normalised", "rotary_exponent_by_head_dim", "causal_top_left",
    "empty_rows_nan", "torch_with_is_causal",
}  # fmt: skip


def edited(source: str, edit: Edit) -> str:
    old, new = edit
    assert edit is NOTHING or source.count(old) == 1, f"{old!r} occurs {source.count(old)} times"
    return source if edit is NOTHING else source.replace(old, new)


def written_package(root: Path) -> Path:
    """Write one package that holds every mutant and both originals, and return its folder."""
    package = root / "zoo"
    sources = {"__init__.py": "", "specs.py": SPECS, "modules/__init__.py": "", "functions/__init__.py": ""}
    for name, edit in ({"unchanged_module": NOTHING} | MODULES).items():
        sources[f"modules/{name}.py"] = edited(CLEAN.read_text(), edit)
    for name, edit in ({"unchanged_function": NOTHING} | FUNCTIONS).items():
        sources[f"functions/{name}.py"] = edited(FUNCTION, edit)
    for relative, text in sources.items():
        (package / relative).parent.mkdir(parents=True, exist_ok=True)
        (package / relative).write_text(text)
    (root / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\n')
    return root


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory, audit_of: Callable[[Path], Any]) -> Any:
    return audit_of(written_package(tmp_path_factory.mktemp("mutants")))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["unchanged_module", "unchanged_function"])
def test_the_originals_pass(zoo: Any, name: str, seed: int) -> None:
    reasons = [judgement.reason for judgement in zoo.judge(name, seed=seed).values() if judgement.outcome == "failed"]
    assert reasons == []


@pytest.mark.parametrize("name", slow_unless(QUICK, [*MODULES, *FUNCTIONS]))
def test_a_property_fails_on(zoo: Any, name: str) -> None:
    outcomes = {check: judgement.outcome.value for check, judgement in zoo.judge(name).items()}
    assert "failed" in outcomes.values(), outcomes
