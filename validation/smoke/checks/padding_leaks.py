"""What is hidden as padding does not reach what is shown."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from audit.catalog import Padding
from audit.gateway import ProbeFailure, TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, judged, not_applicable
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import number_of, table_of
from audit.results import Check, Comparison, Severity
from validation.smoke.alike import ORIGIN, Gap, Tensors, gaps, judge_gaps, moved_of
from validation.smoke.checks import determinism
from validation.smoke.compare import difference, unusable
from validation.smoke.misdeclared import judge_misdeclared
from validation.smoke.model import BATCH_SIZE, RegisteredModel, tensors_of
from validation.smoke.named_outputs import FIX_OF_OUTPUTS, UntoldError, spans_of
from validation.smoke.padding_batches import described, number_of_batches
from validation.smoke.positions import axes_of, hidden

CHECK = Check(
    id="smoke.padding_leaks",
    title="Padded content cannot leak",
    proves="Where a mask hides positions, or lengths or a token for padding do, other content there, and content a "
    "hundred times larger, leaves every output at the shown positions as it is, to the last bit, or as "
    "nearly as rounding allows where other content makes other sums, as the tokens of an expert do; with the mask "
    "open the same content changes the output. Of tokens the content is what they look up in tables. Of outputs that "
    "`outputs` names, those positions are shown that a row has without its padding. In one batch, and in four where "
    "there are lengths or `outputs`. All in eval mode: what the "
    "statistics of a batch take from padding in train mode is not looked at.",
    defect="a mask that is taken and not passed on",
    severity=Severity.CRITICAL,
)
REQUIRES = (determinism.CHECK.id,)
# What arguments are conventionally called whose True or 1 keeps a position, and those whose True hides one.
_KEEPING = ("attention_mask", "key_mask", "input_mask", "token_mask", "valid_mask", "encoder_attention_mask")
_HIDING = ("key_padding_mask", "src_key_padding_mask", "padding_mask", "pad_mask")
# A sum may take these as they are, and attention may not.
_ZEROS = "only rows that a table keeps zero by its padding_idx are looked up by the padding of"
_AS_ROWS = "declare the padding `removable`, and smoke.padded_rows compares each row with the row without its padding"
_FIX_OF_REVERSED = (
    "the mask is read the other way round, for nothing leaks where it says the opposite: declare what True means by "
    "'keeps' in `padding`, or turn the mask around where it is passed on"
)
_FIX = "pass the mask or lengths on to everything that looks across positions, or declare in `padding` what is hidden"


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Change what is hidden, and look at what is shown."""
    declared = model.entry.padding
    paddings = _inferred(model, run) if declared is None else declared
    if not paddings:
        return not_applicable(
            "the specs declare no `padding`"
            + ("" if declared is not None else ", and no argument of forward is called like a mask of positions")
        )
    found: list[Gap] = []
    untold: list[str] = []
    leaking: list[tuple[Padding, int]] = []
    for batch in range(number_of_batches(paddings)):
        try:
            reply = model.call_on_batch(
                run, "model_padding", seed=run.seed + batch, paddings=[described(each, batch) for each in paddings]
            )
        except TargetRaised as raised:
            return judge_misdeclared(model, run, "padding", raised)
        for index, padding in enumerate(paddings):
            seen = _looked_at(model, run, batch, paddings, reply, index)
            if isinstance(seen, Judgement):
                return seen
            reached, doubtful = seen
            leaking += [(padding, batch)] if any(gap.error > gap.bound for gap in reached) else []
            found += reached
            untold += doubtful
    if untold and all(gap.error <= gap.bound for gap in found):
        return error(
            f"outputs change where hidden positions may stand, and which of their axes has positions is not told: "
            f"{'; '.join(dict.fromkeys(untold))}",
            fix="let the specs give inputs of which no other axis is as long as the masked one, or return positions "
            "on an axis as long as it",
        )
    names = ", ".join(padding.mask for padding in paddings)
    how = f"{names}, {'declared' if declared is not None else 'inferred from its name'}"
    if found:
        return judge_gaps(
            found,
            origin="not equal bit by bit, which rounding may do where what is hidden is in one product with what is "
            f"shown, as the tokens of an expert are; {how}; {ORIGIN}",
            otherwise="content that a mask hides reaches the output",
            fix=_FIX_OF_REVERSED if any(_is_reversed(model, run, each, batch) for each, batch in leaking) else _FIX,
        )
    return judged(
        Measured(
            value=0.0,
            bound=0.0,
            comparison=Comparison.EQUAL,
            origin=f"what is hidden counts nothing: its weight is exactly zero, whatever it is multiplied with; {how}",
            unit="max abs difference",
        ),
        otherwise="",
    )


