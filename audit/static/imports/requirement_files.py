"""Requirements that a project keeps in text files or in the call of `setup` in its `setup.py`, which is not run."""

import ast
import re
import stat
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from audit.static.scopes import dotted

_MAX_BYTES = 1024 * 1024
_DECLARING = frozenset({"install_requires", "extras_require", "tests_require", "setup_requires"})
_EGG = re.compile(r"[#&]egg=([\w.-]+)")
_INCLUDED = re.compile(r"(?:-r|--requirement)[ =]*(\S+)")
_MAX_NAMES = 1000  # followed from one call


def text_in(root: Path, name: str) -> str:
    """Return the text of a file in `root`; empty where it is outside, no file, too large or no UTF-8."""
    try:
        path = (root / name).resolve()
        status = path.stat()
        if not path.is_relative_to(root.resolve()) or not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_BYTES:
            return ""
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError, RuntimeError):  # RuntimeError: a loop of links
        return ""


def requirements_in(root: Path, name: str, *, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the requirements of a file in `root`, and of those that it includes by `-r`."""
    if name in seen:
        return
    for line in text_in(root, name).splitlines():
        line = line.strip()
        if included := _INCLUDED.match(line):
            other = (Path(name).parent / included[1]).as_posix()
            yield from requirements_in(root, other, seen=seen | {name})
        elif egg := _EGG.search(line):
            yield egg[1]
        elif line and not line.startswith(("#", "-")) and "://" not in line.partition("@")[0]:
            yield line


def of_setup_py(root: Path) -> Iterator[str]:
    """Yield what the arguments of `setup` that declare dependencies can hold: texts in lists, lines of files they name.

    Names are followed to everything that is assigned to them and functions to their whole body, so that a text which
    only stands beside a requirement counts as one too.
    """
    try:
        tree = ast.parse(text_in(root, "setup.py"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    meanings = _meanings(tree)
    pending: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] == "setup":
            pending += [each.value for each in node.keywords if each.arg in _DECLARING]
            pending += [each.value for each in node.keywords if each.arg is None]
    seen: set[str] = set()
    while pending and len(seen) < _MAX_NAMES:
        part = pending.pop()
        yield from _texts_of(part, root)
        names = {name.id for name in ast.walk(part) if isinstance(name, ast.Name)} - seen
        seen |= names
        for name in sorted(names):
            pending += meanings.get(name, [])


def _meanings(tree: ast.Module) -> dict[str, list[ast.AST]]:
    """Return everything that a name can stand for: assigned values, opened files, functions."""
    found: dict[str, list[ast.AST]] = defaultdict(list)
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    found[_first_name(target)].append(value)
            case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.AugAssign(target=target, value=value):
                found[_first_name(target)].append(value)
            case ast.withitem(context_expr=value, optional_vars=ast.Name(id=name)):
                found[name].append(value)
            case ast.FunctionDef(name=name):
                found[name].append(node)
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append" | "extend" | "update")):
                found[name].extend(ast.List([argument]) for argument in node.args)
    return found


def _first_name(target: ast.expr) -> str:
    """Return the name that an assignment to `target` changes: `a` for `a`, `a.b` and `a["b"]`."""
    while isinstance(target, ast.Subscript | ast.Attribute):
        target = target.value
    return target.id if isinstance(target, ast.Name) else ""


def _texts_of(part: ast.AST, root: Path) -> Iterator[str]:
    for node in ast.walk(part):
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            yield from (text for each in node.elts if (text := _text(each)) and not text.endswith((".txt", ".in")))
        elif (text := _text(node)) and text.endswith((".txt", ".in")):
            yield from requirements_in(root, text)


def _text(node: ast.AST) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
