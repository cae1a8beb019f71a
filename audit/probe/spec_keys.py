"""The keys that an entry of MODELS or DATA may have beside those it must have."""

import math
from collections.abc import Mapping

from . import spec_behaviour
from .plain import plain

MODEL_KEYS = ("initial_loss", "meta", "device", *spec_behaviour.KEYS)
DATA_KEYS = ("class", "build", "item", "splits", "random")
DATA_REQUIRED = ("class", "build")
DATA_CALLABLE = ("item", "splits")
_KINDS_OF_DEVICE = ("cpu", "cuda")


def model_problem(spec: Mapping[str, object]) -> str | None:
    """Return what is wrong with the optional keys of an entry of MODELS; None where nothing is."""
    loss = spec.get("initial_loss")
    if "initial_loss" in spec and (
        isinstance(loss, bool) or not isinstance(loss, int | float) or not math.isfinite(loss)
    ):
        return "'initial_loss' must be a finite number, the loss of a model that knows nothing"
    if not isinstance(spec.get("meta", True), bool):
        return "'meta' must be True or False: whether 'build' works without the values of tensors"
    if spec.get("device", "cpu") not in _KINDS_OF_DEVICE:
        return f"'device' must be one of {', '.join(map(repr, _KINDS_OF_DEVICE))}, the kind that the model needs"
    return spec_behaviour.behaviour_problem(spec)


def model_described(spec: Mapping[str, object]) -> dict[str, object]:
    """Return the optional keys of an entry of MODELS as plain data."""
    return {
        "initial_loss": plain(spec.get("initial_loss"), "initial_loss"),
        "meta": spec.get("meta", True),
        "device": spec.get("device"),
        **spec_behaviour.behaviour_described(spec),
    }


def data_problem(spec: Mapping[str, object]) -> str | None:
    """Return what is wrong with the optional keys of an entry of DATA; None where nothing is."""
    wrong = [key for key in DATA_CALLABLE if key in spec and not callable(spec[key])]
    if wrong:
        return f"{', '.join(map(repr, wrong))} must be callable"
    if not isinstance(spec.get("random", False), bool):
        return "'random' must be True or False: whether an item differs each time it is read"
    return None


def data_described(spec: Mapping[str, object]) -> dict[str, object]:
    """Return the optional keys of an entry of DATA as plain data."""
    return {"has_splits": "splits" in spec, "random": spec.get("random", False)}
