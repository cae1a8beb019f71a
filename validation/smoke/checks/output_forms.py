"""Outputs keep their rank and dtype for every batch size, and have one entry for each sample."""

from collections.abc import Mapping

from audit.gateway import ProbeFailure, TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, failed, judged
from audit.plan import Run
from audit.raised import judge_raised
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import determinism
from validation.smoke.model import RegisteredModel

CHECK = Check(
    id="smoke.output_forms",
    title="Outputs keep their form for every batch size",
    proves="For batches of 1, 2 and 4 samples each output has the same dtype and number of axes, and one of "
    "them has an "
    "axis that is as long as the batch.",
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
    forms = _forms(reply, "outputs")
    names = list(dict.fromkeys(name for each in forms for name in each))
    if not names:
        return error("the output holds no tensor")
    wrong = [trouble for name in names if (trouble := _trouble(name, [each.get(name) for each in forms]))]
    following = [name for name in names if _follows([each.get(name) for each in forms])]
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


def _trouble(name: str, forms: list[_Form | None]) -> str | None:
    if any(form is None for form in forms):
        there = [str(size) for size, form in zip(_SIZES, forms, strict=True) if form]
        return f"{name} is there for a batch of {', '.join(there)} only"
    known = [form for form in forms if form]
    if len({dtype for _, dtype in known}) > 1:
        return f"{name} is {', '.join(dtype for _, dtype in known)} for batches of {', '.join(map(str, _SIZES))}"
    if len({len(shape) for shape, _ in known}) > 1:
        return f"{name} has {', '.join(str(shape) for shape, _ in known)} for batches of {', '.join(map(str, _SIZES))}"
    return None


def _follows(forms: list[_Form | None]) -> bool:
    shapes = [form[0] for form in forms if form]
    if len(shapes) < len(_SIZES) or len({len(shape) for shape in shapes}) > 1:
        return False
    axes = zip(*shapes, strict=True)
    return any(tuple(axis) == _SIZES for axis in axes)


def _shown(forms: Mapping[str, _Form]) -> str:
    return ", ".join(f"{name} {shape}" for name, (shape, _) in forms.items())


def _forms(reply: Mapping[str, Plain], part: str) -> list[dict[str, _Form]]:
    forms = reply.get("forms")
    found = []
    for size in _SIZES:
        each = forms.get(str(size)) if isinstance(forms, dict) else None
        named = each.get(part) if isinstance(each, dict) else None
        if not isinstance(named, dict):
            raise ProbeFailure("the target's process sent a reply without forms")
        found.append({name: _form(form) for name, form in named.items()})
    return found


def _form(form: Plain) -> _Form:
    match form:
        case {"shape": list() as shape, "dtype": str() as dtype}:
            return tuple(axis for axis in shape if isinstance(axis, int)), dtype
    raise ProbeFailure("the target's process sent a malformed form")
