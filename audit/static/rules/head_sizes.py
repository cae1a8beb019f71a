"""Which size logits are scaled by, and whether it is that of all heads together."""

import ast
import re
from collections.abc import Iterator

from audit.static.rules.attention_forms import SDPA, is_product, softmax_input
from audit.static.rules.context import MAX_STEPS, FileContext
from audit.static.rules.masks_of_keys import VIEWS
from audit.static.rules.syntax import Function, argument, method, number, receiver, self_attribute

_HEADS = re.compile(r"head")
_ROOTS = frozenset({"math.sqrt", "numpy.sqrt", "torch.sqrt"})
_TENSORS = frozenset({"torch.tensor", "torch.as_tensor", "torch.FloatTensor", "torch.Tensor"})
_EINSUMS = frozenset({"torch.einsum", "einops.einsum"})
_FILLS = frozenset({"masked_fill", "masked_fill_"})


def scaled_by(call: ast.Call, context: FileContext) -> tuple[ast.AST, ast.expr] | None:
    """Return where the logits of a softmax or of fused attention are scaled, and by the root of which size."""
    if context.resolve(call) == SDPA:
        given = argument(call, "scale")
        size = inverse_root(given, context) if given is not None else None
        return (call, size) if size is not None else None
    scores = softmax_input(call, context)
    found: tuple[ast.AST, ast.expr] | None = None
    for _ in range(2 * MAX_STEPS):
        if scores is None:
            return None
        scores = _unmasked(context.value_at(scores), context)
        if is_product(scores, context) or (isinstance(scores, ast.Call) and context.resolve(scores) in _EINSUMS):
            return found
        match scores:
            case ast.BinOp(op=ast.Div(), left=left, right=right):
                size = root(right, context)
            case ast.BinOp(op=ast.Mult(), left=left, right=right):
                size = inverse_root(right, context)
                if size is None and (size := inverse_root(left, context)) is not None:
                    left = right
            case ast.BinOp(op=ast.Add() | ast.Sub(), left=left):
                size = None
            case ast.Call() if method(scores) in _FILLS | VIEWS and (inner := receiver(scores)):
                left, size = inner, None
            case _:
                return None
        found = (scores, size) if size is not None else found
        scores = left
    return None


def _unmasked(scores: ast.expr, context: FileContext) -> ast.expr:
    """Return what a name was surely bound to where it is read, before what may have masked it or added to it."""
    if not isinstance(scores, ast.Name):
        return scores
    read = _place(context.statement_of(scores))
    bound = context.assignments(context.index.scope(scores)).get(scores.id, [])
    known = [each for each in bound if each is not None]
    before = [each for each in known if _place(context.statement_of(each)) < read]
    if len(known) < len(bound):
        return scores
    while before and _is_made_of(before[-1], scores.id):
        before.pop()
    if not before:
        return scores
    around = context.parent(context.statement_of(before[-1]))
    return before[-1] if around in context.ancestors(scores) else scores


def _place(node: ast.stmt) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _is_made_of(value: ast.expr, name: str) -> bool:
    """Return whether a value is the named one with a mask on it, or something added."""
    for _ in range(MAX_STEPS):
        match value:
            case ast.Name(id=found):
                return found == name
            case ast.Call() if method(value) in _FILLS | VIEWS and (inner := receiver(value)):
                value = inner
            case ast.BinOp(op=ast.Add() | ast.Sub(), left=left):
                value = left
            case _:
                return False
    return False


def root(value: ast.expr, context: FileContext) -> ast.expr | None:
    """Return x of `sqrt(x)` and of `x ** 0.5`, also where x is made a tensor first."""
    value = context.value_at(value)
    match value:
        case ast.BinOp(op=ast.Pow(), left=size, right=power) if _power(power) == 0.5:
            return _size(size, context)
        case ast.Call(args=[size]) if context.resolve(value) in _ROOTS:
            return _size(size, context)
        case ast.Call() if method(value) in ("to", "cuda", "float") and (inner := receiver(value)):
            return root(inner, context)
    return None


def inverse_root(value: ast.expr, context: FileContext) -> ast.expr | None:
    """Return x of `x ** -0.5` and of `1 / sqrt(x)`."""
    value = context.value_at(value)
    match value:
        case ast.BinOp(op=ast.Pow(), left=size, right=power) if _power(power) == -0.5:
            return _size(size, context)
        case ast.BinOp(op=ast.Div(), left=one, right=inner) if number(one) == 1.0:
            return root(inner, context)
    return None


def _power(expression: ast.expr) -> float | None:
    match expression:
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _power(operand)
            return None if inner is None else -inner
        case ast.BinOp(op=ast.Div(), left=left, right=right):
            above, below = number(left), number(right)
            return above / below if above is not None and below else None
    return number(expression)


def _size(size: ast.expr, context: FileContext) -> ast.expr | None:
    match size:
        case ast.Name() | ast.Attribute():
            return size
        case ast.Call(args=[ast.List(elts=[inner]) | inner], func=function):
            is_number = isinstance(function, ast.Name) and function.id in ("float", "int")
            return _size(inner, context) if is_number or context.resolve(size) in _TENSORS else None
    return None


def is_of_all_heads(size: ast.expr, function: Function, owner: ast.ClassDef, context: FileContext) -> bool:
    """Return whether the class divides this very size by its number of heads."""
    constructor = next((each for each in owner.body if isinstance(each, Function) and each.name == "__init__"), None)
    own = _attributes(constructor, context) if constructor is not None else {}
    name = ast.unparse(size)
    dividends = set(_divided(function, context))
    if isinstance(size, ast.Name):
        # One that is bound twice may be the size of a head the second time.
        is_one = function is constructor or len(context.assignments(function).get(name, [])) <= 1
        return name in dividends and is_one
    if constructor is not None:
        dividends |= set(_divided(constructor, context))
    name = own.get(name, name)
    return name in {own.get(each, each) for each in dividends}


def _attributes(constructor: Function, context: FileContext) -> dict[str, str]:
    """Return what attributes of `self` are set to in a constructor, where that is a name or an attribute, and once."""
    found: dict[str, list[str]] = {}
    for node in context.index.below(constructor):
        for target, value in _pairs(node):
            if attribute := self_attribute(target):
                found.setdefault(f"self.{attribute}", []).append(ast.unparse(value))
    return {name: values[0] for name, values in found.items() if len(values) == 1 and values[0] != name}


def _pairs(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    match node:
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)) if len(targets) == len(values):
            yield from zip(targets, values, strict=True)
        case ast.Assign(targets=targets, value=value):
            yield from ((target, value) for target in targets)
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            yield target, value


def _divided(function: Function, context: FileContext) -> Iterator[str]:
    """Yield what a function divides by a number of heads: `dim // heads`, `int(dim / heads)`."""
    for node in context.index.below(function):
        match node:
            case (
                ast.BinOp(op=ast.FloorDiv(), left=left, right=right)
                | ast.Call(func=ast.Name(id="int"), args=[ast.BinOp(op=ast.Div(), left=left, right=right)])
            ) if _HEADS.search(ast.unparse(right)):
                yield ast.unparse(left)
