"""Outputs keep their rank and dtype for every batch size, and have one entry for each sample."""

from collections.abc import Mapping

from audit.gateway import ProbeFailure, TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, failed, judged
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import list_of, names_of, table_of
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import determinism
from validation.smoke.model import RegisteredModel

CHECK = Check(
    id="smoke.output_forms",
    title="Outputs keep their form for every batch size",
    proves="For batches of 1, 2 and 4 samples each output has the same dtype and number of axes, and one of them has "
    "an axis that is as long as the batch, or is a list with one item for each sample.",
    defect="a squeeze() that takes the batch away when it holds one sample",
    severity=Severity.MAJOR,
)
REQUIRES = (determinism.CHECK.id,)
_SIZES = (1, 2, 4)
_Form = tuple[tuple[int, ...], str]


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Compare shapes and dtypes of batches of several sizes."""
    try:
        reply = run.probe.call(
            "model_forms", specs=model.specs, name=model.name, seed=run.seed, batch_sizes=list(_SIZES)
        )
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("forward",))
    forms = _forms(reply)
    names = list(dict.fromkeys(name for each in forms for name in each))
    if not names:
        return error("the output holds no tensor")
    lists = names_of(reply, "lists")
    wrong = [trouble for name in names if (trouble := _trouble(name, [each.get(name, []) for each in forms]))]
    following = [name for name in names if _follows([each.get(name, []) for each in forms])]
    following += [f"{name} (one item for each sample)" for name in lists]
    measured = Measured(
        value=len(wrong),
        bound=0,
        comparison=Comparison.EQUAL,
        origin=f"what uses {', '.join(names)} cannot depend on how many samples were given; follow the batch: "
        f"{', '.join(following) or 'none'}",
        unit="outputs that change their form",
    )
    if not wrong and not following:
        batches = " and ".join(map(str, _SIZES))
        return failed(
            f"no output has an axis as long as the batch, for {batches} samples: {_shown(forms[-1])}",
            fix="return one entry for each sample",
        )
    return judged(measured, otherwise="; ".join(wrong), fix="keep the axis of the batch: name the axes to squeeze")


def _trouble(name: str, forms: list[list[_Form]]) -> str | None:
    """Tell what differs between batches, or between the items of a list with one for each sample."""
    if not all(forms):
        there = [str(size) for size, form in zip(_SIZES, forms, strict=True) if form]
        return f"{name} is there for a batch of {', '.join(there)} only"
    if len({dtype for each in forms for _, dtype in each}) > 1:
        return f"{name} is {_each(forms, 1)} for batches of {', '.join(map(str, _SIZES))}"
    if len({len(shape) for each in forms for shape, _ in each}) > 1:
        return f"{name} has {_each(forms, 0)} for batches of {', '.join(map(str, _SIZES))}"
    return None


def _each(forms: list[list[_Form]], part: int) -> str:
    return ", ".join(" and ".join(dict.fromkeys(str(form[part]) for form in each)) for each in forms)


def _follows(forms: list[list[_Form]]) -> bool:
    shapes = [each[0][0] for each in forms if len(each) == 1]
    if len(shapes) < len(_SIZES) or len({len(shape) for shape in shapes}) > 1:
        return False
    axes = zip(*shapes, strict=True)
    return any(tuple(axis) == _SIZES for axis in axes)


def _shown(forms: Mapping[str, list[_Form]]) -> str:
    return ", ".join(f"{name} {shape}" for name, each in forms.items() for shape, _ in each)


def _forms(reply: Mapping[str, Plain]) -> list[dict[str, list[_Form]]]:
    found = []
    for size in _SIZES:
        outputs = table_of(table_of(table_of(reply, "forms"), str(size)), "outputs")
        found.append({name: [_form(form) for form in list_of(outputs, name)] for name in outputs})
    return found


def _form(form: Plain) -> _Form:
    match form:
        case {"shape": list() as shape, "dtype": str() as dtype}:
            return tuple(axis for axis in shape if isinstance(axis, int)), dtype
    raise ProbeFailure("the target's process sent a malformed form")
