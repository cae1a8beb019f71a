"""What the command line has to say of each small package of the fixtures."""

from collections.abc import Set
from dataclasses import dataclass, field

from audit.static.rules.project_rule import ProjectRule
from audit.static.rules.registry import all_rules
from validation.smoke.registry import MODEL_CHECKS


@dataclass(frozen=True)
class Expected:
    """What one command says about one fixture; every check that is not named must pass.

    `follows` are failures that the defect named in `failed` cannot but cause as well: gradients of another function
    are other gradients. `unjudged` are errors and skips.
    """

    failed: set[str] = field(default_factory=set)
    follows: set[str] = field(default_factory=set)
    unjudged: set[str] = field(default_factory=set)
    not_applicable: set[str] = field(default_factory=set)
    exit_code: int = 1


CLEAN = Expected(exit_code=0)
PROPERTIES = {
    f"attention.{name}"
    for name in (
        "oracle", "depends", "causality", "prefix", "mask", "noop_mask", "empty_rows", "batch_rows", "permutation",
        "large_logits", "kv_cache", "gradients", "repeatable", "train_eval", "noncontiguous", "low_precision",
        "inputs_untouched", "mask_forms", "arguments_used", "query_rows", "swallowed_errors", "long_sequences",
        "long_past", "shifted_positions",
    )
}  # fmt: skip
TRACED = {
    f"attention.{name}"
    for name in (
        "scale", "softmax_axis", "softmax_once", "logits_dtype", "head_grouping", "attended_axis", "dropout_in_eval",
        "window_width",
    )
}  # fmt: skip
PROMISES = {f"attention.{name}" for name in ("row_sums", "every_key", "soft_cap", "alibi", "derivatives")}
PROPERTIES |= TRACED | PROMISES | {"attention.branches", "attention.kernel_memory", "attention.context_parallel"}


def after(check: str) -> set[str]:
    """The checks of a model that wait for this one, directly or not."""
    found: set[str] = set()
    for each in MODEL_CHECKS:  # in the order in which they are carried out
        if {check, *found} & set(each.requires):
            found.add(each.check.id)
    return found | ({"smoke.attention"} if "smoke.forward" in {check, *found} else set())


# Judged in processes of their own, beside smoke.build and not behind it.
BESIDE = {"smoke.meta_build", "smoke.compile", "smoke.export"}
NO_BUILD = after("smoke.build") | BESIDE
# None of these packages has a compiled extension, a data set or attention, ties or freezes weights, says where a
# loss begins, takes a mask or offers activation checkpointing.
NO_DATA = {"smoke.extensions", "smoke.data_declared"}
PLAIN = NO_DATA | {
    f"smoke.{name}"
    for name in (
        "tied_weights",
        "declared_frozen",
        "initial_loss",
        "attention",
        "padding_leaks",
        "padded_rows",
        "future_leaks",
        "residual",
        "inference",
        "generates",
        "next_token",
        "checkpointing",
    )
}


def _failing(check: str, *, unjudged: Set[str] = frozenset(), not_applicable: Set[str] = frozenset()) -> Expected:
    """A model that fails one check of the smoke area, so that those behind it are not carried out."""
    waiting = after(check)
    return Expected({check}, unjudged=waiting | unjudged, not_applicable=(PLAIN | not_applicable) - waiting)


OTHER_FUNCTION = {"attention.gradients"}
OTHER_KEYS = OTHER_FUNCTION | {"attention.oracle", "attention.large_logits"}

# None of these declares a window or another of the promises that few make, and each has one implementation, without a
# kernel of Triton; specs choose the form of a mask and the arguments, and modules take no queries alone.
NO_KERNEL = {"attention.branches", "attention.kernel_memory"}
NO_RANKS = {"attention.context_parallel"}
NO_WINDOW = (
    PROMISES
    | NO_KERNEL
    | NO_RANKS
    | {f"attention.{name}" for name in ("window_width", "mask_forms", "arguments_used", "query_rows")}
)
# The clean package declares rotary positions, with which the order of tokens matters.
ORDERED = {"attention.permutation"} | NO_WINDOW
# What is undeclared there, and is not finite in some.
EMPTY = ORDERED | {"attention.empty_rows"}
UNORDERED = {
    f"attention.{name}" for name in ("causality", "prefix", "kv_cache", "long_past", "shifted_positions")
} | NO_WINDOW
# What the oracle says of short inputs in float32 is not said again of long ones.
SAID = ORDERED | {"attention.long_sequences"}
# Nor what the cache makes of short inputs.
CACHED = ORDERED | {"attention.long_past"}

