"""The names of a printed specs module: that its target can be imported by one, and that none stands for two things."""

import ast
import builtins
import keyword
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audit.attention.found import module_of
from audit.errors import UsageError
from audit.report.text import one_line, plain

_PREFIX = "target_"
# The names that a printed module may have, so that two of them can be put together.
_OWN = frozenset(
    {"ATTENTION", "MODELS", "Any", "DynamicCache", "Settings", "SimpleNamespace", "Tensor", "build", "build_model"}
    | {"decode", "forward", "inputs", "loss", "torch"}
)


def import_name(path: Path) -> str:
    """Return the name by which a file is imported, from the folder of its topmost package.

    Raises:
        UsageError: no `import` statement can name it.
    """
    module = module_of(path) or path.stem
    parts = [path.stem] if module == path.stem else module.split(".")
    wrong = next((part for part in parts if not part.isidentifier() or keyword.iskeyword(part)), None)
    if wrong is None and module != "__init__":
        return module
    what = "its folder" if path.stem == "__init__" or wrong != path.stem else "it"
    raise UsageError(
        f"{one_line(str(path))}: cannot be imported by name, so that no specs can declare it: rename {what}, "
        "with letters, digits and underscores alone, no digit first and no word of Python"
    )


def one_line_each(lines: Sequence[str]) -> str:
    """Return lines as text, each without what would end it: a comment stays one, whatever the target is called."""
    flat = []
    for line in lines:
        content = line.lstrip(" ")
        flat.append(" " * (len(line) - len(content)) + one_line(content, limit=None))
    return "\n".join([*flat, ""])


def in_docstring(text: str) -> str:
    """Return text as it can stand inside three double quotes."""
    return plain(text).replace("\\", "\\\\").replace('"', '\\"')


def aliases_of(text: str, names: Sequence[str]) -> dict[str, str]:
    """Return other names for those of the target's `names` that the module itself uses, or Python.

    Args:
        text: the module as it is without aliases.
        names: what it imports from the target.
    """
    taken = {*_OWN, *dir(builtins), *_bound(text)}
    found: dict[str, str] = {}
    for name in names:
        if name in taken:
            alias = _PREFIX + name
            while alias in taken or alias in names:
                alias += "_"
            found[name] = alias
    return found


def _bound(text: str) -> set[str]:
    """Return the names that a module binds otherwise than by an import."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                found.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
    return found


def renamed(value: Any, aliases: Mapping[str, str]) -> Any:
    """Return plain data of a reply with names of the target (`$call`, `$name`) replaced by their aliases."""
    if isinstance(value, Mapping):
        return {
            key: aliased(item, aliases)
            if key in ("$call", "$name") and isinstance(item, str)
            else renamed(item, aliases)
            for key, item in value.items()
        }
    return [renamed(item, aliases) for item in value] if isinstance(value, list) else value


def aliased(name: str, aliases: Mapping[str, str]) -> str:
    """Return a dotted name with its first part replaced; names of torch itself stay."""
    first, dot, rest = name.partition(".")
    return name if first == "torch" and dot else aliases.get(first, first) + dot + rest