def _looked_at(
    model: RegisteredModel, run: Run, batch: int, paddings: Sequence[Padding], reply: Mapping[str, Plain], index: int
) -> tuple[list[Gap], list[str]] | Judgement:
    """Return the gap of each output that is not equal at shown positions, and what outputs may not be equal."""
    padding = paddings[index]
    whole = tensors_of(reply, f"whole.{index}")
    if problem := unusable(whole):
        return error(f"no reference to compare with: {problem}")
    if padding.marks == "tokens" and not number_of(reply, f"lookups.{index}"):
        return _left_to_rows(padding, f"{padding.mask} is looked up in no table whose rows could be replaced")
    kept = tensors_of(reply, f"mask.{index}").get("mask")
    if kept is None:
        raise ProbeFailure("the target's process sent a reply without a mask")
    behind = f"{_content(padding)} behind {padding.mask}"
    moved = _moved(model, run, batch, paddings, index)
    try:
        hidden_at = {name: _hidden_at(padding, reply, index, kept, name, each) for name, each in whole.items()}
    except UntoldError as untold_why:
        return error(f"in 'padding', 'outputs': {untold_why}", fix=FIX_OF_OUTPUTS)
    found: list[Gap] = []
    untold: list[str] = []
    for content in ("other", "larger"):
        changed = tensors_of(reply, f"{content}.{index}")
        try:
            reached, doubtful = _gaps(whole, changed, hidden_at, behind, moved)
        except TargetRaised as raised:
            # It has run on this very batch before: what raises on one that is moved is no mistake of its mask.
            return judge_raised(raised, run.target, phases=())
        if reached and reply.get(f"stays_zero.{index}") is True:
            return _left_to_rows(padding, f"{_ZEROS} {padding.mask}")
        found += reached
        untold += [f"{', '.join(doubtful)} with {behind}"] if doubtful else []
    opened, shown = tensors_of(reply, f"open.{index}"), tensors_of(reply, f"shown.{index}")
    if not found and not untold and difference(opened, shown) == 0:
        return error(
            f"with {padding.mask} open the output does not depend on {_content(padding)} there either: "
            "nothing was tested"
        )
    return found, untold


def _is_reversed(model: RegisteredModel, run: Run, padding: Padding, batch: int) -> bool:
    """Whether nothing leaks where the mask says the opposite of what the specs declare."""
    if padding.marks != "mask":
        return False
    try:
        turned = {**described(padding, batch), "reversed": True}
        reply = model.call_on_batch(run, "model_padding", seed=run.seed + batch, paddings=[turned])
    except TargetRaised:
        return False
    seen = _looked_at(model, run, batch, [padding], reply, 0)
    return seen == ([], [])


def _content(padding: Padding) -> str:
    looked_up = [f"what {padding.mask} looks up"] if padding.marks == "tokens" else []
    return ", ".join(looked_up + padding.content)


def _left_to_rows(padding: Padding, said: str) -> Judgement:
    """Judge tokens of which nothing can be replaced that padding has and that could reach the output."""
    if padding.removable:
        return not_applicable(f"{said}; whether padding reaches the output is what smoke.padded_rows judges")
    return error(f"{said}: whether padding reaches the output is not told", fix=_AS_ROWS)


