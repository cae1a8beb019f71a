"""Where the command of an entry of TRAINING does something or begins, read from the sources of specs and command."""

import ast
from collections.abc import Iterator
from pathlib import Path

from audit.results import Location
from audit.static.reading import tree_of
from audit.target import Target

_PYTHON = "{python}"
# How calls end that read a state, take gradients and write a checkpoint.
READS, GRADIENTS, WRITES = ("torch.load", ".load_state_dict"), (".backward",), ("torch.save", "save_file")


def command_place(target: Target, specs: str, name: str, calls: tuple[str, ...]) -> Location | None:
    """Return the file that the command starts; where that is not known, its line in the specs.

    The line of the file is that of the first of the `calls`, by how they end; where it has none, that where it begins.
    None where the specs do not write the entry as a table with a `command`.
    """
    path = _source_of(target, specs)
    tree = tree_of(path) if path else None
    value = next(_commands(tree, name), None) if tree else None
    if path is None or value is None:
        return None
    started = _started(target, value.value) if isinstance(value, ast.Constant) else None
    place = target.relative(started) if started else None
    if started and place:
        return Location(path=place, line=_calling(started, calls) or _beginning(started))
    place = target.relative(path)
    return Location(path=place, line=value.lineno) if place else None


def _commands(tree: ast.Module, name: str) -> Iterator[ast.expr]:
    for table in (node for node in ast.walk(tree) if isinstance(node, ast.Dict)):
        entry = _held(table, name)
        value = _held(entry, "command") if isinstance(entry, ast.Dict) else None
        if value is not None:
            yield value


def _held(table: ast.Dict, name: str) -> ast.expr | None:
    pairs = zip(table.keys, table.values, strict=True)
    return next((value for key, value in pairs if isinstance(key, ast.Constant) and key.value == name), None)


def _started(target: Target, command: object) -> Path | None:
    """Return the file that a command of the form `{python} -m MODULE` or `{python} FILE` starts."""
    match command.split() if isinstance(command, str) else []:
        case [first, "-m", module, *_] if first == _PYTHON:
            return _source_of(target, module)
        case [first, file, *_] if first == _PYTHON and (target.root / file).is_file():
            return target.root / file
        case _:
            return None


def _source_of(target: Target, module: str) -> Path | None:
    if not all(part.isidentifier() for part in module.split(".")):
        return None
    place = target.source.joinpath(*module.split("."))
    candidates = (place.with_name(f"{place.name}.py"), place / "__main__.py", place / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


def _calling(path: Path, calls: tuple[str, ...]) -> int | None:
    """Return the line of the first call that ends so; None where the file has none."""
    tree = tree_of(path)
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)] if tree else []
    return min((each.lineno for each in found if ast.unparse(each.func).endswith(calls)), default=None)


def _beginning(path: Path) -> int | None:
    """Return the line of `if __name__ == "__main__"`; None where there is none."""
    tree = tree_of(path)
    tests = [node for node in tree.body if isinstance(node, ast.If)] if tree else []
    return next((each.lineno for each in tests if "__name__" in ast.unparse(each.test)), None)