NO_PROJECTIONS = {"attention.oracle", "attention.large_logits"}
# What another entry carries out is judged there, and all of its own checks say so.
ALL_OF_ONE = PROPERTIES | {"attention.built"}

ATTENTION = {
    "clean": Expected(not_applicable=ORDERED, exit_code=0),
    "unordered": Expected(  # it calls torch's fused attention, of which each kernel is a branch
        not_applicable=(UNORDERED | {"attention.head_grouping"}) - {"attention.branches"}, exit_code=0
    ),
    "function_alone": Expected(
        not_applicable=(UNORDERED - {"attention.query_rows", "attention.long_past"})
        | {
            f"attention.{name}"
            for name in (
                "mask",
                "noop_mask",
                "empty_rows",
                "low_precision",
                "long_sequences",
                "train_eval",
                "head_grouping",
                "dropout_in_eval",
            )
        },
        exit_code=0,
    ),
    # Functions and modules without a cache, or without causality, among those that have them.
    "styles": Expected(
        not_applicable=UNORDERED
        | EMPTY
        | {"attention.train_eval", "attention.head_grouping", "attention.dropout_in_eval"},
        exit_code=0,
    ),
    # Everything in it declares a window, which has neither a mask nor a cache.
    "windowed": Expected(
        not_applicable={
            f"attention.{name}"
            for name in (
                "empty_rows",
                "kv_cache",
                "low_precision",
                "mask",
                "noop_mask",
                "permutation",
                "mask_forms",
                "arguments_used",
                "query_rows",
                "long_sequences",
                "long_past",
                "shifted_positions",
            )
        }
        | PROMISES
        | NO_KERNEL
        | NO_RANKS,
        exit_code=0,
    ),
    # One entry for each property of a trace, and one without a mistake.
    "traced": Expected(
        TRACED,
        OTHER_KEYS
        | {"attention.depends", "attention.inputs_untouched", "attention.permutation", "attention.repeatable"}
        | {"attention.query_rows"},
        not_applicable=UNORDERED
        | {
            f"attention.{name}"
            for name in (
                "permutation",
                "empty_rows",
                "mask",
                "noop_mask",
                "low_precision",
                "long_sequences",
                "train_eval",
                "head_grouping",
                "dropout_in_eval",
            )
        },
    ),
    "wrong_scale": Expected({"attention.oracle", "attention.scale"}, OTHER_FUNCTION, not_applicable=SAID),
    # One entry for each promise; those that are modules have no projections to compare with the oracle.
    "promised": Expected(unjudged=NO_PROJECTIONS, not_applicable=ALL_OF_ONE, exit_code=3),
    "promises_broken": Expected(
        PROMISES,
        OTHER_FUNCTION | {"attention.oracle", "attention.scale", "attention.query_rows"},
        unjudged=NO_PROJECTIONS,
        not_applicable=ALL_OF_ONE,
    ),
    "leaks_future": Expected(
        {"attention.causality"},
        OTHER_KEYS | {"attention.kv_cache", "attention.prefix"},
        not_applicable=SAID | CACHED,
    ),
    "ignores_mask": Expected({"attention.mask"}, OTHER_KEYS, not_applicable=ORDERED | {"attention.shifted_positions"}),
    "overflows": Expected({"attention.large_logits"}, not_applicable=EMPTY),
    "cache_off_by_one": Expected({"attention.kv_cache"}, not_applicable=CACHED),
    "cache_cut": Expected({"attention.long_past"}, not_applicable=ORDERED),
    "dead_parameter": Expected({"attention.gradients"}, not_applicable=ORDERED),
    "nan_gradient": Expected({"attention.gradients"}, not_applicable=EMPTY),
    "overwrites_mask": Expected({"attention.inputs_untouched"}, not_applicable=ORDERED),
    "mask_replaces_causal": Expected(
        {"attention.noop_mask"},
        OTHER_FUNCTION | {"attention.oracle"},
        not_applicable=ORDERED,
    ),
    "mask_of_first_sample": Expected(
        {"attention.batch_rows"},
        OTHER_FUNCTION | {"attention.oracle", "attention.empty_rows"},
        not_applicable=ORDERED,
    ),
    "scale_by_length": Expected(
        {"attention.prefix"},
        OTHER_FUNCTION | {"attention.oracle", "attention.kv_cache", "attention.scale"},
        not_applicable=SAID | CACHED,
    ),
    "dropout_in_eval": Expected({"attention.repeatable", "attention.dropout_in_eval"}, not_applicable=ORDERED),
    "causal_in_eval_only": Expected({"attention.train_eval"}, not_applicable=ORDERED),
    # Chunks of an input are views into it.
    "strides_ignored": Expected({"attention.noncontiguous"}, {"attention.kv_cache"}, not_applicable=ORDERED),
    "sees_itself_only": Expected(
        {"attention.depends"},
        OTHER_KEYS,
        unjudged={"attention.mask", "attention.shifted_positions"},
        not_applicable=SAID | {"attention.attended_axis"},
    ),
    "positions_undeclared": Expected(
        {"attention.permutation"},
        OTHER_FUNCTION | {"attention.oracle"},
        not_applicable=UNORDERED | {"attention.long_sequences"},
    ),
    "empty_row_not_zero": Expected(
        {"attention.empty_rows"}, OTHER_FUNCTION | {"attention.oracle"}, not_applicable=ORDERED
    ),
    "angles_in_low_precision": Expected(
        {"attention.low_precision"}, {"attention.long_sequences"}, not_applicable=ORDERED
    ),
    "swallowed_error": Expected({"attention.swallowed_errors"}, not_applicable=ORDERED),
    # What the specs leave out is judged by what its source says, unless what they declare carries it out.
    "left_out": Expected(
        {"attention.softmax_axis"},
        OTHER_FUNCTION | {"attention.oracle", "attention.query_rows", "attention.row_sums"},
        not_applicable=ALL_OF_ONE,
    ),
    # Attention that is in no inventory: of three models one is right, one wrong, and one raises.
    "model_core": Expected(
        {"attention.model_cores"}, unjudged={"attention.model_cores"}, not_applicable={"attention.declared"}
    ),
    "sum_in_low_precision": Expected(
        {"attention.long_sequences"},
        not_applicable=ORDERED | {"attention.softmax_axis"},  # it is taken in parts, of which none is a softmax
    ),
    "positions_squared": Expected(
        {"attention.shifted_positions"}, OTHER_FUNCTION | {"attention.oracle"}, not_applicable=SAID
    ),
    "specs_fail": Expected({"attention.declared"}, unjudged=PROPERTIES),
    "undeclared": Expected(unjudged=PROPERTIES | {"attention.declared"}, exit_code=3),
    "branch_differs": Expected({"attention.branches"}, not_applicable=ORDERED - {"attention.branches"}),
    "build_raises": Expected(
        unjudged=(PROPERTIES - ORDERED) | NO_KERNEL,
        not_applicable=ORDERED - NO_KERNEL,
        exit_code=3,
    ),
}
SMOKE = {
    "clean": Expected(not_applicable=PLAIN, exit_code=0),
    # Each of one or a few of its 20 models: batch normalisation, recurrence, outputs and state that torch cannot export
    # or save, layers in bfloat16.
    "kinds": Expected(
        not_applicable=PLAIN
        | {
            f"smoke.{name}"
            for name in (
                "safetensors",
                "meta_build",
                "sample_order",
                "accumulation",
                "compile",
                "export",
                "gradcheck",
                "input_gradients",
            )
        },
        exit_code=0,
    ),
    "dead_parameter": _failing("smoke.backward"),
    "nan_gradient": _failing("smoke.backward", unjudged={"smoke.compile"}),
    "nonfinite_output": _failing("smoke.forward", unjudged={"smoke.compile", "smoke.export"}),
    # Its noise is no smooth function either, nor the mean over its samples.
    "nondeterministic_eval": _failing(
        "smoke.determinism",
        unjudged={"smoke.compile", "smoke.export", "smoke.gradcheck"},
        not_applicable={"smoke.accumulation"},
    ),
    "weight_reset": _failing("smoke.optimizer_step", not_applicable={"smoke.export"}),
    # A tensor that is not saved is registered nowhere.
    "state_not_saved": Expected({"smoke.save_load"}, {"smoke.registered", "smoke.safetensors"}, not_applicable=PLAIN),
    "stand_in": Expected({"smoke.build"}, unjudged=NO_BUILD | {"smoke.reached"}, not_applicable=NO_DATA),
    "unreached_class": Expected({"smoke.reached"}, not_applicable=PLAIN),
    "no_models_declared": Expected({"smoke.declared"}, unjudged=NO_BUILD | {"smoke.build"}, not_applicable=NO_DATA),
    "no_model_class": Expected({"smoke.build"}, unjudged=NO_BUILD, not_applicable=NO_DATA),
    # The specs import the module that fails, so they cannot be read either.
    "import_fails": Expected(
        {"smoke.import"}, {"smoke.declared"}, unjudged=NO_BUILD | {"smoke.build"}, not_applicable=NO_DATA
    ),
    "syntax_error": Expected(
        {"smoke.import"},
        {"smoke.declared"},
        unjudged=NO_BUILD | {"smoke.build", "smoke.import"},
        not_applicable=NO_DATA,
    ),
    "undeclared": Expected(unjudged=NO_BUILD | {"smoke.build", "smoke.declared"}, not_applicable=NO_DATA, exit_code=3),
    "entry_without_loss": Expected(
        unjudged=NO_BUILD | {"smoke.build", "smoke.declared"}, not_applicable=NO_DATA, exit_code=3
    ),
    # The class is not among the sources any more, so what is built may be a stand-in.
    "no_files": Expected({"smoke.build"}, unjudged=NO_BUILD, not_applicable=NO_DATA),
}
RULES = tuple(rule for rule in all_rules() if not isinstance(rule, ProjectRule))
RULES_ON = {rule.check_id for rule in RULES if rule.default_on}
NO_DOCUMENTS_NO_DATA = {"rules.clm001", "rules.dat001", "rules.dat002", "rules.dat003"}
STATIC = dict.fromkeys(SMOKE, Expected(not_applicable=NO_DOCUMENTS_NO_DATA, exit_code=0)) | {
    "no_model_class": Expected({"static.models"}, {"static.bases_resolved"}, not_applicable=NO_DOCUMENTS_NO_DATA),
    "import_fails": Expected({"static.imports"}, not_applicable=NO_DOCUMENTS_NO_DATA),
    "nondeterministic_eval": Expected({"rules.att008"}, not_applicable=NO_DOCUMENTS_NO_DATA),
    # What rules find in the other files says nothing of the one that was not read.
    "syntax_error": Expected(
        {"static.parses", "static.imports"}, unjudged=RULES_ON, not_applicable=NO_DOCUMENTS_NO_DATA
    ),
    # Zero files: nothing is known, and above all nothing passes.
    "no_files": Expected(
        unjudged={"static.parses", "static.models", "static.bases_resolved", "static.imports"} | RULES_ON,
        not_applicable=NO_DOCUMENTS_NO_DATA,
        exit_code=3,
    ),
}
CASES = {
    (area, folder, name): expected
    for area, folder, table in (
        ("attention", "attention", ATTENTION),
        ("smoke", "models", SMOKE),
        ("static", "models", STATIC),
    )
    for name, expected in table.items()
}
