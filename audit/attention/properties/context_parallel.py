"""Over a group of ranks, each with its share of the sequence, an attention is what one process has of the whole."""

from collections.abc import Iterator

import torch

from audit.attention.answers import Answers, Settled
from audit.attention.bounds import Deviation, distance
from audit.attention.cases import plain_case, with_cotangent, with_mask
from audit.attention.contract import Dtype
from audit.attention.properties.gradients import gradient_deviations
from audit.attention.properties.judging import ORACLE_BOUND, against_oracle, call_raised, judge_deviations, no_oracle
from audit.attention.subject import BATCH_SIZE, AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.judgement import Judgement, not_applicable, skipped
from audit.plan import Run
from audit.results import Check, Severity

CHECK = Check(
    id="attention.context_parallel",
    title="On several ranks, each with a share of the sequence, it is the same",
    proves="On three processes over gloo, each with a third of the sequence, the outputs joined in the order of the "
    "ranks equal the oracle's of the whole sequence, and so do the gradients of the inputs, and those of the "
    "parameters summed over the ranks, with and without a mask.",
    defect="positions that begin at zero on every rank",
    severity=Severity.CRITICAL,
)

# With two ranks the next one in a ring and the one before are the same, and a wrong direction would not show.
_RANKS = 3
_SHARE = 4
_PADDING = 5  # of the keys: a whole share and a part of another


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Compare with the oracle, in one process and on ranks."""
    if not subject.contract.context_parallel:
        return not_applicable("undeclared: `context_parallel`, that the sequence may be spread over processes")
    if not subject.has_oracle:
        return no_oracle(subject)
    if run.target.on_gpu:
        return skipped("ranks are processes over gloo, which are judged with --device cpu")
    dtype = subject.finest_dtype
    cases = list(_cases(subject, run.seed))
    try:
        alone = subject.forward(run, dtype, cases)
        if not all(
            against_oracle(subject, alone.state, case, output, dtype).holds
            for case, output in zip(cases, alone.outputs, strict=True)
        ):
            return not_applicable("in one process outputs differ as well, which attention.oracle compares")
        run.probe.close()  # forks of a process that has computed before would lack its threads
        answers = subject.ask(
            run, dtype, [("backward", case) for case in cases], procedure="attention_on_ranks", ranks=_RANKS
        )
    except TargetRaised as raised:
        return call_raised(subject, run, raised)
    except Settled as settled:
        return settled.judgement
    deviations: list[tuple[str, Deviation]] = [
        (dtype, against_oracle(subject, answers.state, case, output, dtype))
        for case, output in zip(cases, answers.outputs, strict=True)
    ]
    if all(each.holds for _, each in deviations):
        of_gradients = gradient_deviations(subject, answers, cases, dtype)
        if isinstance(of_gradients, Judgement):
            return of_gradients
        deviations += of_gradients
    return judge_deviations(
        deviations,
        origin=f"{_RANKS} ranks over gloo; {ORACLE_BOUND}",
        otherwise=f"on {_RANKS} ranks, each with a share of the sequence, it differs from the oracle: {{case}}"
        + _wrong_shares(subject, answers, cases, dtype),
        fix="look at the positions of each share, at what is sent to which rank, and at how parts are merged",
    )


@torch.no_grad()  # the weights may have been differentiated by
def _wrong_shares(subject: AttentionSubject, answers: Answers, cases: list[Case], dtype: Dtype) -> str:
    """Return at which ranks the outputs are others, to follow a reason; empty where these are right, or all wrong."""
    wrong = set[int]()
    for case, output in zip(cases, answers.outputs, strict=True):
        truth = subject.reference(answers.state, subject.as_sent(case, dtype))
        bound = subject.allowance(answers.state, case, dtype)
        shares = zip(output.chunk(_RANKS, dim=-2), truth.chunk(_RANKS, dim=-2), strict=True)
        wrong |= {rank for rank, (found, wanted) in enumerate(shares) if not distance(found, wanted) <= bound}
    if not wrong or len(wrong) == _RANKS:
        return ""
    right = ", ".join(str(rank) for rank in range(_RANKS) if rank not in wrong)
    return f", at rank {', '.join(map(str, sorted(wrong)))} and not at {right}"


def _cases(subject: AttentionSubject, seed: int) -> Iterator[Case]:
    generator = subject.generator(seed)
    length = _RANKS * _SHARE
    causal = (False, True) if subject.is_function and subject.contract.is_causal else (None,)
    for is_causal in causal:
        case = plain_case(subject, generator, is_causal=is_causal, length=length)
        yield with_cotangent(case, generator)
        if subject.contract.key_mask:
            mask = torch.ones(BATCH_SIZE, length, dtype=torch.bool)
            mask[0, -_PADDING:] = False
            yield with_cotangent(with_mask(subject, case, mask, f"{case.name}, right padding"), generator)
