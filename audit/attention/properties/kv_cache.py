"""Decoding through the cache gives the outputs of the full forward."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from audit.attention.bounds import Deviation, distance, is_constant
from audit.attention.cases import plain_case, with_mask
from audit.attention.contract import Dtype
from audit.attention.properties.judging import call_raised, judge_deviations
from audit.attention.properties.runs import bound_origin
from audit.attention.rounding import DRAWS, rounded_cases, two_runs_allowance
from audit.attention.subject import BATCH_SIZE, LENGTH, AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.gateway.client import Plain
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
_LONGEST = 128  # tokens that are decoded to get beyond a window


@dataclass(frozen=True, kw_only=True)
class _Decoded:
    """An input, its full pass, and how it is cut; `compared` are the positions whose outputs count."""

    full: Case
    chunkings: dict[str, list[int]]
    compared: Tensor  # bool, (B, L)
    without_positions: bool = False  # in the chunks; the full pass has them


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
    inputs = _inputs(subject, run.seed)
    deviations: list[tuple[str, Deviation]] = []
    for dtype in subject.contract.dtypes:
        for each in inputs:
            try:
                deviations += [(dtype, deviation) for deviation in _deviations(subject, run, dtype, each)]
            except TargetRaised as raised:
                if each is inputs[0] or subject.is_declared:
                    return call_raised(subject, run, raised)  # else: how it takes a mask of cached keys was not found
    return judge_deviations(
        deviations,
        origin=bound_origin(subject),
        otherwise="decoding through the cache differs from the full forward, as where positions or the causal diagonal "
        "restart behind cached tokens: {case}",
        fix="continue positions and the causal diagonal from the number of cached tokens",
    )


def _inputs(subject: AttentionSubject, seed: int) -> list[_Decoded]:
    generator = subject.generator(seed)
    window = subject.contract.window or 0
    length = max(LENGTH, min(2 * window + 3, _LONGEST))
    case = plain_case(subject, generator, length=length)
    beyond = f", beyond the window of {window}" if window and length > window else ""
    threes = [3] * (length // 3) + [length % 3] * bool(length % 3)
    inputs = [
        _Decoded(
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
            _Decoded(
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


def _deviations(subject: AttentionSubject, run: Run, dtype: Dtype, each: _Decoded) -> Sequence[Deviation]:
    """Return how far each chunking is from the full pass."""
    length = each.full.inputs.shape[-2]
    # Of what was found, the full pass may need a mask that hides later tokens, which the call form of the cache has.
    kind = "decode" if subject.form else "forward"
    whole: dict[str, Plain] = {"chunks": [length], "uncached": True} if subject.form else {}
    drawn = [] if subject.has_oracle else rounded_cases(each.full, dtype, subject.generator(run.seed))
    calls = [(kind, case.under(case.name, **whole)) for case in (each.full, *drawn)]
    more: dict[str, Plain] = {"without_positions": True} if each.without_positions else {}
    calls += [
        ("decode", each.full.under(name, chunks=list[Plain](chunks), **more)) for name, chunks in each.chunkings.items()
    ]
    answers = subject.ask(run, dtype, calls, opened=True)
    outputs = [output[each.compared] for output in answers.outputs]
    full, rounded, decoded = outputs[0], outputs[1 : 1 + len(drawn)], outputs[1 + len(drawn) :]
    if subject.has_oracle:
        bound = 2 * subject.allowance(answers.state, each.full, dtype)
    else:
        assert len(rounded) == DRAWS
        bound = two_runs_allowance(full, rounded)
    blind = "every token has the same output, cached or not" if is_constant(full[None], bound) else None
    return [
        Deviation(case=name, error=distance(output, full), bound=bound, blind=blind)
        for name, output in zip(each.chunkings, decoded, strict=True)
    ]
