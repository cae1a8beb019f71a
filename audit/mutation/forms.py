"""Forms of expressions that operators look for, and how they are written anew."""

import re
from collections.abc import Sequence

import libcst as cst

from audit.mutation.operator import Around

_SQRT = frozenset({"sqrt", "rsqrt"})
_SCALE_NAME = re.compile(r"(^|_)(scale|scaling|inv_sqrt|norm_fact\w*)$", re.IGNORECASE)
_POSITION = re.compile(
    r"(^|_|\b)(pos|position|positions|ahead|behind|distance|dist|delta|relative|rel|idx|index|indices|row|rows|col|cols"
    r"|column|columns|arange|query|queries|key|keys|q|k|i|j|offset|steps?)(_|\b|$)"
)
_ATTENTION = re.compile(
    r"(^|_|\b)(softmax|attention|attn|attend\w*|quer(y|ies)|q|logits|scores?|matmul|einsum|bmm)(_|\b|$)|[\w)\]][ \t]*@",
    re.IGNORECASE,
)
_CODE = cst.Module(body=[])


def text_of(node: cst.CSTNode) -> str:
    """Return the node as it is written."""
    return _CODE.code_for_node(node)


def last_name(node: cst.CSTNode) -> str:
    """Return the last part of a dotted name: `b` of `a.b` and of `b`; empty for anything else."""
    if isinstance(node, cst.Name):
        return node.value
    return node.attr.value if isinstance(node, cst.Attribute) else ""


def called(node: cst.CSTNode) -> str:
    """Return the last part of the name that is called; empty where the node is no call."""
    return last_name(node.func) if isinstance(node, cst.Call) else ""


def receiver(call: cst.Call) -> cst.BaseExpression | None:
    """Return what stands before the dot of a called method or function."""
    return call.func.value if isinstance(call.func, cst.Attribute) else None


def is_module_function(call: cst.Call) -> bool:
    """Whether what is called is a function of torch, and not a method of a tensor."""
    owner = receiver(call)
    return owner is None or text_of(owner) in ("torch", "F", "nn.functional", "torch.nn.functional", "functional")


def operand(call: cst.CSTNode) -> cst.BaseExpression | None:
    """Return the tensor that is worked on: the first argument of a function of torch, the receiver of a method."""
    if not isinstance(call, cst.Call):
        return None
    if not is_module_function(call):
        return receiver(call)
    return call.args[0].value if call.args and plain(call.args[0]) else None


def plain(argument: cst.Arg) -> bool:
    """Whether an argument is given by position, and alone."""
    return argument.keyword is None and not argument.star


def options(call: cst.Call) -> Sequence[cst.Arg]:
    """Return the arguments behind the tensor that is worked on."""
    return call.args[1:] if is_module_function(call) else call.args


def find(arguments: Sequence[cst.Arg], name: str, position: int | None = None) -> cst.Arg | None:
    """Return the argument called `name`, or the one at `position` of those given by position."""
    for each in arguments:
        if each.keyword is not None and each.keyword.value == name:
            return each
    if position is None or any(each.star for each in arguments):
        return None
    ordered = [each for each in arguments if each.keyword is None]
    return ordered[position] if position < len(ordered) else None


def with_value(call: cst.Call, argument: cst.Arg, value: cst.BaseExpression) -> cst.Call:
    """Return the call with another value in the place of that of an argument."""
    return call.with_changes(args=[each.with_changes(value=value) if each is argument else each for each in call.args])


def with_keyword(call: cst.Call, name: str, value: str) -> cst.Call:
    """Return the call with one more argument."""
    arguments = list(call.args)
    if arguments and isinstance(arguments[-1].comma, cst.MaybeSentinel):
        arguments[-1] = arguments[-1].with_changes(comma=COMMA)
    return call.with_changes(args=[*arguments, keyword(name, value)])


COMMA = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
_TIGHT = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))


def keyword(name: str, value: str) -> cst.Arg:
    """Return an argument as it is written by name."""
    return cst.Arg(keyword=cst.Name(name), value=parsed(value), equal=_TIGHT)


