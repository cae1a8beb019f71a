"""What the failure of a check comes from, looked into once it has failed: a class of mistakes, or nothing established.

Where the oracle can compute what the mistake does, the cause holds a contract and a departure for it, by which other
failures are seen to come from it as well.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch

from audit.attention.answers import Settled
from audit.attention.bounds import distance
from audit.attention.cases import key_length, oracle_cases, plain_case, replaced_keys
from audit.attention.defects.cache_causes import of_cache
from audit.attention.defects.cause import Cause
from audit.attention.defects.departures import class_of
from audit.attention.defects.direction import ROTATED
from audit.attention.defects.mask_causes import of_mask, of_masked_positions, of_noop_mask
from audit.attention.defects.positions import of_order, of_weights_by_position
from audit.attention.defects.precision_causes import of_long, of_low
from audit.attention.defects.turning import one_is_rotated
from audit.attention.defects.usual import PLAIN
from audit.attention.defects.weights import weights_of
from audit.attention.oracle import Departure
from audit.attention.properties.causality import EMPTY
from audit.attention.properties.oracle import usual_mistakes
from audit.attention.properties.runs import compared
from audit.attention.properties.shifted_weights import UNIT
from audit.attention.properties.traced_scale import is_applied_twice
from audit.attention.subject import LENGTH, AttentionSubject
from audit.attention.traced import Core, can_trace_window, cores_of, trace_of, traces_of
from audit.plan import Run
from audit.results import Result

_SAME = 1e-3  # relative, of scales
_NOT_TOGETHER = "its exponentials and their sum do not belong together"
_SAME_WEIGHT = 1e-5  # of weights, which are of the order of one
_OTHER = 0.1  # of the largest output: rows of other samples, and not what a common factor of the batch changes
# Of the largest output: angles, cosines and sines of 16 bits are off by 2**-9 to 2**-11, others by as much as they are.
_ROUNDED = 2.0**-7
_NO_WEIGHT = 1e-7  # of weights that sum to 1: what a large negative logit leaves in float32


def cause_of(check: str, subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause:
    """Return what the failure of a check, without `attention.`, comes from; raises what calls of the target raise."""
    look = _LOOKS.get(check)
    try:
        return Cause(bug=PLAIN.get(check)) if look is None else look(subject, run, failed)
    except Settled:  # nothing could be traced or called to look closer
        return Cause(bug=PLAIN.get(check))


def _core(subject: AttentionSubject, run: Run, wrong: Callable[[Core], bool] = lambda core: True) -> Core | None:
    cores = cores_of(traces_of(subject, run, subject.finest_dtype).first)
    return next((core for core in cores if wrong(core)), None)


def _scale(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause:
    def is_wrong(core: Core) -> bool:
        if core.factor is None or not core.head_dim or core.normalised:
            return False
        return not same(core.factor, wanted(core))

    def wanted(core: Core) -> float:
        assert core.head_dim
        return subject.contract.scale if subject.contract.scale is not None else float(core.head_dim**-0.5)

    def same(scale: float, other: float) -> bool:
        return abs(scale - other) <= _SAME * abs(other)

    core = _core(subject, run, is_wrong)
    if core is None or core.factor is None or not core.head_dim:
        return Cause(bug=None)
    usual = wanted(core)
    forms = {
        "left out": 1.0,
        "applied twice": usual * usual,
        "inverted": 1 / usual if usual else 0.0,
        "1/head_dim": 1 / core.head_dim,
    } | ({"1/sqrt(head_dim)": float(core.head_dim**-0.5)} if subject.contract.scale == 1 else {})
    # One of a size of the input is another for each input.
    widths = {"embed_dim": subject.contract.embed_dim, "num_heads": core.heads or subject.contract.num_heads}
    sizes = [
        f"1/sqrt({name})" for name, size in widths.items() if size and size > 1 and same(core.factor, float(size**-0.5))
    ]
    named = [name for name, value in forms.items() if same(core.factor, value)]
    if is_applied_twice(core, usual):
        named, sizes = ["applied twice"], []
    elif sizes:  # sizes coincide, and the trace has not seen that it is applied twice
        named = [name for name in named if name != "applied twice"] + sizes
    form = " or ".join(named) if sizes else next(iter(named), None)
    name = f"the scale is {core.factor:.4g}" + (f", {form}" if form else "") + f", where {usual:.4g} is right"
    contract = subject.contract.model_copy(update={"scale": core.factor})
    return Cause(
        bug="scale_form" if form and not sizes else "scale_size",
        says=name,
        contract=contract,
        is_exact=form is not None,
        location=core.location(run.target),
    )


def _softmax_axis(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause:
    axes = {"queries": -2, "heads": 1, "batch": 0}
    core = _core(subject, run, lambda core: core.softmax_axis in axes)
    if core is None:
        return Cause(bug="softmax_axis")
    return Cause(
        bug="softmax_axis",
        says=f"the softmax runs over the {core.softmax_axis}",
        departure=Departure(softmax_axis=axes[core.softmax_axis or ""]),
        location=core.location(run.target),
    )


def _sums(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause:
    """Weights that do not sum to one are of another axis or of features, or tokens are mixed beside them."""
    if _leaks(subject, run):
        return _LEAKS
    try:
        axes = {core.softmax_axis for core in cores_of(traces_of(subject, run, subject.finest_dtype).first)}
    except Settled:  # no softmax
        said = subject.claim("rows_sum_to_one")
        if subject.contract.feature_map or "features" in said:
            return Cause(bug="normaliser")
        if "exponentials" in said:
            return Cause(bug="blockwise" if "blocks" in subject.claims else "normaliser", says=_NOT_TOGETHER)
        return Cause(bug="softmax_axis")
    if axes == {"keys"} and {"permutation", "causality", "attended_axis"} & set(failed):
        return Cause(bug="heads", says="the softmax runs over the keys, and tokens are mixed after it")
    if "exponentials" in subject.claim("rows_sum_to_one"):
        bug = "blockwise" if "blocks" in subject.claims else "normaliser"
        return Cause(bug=bug, says=_NOT_TOGETHER)
    return _softmax_axis(subject, run, failed)


def _grouping(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause:
    other = "tiled" if subject.contract.head_grouping == "interleaved" else "interleaved"
    contract = subject.contract.model_copy(update={"head_grouping": other})
    return Cause(bug="grouping", says=f"heads are grouped {other}", contract=contract, is_exact=False)


def _axes(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause:
    try:
        core = _core(subject, run, lambda core: core.attended in ("batch", "heads"))
        one = core or _core(subject, run, lambda core: core.attended == "one key")
    except Settled:  # no softmax was seen, as where it is taken of one number and left out
        return Cause(bug="one_key")
    if core is None and "attended_axis" not in failed:
        return Cause(bug="one_key", location=one.location(run.target) if one else None)
    return Cause(bug="heads" if core else "one_key", location=one.location(run.target) if one else None)


def _window(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause:
    window = subject.contract.window
    if window is None or not can_trace_window(window):
        return Cause(bug="window")
    case = plain_case(subject, subject.generator(run.seed), length=max(LENGTH, window + 4))
    reach = 0
    for core in cores_of(trace_of(subject, run, subject.finest_dtype, case)):
        for head in core.weights or ():
            for query, row in enumerate(head):
                seen = [key for key, weight in enumerate(row) if weight and key <= query]
                reach = max(reach, query - min(seen) + 1) if seen else reach
    bug = "window" if abs(reach - window) <= 2 else "window_path"
    contract = subject.contract.model_copy(update={"window": reach or None})
    return Cause(
        bug=bug, says=f"a query sees {reach} keys where {window} are declared", contract=contract, is_exact=False
    )


def _oracle(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause:
    """Look for the one usual mistake with which the oracle gives what was observed in every case and dtype."""
    if _leaks(subject, run):
        return _LEAKS
    cases = oracle_cases(subject, subject.generator(run.seed))
    subject.state(run, subject.finest_dtype)  # which tells the bases too
    left = list(usual_mistakes(subject.contract, bases=subject.built.rotary_bases))
    for dtype in subject.contract.dtypes:
        answers = subject.forward(run, dtype, cases)
        for case, output in zip(cases, answers.outputs, strict=True):
            bound = subject.allowance(answers.state, case, dtype)
            sent = subject.as_sent(case, dtype)
            given = [
                subject.reference(answers.state, sent, contract=contract, departure=departure)
                for _, contract, departure in left
            ]
            left = [each for each, found in zip(left, given, strict=True) if distance(output, found) <= bound]
    if not left:
        return of_weights_by_position(subject, run) or Cause(bug=None, says="no usual mistake explains every case")
    name, contract, departure = left[0]
    bug = class_of(subject.contract, name, contract, departure)
    return Cause(
        bug=bug,
        says=ROTATED if bug == "undeclared_positions" else "",
        contract=contract,
        departure=departure,
    )


_LEAKS = Cause(bug="packed", says="a sequence that is packed behind another depends on it")


def _leaks(subject: AttentionSubject, run: Run) -> bool:
    """Whether the second of two sequences that a function takes packed into one depends on the first."""
    recipes = subject.form.get("arguments")
    if not isinstance(recipes, dict) or not any(str(each).startswith("packed") for each in recipes.values()):
        return False
    generator = subject.generator(run.seed)
    case, other = plain_case(subject, generator), plain_case(subject, generator)
    mixed = {name: torch.cat((other.tensors[name][:1], tensor[1:])) for name, tensor in case.tensors.items()}
    runs = compared(subject, run, subject.finest_dtype, [case, case.replaced("the first sequence replaced", **mixed)])
    return distance(runs.outputs[1][1], runs.outputs[0][1]) > runs.bound


def _large(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause:
    if "blocks" in subject.claims:
        return Cause(bug="blockwise")
    measured = failed["large_logits"].evidence.measured
    if subject.has_oracle and isinstance(measured, float) and math.isfinite(measured):
        # Exponentials that leave their range give no number; a number says that other keys have weight.
        return Cause(bug="mask_value", says="hidden keys have weight where their logits are far above the others")
    return Cause(bug="overflow")


def _rows(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause:
    from audit.attention.properties import batch_rows
    from audit.results import Outcome

    if "document of a row" in str(failed["batch_rows"].reason):
        return Cause(bug="packed", says="documents of one row affect each other")
    if _leaks(subject, run):
        return _LEAKS
    if subject.contract.key_mask:
        unmasked = replace(subject, contract=subject.contract.model_copy(update={"key_mask": False}))
        if batch_rows.judge(unmasked, run).outcome is Outcome.PASSED:
            return Cause(bug="mask_heads", says="samples affect each other only where their masks differ")
    if _mixed_after(subject, run):
        return Cause(bug="heads", says="the weights of a sample do not depend on the others, its output does")
    return Cause(bug="samples")


def _mixed_after(subject: AttentionSubject, run: Run) -> bool:
    """Whether another sample leaves the weights of the first as they are, and makes its output a wholly other one."""
    generator = subject.generator(run.seed)
    case, other = plain_case(subject, generator), plain_case(subject, generator)
    mixed = {name: torch.cat((tensor[:1], other.tensors[name][1:])) for name, tensor in case.tensors.items()}
    changed = case.replaced("the other sample replaced", **mixed)
    weights = [weights_of(subject, run, each) for each in (case, changed)]
    if weights[0] is None or weights[1] is None or weights[0].shape != weights[1].shape:
        return False
    if float((weights[1] - weights[0]).abs().max()) > _SAME_WEIGHT:
        return False
    before, after = (each[0] for each in subject.forward(run, subject.finest_dtype, [case, changed]).outputs)
    return distance(after, before) > _OTHER * float(before.abs().max())


def _later(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause:
    reason = str(failed["causality"].reason)
    if "of two documents in " in reason and " on in " not in reason:
        return Cause(bug="later_tokens", says="later tokens are seen only where the documents of tokens are numbered")
    if EMPTY in reason:
        return Cause(bug="empty_rows", says="the causal mask hides from a query its own key as well")
    whole = plain_case(subject, subject.generator(run.seed))
    weights = weights_of(subject, run, whole)
    if weights is not None:
        seen = weights > _NO_WEIGHT
        if not seen.triu(diagonal=1).any():
            says = "no later token has weight, and outputs depend on them all the same: tokens are mixed elsewhere"
            return Cause(bug="heads", says=says)
        if not (seen == seen[:1]).all():
            return Cause(bug="heads", says="heads see different tokens: rows of one token went to several")
    contract = subject.contract.model_copy(update={"is_causal": False})
    return Cause(bug="later_tokens", contract=contract, is_exact=False)


def _training(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause:
    if subject.contract.is_causal and subject.contract.context_dim is None:
        generator = subject.generator(run.seed)
        case = plain_case(subject, generator)
        last = torch.zeros(case.inputs.shape[0], key_length(case), dtype=torch.bool)
        last[:, -1] = True
        changed = replaced_keys(case, last, generator)
        cases = [case.under(case.name), changed.under(changed.name)]
        cases += [each.under(each.name, training=True, dropout=0.0) for each in cases]
        runs = compared(subject, run, subject.finest_dtype, cases)
        evaluated, trained = (
            distance(runs.outputs[i + 1][..., :-1, :], runs.outputs[i][..., :-1, :]) > runs.bound for i in (0, 2)
        )
        if evaluated != trained:
            return Cause(bug="causality", says=f"it is causal in {'train' if evaluated else 'eval'} mode only")
    return Cause(bug=None)


def _repeat(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause:
    from audit.attention.properties import traced_dropout_in_eval
    from audit.attention.properties.repeatable import BEHIND
    from audit.results import Outcome

    drops = "dropout_in_eval" in failed
    if not drops and not subject.is_function:
        drops = traced_dropout_in_eval.judge(subject, run).outcome is Outcome.FAILED
    if not drops and BEHIND in str(failed["repeatable"].reason):
        return Cause(bug=None, says="what a call leaves behind changes the next")
    return Cause(bug="dropout" if drops else None)


def _overwritten(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause:
    # Without a measurement it failed on what a call returned, before its inputs were looked at.
    return Cause(bug=None if failed["inputs_untouched"].evidence.measured is None else "overwritten")


def _unreached(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause:
    is_sink = "no gradient reaches" in str(failed["gradients"].reason) and "sink" in str(failed["gradients"].reason)
    return Cause(bug="sinks", says="the sinks take no part") if is_sink else Cause(bug="gradients")


def _queries(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause:
    cores = cores_of(traces_of(subject, run, subject.finest_dtype).first)
    if all(core.softmax_axis == "keys" for core in cores):
        return Cause(bug="heads", says="the softmax runs over the keys, and tokens are mixed after it")
    return Cause(bug="softmax_axis")


def _shifted(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause:
    if "masked tokens before" in str(failed["shifted_positions"].reason) and (
        found := of_masked_positions(subject, run)
    ):
        return found
    if turned := one_is_rotated(subject, run):
        return turned
    if failed["shifted_positions"].evidence.unit == UNIT:  # what follows is of outputs
        return Cause(bug="rotary_pairs")
    whole = plain_case(subject, subject.generator(run.seed))
    measured = failed["shifted_positions"].evidence.measured
    (output,) = subject.forward(run, subject.finest_dtype, [whole], opened=True).outputs
    if isinstance(measured, float) and measured < _ROUNDED * float(output.abs().max()):
        return Cause(bug="angles", says=f"outputs change by less than {_ROUNDED:g} of the largest, as by rounding")
    return Cause(bug="rotary_pairs")


_Look = Callable[[AttentionSubject, Run, Mapping[str, Result]], Cause]
_LOOKS: Mapping[str, _Look] = {
    "repeatable": _repeat,
    "attended_axis": _axes,
    "softmax_axis": _softmax_axis,
    "row_sums": _sums,
    "scale": _scale,
    "head_grouping": _grouping,
    "window_width": _window,
    "noop_mask": of_noop_mask,
    "mask": of_mask,
    "batch_rows": _rows,
    "oracle": _oracle,
    "causality": _later,
    "train_eval": _training,
    "depends": _axes,
    "permutation": of_order,
    "kv_cache": of_cache,
    "query_rows": _queries,
    "shifted_positions": _shifted,
    "low_precision": of_low,
    "long_sequences": of_long,
    "prefix": lambda subject, run, failed: Cause(bug="window_path" if subject.contract.window else None),
    "every_key": lambda subject, run, failed: Cause(bug="blockwise" if "blocks" in subject.claims else None),
    "large_logits": _large,
    "gradients": _unreached,
    "inputs_untouched": _overwritten,
}
