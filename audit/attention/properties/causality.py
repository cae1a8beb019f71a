"""A later token does not change an earlier output."""

from collections.abc import Iterator

import torch

from audit.attention.bounds import Deviation, distance
from audit.attention.cases import plain_case
from audit.attention.properties.documents import documents_argument, with_documents
from audit.attention.properties.judging import call_raised, joining_layers, judge_deviations, no_reference
from audit.attention.properties.runs import bound_origin, compared, finite_rows
from audit.attention.subject import LENGTH, AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.judgement import Judgement, error, failed, not_applicable
from audit.plan import Run
from audit.results import Check, Severity

CHECK = Check(
    id="attention.causality",
    title="Later tokens do not change earlier outputs",
    proves="Replacing every token from a position on leaves the outputs before it unchanged, and changes those after.",
    defect="a causal mask whose diagonal is shifted by one, so that each token sees the next",
    severity=Severity.CRITICAL,
)

_POSITIONS = (1, LENGTH // 2, LENGTH - 1)
_FIX = "mask the scores so that query i sees keys up to i + (Lk - Lq) only"
EMPTY = "a causal mask lets each query see its own key at least, and some see none"
_UNDECLARED = "undeclared: whether it is causal"


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Replace the tokens from several positions on and compare the outputs before each."""
    if subject.contract.is_causal is False:
        return not_applicable("the contract declares is_causal = False")
    if subject.contract.context_dim is not None:
        return not_applicable("it attends to another sequence, which has no positions in common with its outputs")
    generator = subject.generator(run.seed)
    is_causal = bool(subject.contract.is_causal)
    case = plain_case(subject, generator, is_causal=is_causal)
    others = [_replaced_from(case, position, generator) for position in _POSITIONS]
    numbered = [
        with_documents(subject, each, f"{each.name}, of two documents")
        for each in ((case, *others) if documents_argument(subject) else ())
    ]
    deviations: list[tuple[str, Deviation]] = []
    empty: dict[str, list[int]] = {}  # by dtype, the positions at which the output of a normal input holds no number
    untested = 0  # the first position with which later outputs did not change either
    for dtype in subject.contract.dtypes:
        try:
            runs = compared(subject, run, dtype, [case, *others, *numbered], finite_only=True)
        except TargetRaised as raised:
            return call_raised(subject, run, raised)
        first, *rest = runs.outputs[: 1 + len(others)]
        kept = finite_rows(first)  # numbers that are missing elsewhere are not the mask's doing
        if not kept.all():
            empty[dtype] = (~kept).nonzero().flatten().tolist()
        if trouble := no_reference(first[..., kept, :] if kept.any() else first, runs.bound, may_be_constant=True):
            return trouble if subject.contract.is_causal else not_applicable(f"{_UNDECLARED}: {trouble.reason}")
        for position, output in zip(_POSITIONS, rest, strict=True):
            earlier = _moved(output, first, kept, slice(None, position))
            own = Deviation(case=f"tokens from {position} on", error=earlier, bound=runs.bound)
            # Where earlier outputs change it fails, whatever the others do: those may see none of these tokens.
            if own.holds and _moved(output, first, kept, slice(position, None)) <= runs.bound:
                untested = untested or position
            deviations.append((dtype, own))
        apart = runs.outputs[1 + len(others) :]
        for position, each, output in zip(_POSITIONS, numbered[1:], apart[1:], strict=bool(numbered)):
            earlier = _moved(output, apart[0], finite_rows(apart[0]), slice(None, position))
            deviations.append((dtype, Deviation(case=each.name, error=earlier, bound=runs.bound)))
    holds = all(deviation.holds for _, deviation in deviations)
    if holds and untested and not empty:
        return error(f"replacing every token from position {untested} on changed no output: nothing was tested")
    if subject.contract.is_causal is None:
        observed = "do not change" if holds else "change"
        return not_applicable(f"{_UNDECLARED}; observed: later tokens {observed} earlier outputs")
    if not holds and not subject.is_declared and (layers := joining_layers(subject)):
        return not_applicable(f"undeclared: whether outputs may depend on later tokens through its {layers}")
    if holds and empty:
        where = "; ".join(f"{', '.join(map(str, positions))} in {dtype}" for dtype, positions in empty.items())
        return failed(f"{EMPTY}: of {LENGTH} positions the output holds no number at {where}", fix=_FIX)
    return judge_deviations(
        deviations,
        origin=bound_origin(subject),
        otherwise="an earlier output changed when later tokens were replaced, as where the causal mask is left "
        "out or inverted, or its diagonal shifted: {case}" + subject.claim("is_causal"),
        fix=_FIX,
    )


def _moved(output: torch.Tensor, first: torch.Tensor, kept: torch.Tensor, rows: slice) -> float:
    """Return how far outputs moved at those of these positions that are `kept`; 0 where none is."""
    where = torch.zeros_like(kept)
    where[rows] = kept[rows]
    return distance(output[..., where, :], first[..., where, :]) if where.any() else 0.0


def _replaced_from(case: Case, position: int, generator: torch.Generator) -> Case:
    """Return the case with other tokens from `position` on; queries stay, for they are not what may leak.

    Values become as many times larger as there are tokens, so that one alone shows in an average over all.
    """

    def changed() -> Iterator[tuple[str, torch.Tensor]]:
        for name in ("hidden_states", "key", "value"):
            if name in case.tensors:
                tensor = case.tensors[name].clone()
                later = tensor[..., position:, :]
                size = LENGTH if name == "value" else 1
                later.copy_(size * torch.randn(later.shape, generator=generator, dtype=later.dtype))
                yield name, tensor

    return case.replaced(f"tokens from {position} on", **dict(changed()))
