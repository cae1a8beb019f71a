"""Says in one line what a key of an entry names and the model does not have: what, where and what to do."""

import ast
from pathlib import Path

from audit.gateway import TargetRaised
from audit.judgement import Judgement, error
from audit.plan import Run
from audit.raised import judge_raised
from audit.results import Location
from audit.target import Target
from validation.smoke.model import RegisteredModel

_RAISED = "Misdeclared"  # the probe's own, of audit/probe/behaving/misdeclared.py


def is_misdeclared(raised: TargetRaised) -> bool:
    """Whether what a check raised is about what a key of the entry names."""
    return raised.type_name == _RAISED


def judge_misdeclared(
    model: RegisteredModel, run: Run, key: str, raised: TargetRaised, *, phases: tuple[str, ...] = ("forward",)
) -> Judgement:
    """Judge what a check of this key raised: an error of the specs where it names what is not there."""
    if not is_misdeclared(raised):
        return judge_raised(raised, run.target, phases=phases)
    place = _place(model, key, run.target)
    return error(
        f"MODELS[{model.name!r}] of {model.specs}: in {key!r}, {raised.message}",
        location=place,
        fix=f"correct {key!r} of this entry in {place.path if place else 'the specs'}",
    )


def error_of_inputs(model: RegisteredModel, run: Run, said: str, *, fix: str) -> Judgement:
    """Return an error of what the entry's 'inputs' gives; `said` goes on where the key has been named."""
    return error(
        f"MODELS[{model.name!r}] of {model.specs}: 'inputs' {said}",
        location=_place(model, "inputs", run.target),
        fix=fix,
    )


def _place(model: RegisteredModel, key: str, target: Target) -> Location | None:
    """Return where the specs say it; None where they are no file of the target."""
    file = target.file_of(model.specs)
    relative = target.relative(file) if file else None
    return Location(path=relative, line=_line(file, model.name, key)) if file and relative else None


def _line(file: Path, name: str, key: str) -> int | None:
    """Return the line of a key in the dict that is written under a name; that of the name, or None, without such."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):  # it changed since the target has imported it
        return None
    found: int | None = None
    for node in ast.walk(tree):
        for of_entry, entry in _items(node):
            if of_entry.value == name:
                found = found or of_entry.lineno
                for of_key, _ in _items(entry):
                    if of_key.value == key:
                        return of_key.lineno
    return found


def _items(node: ast.AST) -> list[tuple[ast.Constant, ast.expr]]:
    pairs = zip(node.keys, node.values, strict=True) if isinstance(node, ast.Dict) else ()
    return [(key, value) for key, value in pairs if isinstance(key, ast.Constant)]
