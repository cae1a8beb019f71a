"""Which failures a mistake cannot but cause: those of checks that look at what it changes."""

from collections.abc import Mapping

# They compare with the oracle: whatever is computed otherwise shows in them.
UNREPEATABLE = "repeatable"
OF_THE_ORACLE = frozenset({"oracle", "gradients", "large_logits", "long_sequences"})
_OF_MASKS = frozenset(
    {"mask", "noop_mask", "mask_forms", "empty_rows", "batch_rows", "train_eval", "shifted_positions"}
)
_OF_ROWS = frozenset(
    {"causality", "prefix", "kv_cache", "depends", "permutation", "row_sums", "query_rows", "every_key"}
)
_OF_RUNS = frozenset({"repeatable", "noncontiguous", "low_precision", "inputs_untouched"})
_ALL = OF_THE_ORACLE | _OF_MASKS | _OF_ROWS | _OF_RUNS

FOLLOWS: Mapping[str, frozenset[str]] = {
    "scale_size": OF_THE_ORACLE | {"scale", "prefix", "kv_cache"},
    "scale_form": OF_THE_ORACLE | {"scale", "low_precision"},
    "softmax_axis": OF_THE_ORACLE | _OF_MASKS | _OF_ROWS | {"softmax_axis", "window_width", "low_precision"},
    "softmax_twice": OF_THE_ORACLE | _OF_MASKS | _OF_ROWS | {"low_precision", "window_width"},
    "heads": OF_THE_ORACLE
    | _OF_MASKS
    | _OF_ROWS
    | {"attended_axis", "head_grouping", "softmax_axis", "inputs_untouched"},
    "one_key": OF_THE_ORACLE | _OF_MASKS | _OF_ROWS | {"attended_axis", "scale", "softmax_axis"},
    "grouping": OF_THE_ORACLE | {"head_grouping"},
    "later_tokens": OF_THE_ORACLE | {"causality", "prefix", "kv_cache", "noop_mask", "window_width", "train_eval"},
    "causality": OF_THE_ORACLE | {"causality", "prefix", "kv_cache", "noop_mask", "train_eval", "permutation"},
    "mask_inverted": OF_THE_ORACLE | _OF_MASKS | {"arguments_used", "kv_cache"},
    "causal_inverted": OF_THE_ORACLE
    | _OF_MASKS
    | _OF_ROWS
    | _OF_RUNS
    | {"window_width", "softmax_axis", "attended_axis", "alibi", "soft_cap", "derivatives", "swallowed_errors"},
    "mask_added": OF_THE_ORACLE | _OF_MASKS | {"kv_cache"},
    "mask_axis": OF_THE_ORACLE | _OF_MASKS | {"kv_cache"},
    "mask_heads": OF_THE_ORACLE | _OF_MASKS | {"kv_cache"},
    "mask_ignored": OF_THE_ORACLE | _OF_MASKS | {"arguments_used", "kv_cache"},
    "mask_and_causal": OF_THE_ORACLE | _OF_MASKS | {"causality", "kv_cache"},
    "samples": OF_THE_ORACLE | _OF_MASKS,
    "empty_rows": OF_THE_ORACLE,
    "alignment": OF_THE_ORACLE | {"kv_cache"},
    "rotary_offset": frozenset({"kv_cache"}),
    "rotary_pairs": OF_THE_ORACLE | {"kv_cache", "low_precision", "shifted_positions"},
    "rotary_turned": OF_THE_ORACLE | {"kv_cache", "low_precision", "permutation", "shifted_positions"},
    "undeclared_positions": OF_THE_ORACLE | {"permutation", "kv_cache"},
    "rolling_cache": frozenset({"kv_cache"}),
    "window": OF_THE_ORACLE | {"window_width", "kv_cache", "prefix", "permutation"},
    "window_path": OF_THE_ORACLE | {"window_width", "kv_cache", "noop_mask", "permutation"},
    "alibi": OF_THE_ORACLE | {"alibi"},
    "soft_cap": OF_THE_ORACLE | {"soft_cap"},
    "sinks": OF_THE_ORACLE | {"row_sums"},
    "precision": OF_THE_ORACLE | {"low_precision", "logits_dtype", "kv_cache"},
    "angles": OF_THE_ORACLE | {"low_precision", "kv_cache"},
    "blockwise": OF_THE_ORACLE | {"prefix", "low_precision"},
    "mask_value": OF_THE_ORACLE | {"low_precision"},
    "overflow": OF_THE_ORACLE | {"low_precision"},
    "strides": frozenset({"kv_cache"}),
    "overwritten": _ALL,
    "dropout": _ALL | {"dropout_in_eval"},
    "packed": OF_THE_ORACLE | {"row_sums", "batch_rows", "causality", "prefix", "every_key"},
    "gradients": frozenset({"gradients", "derivatives"}),
    "hidden_error": _ALL,
    "outside_of_tensors": _ALL | {"kernel_memory"},
    "normaliser": OF_THE_ORACLE | {"prefix", "row_sums"},
}


def follow(bug: str | None, check: str) -> frozenset[str]:
    """Return the checks, without `attention.`, whose failure is no second defect once this one is known."""
    if bug is None and check == UNREPEATABLE:  # every other check compares two calls
        return _ALL | {"softmax_axis", "shifted_positions", "derivatives"}
    if bug is None:  # whatever makes the output another one makes its gradients others
        return OF_THE_ORACLE if check == "oracle" else frozenset()
    return FOLLOWS.get(bug, frozenset())
