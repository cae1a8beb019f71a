"""A file of weights fits the model that it is declared for."""

from collections.abc import Mapping

from audit.judgement import Judgement, Measured, error, judged, skipped
from audit.plan import Run
from audit.replies import table_of, text_of
from audit.results import Check, Comparison, Severity
from audit.weights import DeclaredWeights
from validation.readiness.checkpoints.file import Checkpoint
from validation.readiness.listing import listed

CHECK = Check(
    id="checkpoints.fits_model",
    title="The weights fit their model",
    proves="The file has a tensor for each entry of the model's state dict, and no other, with its shape and dtype. "
    "The model is built by the specs, in the target's process; the file is not loaded.",
    defect="a checkpoint of a model with one layer less",
    severity=Severity.MAJOR,
)
_USUAL_KEYS = ("state_dict", "model_state_dict", "model")


def judge(declared: DeclaredWeights, known: Mapping[str, str | None], checkpoint: Checkpoint, run: Run) -> Judgement:
    """Build the model and compare its state dict with what the file holds.

    Args:
        declared: what the configuration says of the file.
        known: the class that the specs declare for each of their models.
        checkpoint: the file.
        run: with the probe that builds the model.
    """
    specs = run.target.settings.specs
    if specs is None or declared.model not in known:
        return error(
            f"the specs declare no model {declared.model!r}, for which the file is",
            fix="name a model of MODELS under `checkpoints` in the configuration",
        )
    layout = checkpoint.layout
    if layout.unread:
        return skipped(f"{len(layout.unread)} tensors are of a form that is not read: {listed(layout.unread, 3)}")
    reply = run.probe.call_unharmed("model_state_forms", specs=specs, name=declared.model, seed=run.seed)
    if (built := text_of(reply, "class")) != known[declared.model]:
        return error(f"what is built is {built}, another class than the one declared: see smoke.build")
    wanted = {key: str(form) for key, form in table_of(reply, "forms").items()}
    stored = _below({tensor.name: tensor.form for tensor in layout.tensors}, declared.key, wanted)
    wrong = [
        f"{name} is {stored.get(name, 'absent')} in the file and {wanted.get(name, 'absent')} in the model"
        for name in sorted(stored.keys() | wanted.keys())
        if stored.get(name) != wanted.get(name)
    ]
    return judged(
        Measured(
            value=len(wrong),
            bound=0,
            comparison=Comparison.EQUAL,
            origin=f"load_state_dict takes what has the names and forms of the model's own; tensors: {len(wanted)}",
            unit="tensors that differ",
        ),
        otherwise=listed(wrong),
        fix=f"save the state dict of {declared.model} as it is now, or declare the model that the file is for",
    )


def _below(stored: Mapping[str, str], key: str | None, wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the tensors below a key; where none is named, below the usual one that has most of those wanted."""
    keys = (f"{key}.",) if key else ("", *(f"{usual}." for usual in _USUAL_KEYS))
    each = [
        {name.removeprefix(prefix): form for name, form in stored.items() if name.startswith(prefix)} for prefix in keys
    ]
    return max(each, key=lambda names: len(names.keys() & wanted.keys()))
