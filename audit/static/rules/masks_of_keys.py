"""Which expressions are masks of keys, as far as their form and their names tell."""

import ast
import re

from audit.static.rules.booleans import is_bool, is_zeros_and_ones
from audit.static.rules.context import MAX_STEPS, FileContext
from audit.static.rules.syntax import last_name, method, receiver

VIEWS = frozenset(
    {"view", "reshape", "transpose", "permute", "contiguous", "squeeze", "unsqueeze", "float", "double", "to", "half",
     "type", "type_as", "bool", "clone", "expand", "expand_as", "repeat", "flatten", "unflatten"}
)  # fmt: skip
_HIDES = re.compile(r"mask|(?:^|_)(?:pad|keep|causal|tril|allowed|valid|visible)(?:_|ding|$)")
# Masks of whole heads, of queries and of what is dropped at random leave no key out.
_OTHERWISE = re.compile(
    r"head|drop|quer|(?:^|_)q_|row|prun|gate|rand|top_?k|sparse|expert|isnan|isinf|isfinite|empty|(?:^|_)all(?:_|$)|any|"
    r"nan|bernoulli"
)


def hides_keys(mask: ast.expr, context: FileContext) -> bool:
    """Return whether a factor or condition is surely a mask, and one of keys as far as its form and names tell."""
    for _ in range(MAX_STEPS):
        if _is_of_rows(mask) or _OTHERWISE.search(ast.unparse(mask).lower()):
            return False
        bound = context.value_at(mask)
        if _is_of_rows(bound) or _OTHERWISE.search(ast.unparse(bound).lower()):
            return False
        if is_bool(bound, context) or is_zeros_and_ones(bound, context):
            return True
        if isinstance(mask, ast.Name | ast.Attribute):
            return bool(_HIDES.search(last_name(mask)))
        match mask:
            case ast.UnaryOp(op=ast.Invert() | ast.Not(), operand=inner) | ast.Subscript(value=inner):
                mask = inner
            case ast.BinOp(op=ast.Sub(), left=ast.Constant(), right=inner):
                mask = inner
            case ast.Call() if method(mask) in VIEWS and (of := receiver(mask)):
                mask = of
            case _:
                return False
    return False


def _is_of_rows(mask: ast.expr) -> bool:
    """Return whether a mask gets its last axis here: it is the same for all keys of a query."""
    match mask:
        case ast.Subscript(slice=ast.Tuple(elts=[*axes, ast.Constant(value=None)])):
            # `[:, None, None]` has one axis more behind it, which is left out.
            shown = [
                "..." if isinstance(each, ast.Constant) and each.value is ... else ast.unparse(each) for each in axes
            ]
            return "..." in shown or shown.count(":") > 1
        case ast.Call(args=[ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=1))]) if method(mask) == "unsqueeze":
            return True
        case ast.UnaryOp(operand=inner) | ast.Call(func=ast.Attribute(value=inner)):
            return _is_of_rows(inner)
    return False
