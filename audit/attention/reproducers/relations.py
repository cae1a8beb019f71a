"""What a correct subject fulfils, one relation for each way of failing, and which checks each of them shows."""

from audit.attention.reproducers import lines
from audit.attention.reproducers.reference import can_be_written
from audit.attention.reproducers.settings import (
    Relation,
    Setting,
    all_settings,
    batches_settings,
    beyond_settings,
    chunks_settings,
    depending_settings,
    differentiated_settings,
    has_no_order,
    is_causal,
    is_module,
    is_over_ranks,
    large_settings,
    layouts_settings,
    long_settings,
    masked_settings,
    one_settings,
    oracle_settings,
    repeated_settings,
    shared_settings,
    takes_mask,
    touching_settings,
)

_AGREES = "the output is the one that is declared"
ORACLE = Relation(
    says=_AGREES, lines=lines.oracle_lines, settings=oracle_settings, needs_reference=True, applies=can_be_written
)
LARGE = Relation(
    says=_AGREES,
    lines=lines.large_lines,
    settings=large_settings,
    needs_reference=True,
    applies=lambda subject: can_be_written(subject) and subject.contract.context_dim is None,
)
LATER = Relation(
    says="later tokens do not change earlier outputs",
    lines=lines.causality_lines,
    settings=all_settings,
    applies=is_causal,
    some_rows=True,
)
PREFIX = Relation(
    says="the first outputs are those of a shorter input",
    lines=lines.prefix_lines,
    settings=all_settings,
    applies=is_causal,
)
MASKED = Relation(
    says="a masked token has no influence", lines=lines.mask_lines, settings=masked_settings, applies=takes_mask
)
NOOP = Relation(
    says="a mask that allows everything changes nothing",
    lines=lines.noop_lines,
    settings=all_settings,
    applies=takes_mask,
)
ALONE = Relation(says="a sample has the same output alone", lines=lines.rows_lines, settings=batches_settings)
ORDER = Relation(
    says="outputs follow their tokens to other places",
    lines=lines.permutation_lines,
    settings=all_settings,
    applies=has_no_order,
)
CACHE = Relation(
    says="decoding through the cache gives the full forward", lines=lines.cache_lines, settings=chunks_settings
)
AGAIN = Relation(
    says="the same call gives the same output", lines=lines.again_lines, settings=repeated_settings, bound="result"
)
TRAINING = Relation(
    says="train mode without dropout gives the output of eval mode",
    lines=lines.training_lines,
    settings=all_settings,
    applies=is_module,
)
VIEWS = Relation(says="views give the output of their copies", lines=lines.views_lines, settings=layouts_settings)
UNTOUCHED = Relation(
    says="a call leaves its inputs as they were",
    lines=lines.untouched_lines,
    settings=touching_settings,
    bound="nothing",
)
EMPTY = Relation(
    says="a sample with nothing to attend to has a finite output and changes no other",
    lines=lines.empty_lines,
    settings=lambda subject: [Setting(length=n, batch=2, padding="all", content="normal") for n in (2, 3)],
    applies=takes_mask,
)
REACHING = Relation(
    says="every parameter and input has a finite gradient that is not zero",
    lines=lines.reaching_lines,
    settings=differentiated_settings,
    bound="nothing",
    with_gradient=True,
)
GRADIENTS = Relation(
    says="gradients are those of what is declared",
    lines=lines.gradients_lines,
    settings=differentiated_settings,
    applies=can_be_written,
    needs_reference=True,
    with_gradient=True,
)
OTHER = Relation(
    says="other tokens have an influence", lines=lines.other_key_lines, settings=depending_settings, differs=True
)
SUMS = Relation(
    says="the weights of a query sum to 1 over the keys", lines=lines.identical_lines, settings=all_settings
)
OUTSIDE = Relation(
    says="a key outside of the window has no influence", lines=lines.window_lines, settings=beyond_settings
)
INSIDE = Relation(
    says="a key inside of the window has an influence", lines=lines.inside_lines, settings=beyond_settings, differs=True
)
LOW = Relation(says="low precision stays as near as rounding allows", lines=lines.low_lines, settings=long_settings)

SHARED = Relation(
    says="on three ranks, each with its share of the sequence, it gives what one process gives",
    lines=lines.ranks_lines,
    settings=shared_settings,
    applies=is_over_ranks,
)

SCALED = Relation(
    says="the logits are scaled as declared", lines=lines.scaled_lines, settings=one_settings, bound="thousandth"
)
ONCE = Relation(says="the softmax is taken once", lines=lines.once_lines, settings=one_settings, bound="nothing")
AS_WIDE = Relation(
    says="logits keep the precision of the call", lines=lines.as_wide_lines, settings=one_settings, bound="nothing"
)

# For each check the relations that show its failure, the plainest first.
RELATIONS: dict[str, tuple[Relation, ...]] = {
    "oracle": (ORACLE,),
    "scale": (ORACLE, PREFIX, SCALED),
    "softmax_axis": (SUMS, ORACLE, LATER),
    "row_sums": (SUMS, ORACLE),
    "softmax_once": (ORACLE, ONCE),
    "logits_dtype": (ORACLE, AS_WIDE, LOW),
    "head_grouping": (ORACLE,),
    "attended_axis": (OTHER, ORDER, ALONE, ORACLE, LATER),
    "dropout_in_eval": (AGAIN,),
    "window_width": (OUTSIDE, INSIDE, ORACLE),
    "depends": (OTHER, ORACLE),
    "causality": (LATER, ORACLE),
    "prefix": (PREFIX, ORACLE),
    "mask": (MASKED, ORACLE),
    "noop_mask": (NOOP, ORACLE),
    "mask_and_causal": (NOOP, MASKED, LATER, ORACLE),
    "empty_rows": (EMPTY, ORACLE),
    "batch_rows": (ALONE,),
    "permutation": (ORDER, ORACLE),
    "large_logits": (LARGE, ORACLE),
    "kv_cache": (CACHE,),
    "gradients": (GRADIENTS, REACHING),
    "repeatable": (AGAIN,),
    "train_eval": (TRAINING,),
    "noncontiguous": (VIEWS,),
    "low_precision": (LOW, ORACLE),
    "inputs_untouched": (UNTOUCHED,),
    "context_parallel": (SHARED,),
}
