"""Contracts and entries of any form are read or refused in one line; none of them ends in an exception."""

import sys
import types
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.attention.contract import Contract, read_contract
from audit.catalog import Catalog, SpecEntry
from audit.probe import specs as probe_specs

VALID: dict[str, Any] = {
    "num_heads": 6, "num_kv_heads": 3, "head_dim": 8, "is_causal": True, "embed_dim": 20, "scale": None,
    "key_mask": True, "causal_alignment": "bottom_right", "head_grouping": "interleaved", "rotary_base": 500.0,
    "rotary_layout": "half", "empty_row": "zeros", "window": 5, "window_counts_query": True, "soft_cap": 2.0,
    "sinks": "sinks", "value_scale": 0.5, "rows_sum_to_one": None, "positions": None, "approximation_error": 0.1,
    "given_mask": "joins", "feature_map": None, "alibi_slopes": "published", "random_features": None,
    "num_global_tokens": None, "max_length": 64,
    "dtypes": ["float32", "bfloat16", "float16"],
    "projections": {"query": "q", "key": "k", "value": "v", "output": "o"},
}  # fmt: skip
REQUIRED = ("num_heads", "num_kv_heads", "head_dim", "is_causal")
# Values that no reading turns into one of the right kind.
WRONG: dict[str, list[Any]] = {
    "num_heads": [0, -6, 2.5, 6.0, True, "6", "six", None, [6]],
    "num_kv_heads": [0, -1, 4, 6.5, "three", None],
    "head_dim": [0, -8, 7, "eight", None],
    "is_causal": [None, "perhaps", "yes", "no", "true", 0, 1, 2, []],
    "embed_dim": [0, -1, 2.5, "wide"],
    "scale": ["large", [1.0], float("nan"), float("inf")],
    "key_mask": ["perhaps", "on", None, 1, 2],
    "causal_alignment": ["left", None, 1],
    "head_grouping": ["grouped", None],
    "rotary_base": ["10k", [], float("nan"), -500.0, 0.0],
    "rotary_layout": ["quarter", None],
    "empty_row": ["mean", 0],
    "window": [0, -3, 2.5, "wide"],
    "window_counts_query": ["perhaps", 2],
    "max_length": [0, -64, 2.5, "long"],
    "num_global_tokens": [0, -1, 1.5, "two"],
    "random_features": [3, "features"],
    "soft_cap": [0.0, -2.0, "soft", float("inf")],
    "sinks": [3, ["sinks"]],
    "value_scale": ["large", "0.5", True, None, float("nan")],
    "rows_sum_to_one": ["perhaps", 2],
    "positions": ["rotary", True],
    "approximation_error": [0.0, -1.0, "small"],
    "given_mask": ["ignored", True],
    "feature_map": ["relu6", 1, "positive_random"],
    "alibi_slopes": ["steep", [0.5], [0.5, 0.25, 0.125, 0.1, 0.05, "x"], 0.5],
    "dtypes": [[], ["float64"], "float32", None, [1]],
    "projections": [{}, [], "q", {"query": "q"}, {"query": 1, "key": "k", "value": "v", "output": "o"}],
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def entry(contract: Any) -> SpecEntry:
    return SpecEntry.model_validate({"problem": None, "class": "zoo.attention:Attention", "contract": contract})


def described(attention: object) -> Catalog:
    """What the parent makes of the specs' ATTENTION, as it comes out of the probe."""
    module = types.ModuleType("specs_under_test")
    module.MODELS, module.ATTENTION = {}, attention  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    try:
        return Catalog.model_validate(probe_specs.describe(module.__name__))
    finally:
        del sys.modules[module.__name__]


def test_the_valid_contract_is_read() -> None:
    assert isinstance(read_contract(entry(VALID)), Contract)


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in WRONG.items() for value in values])
def test_a_wrong_value_is_refused_by_name(key: str, value: Any) -> None:
    problem = read_contract(entry(VALID | {key: value}))
    assert isinstance(problem, str)
    assert key in problem
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"num_hedas": 4}, "contract: unknown key num_hedas (did you mean num_heads?)"),
        ({"xyzzy": 4, "windw": 2}, "contract: unknown key xyzzy, windw (did you mean window?)"),
        (
            {"projections": {**VALID["projections"], "qeury": "q"}},
            "contract: unknown key projections.qeury (did you mean query?)",
        ),
        ({"is_causal": "no"}, "contract: is_causal: Input should be a valid boolean, got 'no'"),
        ({"embed_dim": 0}, "contract: embed_dim: Input should be greater than 0, got 0"),
    ],
)
def test_a_wrong_key_or_value_is_told_with_the_nearest_key_or_what_was_given(given: dict[str, Any], said: str) -> None:
    assert read_contract(entry(VALID | given)) == said


