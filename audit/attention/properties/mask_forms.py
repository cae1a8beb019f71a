"""Every form of a mask that its documentation claims has one meaning, or is refused."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from audit.attention.bounds import Deviation, distance
from audit.attention.cases import key_length, padding_mask, plain_case, replaced_keys, with_mask
from audit.attention.properties.judging import call_raised, judge_deviations
from audit.attention.rounding import BOUND, DRAWS, rounded_cases, two_runs_allowance
from audit.attention.subject import AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, not_applicable
from audit.plan import Run
from audit.results import Check, Severity

CHECK = Check(
    id="attention.mask_forms",
    title="Every documented form of a mask has the same meaning",
    proves="Under left and right padding, each form of the mask that its documentation or annotation claims (bool, "
    "0/1, additive; of two, three or four axes) hides the keys that the usual form hides, or is refused.",
    defect="a 0/1 mask that is added to the logits where it is no bool mask",
    severity=Severity.CRITICAL,
)

_CONVENTIONS = ("bool keep", "bool drop", "int keep", "int drop", "float keep", "float drop", "additive")
_SHAPES = ("BL", "B1L", "BLL", "B11L", "B1LL", "BHLL")
_SIDES = ("right", "left")
_AXES = {"BL": 2, "B1L": 3, "BLL": 3, "B11L": 4, "B1LL": 4, "BHLL": 4}


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Pass one mask in all forms and compare the outputs with those of the form in which it is known to work."""
    if not subject.contract.key_mask:
        return not_applicable(subject.why_no_mask)
    chosen, claims = subject.form.get("mask"), subject.form.get("mask claims")
    if not isinstance(chosen, dict) or not isinstance(claims, list):
        return not_applicable("the specs pass the mask in one form, which other properties check")
    usual = (str(chosen["convention"]), str(chosen["shape"]))
    claimed = [(str(each["convention"]), str(each["shape"])) for each in claims if isinstance(each, dict)]
    said = {form: str(each["said"]) for form, each in zip(claimed, claims, strict=True) if isinstance(each, dict)}
    forms = _with_either(claimed, usual)
    others = [(c, usual[1]) for c in _CONVENTIONS] + [(usual[0], shape) for shape in _SHAPES]
    others = [form for form in dict.fromkeys(others) if form not in (usual, *forms)]
    generator = subject.generator(run.seed)
    whole = plain_case(subject, generator, is_causal=False)
    masks = {side: padding_mask(side=side, length=key_length(whole)) for side in _SIDES}
    masked = {side: with_mask(subject, whole, mask, f"{side} padding") for side, mask in masks.items()}
    hidden = {side: replaced_keys(masked[side], ~masks[side], generator) for side in _SIDES}
    dtype = subject.finest_dtype
    cases = [whole, *masked.values(), *hidden.values(), *rounded_cases(whole, dtype, generator)]
    tried = [(form, side) for form in (*forms, *others) for side in _SIDES]
    try:
        answers = subject.forward(run, dtype, [*cases, *(_in_form(masked[s], form) for form, s in tried)], opened=True)
    except TargetRaised as raised:
        return call_raised(subject, run, raised)
    plain, *known = answers.outputs[:5]
    bound = two_runs_allowance(plain, answers.outputs[5 : 5 + DRAWS])
    outputs = dict(zip(tried, answers.outputs[len(cases) :], strict=True))
    refused = {tried[index - len(cases)] for index in answers.refused}
    across = subject.is_function or subject.contract.context_dim is not None

    def rows(output: Tensor, side: str) -> Tensor:
        """Return what can be compared: of a module that attends to itself, padded queries are nobody's."""
        return output if across else output[masks[side]]

    usual_rows = {side: rows(output, side) for side, output in zip(_SIDES, known[:2], strict=True)}
    replaced = {side: rows(output, side) for side, output in zip(_SIDES, known[2:], strict=True)}
    effect = max(distance(usual_rows[side], rows(plain, side)) for side in _SIDES)
    if any(distance(usual_rows[side], replaced[side]) > bound for side in _SIDES) or not effect > bound:
        return not_applicable(f"undeclared: in which form a mask hides keys; observed: {' '.join(usual)} does not")
    deviations: list[tuple[str, Deviation]] = []
    known_as: dict[str, str] = {}
    for form in claimed:
        for side in _SIDES:
            # What True means was not said: either meaning is right, another is none.
            meant = _either(form) if form[0] == "bool" else [form]
            if all((each, side) in refused for each in meant):
                continue
            found = {each: rows(outputs[each, side], side) for each in meant if (each, side) not in refused}
            apart = min(distance(output, usual_rows[side]) for output in found.values())
            name = f"{_named(form)}, {side} padding"
            if apart > bound:
                known_as[name] = f"claimed by {said[form]!r}"
            deviations.append((dtype, Deviation(case=name, error=apart, bound=bound)))
    if not deviations:
        if claimed:
            return not_applicable(
                f"undeclared: forms of a mask besides {_named(usual)}; the claimed {_named(claimed[0])} is refused"
            )
        seen = _seen(others, outputs, refused, usual_rows, bound, rows)
        return not_applicable(f"undeclared: forms of a mask besides {_named(usual)}; observed: {seen}")
    claim = next(iter(known_as.values()), "")
    return judge_deviations(
        deviations,
        origin=BOUND,
        otherwise=f"a mask in a form that is {claim} does not hide what {_named(usual)} hides, as where a 0/1 or bool "
        "mask is added to the logits, or is inverted: {case}",
        fix="turn a mask of each form that is taken into one, by its dtype, and refuse the others",
    )


def _either(form: tuple[str, str]) -> list[tuple[str, str]]:
    return [("bool keep", form[1]), ("bool drop", form[1])]


def _with_either(claimed: Sequence[tuple[str, str]], usual: tuple[str, str]) -> list[tuple[str, str]]:
    forms = [each for form in claimed for each in (_either(form) if form[0] == "bool" else [form])]
    return list(dict.fromkeys(forms))


def _in_form(case: Case, form: tuple[str, str]) -> Case:
    asked: dict[str, Plain] = {"convention": form[0], "shape": form[1]}
    return case.under(case.name, mask_form=asked, tolerated=True)


def _named(form: tuple[str, str]) -> str:
    axes = _AXES.get(form[1])
    return f"{form[0]} of {f'{axes} axes ({form[1]})' if axes else form[1]}"


def _seen(
    others: Sequence[tuple[str, str]],
    outputs: Mapping[tuple[tuple[str, str], str], Tensor],
    refused: set[tuple[tuple[str, str], str]],
    usual: Mapping[str, Tensor],
    bound: float,
    rows: Callable[[Tensor, str], Tensor],
) -> str:
    """Say which other forms mean the same, something else, or are refused."""
    groups: dict[str, list[str]] = {"refused": [], "give the same output": [], "give another output": []}
    for form in others:
        if any((form, side) in refused for side in _SIDES):
            groups["refused"].append(_named(form))
            continue
        apart = max(distance(rows(outputs[form, side], side), usual[side]) for side in _SIDES)
        groups["give the same output" if apart <= bound else "give another output"].append(_named(form))
    return "; ".join(f"{', '.join(many)} {word}" for word, many in groups.items() if many)
