"""The section TRAINING of the specs: what each entry must hold, and how it is described to the auditor."""

import math
import shlex
from collections.abc import Mapping

from ..spec_keys import entries_described, unknown_problem
from ..spec_weights import frozen_problem

KNOWN = (
    "class", "build", "batches", "loss", "optimizer", "scheduler", "validation",
    "command", "resume", "torchrun", "one_process", "curve", "min_steps_per_s",
    "optimizer_steps", "frozen",
)  # fmt: skip
_REQUIRED = ("class", "build", "batches", "loss")
_CALLABLE = ("build", "batches", "loss", "optimizer", "scheduler", "validation")
_WORDS = ("command", "resume", "torchrun", "one_process")
_RESUME = ["--resume"]
_MOST_OPTIMIZER_STEPS = 1000


def described(entries: object) -> dict[str, object] | None:
    """Return each entry of TRAINING as plain data; one that cannot be used carries a `problem`."""
    if entries is None:
        return None
    return entries_described("TRAINING", entries, _described)


def _described(spec: object) -> dict[str, object]:
    if not isinstance(spec, Mapping):
        return {"problem": f"the entry must be a dict, not {type(spec).__name__}"}
    if problem := _problem(spec):
        return {"problem": problem}
    return {
        "problem": None,
        "class": str(spec["class"]),
        "has_command": "command" in spec,
        "has_ranks": "torchrun" in spec,
        "has_optimizer": "optimizer" in spec,
        "frozen": list(spec["frozen"]) if spec.get("frozen") is not None else None,
        "optimizer_steps": float(spec["optimizer_steps"]) if "optimizer_steps" in spec else None,
        "min_steps_per_s": float(spec["min_steps_per_s"]) if "min_steps_per_s" in spec else None,
    }


def _problem(spec: Mapping[object, object]) -> str | None:
    missing = [repr(key) for key in _REQUIRED if key not in spec]
    if unknown := unknown_problem(spec, KNOWN):
        return unknown
    if missing:
        return f"the entry lacks {', '.join(missing)}"
    declared = spec["class"]
    if not (isinstance(declared, str) and declared.count(":") == 1 and all(declared.split(":"))):
        return "'class' must be written 'module:name', as in 'mypackage.model:Classifier'"
    wrong = [repr(key) for key in _CALLABLE if key in spec and not callable(spec[key])]
    if wrong:
        return f"{', '.join(wrong)} must be callable"
    wordless = [repr(key) for key in _WORDS if key in spec and not _is_words(spec[key])]
    if wordless:
        return f"{', '.join(wordless)} must be a command line: a text or a list of words"
    if "torchrun" in spec and not {"one_process", "curve"} <= spec.keys():
        return "'torchrun' needs 'one_process', a command with the same global batch, and 'curve', the file to compare"
    floor = spec.get("min_steps_per_s", 1.0)
    if isinstance(floor, bool) or not isinstance(floor, int | float) or not floor > 0:
        return "'min_steps_per_s' must be a positive number"
    if not _is_whole_or_one_part(spec.get("optimizer_steps", 1)):
        return "'optimizer_steps' must be a whole number, or 1 / n for a whole n: those taken for each of {steps}"
    if spec.get("frozen") is not None and (problem := frozen_problem(spec["frozen"])):
        return problem
    command = spec.get("command")
    return _command_problem(words(command)) if command is not None else None


def _is_whole_or_one_part(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MOST_OPTIMIZER_STEPS:
        return False
    over = value if value >= 1 else 1 / value
    return round(over) <= _MOST_OPTIMIZER_STEPS and math.isclose(over, round(over), rel_tol=1e-6)


def _is_words(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list | tuple) and all(isinstance(word, str) for word in value))


def words(command: object) -> list[str]:
    """Return a command line as words."""
    if isinstance(command, str):
        return shlex.split(command)
    assert isinstance(command, list | tuple)
    return [str(word) for word in command]


def _command_problem(line: list[str]) -> str | None:
    if line[:1] != ["{python}"] or len(line) < 2 or (line[1] == "-m" and len(line) < 3):
        return "'command' must begin with {python} -m MODULE or {python} FILE"
    text = " ".join(line)
    missing = [name for name in ("{checkpoint_dir}", "{steps}", "{resume}") if name not in text]
    return f"'command' lacks {', '.join(missing)}" if missing else None


def filled(spec: Mapping[str, object], key: str, values: Mapping[str, object], *, resumes: bool) -> list[str]:
    """Return a command of an entry with its placeholders filled; `{resume}` is left out where nothing is resumed."""
    resume = words(spec.get("resume", _RESUME)) if resumes else []
    line = [part for word in words(spec[key]) for part in (resume if word == "{resume}" else [word])]
    for name, value in values.items():
        line = [word.replace(f"{{{name}}}", str(value)) for word in line]
    return line
