"""Reads the target's specs: which models and attention mechanisms it has, how to build them, what they promise."""

import importlib
import inspect
import random
import sys
from collections.abc import Callable, Mapping
from typing import cast

import torch

from . import spec_keys
from .phases import phase
from .plain import NotPlain, plain
from .standins.installing import DECLARABLE
from .training import entries as training

GUESS = "guess:"  # begins what stands in the place of the module of specs where there are none
_SECTIONS = ("MODELS", "ATTENTION", "BENCHMARKS", "DATA")
_REQUIRED = {
    "MODELS": ("class", "build", "inputs", "loss"),
    "ATTENTION": ("forward", "contract"),
    "DATA": spec_keys.DATA_REQUIRED,
    "BENCHMARKS": ("function", "forward"),
}
_KNOWN = {
    "MODELS": ("class", "build", "inputs", "loss", *spec_keys.MODEL_KEYS),
    "DATA": spec_keys.DATA_KEYS,
    "ATTENTION": ("class", "build", "function", "forward", "decode", "contract", "stand_ins"),
    "BENCHMARKS": ("function", "forward", "unsupported"),
}
_CALLABLE = ("build", "inputs", "loss", "forward", "decode", "unsupported")


def import_module(name: str) -> dict[str, object]:
    """Import `name` and tell where it came from."""
    with phase("import"):
        module = importlib.import_module(name)
    # A module may put any object in its own place; one that is compiled into the interpreter hides every file.
    return {"path": getattr(module, "__file__", None), "built_in": name in sys.builtin_module_names}


def describe(module: str) -> dict[str, object]:
    """Return what the specs declare, as plain data: a key for each section, in lower case.

    A section that is absent is None, and `misnamed` has the name that was nearly it, where there is one; an entry that
    cannot be used carries a `problem`.
    """
    with phase("import"):
        specs = importlib.import_module(module)
    found: dict[str, object] = {section.lower(): _section(specs, section) for section in _SECTIONS}
    found["training"] = training.described(getattr(specs, "TRAINING", None))
    near = spec_keys.misnamed(vars(specs), (*_SECTIONS, "TRAINING"))
    return {**found, "misnamed": near, "path": getattr(specs, "__file__", None)}


def entry(module: str, section: str, name: str) -> Mapping[str, object]:
    """Return one entry of the specs; of what was guessed in their place where `module` is such a text."""
    if module.startswith(GUESS):
        from .guess import whole  # which imports this

        return whole.entry(module.removeprefix(GUESS))
    with phase("import"):
        specs = importlib.import_module(module)
    return cast(Mapping[str, object], getattr(specs, section)[name])


def function(spec: Mapping[str, object], key: str) -> Callable[..., object]:
    """Return a callable of an entry; `describe` has checked that it is one."""
    return cast(Callable[..., object], spec[key])


def seed_everything(seed: int) -> None:
    """Seed torch, Python's random and, where the target has loaded it, NumPy."""
    torch.manual_seed(seed)
    random.seed(seed)
    # numpy loads `numpy.random` when it is first used, and that imports `secrets`, which the target may shadow.
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed(seed % 2**32)


def _section(specs: object, section: str) -> dict[str, object] | None:
    entries = getattr(specs, section, None)
    if entries is None:
        return None
    return spec_keys.entries_described(section, entries, lambda spec: _described(section, spec))


def _takes(function: object, number: int) -> bool:
    """Whether a function can be given as many arguments by position."""
    try:
        parameters = inspect.signature(cast(Callable[..., object], function)).parameters.values()
    except (TypeError, ValueError):  # built in
        return False
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(each.kind in by_position for each in parameters) >= number


def _is_path(value: object) -> bool:
    return isinstance(value, str) and value.count(":") == 1 and all(value.split(":"))


def _described(section: str, spec: object) -> dict[str, object]:
    if not isinstance(spec, Mapping):
        return {"problem": f"the entry must be a dict, not {type(spec).__name__}"}
    if unknown := spec_keys.unknown_problem(spec, _KNOWN[section]):
        return {"problem": unknown}
    missing = [key for key in _REQUIRED[section] if key not in spec]
    if section == "ATTENTION":
        missing += [] if "function" in spec else [key for key in ("class", "build") if key not in spec]
    if missing:
        return {"problem": f"the entry lacks {', '.join(repr(key) for key in missing)}"}
    if isinstance(spec.get("build"), torch.nn.Module):
        return {"problem": "'build' must be a function that returns the model, not the model itself"}
    named = [key for key in ("class", "function") if key in spec and not _is_path(spec[key])]
    if named:
        return {"problem": f"'{named[0]}' must be written 'module:name', as in 'mypackage.model:Classifier'"}
    wrong = [key for key in _CALLABLE if key in spec and not callable(spec[key])]
    if wrong:
        return {"problem": f"{', '.join(repr(key) for key in wrong)} must be callable"}
    library = spec.get("stand_ins")
    if library is not None and library not in DECLARABLE:
        return {"problem": f"'stand_ins' must be one of {', '.join(map(repr, DECLARABLE))}"}
    if section != "ATTENTION":
        problem = (spec_keys.model_problem if section == "MODELS" else spec_keys.data_problem)(spec)
        if problem:
            return {"problem": problem}
    described: dict[str, object] = {
        "problem": None,
        "stand_ins": library,
        "class": str(spec["class"]) if "class" in spec else None,
        "function": str(spec["function"]) if "function" in spec else None,
        "decodes": "decode" in spec,
        "decodes_masked": "decode" in spec and _takes(spec["decode"], 3),
    }
    if section != "ATTENTION":
        described |= (spec_keys.model_described if section == "MODELS" else spec_keys.data_described)(spec)
    else:
        try:
            contract = plain(spec["contract"], "contract")
            if isinstance(contract, dict):
                described["contract"] = contract
            else:
                described["problem"] = f"'contract' must be a dict, not {type(contract).__name__}"
        except NotPlain as error:
            described["problem"] = str(error)
    return described
