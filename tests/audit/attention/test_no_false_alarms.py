"""Correct attention in many styles, sizes and dtypes, under many seeds: nothing may be called wrong."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

FIXTURES = Path(__file__).parents[2] / "fixtures" / "attention"
SIZES = ("6_3_10", "4_4_7", "5_1_16")
FUNCTIONS = (
    "eager", "einsum_expanded", "expanded_heads", "softmax_in_float32", "all_in_float32", "scaled_query",
    "scale_on_both", "positions_first", "head_by_head", "base_two", "online", "merged_by_log_sum_exp", "query_chunks",
    "sdpa_without_mask", "sdpa_math", "sdpa_flash",
)  # fmt: skip
MODULES = ("bidirectional", "causal_no_positions", "rotary", "complex_rotary")
STYLES = [*MODULES, *(f"{name}_{size}" for name in FUNCTIONS for size in SIZES)]
SEEDS = range(1, 6)


@pytest.fixture(scope="module")
def styles(audit_of: Callable[[Path], Any]) -> Any:
    return audit_of(FIXTURES / "styles")


def test_every_style_is_judged_here(styles: Any) -> None:
    assert styles.subjects == sorted(STYLES)


@pytest.mark.parametrize("name", STYLES)
@pytest.mark.parametrize("seeds", [(0,), pytest.param(SEEDS, marks=pytest.mark.slow)], ids=["first", "others"])
def test_passes_under_every_seed(styles: Any, name: str, seeds: Iterable[int]) -> None:
    reasons = [
        f"seed {seed}: {check}: {judgement.reason}; {judgement.measured}"
        for seed in seeds
        for check, judgement in styles.judge(name, seed=seed).items()
        if judgement.outcome not in ("passed", "not_applicable")
    ]
    assert reasons == []


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_modules_are_judged_and_not_excused(styles: Any, name: str) -> None:
    judgements = styles.judge(name)
    excused = {check for check, judgement in judgements.items() if judgement.outcome == "not_applicable"}
    expected = {
        "bidirectional": {"causality", "prefix", "kv_cache", "shifted_positions"},
        "causal_no_positions": {"kv_cache", "permutation", "shifted_positions"},
    }
    always = {
        "window_width", "mask_forms", "arguments_used", "query_rows", "row_sums", "every_key", "soft_cap", "alibi",
        "derivatives", "branches", "kernel_memory", "context_parallel",
        "long_past",  # two have no cache, two a table of angles that is too short
    }  # fmt: skip
    # Those that call torch's fused attention have its kernels for branches.
    assert excused | {"attention.branches"} == {
        f"attention.{each}" for each in expected.get(name, {"permutation"}) | always
    }
    assert all(j.subject.parameters for check, j in judgements.items() if check not in excused)
