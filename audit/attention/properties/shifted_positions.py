"""Rotary positions are relative: where the first token stands changes nothing."""

import torch

from audit.attention.bounds import Deviation, distance
from audit.attention.cases import plain_case, with_mask
from audit.attention.properties.judging import call_raised, joining_layers, judge_deviations, no_reference
from audit.attention.properties.runs import bound_origin, compared
from audit.attention.properties.shifted_weights import by_weights
from audit.attention.subject import LENGTH, AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.judgement import Judgement, error, not_applicable
from audit.plan import Run
from audit.results import Check, Severity

CHECK = Check(
    id="attention.shifted_positions",
    title="Rotary positions are relative",
    proves="Where positions rotate queries and keys, the outputs are the same when all positions are shifted by a "
    "constant or masked tokens stand before the first; where neither can be done, the weights of a query on two "
    "keys have the same ratio wherever the three stand.",
    defect="queries that are rotated and keys that are not",
    severity=Severity.CRITICAL,
)

_SHIFT = 5
_PADDED = 3
_TABLES = ("rope", "cos", "sin")


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Shift the positions that are passed in, and pad on the left."""
    if subject.is_function:
        return not_applicable("a function of queries and keys has no positions of its own")
    if subject.contract.context_dim is not None:
        return not_applicable("it attends to another sequence, whose positions are its own")
    given = _given(subject)
    if subject.contract.rotary_base is None and not subject.form.get("rotary"):
        return not_applicable("nothing says that its positions rotate queries and keys")
    generator = subject.generator(run.seed)
    plain = plain_case(subject, generator, length=subject.contract.within(LENGTH + _PADDED) - _PADDED)
    cases: list[Case] = []
    if given:
        cases.append(plain.under(f"all positions {_SHIFT} later", offset=_SHIFT))
    padded = subject.contract.key_mask and not given
    if padded:
        cases += [_padded(subject, plain, generator) for _ in range(2)]
        # As long as those, so that what depends on the length alone, as a wrong scale may, does not show here.
        cases.append(_padded(subject, plain, generator, after=True))
    if not cases:
        return by_weights(subject, run)
    dtype = subject.finest_dtype
    flipped = plain.replaced("tokens in reverse", hidden_states=plain.tensors["hidden_states"].flip(1))
    try:
        runs = compared(subject, run, dtype, [plain, flipped, *cases])
    except TargetRaised as raised:
        return call_raised(subject, run, raised)
    output, reverse, *others = runs.outputs
    if trouble := no_reference(output, runs.bound):
        return trouble
    if distance(reverse.flip(1), output) <= runs.bound:
        what = "the order of tokens changes no output, so that positions have no part in it"
        return error(f"{what}: nothing was tested") if subject.is_declared else not_applicable(f"observed: {what}")
    length = output.shape[1]
    expected = output
    if padded:
        expected = others.pop()[:, :length]
        others = [other[:, -length:] for other in others]
        if distance(*others) > runs.bound:
            return not_applicable("masked tokens before the first have influence, which attention.mask compares")
    deviations = [
        (dtype, Deviation(case=case.name, error=distance(other, expected), bound=runs.bound))
        for case, other in zip(cases, others, strict=False)
    ]
    holds = all(deviation.holds for _, deviation in deviations)
    if not holds and not subject.is_declared and (layers := joining_layers(subject)):
        return not_applicable(f"undeclared: whether tokens may have influence through its {layers}")
    return judge_deviations(
        deviations,
        origin=bound_origin(subject),
        otherwise="outputs change when all tokens move by the same number of positions, as where queries alone are "
        "rotated, or pairs are rotated otherwise than their angles are laid out: {case}",
        fix="rotate queries and keys alike, by pairs of features that share an angle",
    )


def _given(subject: AttentionSubject) -> bool:
    """Whether the call passes in what tells positions."""
    arguments = subject.form.get("arguments")
    recipes = [str(each) for each in arguments.values()] if isinstance(arguments, dict) else []
    return any(recipe.startswith((*_TABLES, "positions")) for recipe in recipes)


def _padded(subject: AttentionSubject, plain: Case, generator: torch.Generator, *, after: bool = False) -> Case:
    """Return the case with masked tokens before the first, or after the last."""
    hidden = plain.tensors["hidden_states"]
    more = torch.randn(hidden.shape[0], _PADDED, hidden.shape[2], generator=generator, dtype=hidden.dtype)
    longer = plain.replaced(plain.name, hidden_states=torch.cat((hidden, more) if after else (more, hidden), dim=1))
    mask = torch.ones(hidden.shape[0], _PADDED + hidden.shape[1], dtype=torch.bool)
    mask[:, slice(-_PADDED, None) if after else slice(_PADDED)] = False
    return with_mask(
        subject, longer, mask, f"{_PADDED} masked tokens {'after the last' if after else 'before the first'}"
    )
