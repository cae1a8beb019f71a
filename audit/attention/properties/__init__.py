"""One file per property. Each holds `CHECK` and `judge(subject, run)`.

To add one, write the file and name it in `PROPERTIES`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

from audit import plugins
from audit.attention import misfit
from audit.attention.answers import Settled
from audit.attention.properties import (
    alibi,
    arguments_used,
    autocast,
    batch_rows,
    branches,
    causality,
    context_parallel,
    depends,
    derivatives,
    empty_rows,
    every_key,
    gradients,
    inputs_untouched,
    kernel_memory,
    kv_cache,
    large_logits,
    long_past,
    long_sequences,
    low_precision,
    mask,
    mask_forms,
    noncontiguous,
    noop_mask,
    not_finite,
    not_repeatable,
    oracle,
    permutation,
    prefix,
    query_rows,
    repeatable,
    row_sums,
    shifted_positions,
    soft_cap,
    swallowed_errors,
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
from audit.judgement import Judgement, error
from audit.plan import Run
from audit.plugin_checks import check_in
from audit.plugins import Loaded, loaded, values
from audit.results import Check, Outcome, Subject


@dataclass(frozen=True, kw_only=True)
class Property:
    """A check and the function that carries it out."""

    check: Check
    judge: Callable[[AttentionSubject, Run], Judgement]

    def carried_out(self, subject: AttentionSubject, run: Run, *, named: Subject) -> Judgement:
        """Return the judgement of what a report calls `named`, with the parameters that were counted.

        Answers that settle it are a failure of what specs declare; of a guess they say that it does not fit.
        """
        try:
            judgement = misfit.unfitting(subject, run) or self.judge(subject, run)
        except Settled as settled:
            judgement = settled.judgement
            if judgement.outcome is Outcome.FAILED and not subject.is_declared:
                judgement = error(str(judgement.reason))
        judgement = misfit.of_width(judgement, subject, run)
        judgement = not_finite.waiting(self.check.id, judgement, subject, run)
        judgement = not_repeatable.waiting(self.check.id, judgement, subject, run)
        judgement = autocast.fitting(judgement, subject, run)
        if run.target.on_gpu and judgement.measured is not None:
            measured = judgement.measured
            judgement = replace(
                judgement, measured=replace(measured, origin=f"{measured.origin}; on {run.target.device_seen}")
            )
        return replace(judgement, subject=named.model_copy(update={"parameters": subject.built.parameters}))


PROPERTIES = tuple(
    Property(check=module.CHECK, judge=module.judge)
    for module in (
        oracle, depends, causality, prefix, mask, noop_mask, empty_rows, batch_rows, permutation, large_logits,
        kv_cache, gradients, repeatable, train_eval, noncontiguous, low_precision, inputs_untouched,
        mask_forms, arguments_used, query_rows, swallowed_errors, long_sequences, long_past,
        shifted_positions,
        traced_scale, traced_softmax_axis, traced_softmax_once, traced_logits_dtype, traced_head_grouping,
        traced_attended_axis, traced_dropout_in_eval, traced_window_width, branches,
        row_sums, every_key, soft_cap, alibi, derivatives, kernel_memory, context_parallel,
    )
)  # fmt: skip


@cache
def plugged_properties() -> tuple[Loaded[Property], ...]:
    """Return the properties of plug-ins, and why some could not be loaded."""
    taken = [each.check.id for each in PROPERTIES]

    def read(module: object) -> Property:
        check, judge = check_in(module, "attention", taken)
        taken.append(check.id)
        return Property(check=check, judge=judge)

    return loaded(plugins.PROPERTIES, read)


def all_properties() -> tuple[Property, ...]:
    """Return our own and those of plug-ins."""
    return (*PROPERTIES, *values(plugged_properties()))
