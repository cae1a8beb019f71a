"""Which statements of a file are run: a copy of it says so itself, for the target's process needs no tracer then."""

import ast
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

_NAME = "_astrobio_audit_runs"
# Once a process: a statement in a loop costs no more than a look into a set. What cannot be written, as on a disk that
# is full, removes the file, which is always possible, and makes no new one: a line that is not there did not run.
_PRELUDE = """
def {name}(line, _seen=set()):
    if line not in _seen:
        _seen.add(line)
        os = __import__("os")
        written = ("%d %s\\n" % (line, {path!r})).encode("utf-8", "surrogateescape")
        try:
            file = os.open({place!r}, os.O_WRONLY | os.O_APPEND)
            try:
                is_whole = os.write(file, written) == len(written)
            finally:
                os.close(file)
        except OSError:
            is_whole = False
        if not is_whole and os.path.exists({place!r}):
            os.unlink({place!r})
"""
_COMPILED = ("jit", "script", "compile")  # in a decorator: the function's text is read, and compiled by another
_KERNEL = "triton.jit"
_ON = ("1", "true", "yes", "on", "y")  # as Triton reads its variables


def runs_kernels_in_python() -> bool:
    """Whether Triton interprets the target's kernels: their statements are run as those of any other function."""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in _ON


def tracked(text: str, path: str, place: Path, *, kernels: bool = False) -> str:
    """Return a file each of whose statements writes its line and `path` to the file `place` when it is first run.

    `place` has to be there, and is gone where something could not be written to it.
    Statements of functions that a decorator hands to another compiler stay as they are, see `untracked`; those of
    Triton's `kernels` do not where that is asked for.

    Raises:
        SyntaxError: the file does not parse.
    """
    tree = ast.parse(text)
    _track(tree, kernels=kernels)
    start = _first_free(tree.body)
    tree.body[start:start] = ast.parse(_PRELUDE.format(name=_NAME, place=str(place), path=path)).body
    return ast.unparse(ast.fix_missing_locations(tree))


def untracked(text: str, *, kernels: bool = False) -> set[int]:
    """Return the lines of the statements that `tracked` leaves as they are."""
    functions = [node for node in ast.walk(ast.parse(text)) if _is_compiled(node, kernels=kernels)]
    return {line for node in functions for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}  # type: ignore[attr-defined]


def bodies(text: str) -> dict[int, int]:
    """Return, for each line of the head of a function, decorators included, the line at which its body begins."""
    found = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            free = node.body[_first_free(node.body) :]
            if free and free[0].lineno > node.lineno:
                first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                found.update(dict.fromkeys(range(first, node.body[0].lineno), _first_line(free[0])))
    return found


def read_tracks(place: Path) -> Iterator[tuple[str, int]]:
    """Yield path and line of what was written; a line that a killed process left in part is left out.

    Raises:
        OSError: not all could be written.
    """
    try:
        content = place.read_text(errors="replace")
    except FileNotFoundError as error:
        raise OSError(f"which statements run could not be written to {place}: is the disk full?") from error
    for written in content.split("\n")[:-1]:
        line, _, path = written.partition(" ")
        if line.isdecimal() and path:
            yield path, int(line)


def _track(tree: ast.Module, *, kernels: bool) -> None:
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if _is_compiled(node, kernels=kernels):
            continue
        pending += ast.iter_child_nodes(node)
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if isinstance(statements, list) and statements and isinstance(statements[0], ast.stmt):
                first = _first_free(statements) if field == "body" else 0
                setattr(node, field, [*statements[:first], *_with_calls(statements[first:])])


def _with_calls(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    for each in statements:
        yield ast.Expr(ast.Call(ast.Name(_NAME, ast.Load()), [ast.Constant(_first_line(each))], []))
        yield each


def _first_line(statement: ast.stmt) -> int:
    """Return the line at which a statement begins, with its decorators."""
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(each.lineno for each in decorators)])


def _first_free(body: list[ast.stmt]) -> int:
    """Return the number of statements that have to stay first: a docstring, and imports from `__future__`."""
    count = 0
    for each in body:
        is_text = isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant)
        if not is_text and not (isinstance(each, ast.ImportFrom) and each.module == "__future__"):
            break
        count += 1
    return count


def _is_compiled(node: ast.AST, *, kernels: bool) -> bool:
    """Whether a decorator hands a function to a compiler that is not `kernels`' interpreter."""
    decorators = [ast.unparse(each) for each in getattr(node, "decorator_list", [])]
    others = [each for each in decorators if not (kernels and each.startswith(_KERNEL))]
    return any(word in each for each in others for word in _COMPILED)