@pytest.mark.parametrize("named", [{"sinks": "sinks"}, {"feature_map": "positive_random", "random_features": "w"}])
def test_a_function_has_no_tensors_to_name(named: dict[str, str]) -> None:
    sizes = {key: VALID[key] for key in REQUIRED}
    given_entry = SpecEntry.model_validate({"problem": None, "function": "zoo:f", "contract": sizes | named})
    *_, key = named
    assert read_contract(given_entry) == f"contract: {key}: names a tensor of a module, and this is a function"


@given(lacking=st.sets(st.sampled_from(sorted(VALID))))
def test_only_what_has_no_default_must_be_there(lacking: set[str]) -> None:
    found = read_contract(entry({key: value for key, value in VALID.items() if key not in lacking}))
    assert isinstance(found, str) == bool(lacking & {*REQUIRED, "embed_dim"})


@given(changes=st.dictionaries(st.sampled_from(sorted(VALID)) | st.text(max_size=8), JSON, max_size=4))
def test_any_contract_is_read_or_refused_in_one_line(changes: dict[str, Any]) -> None:
    found = read_contract(entry(VALID | changes))
    assert isinstance(found, Contract) or "\n" not in found
    if isinstance(found, Contract):
        assert set(changes) <= set(VALID)
        assert found.num_heads % found.num_kv_heads == 0


@given(heads=st.integers(1, 40), kv_heads=st.integers(1, 40), head_dim=st.integers(1, 40), rotary=st.booleans())
def test_sizes_that_contradict_one_another_are_refused(heads: int, kv_heads: int, head_dim: int, rotary: bool) -> None:
    sizes = {"num_heads": heads, "num_kv_heads": kv_heads, "head_dim": head_dim}
    found = read_contract(entry(VALID | sizes | {"rotary_base": 500.0 if rotary else None}))
    assert isinstance(found, str) == bool(heads % kv_heads or (rotary and head_dim % 2))


KEYS = st.sampled_from(["class", "function", "build", "forward", "decode", "contract"])
VALUES = JSON | st.just(len) | st.just(object()) | st.just(VALID)


OF_MODULES = ("embed_dim", "sinks")
ENTRY = {"function": "zoo:f", "forward": len, "contract": {k: v for k, v in VALID.items() if k not in OF_MODULES}}
ENTRIES = JSON.map(lambda contract: ENTRY | {"contract": contract}) | st.dictionaries(KEYS, VALUES, max_size=3).map(
    lambda changes: ENTRY | changes
)


@given(attention=st.dictionaries(st.text(max_size=4), ENTRIES | st.dictionaries(KEYS, VALUES) | JSON, max_size=3))
def test_any_entries_are_described_and_one_does_not_hide_the_others(attention: dict[Any, Any]) -> None:
    catalog = described({**attention, "good entry": ENTRY})
    assert catalog.attention is not None
    assert set(catalog.attention) == set(attention) | {"good entry"}
    assert isinstance(read_contract(catalog.attention["good entry"]), Contract)
    for each in catalog.attention.values():
        assert each.problem or isinstance(read_contract(each), Contract | str)


def test_an_unknown_key_of_an_entry_is_told_with_the_nearest() -> None:
    catalog = described({"misspelt": ENTRY | {"dekode": len, "xyzzy": 1}})
    assert catalog.attention is not None
    problem = catalog.attention["misspelt"].problem or ""
    assert problem.startswith("unknown key 'dekode' (did you mean 'decode'?), 'xyzzy'; known are 'class', 'build'")


@pytest.mark.parametrize(
    ("tables", "found"),
    [
        ({"ATENTION": {}}, {"attention": "ATENTION"}),
        ({"attention": {}}, {"attention": "attention"}),
        ({"MODEL": {}, "TRAINNING": {}, "ATTENTION": {}}, {"models": "MODEL", "training": "TRAINNING"}),
        ({"ATENTION": {}, "ATTENTION": {}}, {}),
        ({"ATENTION": 3, "SIZES": {}, "DATASETS": {}, "_MODELS": {}}, {}),
    ],
)
def test_a_table_that_is_nearly_called_like_a_section_is_told(
    tables: dict[str, Any], found: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("misnamed_specs")
    vars(module).update(tables)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert Catalog.model_validate(probe_specs.describe(module.__name__)).misnamed == found


@pytest.mark.parametrize("contract", [[1], "causal", 3, None])
def test_a_contract_that_is_no_dict_is_a_problem_of_its_entry_only(contract: object) -> None:
    good = {"function": "zoo:f", "forward": len, "contract": VALID}
    catalog = described({"good": good, "bad": {"function": "zoo:f", "forward": len, "contract": contract}})
    assert catalog.attention is not None
    assert catalog.attention["good"].problem is None
    bad = catalog.attention["bad"]
    assert bad.problem or isinstance(read_contract(bad), str)
