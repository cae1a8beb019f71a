"""Questions about expressions that need nothing but the expression."""

import ast
from collections.abc import Iterator

from audit.static.tree import walk

Function = ast.FunctionDef | ast.AsyncFunctionDef
Loop = ast.For | ast.AsyncFor | ast.While


def argument(call: ast.Call, name: str, position: int | None = None) -> ast.expr | None:
    """Return the argument called `name`, or the one at `position`; None where it is not given by either."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    if position is not None and position < len(call.args):
        before = call.args[: position + 1]
        return None if any(isinstance(each, ast.Starred) for each in before) else before[-1]
    return None


def unpacks(call: ast.Call) -> bool:
    """Return whether arguments come from `*` or `**`, so that what is given cannot be told."""
    return any(isinstance(each, ast.Starred) for each in call.args) or any(k.arg is None for k in call.keywords)


def constant(expression: ast.expr | None) -> object:
    """Return the value of a literal, signed numbers included; `...` for anything else."""
    match expression:
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Call(func=ast.Name(id="float"), args=[ast.Constant(value="inf")])):
            return float("-inf")
    return ...


def number(expression: ast.expr | None) -> float | None:
    """Return the value of a literal number, else None."""
    value = constant(expression)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def method(call: ast.AST) -> str:
    """Return `name` for a call `<expression>.name(...)`, else an empty text."""
    return call.func.attr if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) else ""


def receiver(call: ast.Call) -> ast.expr | None:
    """Return the expression on which a method is called."""
    return call.func.value if isinstance(call.func, ast.Attribute) else None


def self_attribute(expression: ast.AST | None) -> str:
    """Return `name` for `self.name`, else an empty text."""
    if isinstance(expression, ast.Attribute):  # most targets are none; a pattern takes three times as long to say so
        owner = expression.value
        return expression.attr if isinstance(owner, ast.Name) and owner.id == "self" else ""
    return ""


def last_name(expression: ast.AST | None) -> str:
    """Return the last part of a dotted name: `scheduler` for `self.scheduler`; empty for anything else."""
    match expression:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def parameters(function: Function | ast.Lambda) -> list[ast.arg]:
    """Return all parameters of a function but `*args` and `**kwargs`."""
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def calls_in(node: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls below `node`, functions defined in it included."""
    return (found for found in walk(node) if isinstance(found, ast.Call))


def is_stub(function: Function) -> bool:
    """Return whether a function's body does nothing: a docstring, `...`, `pass`, or `raise`."""

    def is_empty(statement: ast.stmt) -> bool:
        match statement:
            case ast.Pass() | ast.Raise() | ast.Expr(value=ast.Constant()):
                return True
        return False

    return all(is_empty(statement) for statement in function.body)


def statements_before(block: list[ast.stmt], statement: ast.stmt) -> list[ast.stmt]:
    """Return the statements of `block` that stand before `statement`."""
    return block[: block.index(statement)]


def blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """Yield the lists of statements that `node` holds directly."""
    for name in ("body", "orelse", "finalbody"):
        found = getattr(node, name, None)
        if isinstance(found, list):
            yield found
