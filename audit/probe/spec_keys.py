"""The keys that an entry of MODELS or DATA may have beside those it must have, and what is said of unknown ones."""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeGuard

from . import spec_behaviour, spec_generation, spec_weights
from .plain import encodable, plain

MODEL_KEYS = ("initial_loss", "meta", "device", *spec_behaviour.KEYS, *spec_weights.KEYS, *spec_generation.KEYS)
DATA_KEYS = ("class", "build", "item", "splits", "random")
DATA_REQUIRED = ("class", "build")
DATA_CALLABLE = ("item", "splits")
_KINDS_OF_DEVICE = ("cpu", "cuda")
# Of ten letters two may be others: ATENTION and MODLES are found, DATASETS is no DATA.
_ALIKE = 0.8


def entries_described(
    section: str, entries: object, described: Callable[[object], dict[str, object]]
) -> dict[str, object]:
    """Return each entry of a section as `described` says it, by its name; one whose name is no text is a problem.

    Raises:
        TypeError: the section is not a dict.
    """
    if not isinstance(entries, Mapping):
        raise TypeError(f"{section} must be a dict of entries by name, not {type(entries).__name__}")
    found: dict[str, object] = {encodable(name): described(spec) for name, spec in entries.items() if _is_name(name)}
    nameless = [encodable(repr(name)) for name in entries if not _is_name(name)]
    return found | {name: {"problem": f"an entry must be named by text, not by {name}"} for name in nameless}


def _is_name(name: object) -> TypeGuard[str]:
    return isinstance(name, str) and encodable(name) == name


def unknown_problem(given: Iterable[object], known: Sequence[str]) -> str | None:
    """Return what is said of keys that are not known, each with the nearest that is; None where all are."""
    unknown = [key for key in given if key not in known]
    if not unknown:
        return None
    return f"unknown key {', '.join(_with_nearest(key, known) for key in unknown)}; known are {_quoted(known)}"


def misnamed(names: Mapping[str, object], sections: Sequence[str]) -> dict[str, str]:
    """Return for each section that a specs module lacks the name of a dict in it that is nearly called so.

    A module may hold tables of its own: one that is like a section which is there as well is none.
    """
    tables = [name for name, value in names.items() if isinstance(value, Mapping) and not name.startswith("_")]
    found: dict[str, str] = {}
    for section in sections:
        if section not in names:
            capitals = {name.upper(): name for name in tables if name not in sections}
            if near := difflib.get_close_matches(section, capitals, n=1, cutoff=_ALIKE):
                found[section.lower()] = capitals[near[0]]
    return found


def _with_nearest(key: object, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1) if isinstance(key, str) else []
    return f"{key!r} (did you mean {near[0]!r}?)" if near else repr(key)


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


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
    problem = spec_behaviour.behaviour_problem(spec) or spec_weights.weights_problem(spec)
    return problem or spec_generation.generation_problem(spec)


def model_described(spec: Mapping[str, object]) -> dict[str, object]:
    """Return the optional keys of an entry of MODELS as plain data."""
    return {
        "initial_loss": plain(spec.get("initial_loss"), "initial_loss"),
        "meta": spec.get("meta", True),
        "device": spec.get("device"),
        **spec_behaviour.behaviour_described(spec),
        **spec_weights.weights_described(spec),
        **spec_generation.generation_described(spec),
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
