"""Finds where the entries of a specs module are written, and the dots of a draft that are left in them, by its source.

Python takes dots for a value: a loss that returns it, or a data set that is built of it, may pass for one that works.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence

_Entry = tuple[str, ast.expr]  # its name, and what it is
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def lines_of_dots(tree: ast.Module, sections: Sequence[str]) -> dict[tuple[str, str], int]:
    """Return the first line with dots of each entry that has any, by its section and its name.

    Args:
        tree: of the specs.
        sections: their names, in lower case.
    """
    statements = list(_top(tree.body))
    bound = {
        target.id: statement.value
        for statement in statements
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    functions = {each.name: each for each in statements if isinstance(each, _Function)}
    found: dict[tuple[str, str], int] = {}
    by_name = {each.upper(): each for each in sections}
    for statement in statements:
        for section, name, value in _entries(statement, by_name):
            entry = bound.get(value.id, value) if isinstance(value, ast.Name) else value
            if (line := next(_dots(entry, functions), None)) is not None:
                found.setdefault((section, name), line)
    return found


def lines_of_entries(tree: ast.Module, sections: Sequence[str]) -> dict[tuple[str, str], int]:
    """Return the line at which each entry of the sections is written, by its section and its name."""
    by_name = {each.upper(): each for each in sections}
    written = (each for statement in _top(tree.body) for each in _entries(statement, by_name))
    return {(section, name): value.lineno for section, name, value in written}


def line_of_section(tree: ast.Module, name: str) -> int | None:
    """Return the line at which a name is bound at the top of a module; None where no assignment of it is seen."""
    for statement in _top(tree.body):
        match statement:
            case ast.Assign(targets=[ast.Name(id=found)]) | ast.AnnAssign(target=ast.Name(id=found)) if found == name:
                return statement.lineno
    return None


def _top(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run when the module is imported, and the functions that it defines."""
    for statement in body:
        yield statement
        if not isinstance(statement, ast.ClassDef | _Function):
            for part in ("body", "orelse", "finalbody"):
                yield from _top(getattr(statement, part, []))


def _entries(statement: ast.stmt, sections: Mapping[str, str]) -> Iterator[tuple[str, str, ast.expr]]:
    """Yield the entries that a statement gives a section, however it does."""
    match statement:
        case (
            ast.Assign(targets=[ast.Name(id=name)], value=value)
            | ast.AugAssign(target=ast.Name(id=name), value=value)
            | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
        ):
            given: Iterator[_Entry] = _items(value)
        case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name), slice=key)], value=value):
            given = _item(key, value)
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="update")) as call):
            given = _items(call)
        case ast.Expr(
            value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="setdefault"), args=[key, value])
        ):
            given = _item(key, value)
        case _:
            return
    if name in sections:
        yield from ((sections[name], key, each) for key, each in given)


def _items(value: ast.expr) -> Iterator[_Entry]:
    match value:
        case ast.Dict(keys=keys, values=values):
            for key, each in zip(keys, values, strict=True):
                yield from _item(key, each) if key else _items(each)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            yield from (*_items(left), *_items(right))
        case ast.Call(args=args, keywords=keywords):  # `dict(...)`, or `update(...)` of a section
            for each in args:
                yield from _items(each)
            yield from ((keyword.arg, keyword.value) for keyword in keywords if keyword.arg)


def _item(key: ast.expr | None, value: ast.expr) -> Iterator[_Entry]:
    if isinstance(key, ast.Constant) and isinstance(key.value, str):
        yield key.value, value


def _dots(entry: ast.expr, functions: Mapping[str, _Function]) -> Iterator[int]:
    """Yield the lines of dots in an entry, and in the functions that it names, the first one first.

    Dots of an index (`x[..., 0]`), of an annotation, of a body that is nothing else, and among the items of a list or
    tuple are meant; but for those of a shape, which a draft writes into calls of torch.
    """
    named = [functions[each.id] for each in _values(entry) if isinstance(each, ast.Name) and each.id in functions]
    pending: list[ast.AST] = [*reversed(named), entry]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Constant) and node.value is ...:
            yield node.lineno
        pending += reversed(list(_inner(node)))


def _inner(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a node in which dots count."""
    match node:
        case ast.Subscript(value=value):
            yield value
        case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
            yield from (each for each in items if not _is_dots(each))
        case ast.Call(args=args):
            yield from ast.iter_child_nodes(node)
            if _takes_a_shape(node):
                yield from (each for shape in args if isinstance(shape, ast.Tuple) for each in shape.elts)
        case ast.FunctionDef(args=arguments, body=body) | ast.AsyncFunctionDef(args=arguments, body=body):
            yield from (*arguments.defaults, *(each for each in arguments.kw_defaults if each), *body)
        case ast.Expr(value=value):
            yield from [] if _is_dots(value) else [value]
        case ast.AnnAssign(value=value):
            yield from [value] if value else []
        case _:
            yield from ast.iter_child_nodes(node)


def _values(entry: ast.expr) -> list[ast.expr]:
    return entry.values if isinstance(entry, ast.Dict) else []


def _is_dots(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def _takes_a_shape(call: ast.Call) -> bool:
    match call.func:
        case ast.Attribute(value=ast.Name(id="torch"), attr=name):
            return name != "einsum"
    return False
