"""A longer causal input agrees with a shorter one as far as that reaches."""

from collections.abc import Iterator, Sequence

from audit.attention.bounds import Deviation, distance
from audit.attention.cases import plain_case
from audit.attention.properties.judging import call_raised, judge_deviations, no_reference
from audit.attention.properties.runs import bound_origin, compared
from audit.attention.subject import LENGTH, AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.judgement import Judgement, not_applicable
from audit.plan import Run
from audit.raised import describe_raised
from audit.results import Check, Severity

CHECK = Check(
    id="attention.prefix",
    title="Causal outputs do not depend on the length",
    proves="Under a causal mask, inputs of one more token and of many more have the outputs of the shorter ones.",
    defect="logits scaled by the length of the input",
    severity=Severity.CRITICAL,
)

_LONG = LENGTH + 6
# One less than all, and those around the usual sizes of blocks and windows.
_PREFIXES = (1, 4, 5, 8, LENGTH, _LONG - 1)


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Compare outputs of prefixes with those of the whole."""
    if subject.contract.is_causal is None:
        return not_applicable("undeclared: whether it is causal")
    if not subject.contract.is_causal:
        return not_applicable("the contract declares is_causal = False: every output depends on all tokens")
    dtype = subject.finest_dtype
    refused: TargetRaised | None = None
    for length, prefixes in _plans(subject):
        long = plain_case(subject, subject.generator(run.seed), is_causal=True, length=length)
        shorter = [_first(long, prefix) for prefix in prefixes]
        try:
            runs = compared(subject, run, dtype, [long, *shorter])
            break
        except TargetRaised as raised:
            refused = refused or raised
    else:
        assert refused is not None
        if subject.is_declared:
            return call_raised(subject, run, refused)
        return not_applicable(f"undeclared: at which lengths it can be called; {describe_raised(refused, run.target)}")
    whole, *parts = runs.outputs
    if trouble := no_reference(whole, runs.bound):
        return trouble
    deviations = [
        (dtype, Deviation(case=case.name, error=distance(part, whole[..., :prefix, :]), bound=runs.bound))
        for case, prefix, part in zip(shorter, prefixes, parts, strict=True)
    ]
    if "averaged" in subject.claims and not all(deviation.holds for _, deviation in deviations):
        return not_applicable(
            f"undeclared: whether the length has a part in every output; observed: it has{subject.claim('averaged')}"
        )
    return judge_deviations(
        deviations,
        origin=bound_origin(subject),
        otherwise=f"the first outputs of {length} tokens are not those of a shorter input, as where the scale is taken "
        "from the length, or a block or window is cut wrongly: {case}" + subject.claim("is_causal"),
        fix="let nothing but earlier tokens and their positions enter an output",
    )


def _plans(subject: AttentionSubject) -> Iterator[tuple[int, Sequence[int]]]:
    """Yield a length and shorter ones; how long an input may be is declared by nobody, so that usual ones come last.

    Those are the lengths of all other properties; of a guess, those that it was seen to be called with.
    """
    if subject.contract.within(_LONG) == _LONG:
        yield _LONG, _PREFIXES
    if subject.is_declared:
        yield LENGTH, [prefix for prefix in _PREFIXES if prefix < LENGTH]
    *shorter, longest = sorted(subject.lengths) or [0]
    if shorter:
        yield longest, shorter


def _first(case: Case, length: int) -> Case:
    name = "one token" if length == 1 else f"the first {length} tokens"
    return case.replaced(name, **{key: tensor[..., :length, :] for key, tensor in case.tensors.items()})
