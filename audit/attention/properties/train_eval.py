"""Without dropout, train mode computes what eval mode does."""

from audit.attention.bounds import Deviation, distance
from audit.attention.cases import key_length, padding_mask, plain_case, with_mask
from audit.attention.properties.judging import call_raised, judge_deviations, no_reference
from audit.attention.properties.runs import bound_origin, compared
from audit.attention.subject import AttentionSubject
from audit.gateway import TargetRaised
from audit.judgement import Judgement, error, not_applicable
from audit.plan import Run
from audit.results import Check, Severity

CHECK = Check(
    id="attention.train_eval",
    title="Train mode without dropout equals eval mode",
    proves="With the probability of every dropout at zero, train mode gives the outputs of eval mode.",
    defect="a causal mask that is applied in train mode only",
    severity=Severity.CRITICAL,
)


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Call in eval mode, and twice in train mode with dropout at zero."""
    if subject.is_function:
        return not_applicable("a function has no mode")
    plain = plain_case(subject, subject.generator(run.seed))
    cases = [plain]
    if subject.contract.key_mask:
        mask = padding_mask(side="right", length=key_length(plain))
        cases.append(with_mask(subject, plain, mask, "right padding"))
    training = [case.under(case.name, training=True, dropout=0.0) for case in cases]
    dtype, count = subject.finest_dtype, len(cases)
    try:
        runs = compared(subject, run, dtype, [*cases, *training, *training], afresh=True)
    except TargetRaised as raised:
        return call_raised(subject, run, raised)
    if trouble := no_reference(runs.outputs[0], runs.bound):
        return trouble
    if "_BatchNorm" in subject.built.layers:
        return not_applicable("it holds a BatchNorm, which computes something else in train mode by its definition")
    deviations: list[tuple[str, Deviation]] = []
    for index, case in enumerate(cases):
        # Padded queries are nobody's.
        kept = slice(None) if subject.contract.context_dim else cases[-1].tensors.get("key_mask", slice(None))
        evaluated, trained, again = (runs.outputs[index + count * turn][kept] for turn in range(3))
        if distance(again, trained) > runs.bound:
            unclear = "two calls in train mode differ with every known dropout at zero: its randomness is undeclared"
            return error(unclear) if subject.is_declared else not_applicable(f"undeclared: {unclear}")
        deviations.append((dtype, Deviation(case=case.name, error=distance(trained, evaluated), bound=runs.bound)))
    return judge_deviations(
        deviations,
        origin=bound_origin(subject),
        otherwise="train mode without dropout differs from eval mode, as where a mask, window or scale is applied on "
        "one path only: {case}",
        fix="let `self.training` decide on dropout and on nothing else",
    )
