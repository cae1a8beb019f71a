"""Questions about syntax trees that the compiler of programs asks."""

import ast
import re
from collections.abc import Iterable, Iterator, Sequence

from audit.static.imports.expressions import expression
from audit.static.imports.program import Block, Expression, Group, Raise, Return
from audit.static.scopes import dotted
from audit.static.tree import TreeIndex, children, walk

# Functions that conditions at import call are named so; the others are not kept.
_ASKING = re.compile(r"avail|support|has_|is_|require|version|check|import|depend|backend|install|exist")
_NOT_TRANSPARENT = re.compile(r"contextmanager|property|fixture|overload")
_IMPORTING = re.compile(r"\b(?:import_module|__import__)$")
_LEAVES = (ast.Name, ast.Constant)
_TELLING = (ast.Import, ast.Raise)
_SUSPENDING = (ast.Yield, ast.YieldFrom, ast.Await)
_MAX_FUNCTION_LINES = 80
_MAX_UNROLLED = 12
# Names that every module has.
GIVEN = frozenset({"__name__", "__file__", "__doc__", "__package__", "__spec__", "__path__", "__loader__"}) | {
    "__builtins__", "__annotations__", "__dict__", "__cached__", "__module__", "__qualname__", "__debug__"
}  # fmt: skip
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def declared_global(node: ast.AST) -> Iterator[str]:
    """Yield the names that functions in `node` declare global."""
    for part in walk(node):
        if isinstance(part, ast.Global):
            yield from part.names


def calls(node: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls in `node`, those in a lambda left out."""
    pending: list[ast.AST] = [node]
    while pending:
        current = pending.pop()
        if isinstance(current, ast.Call):
            yield current
        if not isinstance(current, ast.Lambda):
            pending += children(current)


def certain(ends: Sequence[set[str]], blocks: Sequence[Block], *, otherwise: set[str]) -> set[str]:
    """Return what every branch binds that goes on to what follows."""
    open_ends = [
        end for end, block in zip(ends, blocks, strict=True) if not (block and isinstance(block[-1], Raise | Return))
    ]
    return set.intersection(*open_ends) if open_ends else otherwise


def handler_types(node: ast.expr | None) -> tuple[Expression, ...]:
    """Return the types of a handler as expressions; none for one that catches everything."""
    if node is None:
        return ()
    given = expression(node)
    return given.parts if isinstance(given, Group) else (given,)


def raised(made: ast.expr, line: int) -> Raise:
    """Return the step of raising what is made, with its message where that is a literal."""
    message = ""
    if isinstance(made, ast.Call):
        if made.args and isinstance(made.args[0], ast.Constant):
            given = made.args[0].value
            message = given if isinstance(given, str) else ""
        made = made.func
    return Raise(line, dotted(made) or "Exception", message)


def asks_type_checking(test: ast.expr) -> bool:
    """Whether a condition asks for `TYPE_CHECKING`."""
    names = (dotted(part) for part in walk(test) if isinstance(part, ast.Name | ast.Attribute))
    return any(name.endswith("TYPE_CHECKING") for name in names)


def annotations(node: FunctionNode) -> Iterator[ast.expr]:
    """Yield the annotations of a function."""
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    yield from (each.annotation for each in every if each and each.annotation)
    if node.returns:
        yield node.returns


def evaluates_annotations(index: TreeIndex) -> bool:
    """Return whether annotations run where they stand: not in a file that puts them off for the `__future__`."""
    return not any(
        isinstance(node, ast.ImportFrom)
        and node.module == "__future__"
        and any(alias.name == "annotations" for alias in node.names)
        for node in index.by_type.get(ast.ImportFrom, ())
    )


def literal_names(value: ast.expr) -> tuple[str, ...] | None:
    """Return the texts of a literal list; None for anything else."""
    if not isinstance(value, ast.List | ast.Tuple):
        return None
    names = [part.value for part in value.elts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    return tuple(names) if len(names) == len(value.elts) else None


def unrolled(node: ast.For) -> list[ast.expr]:
    """Return the elements of a short literal that a loop runs over without leaving early; else nothing."""
    if not isinstance(node.iter, ast.Tuple | ast.List) or len(node.iter.elts) > _MAX_UNROLLED or node.orelse:
        return []
    if any(isinstance(part, ast.Break | ast.Continue) for each in node.body for part in walk(each)):
        return []
    return node.iter.elts if all(isinstance(part, ast.Constant) for part in node.iter.elts) else []


def names_bound_in(body: Iterable[ast.stmt]) -> Iterator[str]:
    """Yield the names that statements bind in their own scope."""
    pending: list[ast.AST] = list(body)
    while pending:
        node = pending.pop()
        if isinstance(node, _LEAVES):  # most nodes, before the patterns that are tried one by one
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
            continue
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
                continue
            case ast.ExceptHandler(name=str(name)):
                yield name
            case ast.alias(name=name, asname=alias):
                yield alias or name.partition(".")[0]
            case ast.Lambda():
                continue
        pending += children(node)


def may_be_asked(node: FunctionNode, *, imports_by_name: bool) -> bool:
    """Whether a condition at import may call this function, or it imports by name, and its body can be followed.

    `imports_by_name` tells that something in its file does.
    """
    if not isinstance(node, ast.FunctionDef) or (node.end_lineno or 0) - node.lineno > _MAX_FUNCTION_LINES:
        return False
    if node.args.vararg or not (
        _ASKING.search(node.name.lower())
        or any(isinstance(each, _TELLING) for each in node.body)
        or (imports_by_name and any(_IMPORTING.search(dotted(call.func)) for call in calls(node)))
    ):
        return False
    if any(_NOT_TRANSPARENT.search(ast.unparse(decorator)) for decorator in node.decorator_list):
        return False
    return not any(isinstance(part, _SUSPENDING) for part in walk(node))