def parsed(text: str) -> cst.BaseExpression:
    """Return the expression that a text says."""
    return cst.parse_expression(text)


def enclosed(node: cst.BaseExpression) -> cst.BaseExpression:
    """Return an expression that can stand as an operand or before a dot."""
    simple = cst.Name | cst.Attribute | cst.Call | cst.Subscript
    if isinstance(node, simple) or node.lpar:
        return node
    return node.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])


def in_place_of(old: cst.BaseExpression, new: cst.BaseExpression) -> cst.BaseExpression:
    """Return `new` with the parentheses of `old`, or with some where it needs them."""
    if old.lpar and not new.lpar:
        return new.with_changes(lpar=old.lpar, rpar=old.rpar)
    return new


def method(of: cst.BaseExpression, name: str, *arguments: str) -> cst.Call:
    """Return the call of a method of an expression."""
    return cst.Call(
        func=cst.Attribute(value=enclosed(of), attr=cst.Name(name)),
        args=[
            cst.Arg(parsed(each), comma=COMMA if index + 1 < len(arguments) else cst.MaybeSentinel.DEFAULT)
            for index, each in enumerate(arguments)
        ],
    )


def added(node: cst.BaseExpression, amount: int) -> cst.BaseExpression:
    """Return the expression plus a number; a literal is added up."""
    if (literal := integer(node)) is not None:
        return number(literal + amount)
    operator = cst.Add() if amount > 0 else cst.Subtract()
    low = isinstance(node, cst.Comparison | cst.BooleanOperation | cst.IfExp | cst.Lambda | cst.NamedExpr)
    return cst.BinaryOperation(enclosed(node) if low else node, operator, cst.Integer(str(abs(amount))))


def integer(node: cst.CSTNode) -> int | None:
    """Return the value of an integer that is written out."""
    if isinstance(node, cst.UnaryOperation) and isinstance(node.operator, cst.Minus):
        inner = integer(node.expression)
        return None if inner is None else -inner
    return int(node.value, 0) if isinstance(node, cst.Integer) else None


def number(value: int) -> cst.BaseExpression:
    """Return an integer as it is written."""
    return parsed(str(value))


def is_root(node: cst.BaseExpression) -> bool:
    """Whether the expression is a square root or its inverse, of whatever."""
    return called(node) in _SQRT or (
        isinstance(node, cst.BinaryOperation)
        and isinstance(node.operator, cst.Power)
        and text_of(node.right).strip("()") in ("0.5", "-0.5", "1 / 2", "-1 / 2")
    )


def may_attend(around: Around) -> bool:
    """Whether the code around may compute attention, by the words of its function; of a constructor, of its class."""
    function = around.function
    is_constructor = function is not None and function.name.value == "__init__"
    place = around.class_ if is_constructor and around.class_ else function
    return place is None or bool(_ATTENTION.search(text_of(place)))


def is_scale(node: cst.BaseExpression) -> bool:
    """Whether the expression is a factor of attention scores by its name, or a square root."""
    return bool(_SCALE_NAME.search(last_name(node))) or is_root(node)


def is_minus_infinity(node: cst.BaseExpression) -> bool:
    """Whether the expression is what masked scores are filled with: minus infinity, or a number as good as that."""
    text = text_of(node).replace(" ", "").replace("'", '"')
    if text in ('float("-inf")', '-float("inf")', "-torch.inf", "-math.inf", "-inf", "-np.inf"):
        return True
    return bool(re.search(r"finfo\(.*\)\.min$", text) or re.fullmatch(r"-(1e\d+|\d{4,}(\.\d*)?)", text, re.IGNORECASE))


def is_position(node: cst.CSTNode) -> bool:
    """Whether an expression speaks of places in a sequence, by the names in it."""
    return bool(_POSITION.search(text_of(node)))


def names_in(node: cst.CSTNode) -> set[str]:
    """Return the words of an expression."""
    return set(re.findall(r"[A-Za-z_]\w*", text_of(node)))


def imports_torch(module: cst.Module) -> bool:
    """Whether a file binds the name `torch`."""
    return bool(re.search(r"^\s*import torch\b(?!\.| as)|^import torch\.", module.code, re.MULTILINE))