def _moved(
    model: RegisteredModel, run: Run, batch: int, paddings: Sequence[Padding], index: int
) -> Callable[[], Sequence[Tensors]]:
    """Return what runs the batch moved by one unit in the last place, once; only where bits are not equal."""

    @functools.cache
    def moved() -> Sequence[Tensors]:
        told = list[Plain](described(each, batch) for each in paddings)
        seed = run.seed + batch
        return moved_of(model.call_on_batch(run, "model_moved_padding", seed=seed, paddings=told, index=index))

    return moved


def _hidden_at(
    padding: Padding, reply: Mapping[str, Plain], index: int, kept: Tensor, name: str, output: Tensor
) -> tuple[Tensor, Tensor]:
    """Return which elements of an output stand at hidden positions: surely, and possibly.

    Raises:
        UntoldError: the specs name the output, and its positions are not those of the rows.
    """
    axes, named = axes_of(output, name, kept, table_of(reply, f"axes.{index}")), padding.outputs or {}
    if name not in named:
        return hidden(output, axes, kept)
    spans = spans_of(output, name, named[name], samples=axes.samples, kept=kept, reply=reply, key=f"rows.{index}")
    surely = spans.hidden(output)
    return surely, surely


def _gaps(
    whole: Tensors,
    found: Tensors,
    hidden_at: Mapping[str, tuple[Tensor, Tensor]],
    behind: str,
    moved: Callable[[], Sequence[Tensors]],
) -> tuple[list[Gap], list[str]]:
    """Return the gap of each output that is not equal at shown positions, and the outputs that may not be equal."""
    reached, doubtful = list[Gap](), list[str]()
    for name in sorted(whole.keys() | found.keys()):
        output, other, label = whole.get(name), found.get(name), f"{name} with {behind}"
        if output is None or other is None or output.shape != other.shape or output.dtype != other.dtype:
            reached.append(Gap(name=label, error=math.inf, bound=0.0, extent=0.0))
            continue
        if not difference({name: output}, {name: other}):
            continue
        surely, possibly = hidden_at[name]
        shown = ~possibly
        if difference({name: output[shown]}, {name: other[shown]}):
            alike = [each.get(name) for each in moved()]
            draws = [{} if each is None or each.shape != shown.shape else {label: each[shown]} for each in alike]
            reached += gaps({label: output[shown]}, {label: other[shown]}, draws)
        elif difference({name: output[~surely]}, {name: other[~surely]}):
            doubtful.append(name)
    return reached, doubtful


def _inferred(model: RegisteredModel, run: Run) -> list[Padding]:
    reply = run.probe.call("model_forms", specs=model.specs, name=model.name, seed=run.seed, batch_sizes=[BATCH_SIZE])
    shapes = _shapes(reply)
    found = []
    for name in (*_KEEPING, *_HIDING):
        mask = shapes.get(name)
        if mask is None or len(mask) != 2:
            continue
        hidden = [each for each, shape in shapes.items() if each != name and shape[:2] == mask and "mask" not in each]
        if hidden:
            found.append(Padding(mask=name, content=hidden, keeps=name in _KEEPING))
    return found


def _shapes(reply: Mapping[str, Plain]) -> dict[str, tuple[int, ...]]:
    forms = reply.get("forms")
    each = forms.get(str(BATCH_SIZE)) if isinstance(forms, dict) else None
    inputs = each.get("inputs") if isinstance(each, dict) else None
    found: dict[str, tuple[int, ...]] = {}
    for path, form in inputs.items() if isinstance(inputs, dict) else ():
        shape = form.get("shape") if isinstance(form, dict) else None
        if isinstance(shape, list):
            found[path.removeprefix("inputs.")] = tuple(axis for axis in shape if isinstance(axis, int))
    return found
