"""A mask that comes too late."""

from collections.abc import Iterator, Sequence

import libcst as cst

from audit.mutation.forms import called, find, is_minus_infinity, method, operand, options, plain, text_of
from audit.mutation.operator import Around, Operator


class MaskAfterSoftmax(Operator):
    """Weights are set to zero after the softmax, in place of scores to minus infinity before it."""

    name = "mask_after_softmax"
    title = "the mask is applied after the softmax"
    why = "the weights of a row no longer sum to one, and what is masked still changes the others"
    equivalent = "where the mask allows all"
    nodes = (cst.Call, cst.FunctionDef)
    EXAMPLES = (
        ("w = s.masked_fill(m, -torch.inf).softmax(-1)\n", ("w = s.softmax(-1).masked_fill(m, 0.0)\n",)),
        ("w = F.softmax(s.masked_fill(m, -torch.inf), -1)\n", ("w = F.softmax(s, -1).masked_fill(m, 0.0)\n",)),
        (
            "def f(s, m):\n    s = s.masked_fill(m, -torch.inf)\n    return s.softmax(-1)\n",
            ("def f(s, m):\n    pass\n    return s.softmax(-1).masked_fill(m, 0.0)\n",),
        ),
        (
            "def f(s, m):\n    if m is not None:\n        s = s.masked_fill(m, -torch.inf)\n    return s.softmax(-1)\n",
            (
                "def f(s, m):\n    if m is not None:\n        pass\n"
                "    return (s.softmax(-1).masked_fill(m, 0.0) if m is not None else s.softmax(-1))\n",
            ),
        ),
    )
    UNCHANGED = ("w = s.masked_fill(m, 0.0).softmax(-1)\n", "def f(s):\n    return s.softmax(-1)\n")

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the softmax with the mask behind it, of one expression or of one function."""
        if isinstance(node, cst.FunctionDef):
            yield from _over_statements(node)
        elif isinstance(node, cst.Call) and called(node) == "softmax":
            filled = operand(node)
            if isinstance(filled, cst.Call) and (mask := _blocking(filled)) and (of := operand(filled)) is not None:
                late = node.deep_replace(filled, of)
                assert isinstance(late, cst.Call)
                yield method(late, "masked_fill", text_of(mask), "0.0")


def _blocking(call: cst.Call) -> cst.BaseExpression | None:
    """Return the mask of a call that fills with minus infinity."""
    if called(call) != "masked_fill":
        return None
    mask, value = find(options(call), "mask", 0), find(options(call), "value", 1)
    return mask.value if mask and value and is_minus_infinity(value.value) else None


def _over_statements(function: cst.FunctionDef) -> Iterator[cst.CSTNode]:
    """Yield the function for a fill that is a statement of its own and a softmax of the same name after it."""
    for name, fill, mask, condition in _fills(function.body, None):
        softmax = next((each for each in _calls(function) if called(each) == "softmax" and _is_of(each, name)), None)
        if softmax is None:
            continue
        late: cst.BaseExpression = method(softmax, "masked_fill", text_of(mask), "0.0")
        if condition is not None:
            late = cst.IfExp(test=condition, body=late, orelse=softmax, lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
        changed = function.visit(_Replacing({id(softmax): late, id(fill): cst.Pass()}))
        assert isinstance(changed, cst.FunctionDef)
        yield changed


class _Replacing(cst.CSTTransformer):
    """Puts other nodes in the place of some, by identity."""

    def __init__(self, replacements: dict[int, cst.CSTNode]) -> None:
        super().__init__()
        self._replacements = replacements

    def on_leave(self, original_node: cst.CSTNode, updated_node: cst.CSTNode) -> cst.CSTNode:  # type: ignore[override]
        return self._replacements.get(id(original_node), updated_node)


_Fill = tuple[str, cst.Assign, cst.BaseExpression, cst.BaseExpression | None]


def _fills(body: cst.BaseSuite, condition: cst.BaseExpression | None) -> Iterator[_Fill]:
    """Yield every `s = s.masked_fill(...)` of a body and of the plain conditions in it."""
    statements: Sequence[cst.CSTNode] = body.body if isinstance(body, cst.IndentedBlock) else ()
    for statement in statements:
        if isinstance(statement, cst.If) and condition is None and statement.orelse is None:
            yield from _fills(statement.body, statement.test)
        if not isinstance(statement, cst.SimpleStatementLine) or not isinstance(statement.body[0], cst.Assign):
            continue
        assign = statement.body[0]
        value, target = assign.value, assign.targets[0].target
        if isinstance(value, cst.Call) and isinstance(target, cst.Name) and len(assign.targets) == 1:
            mask, of = _blocking(value), operand(value)
            if mask is not None and of is not None and text_of(of) == target.value:
                yield target.value, assign, mask, condition


def _is_of(call: cst.Call, name: str) -> bool:
    of = operand(call)
    return of is not None and text_of(of) == name and all(plain(each) or each.keyword for each in call.args)


def _calls(node: cst.CSTNode) -> Iterator[cst.Call]:
    for child in node.children:
        if isinstance(child, cst.Call):
            yield child
        yield from _calls(child)
