"""What a module's `__all__` holds, as far as its statements say so."""

import ast

from audit.static.names import Exports
from audit.static.scopes import Scope, dotted, value

ALL = "__all__"
_COPIES = frozenset({"list", "tuple", "set", "sorted"})
_DYNAMIC = Exports(dynamic=True)


def exports_in(expression: ast.expr, scope: Scope) -> Exports:
    """Return the exports that `expression` adds to `__all__`."""
    match expression:
        case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
            return _joined([_element(part, scope) for part in parts])
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return exports_in(left, scope).joined(exports_in(right, scope))
        case ast.Call(func=ast.Name(id=name), args=[argument]) if name in _COPIES:
            return exports_in(argument, scope)
        case ast.Attribute(value=owner, attr="__all__"):
            return Exports(included=tuple(sorted(value(owner, scope))))
        case ast.Name(id="__all__"):
            return Exports()
    return _DYNAMIC


def exports_of_call(call: ast.Call, scope: Scope) -> Exports | None:
    """Return what `__all__.extend(...)` or `__all__.append(...)` adds; None for any other call."""
    match dotted(call.func), call.args:
        case "__all__.extend", [argument]:
            return exports_in(argument, scope)
        case "__all__.append", [argument]:
            return _element(argument, scope)
    return None


def _element(expression: ast.expr, scope: Scope) -> Exports:
    match expression:
        case ast.Constant(value=str(name)):
            return Exports(names=frozenset({name}))
        case ast.Starred(value=sequence):
            return exports_in(sequence, scope)
    return _DYNAMIC


def _joined(parts: list[Exports]) -> Exports:
    return Exports(
        names=frozenset().union(*(part.names for part in parts)),
        included=tuple(sorted({candidate for part in parts for candidate in part.included})),
        dynamic=any(part.dynamic for part in parts),
    )
