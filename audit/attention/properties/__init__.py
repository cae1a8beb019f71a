"""One file per property. Each holds `CHECK` and `judge(subject, run)`.

To add one, write the file and name it in `PROPERTIES`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from audit.attention.properties import (
    batch_rows,
    causality,
    depends,
    empty_rows,
    gradients,
    inputs_untouched,
    kv_cache,
    large_logits,
    low_precision,
    mask,
    noncontiguous,
    noop_mask,
    oracle,
    permutation,
    prefix,
    repeatable,
    traced_attended_axis,
    traced_dropout_in_eval,
    traced_head_grouping,
    traced_logits_dtype,
    traced_scale,
    traced_softmax_axis,
    traced_softmax_once,
    traced_window_width,
    train_eval,
)
from audit.attention.subject import AttentionSubject
from audit.judgement import Judgement
from audit.plan import Run
from audit.results import Check


@dataclass(frozen=True, kw_only=True)
class Property:
    """A check and the function that carries it out."""

    check: Check
    judge: Callable[[AttentionSubject, Run], Judgement]


PROPERTIES = tuple(
    Property(check=module.CHECK, judge=module.judge)
    for module in (
        oracle, depends, causality, prefix, mask, noop_mask, empty_rows, batch_rows, permutation, large_logits,
        kv_cache, gradients, repeatable, train_eval, noncontiguous, low_precision, inputs_untouched,
        traced_scale, traced_softmax_axis, traced_softmax_once, traced_logits_dtype, traced_head_grouping,
        traced_attended_axis, traced_dropout_in_eval, traced_window_width,
    )
)  # fmt: skip
