"""A few queries after a long past see all of it: what a kernel skips by blocks, and what a cache holds."""

import torch

from audit.attention.answers import Settled
from audit.attention.bounds import Deviation
from audit.attention.cases import past_case, plain_case
from audit.attention.properties.decoding import Decoded, decoded_deviations
from audit.attention.properties.judging import (
    DOCUMENTED_CALLS,
    ORACLE_BOUND,
    against_oracle,
    call_raised,
    judge_deviations,
)
from audit.attention.properties.runs import bound_origin
from audit.attention.subject import BATCH_SIZE, LENGTH, SHORT, AttentionSubject, Case, too_short
from audit.gateway import TargetRaised
from audit.judgement import Judgement, not_applicable
from audit.plan import Run
from audit.results import Check, Severity

CHECK = Check(
    id="attention.long_past",
    title="A few queries after a long past see all of it",
    proves="Five queries over more than 256 keys equal the oracle, or decoding behind as many cached tokens gives what "
    "one full pass gives: over several blocks of keys of a kernel.",
    defect="a range of keys that ends where the queries' own positions do",
    severity=Severity.CRITICAL,
)

_BLOCKS = 256  # keys
_PAST = 263  # two blocks of 128 keys, the largest in use, and some; a prime, so that no block divides it
_OTHERWISE = (
    "queries after a long past do not see what they should, though after a short one they do, as where whole blocks of "
    "keys are skipped or a cache is cut: {case}"
)
_FIX = "count blocks of keys from the positions of queries behind the past, and keep the whole past"


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Compare with the oracle where queries can be fewer than keys, and with the full pass where there is a cache."""
    if subject.decodes and (subject.form or subject.contract.is_causal):
        return _decoded(subject, run)
    if not subject.is_function or subject.contract.equal_lengths:
        return not_applicable("queries are as many as keys in every call, and there is no cache")
    if not subject.has_reference:
        return not_applicable("undeclared: sizes or causality, so there is no oracle")
    generator = subject.generator(run.seed)
    batch = 1 if subject.is_declared else BATCH_SIZE  # of what was guessed, only some batch sizes were seen to work
    causal = [False] * (not subject.is_always_causal) + [True] * bool(subject.contract.is_causal)
    short, cases = (
        [past_case(subject, generator, past=past, is_causal=each, batch=batch) for each in causal]
        for past in (LENGTH - SHORT, _past(subject))
    )
    try:
        near = _against_oracle(subject, run, short)
        if not all(each.holds for each in near):
            return _said_of_short("attention.oracle")
        found = _against_oracle(subject, run, cases)
    except TargetRaised as raised:
        return _refused(subject, run, raised)
    return judge_deviations(
        [(subject.finest_dtype, each) for each in found], origin=ORACLE_BOUND, otherwise=_OTHERWISE, fix=_FIX
    )


def _against_oracle(subject: AttentionSubject, run: Run, cases: list[Case]) -> list[Deviation]:
    dtype = subject.finest_dtype
    answers = subject.forward(run, dtype, cases)
    return [
        against_oracle(subject, answers.state, case, output, dtype)
        for case, output in zip(cases, answers.outputs, strict=True)
    ]


def _decoded(subject: AttentionSubject, run: Run) -> Judgement:
    dtype = subject.finest_dtype
    try:
        long = _cut(subject, run, _past(subject))
        near = decoded_deviations(subject, run, dtype, _cut(subject, run, LENGTH - SHORT))
        if not all(each.holds for each in near):
            return _said_of_short("attention.kv_cache")
        found = decoded_deviations(subject, run, dtype, long)
    except TargetRaised as raised:
        return _refused(subject, run, raised)
    return judge_deviations(
        [(dtype, each) for each in found], origin=bound_origin(subject), otherwise=_OTHERWISE, fix=_FIX
    )


def _cut(subject: AttentionSubject, run: Run, past: int) -> Decoded:
    batch = 1 if subject.is_declared else BATCH_SIZE
    length = past + SHORT
    case = plain_case(subject, subject.generator(run.seed), length=length, batch=batch)
    chunkings = {
        f"a past of {past} tokens, then {SHORT} at once": [past, SHORT],
        f"a past of {past} tokens, then {SHORT} one by one": [past, *[1] * SHORT],
    }
    compared = torch.zeros(batch, length, dtype=torch.bool)
    compared[:, past:] = True
    return Decoded(full=case.replaced(f"{length} tokens"), chunkings=chunkings, compared=compared)


def _said_of_short(check: str) -> Judgement:
    return not_applicable(f"after a short past outputs differ as well, which {check} compares")


def _refused(subject: AttentionSubject, run: Run, raised: TargetRaised) -> Judgement:
    if raised.phase not in DOCUMENTED_CALLS or raised.is_of_the_machine or raised.is_of_the_specs:
        return call_raised(subject, run, raised)
    if subject.contract.max_length is not None:
        return call_raised(subject, run, raised)
    what = "max_length, and so whether it takes" if subject.is_declared else "whether it takes"
    return not_applicable(f"undeclared: {what} a past of {_PAST} tokens; observed: it raises {raised.type_name}")


def _past(subject: AttentionSubject) -> int:
    """Return how many keys are the past.

    Raises:
        Settled: there is none over several blocks.
    """
    past = subject.contract.within(_PAST + SHORT) - SHORT
    if past <= _BLOCKS:
        raise Settled(
            too_short(subject.contract, f"no past of more than {_BLOCKS} keys leaves room for {SHORT} queries")
        )
    return past
