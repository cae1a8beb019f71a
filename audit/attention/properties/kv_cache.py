"""Decoding through the cache gives the outputs of the full forward."""

from dataclasses import replace

import torch

from audit.attention.bounds import Deviation
from audit.attention.cases import plain_case, with_mask
from audit.attention.properties.decoding import Decoded, decoded_deviations
from audit.attention.properties.judging import call_raised, judge_deviations
from audit.attention.properties.runs import bound_origin
from audit.attention.subject import BATCH_SIZE, LENGTH, AttentionSubject
from audit.gateway import TargetRaised
from audit.judgement import Judgement, not_applicable
from audit.plan import Run
from audit.results import Check, Severity

CHECK = Check(
    id="attention.kv_cache",
    title="Cached decoding equals the full forward",
    proves="Token by token, in threes, and as a prompt followed by single tokens, after left padding and beyond the "
    "window, the cache gives what one full pass gives.",
    defect="positions that restart one too low when the cache is not empty",
    severity=Severity.CRITICAL,
)

_PADDED = 3  # tokens before the first sample begins
# What may be wrong, and what to do, where it shows without a mask too, and where it shows with one alone.
_POSITIONS = (
    "positions or the causal diagonal restart behind cached tokens",
    "continue positions and the causal diagonal from the number of cached tokens",
)
_MASKED = (
    "the mask of cached keys is forgotten or cut otherwise: without a mask the two are the same",
    "apply the mask to cached keys as well: it has one entry for each of them and for each new one",
)
_LONGEST = 128  # tokens that are decoded to get beyond a window


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Decode inputs in several chunkings and compare each with the full forward."""
    if not subject.decodes:
        if isinstance(why := subject.form.get("why no cache"), str):
            return not_applicable(f"undeclared: how its cache is called; {why}")
        what = "the specs declare no `decode`" if subject.is_declared else "no argument takes a cache"
        return not_applicable(f"{what}: there is no cache to check")
    if not subject.form:  # of what was found, the guess saw to it that later tokens are hidden
        if subject.contract.is_causal is None:
            return not_applicable("undeclared: whether it is causal, without which decoding is not defined")
        if not subject.contract.is_causal:
            return not_applicable("the contract declares is_causal = False: decoding is not defined for it")
    inputs = decoded_inputs(subject, run.seed)
    deviations: list[tuple[str, Deviation]] = []
    unmasked: list[Deviation] = []
    for dtype in subject.contract.dtypes:
        for each in inputs:
            try:
                found = decoded_deviations(subject, run, dtype, each)
            except TargetRaised as raised:
                if each is inputs[0] or subject.is_declared:
                    return call_raised(subject, run, raised)
                continue  # how it takes a mask of cached keys was not found
            deviations += [(dtype, deviation) for deviation in found]
            unmasked += [] if "key_mask" in each.full.tensors else found
    as_where, fix = _POSITIONS if not all(each.holds for each in unmasked) else _MASKED
    return judge_deviations(
        deviations,
        origin=bound_origin(subject),
        otherwise=f"decoding through the cache differs from the full forward, as where {as_where}: {{case}}",
        fix=fix,
    )


def decoded_inputs(subject: AttentionSubject, seed: int) -> list[Decoded]:
    """Return what is decoded: an input without a mask, and then the others that the subject takes."""
    generator = subject.generator(seed)
    window = subject.contract.window or 0
    length = subject.contract.within(max(LENGTH, min(2 * window + 3, _LONGEST)))
    case = plain_case(subject, generator, length=length)
    beyond = f", beyond the window of {window}" if window and length > window else ""
    threes = [3] * (length // 3) + [length % 3] * bool(length % 3)
    inputs = [
        Decoded(
            full=case,
            chunkings={
                f"token by token{beyond}": [1] * length,
                f"chunks of three{beyond}": threes,
                f"a prompt, then single tokens{beyond}": [length - 3, 1, 1, 1],
            },
            compared=torch.ones(BATCH_SIZE, length, dtype=torch.bool),
        )
    ]
    if subject.contract.key_mask and (subject.form or subject.decodes_masked):
        mask = torch.ones(BATCH_SIZE, length, dtype=torch.bool)
        mask[0, :_PADDED] = False
        inputs.append(
            Decoded(
                full=with_mask(subject, case, mask, "left padding"),
                chunkings={
                    "left padding, token by token": [1] * length,
                    "left padding, a prompt, then single tokens": [length - 3, 1, 1, 1],
                },
                compared=mask,
            )
        )
    cache = subject.form.get("cache")
    if isinstance(cache, dict) and cache.get("makes positions"):
        whole = inputs[0]
        chunkings = {f"{name}, positions left out": chunks for name, chunks in whole.chunkings.items()}
        inputs.append(replace(whole, chunkings=chunkings, without_positions=True))
    return inputs
