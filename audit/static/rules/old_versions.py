"""Calls that are for an old version of torch, beside one for the others."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from audit.static.rules.context import FileContext
from audit.static.rules.syntax import calls_in, statements_before
from audit.static.tree import walk

_OF_TORCH = re.compile(r"torch", re.IGNORECASE)
# What is compared where torch's version is asked for, or whether it takes an argument or has a function.
_TELLS_VERSION = re.compile(
    r"torch.*version|version.*torch|__version__|torch_?v?\d|torch\w*_(lt|le|gt|ge|gte|less|greater|older|newer)_"
    r"|\bsignature\(|getfullargspec|\.__(code|defaults|kwdefaults)__|hasattr\(torch\b|version\b *[<>]",
    re.IGNORECASE,
)
_TAKES = r"(has|have|support|supports|accept|accepts|take|takes|know|knows)_(\w*_)?"  # before the argument's name
_OLDER = re.compile(r"(^|_)(lt|le|less|before|below|older|old|pre)(_|$)", re.IGNORECASE)
_NEWER = re.compile(r"(^|_)(gt|ge|gte|greater|newer|least|min|after|newer|has|support|supports)(_|$)", re.IGNORECASE)
_SIGNS = {">": True, ">=": True, "<": False, "<=": False}  # whether a newer version is asked for
_UNKNOWN_ARGUMENT = frozenset({"TypeError"})
_ANY_FAILURE = frozenset({"TypeError", "Exception", "BaseException"})

Code = ast.AST | Sequence[ast.AST]


@dataclass(frozen=True)
class Fallback:
    """What is done by versions of torch that do not know an argument of a function.

    Attributes:
        function: dotted names of the function.
        argument: what an old version does not take.
        of_any_failure: whether a handler of every exception is one of the unknown argument too.
    """

    function: tuple[str, ...]
    argument: str
    of_any_failure: bool = True

    def is_at(self, call: ast.Call, context: FileContext) -> bool:
        """Return whether `call` is what is left to an old version.

        It stands in a handler of `TypeError` where what was tried passes the argument, in the branch of a version test
        that is for older ones, or behind a branch for newer ones that returns.
        """
        child: ast.AST = call
        for around in context.ancestors(call):
            match around:
                case ast.ExceptHandler():
                    tried = context.parent(around)
                    assert isinstance(tried, ast.Try | ast.TryStar)
                    if self._is_expected(around.type) and self._passes(tried.body, context):
                        return True
                case ast.If() | ast.IfExp():
                    if self._is_for_older(around, child, context):
                        return True
            if isinstance(child, ast.stmt) and self._is_behind(child, context):
                return True
            child = around
        return False

    def _is_for_older(self, branch: ast.If | ast.IfExp, child: ast.AST, context: FileContext) -> bool:
        body: Code = branch.body
        orelse: Code = branch.orelse
        if _holds(body, child):
            return self._tells(branch.test, newer=False, other=orelse, context=context)
        return _holds(orelse, child) and self._tells(branch.test, newer=True, other=body, context=context)

    def _tells(self, test: ast.expr, *, newer: bool, other: Code, context: FileContext) -> bool:
        """Whether the test holds for newer versions, or older ones; `other` is what is done by the others."""
        meant = _Test(test, context)
        if not _TELLS_VERSION.search(meant.text) and not re.search(_TAKES + self.argument, meant.text, re.IGNORECASE):
            return False
        if meant.is_newer is None or not _OF_TORCH.search(meant.text):
            # Then what the others do says whose branch this is.
            return meant.is_newer in (None, newer) and self._passes(other, context)
        return meant.is_newer is newer

    def _is_behind(self, statement: ast.stmt, context: FileContext) -> bool:
        """Whether a statement before this one passes the argument and returns, on a version that takes it."""
        for before in statements_before(context.block_of(statement), statement):
            match before:
                case ast.If(body=[*_, ast.Return() | ast.Raise()], orelse=[]) if self._tells(
                    before.test, newer=True, other=before.body, context=context
                ):
                    return True
                case ast.Try(body=[*_, ast.Return()]) if any(self._is_expected(each.type) for each in before.handlers):
                    if self._passes(before.body, context):
                        return True
                case ast.With(items=[ast.withitem(context_expr=ast.Call() as entered)], body=[*_, ast.Return()]):
                    is_suppressed = context.resolve(entered) == "contextlib.suppress"
                    types = ast.Tuple(elts=list(entered.args))
                    if is_suppressed and self._is_expected(types) and self._passes(before.body, context):
                        return True
        return False

    def _is_expected(self, types: ast.expr | None) -> bool:
        """Whether a handler of these exceptions is one of an argument that is not known."""
        if types is None:
            return self.of_any_failure
        named = types.elts if isinstance(types, ast.Tuple) else [types]
        expected = _ANY_FAILURE if self.of_any_failure else _UNKNOWN_ARGUMENT
        return any(isinstance(each, ast.Name) and each.id in expected for each in named)

    def _passes(self, code: Code, context: FileContext) -> bool:
        """Whether the function is called with the argument somewhere in `code`, or with ones that cannot be told."""
        calls = (call for call in _calls(code) if context.resolve(call) in self.function)
        return any(keyword.arg in (self.argument, None) for call in calls for keyword in call.keywords)


def _holds(code: Code, child: ast.AST) -> bool:
    return child is code or (isinstance(code, Sequence) and child in code)


def _calls(code: Code) -> Iterator[ast.Call]:
    for node in code if isinstance(code, Sequence) else [code]:
        yield from calls_in(node)


class _Test:
    """A test, and what it says of versions.

    Attributes:
        text: its source, and that of what its names are bound to.
        is_newer: whether it holds for newer versions, or for older ones; None where that cannot be told.
    """

    def __init__(self, test: ast.expr, context: FileContext) -> None:
        self._context = context
        named = [bound for each in walk(test) if (bound := self._bound(each))]
        self.text = "\n".join(map(ast.unparse, [test, *named]))
        self.is_newer = self._is_newer(test)

    def _bound(self, node: ast.AST) -> ast.expr | None:
        """Return what a name stands for, in its function or at the top of the file, where it is bound once."""
        if not isinstance(node, ast.Name):
            return None
        if (value := self._context.value_of(node)) is not node:
            return value
        at_top = self._context.assignments(self._context.index.tree).get(node.id, [])
        return at_top[0] if len(at_top) == 1 else None

    def _is_newer(self, test: ast.expr, *, is_followed: bool = True) -> bool | None:
        match test:
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                is_newer = self._is_newer(operand, is_followed=is_followed)
                return None if is_newer is None else not is_newer
            case ast.BoolOp(values=values):
                told = {self._is_newer(each, is_followed=is_followed) for each in values} - {None}
                return told.pop() if len(told) == 1 else None
            case ast.Compare(ops=[ast.In() | ast.NotIn() as op]):
                return isinstance(op, ast.In)
            case ast.Compare(ops=[ast.Is() | ast.IsNot() as op], comparators=[ast.Constant(value=None)]):
                return isinstance(op, ast.IsNot)
            case ast.Compare(left=left, ops=[ast.Gt() | ast.GtE() | ast.Lt() | ast.LtE() as op], comparators=[right]):
                sides = [bool(_TELLS_VERSION.search(f"{ast.unparse(side)} <")) for side in (left, right)]
                if sides[0] is sides[1]:
                    return None
                return isinstance(op, ast.Gt | ast.GtE) is sides[0]
            case ast.Call(args=[ast.Constant(value=str(sign)), *_]) if sign in _SIGNS:
                return _SIGNS[sign]
            case ast.Call(func=ast.Name(id="hasattr")):
                return True
            case ast.Name() if is_followed and (bound := self._bound(test)):
                return self._is_newer(bound, is_followed=False)
        match test:
            case (
                ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name))
                | ast.Name(id=name)
                | ast.Attribute(attr=name)
            ):
                return False if _OLDER.search(name) else True if _NEWER.search(name) else None
        return None
