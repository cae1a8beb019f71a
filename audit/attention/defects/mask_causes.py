"""What failures under a mask of keys come from: calls under other masks, and the weights that a trace shows, tell."""

from collections.abc import Mapping

import torch

from audit.attention.answers import Settled
from audit.attention.bounds import distance
from audit.attention.cases import key_length, padding_mask, plain_case, replaced_keys, with_mask
from audit.attention.defects.cause import Cause
from audit.attention.defects.weights import Change, change_by_mask
from audit.attention.properties.noop_mask import HOLDS_CAUSAL
from audit.attention.properties.runs import compared
from audit.attention.subject import AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.plan import Run
from audit.results import Result

_LATE = "masked keys lose their weight after the softmax, which has counted them: the others' weights stay as they were"
_QUERIES_HIDDEN = "with a mask, masked queries change, and no key is left out"


def of_mask(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause:
    """Return what masked keys with an influence come from."""
    whole = plain_case(subject, subject.generator(run.seed), is_causal=False)
    mask = padding_mask(side="right", length=key_length(whole))
    masked = with_mask(subject, whole, mask, "right padding")
    if "each of two windows" in str(failed["mask"].reason):
        return Cause(bug="mask_heads", says="windows get the mask of another window")
    changes = change_by_mask(subject, run, whole, masked, mask[0])
    words = {
        Change.NOTHING: ("mask_ignored", "the weights with a mask are those without one"),
        Change.LATE: ("mask_ignored", _LATE),
        Change.INVERTED: ("mask_inverted", "with a mask, masked keys have all the weight"),
        Change.FACTOR: ("mask_added", "with a mask, the weights of masked keys change by a factor of e"),
        Change.QUERIES: ("mask_axis", _QUERIES_HIDDEN),
    }
    if changes in words:
        bug, says = words[changes]
        return Cause(bug=bug, says=says)
    if _hides_queries(subject, run):
        return Cause(bug="mask_axis", says=_QUERIES_HIDDEN)
    if changes is Change.HIDDEN:
        says = "masked keys have no weight, and outputs depend on them all the same: tokens are mixed elsewhere"
        return Cause(bug="heads", says=says)
    runs = compared(subject, run, subject.finest_dtype, [whole, masked])
    if distance(*runs.outputs) <= runs.bound:
        return Cause(bug="mask_ignored", says="the output with a mask is that without one")
    inverted = with_mask(subject, whole, ~mask, "the opposite mask")
    generator = subject.generator(run.seed)
    kept = torch.zeros_like(mask)
    kept[0] = mask[0]
    cases = [whole, masked, replaced_keys(masked, kept, generator), inverted]
    if subject.is_function or subject.contract.context_dim is not None:
        outputs = compared(subject, run, subject.finest_dtype, cases)
        if distance(outputs.outputs[2][0], outputs.outputs[1][0]) <= outputs.bound:
            return Cause(bug="mask_inverted", says="with a mask, kept keys have no influence")
    return Cause(bug=None)


def of_noop_mask(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause:
    """Return what a change by a mask that allows everything comes from."""
    if HOLDS_CAUSAL in str(failed["noop_mask"].reason):
        return Cause(bug=None, says="the mask is the causal one, whose place it may take")
    return _noop(subject, run)


def _noop(subject: AttentionSubject, run: Run) -> Cause:
    whole = plain_case(subject, subject.generator(run.seed), is_causal=bool(subject.contract.is_causal))
    mask = torch.ones(whole.inputs.shape[0], key_length(whole), dtype=torch.bool)
    masked = with_mask(subject, whole, mask, "every key kept")
    if _changes_nothing(subject, run, whole, with_mask(subject, whole, ~mask, "no key kept")):
        return Cause(bug="mask_inverted", says="a mask that hides every key changes nothing")
    change = change_by_mask(subject, run, whole, masked, mask[0])
    if change is Change.FUTURE:
        return Cause(bug="mask_and_causal", says="a given mask takes the place of the causal one")
    if change is Change.CAUSAL:
        return Cause(bug="causality", says="only with a mask it is causal")
    if change is Change.PAST:
        return Cause(bug="window_path", says="with a mask, a query sees keys that it does not see without one")
    if not subject.is_function and subject.contract.is_causal:
        last = torch.zeros_like(mask)
        last[:, -1] = True
        other = replaced_keys(masked, last, subject.generator(run.seed))
        runs = compared(subject, run, subject.finest_dtype, [whole, masked, other])
        if distance(runs.outputs[2][..., :-1, :], runs.outputs[1][..., :-1, :]) > runs.bound:
            return Cause(bug="mask_and_causal", says="under a mask that allows everything later tokens are seen")
    return Cause(bug=None)


def of_masked_positions(subject: AttentionSubject, run: Run) -> Cause | None:
    """Return why masked tokens before the first change outputs where it is the mask, and not the positions."""
    whole = plain_case(subject, subject.generator(run.seed))
    mask = torch.ones(whole.inputs.shape[0], key_length(whole), dtype=torch.bool)
    if _changes_nothing(subject, run, whole, with_mask(subject, whole, mask, "every key kept")):
        return None
    return _noop(subject, run)


def _hides_queries(subject: AttentionSubject, run: Run) -> bool:
    """Whether a mask leaves the outputs of kept queries behind masked keys as they are, and changes the others."""
    if subject.is_function or subject.contract.context_dim is not None:
        return False
    whole = plain_case(subject, subject.generator(run.seed))
    mask = padding_mask(side="left", length=key_length(whole))
    runs = compared(subject, run, subject.finest_dtype, [whole, with_mask(subject, whole, mask, "left padding")])
    plain, masked = runs.outputs
    same = distance(masked[mask], plain[mask]) <= runs.bound
    return same and distance(masked[~mask], plain[~mask]) > runs.bound


def _changes_nothing(subject: AttentionSubject, run: Run, whole: Case, other: Case) -> bool:
    """Whether another case has the output of the whole one; what it refuses has not."""
    try:
        runs = compared(subject, run, subject.finest_dtype, [whole, other])
    except (Settled, TargetRaised):
        return False
    return distance(*runs.outputs) <= runs.bound
