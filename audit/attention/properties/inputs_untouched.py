"""A call leaves the tensors that it is given as they were."""

from audit.attention.cases import key_length, oracle_cases, padding_mask, plain_case, with_mask
from audit.attention.properties.judging import call_raised
from audit.attention.subject import LENGTH, AttentionSubject
from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, judged
from audit.plan import Run
from audit.results import Check, Comparison, Severity

CHECK = Check(
    id="attention.inputs_untouched",
    title="Inputs are left as they were",
    proves="No forward and no cached decoding without gradients changed a tensor that it was given, the mask included.",
    defect="an input that is overwritten in place",
    severity=Severity.MAJOR,
)


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Compare every input before and after each documented call, bit by bit."""
    whole = plain_case(subject, subject.generator(run.seed))
    if subject.is_declared:
        cases = oracle_cases(subject, subject.generator(run.seed))
    else:  # the only length at which it was seen to work
        cases = [whole]
        if subject.contract.key_mask:
            mask = padding_mask(side="right", length=key_length(whole))
            cases.append(with_mask(subject, whole, mask, "right padding"))
    found: set[str] = set()
    for dtype in subject.contract.dtypes:
        try:
            forward = subject.forward(run, dtype, cases).overwritten
            found |= {f"{name} in case '{cases[call].name}'" for call, name in forward}
            if subject.decodes and subject.contract.is_causal:
                decode = subject.decode(run, dtype, whole, [[LENGTH - 1, 1]]).overwritten
                found |= {f"{name} in decoding" for call, name in decode if call > 0}
        except TargetRaised as raised:
            return call_raised(subject, run, raised)
    return judged(
        Measured(
            value=len(found),
            bound=0,
            comparison=Comparison.EQUAL,
            origin="the caller goes on with its tensors: what it reads from them afterwards must be what it wrote",
            unit="inputs overwritten",
        ),
        otherwise=f"overwritten in place: {', '.join(sorted(found))}",
        fix="write to a copy: `x = x + y` for `x += y`, `masked_fill` for `masked_fill_`",
    )
