"""The attention pattern that was observed beside the right one, on a short input on which the mistake shows.

Two tables that look alike say nothing of a mistake, so inputs like those on which it was seen are tried one after
another. Where none shows it there is no picture.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from audit.attention.answers import Settled
from audit.attention.cases import key_length, oracle_cases, padding_mask, plain_case, with_mask
from audit.attention.defects.patterns import Pattern, of_change, of_influence, of_scale, of_weights
from audit.attention.subject import LENGTH, AttentionSubject, Case
from audit.gateway import ProbeFailure, TargetRaised
from audit.gateway.client import Plain
from audit.plan import Run
from audit.results import Picture

_LENGTH = 8
_LARGE = 40.0  # times the usual inputs: logits, which grow with the square, then leave what masks with -100 hide
# What no table of weights shows: gradients, numbers of few bits, random numbers and what happens to the inputs.
_NOT_SHOWN = {"gradients", "precision", "angles", "dropout", "overwritten", "hidden_error", "overflow"}
# Mistakes by which a query does not see what it should.
_LOSING = {"one_key", "heads", "mask_inverted", "mask_axis", "window", "causal_inverted"}
_OF_THE_CACHE = {"rolling_cache", "rotary_offset", "alignment"}


@dataclass(frozen=True, kw_only=True)
class _Tried:
    """An input, and the same without a mask where it has one; under large logits few keys have an influence."""

    case: Case
    whole: Case | None = None
    is_large: bool = False


def picture_of(subject: AttentionSubject, run: Run, bug: str, checks: Collection[str]) -> Picture | None:
    """Return both patterns on the first short input on which they look different.

    Args:
        subject: what has the defect.
        run: the target's process.
        bug: the class of the mistake, or the check that failed where none is established.
        checks: those that failed because of it, without `attention.`.
    """
    if bug in _NOT_SHOWN:
        return None
    for case, pattern in _patterns(subject, run, bug, checks):
        if pattern.shows:
            return Picture(
                title=f"attention of {subject.name}, {case.name}",
                observed=_rows(pattern.observed),
                expected=_rows(pattern.expected),
                of=f"observed: {pattern.what}; expected: {pattern.how}; sample {pattern.sample + 1} of "
                f"{case.inputs.shape[0]}",
            )
    return None


def _patterns(subject: AttentionSubject, run: Run, bug: str, checks: Collection[str]) -> Iterator[tuple[Case, Pattern]]:
    try:
        plain = plain_case(subject, subject.generator(run.seed), length=_length(subject))
    except Settled:
        return
    yield from _under_circumstances(subject, run, plain, bug, checks)
    if bug == "backends":
        yield from _on_branches(subject, run)
        return
    all_have = subject.is_declared or bug in _LOSING
    for kind in _kinds(subject, bug, checks):
        try:
            tried = _tried(subject, run, kind)
            if kind == "long" and bug.startswith("scale_") and not subject.has_oracle:
                for pattern in of_scale(subject, run, tried.case):
                    yield tried.case, pattern
            yield from _of_case(subject, run, tried, all_have=all_have)
        except (Settled, TargetRaised, ProbeFailure):  # another input may be one that it takes
            continue
    if subject.is_function and subject.has_oracle and "oracle" in checks:
        # Such as fewer queries than keys, or the flag that makes a call causal the other way.
        for case in oracle_cases(subject, subject.generator(run.seed)):
            try:
                yield from _of_case(subject, run, _Tried(case=case), all_have=all_have)
            except (Settled, TargetRaised, ProbeFailure):
                continue


def _of_case(subject: AttentionSubject, run: Run, tried: _Tried, *, all_have: bool) -> Iterator[tuple[Case, Pattern]]:
    """Yield the weights, and the influences where every number that is drawn may be an ordinary one."""
    for pattern in of_weights(subject, run, tried.case, tried.whole):
        yield tried.case, pattern
    if not tried.is_large:
        for pattern in of_influence(subject, run, tried.case, all_have=all_have):
            yield tried.case, pattern


def _under_circumstances(
    subject: AttentionSubject, run: Run, plain: Case, bug: str, checks: Collection[str]
) -> Iterator[tuple[Case, Pattern]]:
    """Yield what changes by the circumstances in which the mistake shows: a cache, train mode, views."""
    changed: list[tuple[Case, str]] = []
    if "kv_cache" in checks and (bug in _OF_THE_CACHE or set(checks) == {"kv_cache"}):
        one_by_one: list[Plain] = [1] * plain.inputs.shape[-2]
        changed.append((plain.under("decoded token by token", chunks=one_by_one), "the same of the whole sequence"))
    if set(checks) == {"train_eval"}:
        changed.append((plain.under("in train mode", training=True, dropout=0.0), "the same in eval mode"))
    if bug == "strides":
        changed += [
            (plain.under(f"{layout} in memory", layout=layout), "the same of a copy")
            for layout in ("transposed", "sliced", "stepped")
        ]
    for case, how in changed:
        try:
            right = (subject, run, plain)
            for pattern in of_change(subject, run, case, right=right, what=case.name, how=how):
                yield case, pattern
        except (Settled, TargetRaised, ProbeFailure):
            continue


def _on_branches(subject: AttentionSubject, run: Run) -> Iterator[tuple[Case, Pattern]]:
    """Yield what the first branch that is wrong does beside the plain one; it may want the target imported anew."""
    from audit.attention.properties.branches import apart  # which imports what a report without it does not need

    try:
        for each in apart(subject, run)[:1]:
            case = each.case.under(f"{each.case.name}, {each.branch.name}", **each.case.circumstances)
            fresh = replace(run, probe=run.probe.beside("pictures"))
            right, what = (subject, run, each.case), f"on the branch {each.branch.name}"
            for pattern in of_change(
                each.branch.of(subject), fresh, case, right=right, what=what, how="the same on the plain one"
            ):
                yield case, pattern
    except (Settled, TargetRaised, ProbeFailure):
        return


def _length(subject: AttentionSubject) -> int:
    window = subject.contract.window
    return _LENGTH if window is None or window + 2 > 2 * _LENGTH else window + 3


def _kinds(subject: AttentionSubject, bug: str, checks: Collection[str]) -> Sequence[str]:
    """Return the inputs on which this mistake shows, the likeliest first."""
    if not subject.contract.key_mask:
        return ("plain", "large") if bug == "mask_value" else ("plain", "long")
    if bug == "empty_rows":
        return ("nothing kept", "left", "plain")
    if bug == "mask_value":
        return ("plain", "right", "large", "large and masked")
    if bug == "mask_and_causal" or ("noop_mask" in checks and not bug.startswith("mask_")):
        return ("every kept", "right", "left", "plain")
    if bug.startswith("mask_") or "mask" in checks:
        return ("right", "left", "every kept")
    masked = {"oracle", "batch_rows"} & set(checks)
    return ("plain", "long", "right", "left") if masked else ("plain", "long")


def _tried(subject: AttentionSubject, run: Run, kind: str) -> _Tried:
    length = LENGTH if kind == "long" else _length(subject)
    case = plain_case(subject, subject.generator(run.seed), length=length)
    if kind in ("large", "large and masked"):
        grown = {name: x * _LARGE if name != "value" else x for name, x in case.tensors.items()}
        case = case.replaced(f"{length} tokens, {_LARGE:g} times as large", **grown)
    if kind in ("plain", "long"):
        return _Tried(case=case.replaced(f"{length} tokens"))
    if kind == "large":
        return _Tried(case=case, is_large=True)
    mask, name = _mask(kind, case)
    name = f"{case.name}, {name}" if kind == "large and masked" else name
    masked = with_mask(subject, case, mask, name)
    return _Tried(case=masked, whole=case, is_large=kind == "large and masked")


def _mask(kind: str, case: Case) -> tuple[Tensor, str]:
    """Return a mask of keys (B, Lk), and what it does."""
    keys = key_length(case)
    if kind == "left":
        return padding_mask(side="left", length=keys), "first keys masked"
    if kind in ("right", "large and masked"):
        return padding_mask(side="right", length=keys), "last keys masked"
    mask = torch.ones(case.inputs.shape[0], keys, dtype=torch.bool)
    if kind == "every kept":
        return mask, "every key kept"
    mask[0] = False
    return mask, "no key kept in the first sample"


def _rows(matrix: Tensor) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(round(float(each), 6) for each in row) for row in matrix)
