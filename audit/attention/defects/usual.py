"""What the failure of a check usually comes from, and which failure says most of a cause."""

from collections.abc import Mapping, Sequence

# What the failure of a check comes from where nothing else can be looked at.
PLAIN: Mapping[str, str] = {
    "attended_axis": "heads",
    "depends": "heads",
    "softmax_axis": "softmax_axis",
    "head_grouping": "grouping",
    "causality": "later_tokens",
    "batch_rows": "samples",
    "dropout_in_eval": "dropout",
    "softmax_once": "softmax_twice",
    "logits_dtype": "precision",
    "empty_rows": "empty_rows",
    "large_logits": "overflow",
    "noncontiguous": "strides",
    "gradients": "gradients",
    "alibi": "alibi",
    "branches": "backends",
    "row_sums": "softmax_axis",
    "arguments_used": "mask_ignored",
    "derivatives": "gradients",
    "mask_forms": "mask_added",
    "query_rows": "softmax_axis",
    "shifted_positions": "rotary_pairs",
    "soft_cap": "soft_cap",
    "swallowed_errors": "hidden_error",
    "kernel_memory": "outside_of_tensors",
}
# In this order failures are looked into: what says most of the cause comes first.
ORDER: Sequence[str] = (
    "dropout_in_eval", "repeatable", "swallowed_errors", "attended_axis", "softmax_axis", "row_sums", "softmax_once",
    "scale", "head_grouping", "window_width", "soft_cap", "alibi", "logits_dtype", "oracle", "noop_mask",
    "mask", "mask_forms", "batch_rows", "causality", "train_eval", "depends", "permutation",
    "noncontiguous", "kv_cache", "empty_rows", "low_precision", "long_past", "long_sequences", "large_logits",
    "inputs_untouched", "prefix", "every_key", "query_rows", "shifted_positions", "gradients", "derivatives",
    "kernel_memory", "context_parallel",
)  # fmt: skip
