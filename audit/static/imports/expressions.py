"""From expressions of `ast` to those of a program, and the names that an expression reads for certain."""

import ast
from collections.abc import Iterator

from audit.static.imports.program import (
    Attribute,
    Call,
    Choice,
    Compare,
    Constant,
    Either,
    Expression,
    Group,
    Item,
    Name,
    Not,
    Opaque,
    Reading,
)
from audit.static.tree import children, walk

Read = tuple[tuple[str, ...], Reading, int]  # dotted name, what is done with it, line
_OPAQUE = Opaque()
_MAX_BITS = 64
_MAX_DEPTH = 100
_CONTAINERS = frozenset({ast.Expr, ast.Assign, ast.keyword, ast.Tuple, ast.List, ast.Dict, ast.Set, ast.Subscript})
_LEAVES = frozenset({ast.Name, ast.Constant})
# What an expression can be to have a word in a program: tables of thousands of entries (`ast.Dict`) are not among them.
_WORDED = _LEAVES | {type(None), ast.Attribute, ast.Call, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Tuple, ast.List}
_WORDED |= {ast.Set, ast.Subscript, ast.IfExp, ast.NamedExpr}
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def expression(node: ast.expr | None) -> Expression:
    """Return `node` in the words of a program; what has no word there, or is nested very deeply, is opaque."""
    if node.__class__ not in _WORDED or _is_deep(node):
        return _OPAQUE
    return _expression(node)


def _is_deep(node: ast.expr | None) -> bool:
    """Whether an expression is nested more deeply than conditions are: method chains can have hundreds of links."""
    if node is None or _is_narrow(node):
        return False
    level: list[ast.AST] = [node]
    for _ in range(_MAX_DEPTH):
        level = [child for each in level if each.__class__ not in _LEAVES for child in children(each)]
        if not level:
            return False
    return True


def _is_narrow(node: ast.expr) -> bool:
    """Whether an expression has no room for so many levels, each of which takes a character or more."""
    return node.lineno == node.end_lineno and (node.end_col_offset or 0) - node.col_offset < _MAX_DEPTH


def _expression(node: ast.expr | None) -> Expression:
    match node:
        case None:
            return Constant(None)
        case ast.Constant(value=int() as value) if value.bit_length() > _MAX_BITS:
            return _OPAQUE  # more digits than Python writes, and no condition depends on it
        case ast.Constant(value=None | bool() | int() | float() | str() as value):
            return Constant(value)
        case ast.Name(id=name):
            return Name(name)
        case ast.Attribute(value=owner, attr=name):
            return Attribute(_expression(owner), name)
        case ast.Call(func=function, args=arguments, keywords=keywords):
            if any(isinstance(each, ast.Starred) for each in arguments) or any(each.arg is None for each in keywords):
                return Call(_expression(function), (_OPAQUE,), ())
            named = tuple((each.arg or "", _expression(each.value)) for each in keywords)
            return Call(_expression(function), tuple(map(_expression, arguments)), named)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return Not(_expression(operand))
        case ast.BoolOp(op=operator, values=values):
            return Either(tuple(map(_expression, values)), every=isinstance(operator, ast.And))
        case ast.Compare(left=left, ops=operators, comparators=others):
            return _comparison(left, operators, others)
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            return Group(tuple(map(_expression, parts)))
        case ast.Subscript(value=owner, slice=index):
            return Item(_expression(owner), _expression(index))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return Choice(_expression(test), _expression(body), _expression(orelse))
        case ast.NamedExpr(value=value):
            return _expression(value)
    return _OPAQUE


def _comparison(left: ast.expr, operators: list[ast.cmpop], others: list[ast.expr]) -> Expression:
    """Return a chain of comparisons as the conjunction of its links."""
    ends = [_expression(left), *map(_expression, others)]
    links = tuple(
        Compare(ends[place], type(operator).__name__, ends[place + 1]) for place, operator in enumerate(operators)
    )
    return links[0] if len(links) == 1 else Either(links, every=True)


def reads(node: ast.AST, reading: Reading = Reading.VALUE) -> list[Read]:
    """Return the dotted names that evaluating `node` reads whatever its conditions are.

    The second operand of `and`, the arms of a conditional expression, and what stands in a lambda or comprehension may
    never be evaluated and are left out.
    """
    found: list[Read] = []
    _add_reads(node, reading, found)
    return found


def _add_reads(node: ast.AST, reading: Reading, found: list[Read]) -> None:
    kind = node.__class__  # the commonest first, before the patterns that are tried one by one
    if kind is ast.Constant:
        return
    if kind in _CONTAINERS:
        for child in children(node):
            if child.__class__ is not ast.Constant:
                _add_reads(child, Reading.VALUE, found)
        return
    match node:
        case ast.Name(id=name):
            if isinstance(node.ctx, ast.Load):
                found.append(((name,), reading, node.lineno))
        case ast.Attribute():
            _add_chain(node, reading, found)
        case ast.Call(func=function, args=arguments, keywords=keywords):
            _add_reads(function, Reading.CALL, found)
            for part in (*arguments, *keywords):
                _add_reads(part, Reading.VALUE, found)
        case ast.BoolOp(values=[first, *_]) | ast.IfExp(test=first):
            _add_reads(first, Reading.VALUE, found)
        case ast.Lambda(args=arguments):
            for default in (*arguments.defaults, *filter(None, arguments.kw_defaults)):
                _add_reads(default, Reading.VALUE, found)
        case _ if isinstance(node, _COMPREHENSIONS):
            _add_reads(node.generators[0].iter, Reading.VALUE, found)
        case _:
            for child in children(node):
                _add_reads(child, Reading.VALUE, found)


def _add_chain(node: ast.Attribute, reading: Reading, found: list[Read]) -> None:
    names: list[str] = []
    current: ast.expr = node
    while isinstance(current, ast.Attribute):
        names.append(current.attr)
        current = current.value
    if isinstance(current, ast.Name):
        found.append(((current.id, *reversed(names)), reading, current.lineno))
    else:
        _add_reads(current, Reading.VALUE, found)


def bound_names(target: ast.AST) -> Iterator[str]:
    """Yield the names that an assignment to `target` binds."""
    match target:
        case ast.Name(id=name):
            yield name
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from bound_names(part)
        case ast.Starred(value=part):
            yield from bound_names(part)


def walrus_names(node: ast.AST) -> Iterator[str]:
    """Yield the names that `:=` binds within an expression; too rare to ask whether it is evaluated."""
    for part in walk(node):
        if isinstance(part, ast.NamedExpr):
            yield part.target.id
