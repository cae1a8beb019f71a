"""What decoding through a cache that differs from the full pass comes from."""

from collections.abc import Mapping

import torch

from audit.attention.bounds import distance
from audit.attention.cases import key_length, plain_case, replaced_keys
from audit.attention.defects.cause import Cause
from audit.attention.defects.mask_causes import of_masked_positions
from audit.attention.properties.decoding import decoded_deviations
from audit.attention.properties.kv_cache import decoded_inputs
from audit.attention.properties.runs import compared
from audit.attention.subject import LENGTH, AttentionSubject
from audit.plan import Run
from audit.results import Result


def of_cache(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause:
    """Return what decoding that differs from the full pass comes from."""
    if subject.contract.key_mask and (found := of_masked_positions(subject, run)):
        return found
    if found := _under_a_mask(subject, run):
        return found
    case = plain_case(subject, subject.generator(run.seed))
    length = key_length(case)
    threes = [min(3, length - start) for start in range(0, length, 3)]
    runs = compared(subject, run, subject.finest_dtype, [case], chunkings=[[1] * length, threes])
    decoded, in_threes = runs.outputs[1:]
    one_by_one, several = (distance(each, runs.outputs[0]) <= runs.bound for each in (decoded, in_threes))
    if one_by_one and "positions left out" in str(failed["kv_cache"].reason):
        return Cause(bug="rotary_offset", says="only where positions are left out")
    if one_by_one and not several and subject.contract.window is None:
        return Cause(bug="alignment", says="single tokens are decoded rightly, several at once are not")
    if distance(decoded[:, 1:], decoded[:, :1].expand_as(decoded[:, 1:])) <= runs.bound:
        return Cause(bug="alignment", says="each token that follows cached ones sees the first key only")
    if subject.contract.window is not None and _sees_beyond(subject, run, subject.contract.window):
        return Cause(bug="window_path", says="the full pass sees keys before the window, which leave the cache")
    if subject.contract.window is not None:
        return Cause(bug="rolling_cache", says="it declares a window, so keys have to leave the cache")
    if subject.contract.rotary_base is not None and subject.has_oracle and _is_a_turn(subject, run, decoded):
        return Cause(bug="rotary_offset", says="the oracle with other positions gives what was decoded")
    if _forgets_order(subject, run):
        return Cause(bug="rotary_offset", says="decoded one by one, the order of earlier tokens does not matter")
    return Cause(bug=None)


def _under_a_mask(subject: AttentionSubject, run: Run) -> Cause | None:
    """Return what decoding comes from that is wrong with a mask and right without; None where it is another input."""
    dtype = subject.finest_dtype
    whole, *others = decoded_inputs(subject, run.seed)
    masked = next((each for each in others if "key_mask" in each.full.tensors), None)
    if masked is None or not all(each.holds for each in decoded_deviations(subject, run, dtype, whole)):
        return None
    if all(each.holds for each in decoded_deviations(subject, run, dtype, masked)):
        return None
    changed = replaced_keys(masked.full, ~masked.compared, subject.generator(run.seed))
    # One by one, each token but the first follows cached ones.
    ones = [1] * key_length(whole.full)
    runs = [
        compared(subject, run, dtype, [each], chunkings=[ones], finite_only=True)
        for each in (masked.full, whole.full, changed)
    ]
    kept = masked.compared.clone()
    kept[:, 0] = False
    masked_out, without, other = (each.outputs[1][kept] for each in runs)
    if distance(masked_out, without) <= runs[0].bound:
        what = "the mask is not applied while decoding: what is decoded with it is what is decoded without"
        return Cause(bug="mask_ignored", says=what)
    if distance(masked_out, other) > runs[0].bound:
        return Cause(bug=None, says="masked tokens have influence while decoding, as where a mask hides other keys")
    return Cause(bug=None, says="only where a mask of keys is given, which hides them while decoding too")


def _is_a_turn(subject: AttentionSubject, run: Run, decoded: torch.Tensor) -> bool:
    """Whether keys and queries rotated by some usual wrong offset give the outputs that were decoded one by one."""
    from audit.attention.defects.offsets import decoded_with_offset

    case = plain_case(subject, subject.generator(run.seed))
    dtype = subject.finest_dtype
    state = subject.ask(run, dtype, [("forward", case)], opened=True).state
    bound = 2 * subject.allowance(state, case, dtype)
    sent = subject.as_sent(case, dtype)
    return any(distance(decoded, each) <= bound for each in decoded_with_offset(subject.contract, state, sent))


def _sees_beyond(subject: AttentionSubject, run: Run, window: int) -> bool:
    """Whether the full pass lets a token see another that lies before its window."""
    generator = subject.generator(run.seed)
    case = plain_case(subject, generator, length=max(LENGTH, window + 3))
    first = torch.zeros(case.inputs.shape[0], key_length(case), dtype=torch.bool)
    first[:, 0] = True
    runs = compared(subject, run, subject.finest_dtype, [case, replaced_keys(case, first, generator)])
    beyond = window + 1  # that of the query counted or not
    return distance(runs.outputs[1][:, beyond:], runs.outputs[0][:, beyond:]) > runs.bound


def _forgets_order(subject: AttentionSubject, run: Run) -> bool:
    """Whether tokens that change places change nothing behind them where they are decoded, and do in the full pass."""
    case = plain_case(subject, subject.generator(run.seed))
    hidden = case.tensors["hidden_states"].clone()
    hidden[:, :2] = hidden[:, :2].flip(1)
    swapped = case.replaced("the first two tokens in the other order", hidden_states=hidden)
    ones = [1] * key_length(case)
    outputs = []
    for each in (case, swapped):
        runs = compared(subject, run, subject.finest_dtype, [each], chunkings=[ones])
        outputs.append((runs.outputs[0][:, 2:], runs.outputs[1][:, 2:]))
    (full, decoded), (other, other_decoded) = outputs
    return distance(other_decoded, decoded) <= runs.bound < distance(other, full)
