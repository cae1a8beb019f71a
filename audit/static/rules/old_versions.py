"""Calls that are for an old version of torch, which does not know an argument of a function."""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

from audit.static.rules.context import FileContext
from audit.static.rules.syntax import calls_in, last_name, statements_before
from audit.static.tree import walk

# What tells torch's version; `torchvision.__version__` and `torch.version.cuda` do not.
_TORCH_VERSION = re.compile(
    r"\btorch\.(__version__|torch_version)|torch_?version(?!\.)|version\(['\"]torch['\"]\)|torch_?v?\d"
    r"|torch\w*_(lt|le|gt|ge|gte|less|greater|older|newer)_",
    re.IGNORECASE,
)
_SIGNATURE = re.compile(r"\bsignature\(|getfullargspec|\.__(code|defaults|kwdefaults|doc)__")
_TAKES = r"(has|have|supports?|accepts?|takes?|knows?)_(\w*_)?"  # before the argument's name
_NUMBERS = re.compile(r"(?<![\d.])(\d)[._]\s*(\d+)|[(\[](\d), (\d+)")  # 1.10, '1.10', _1_10, (1, 10), [1, 10]
_OLDER = re.compile(r"(^|_)(lt|le|less|before|below|older|old|pre)(_|$)", re.IGNORECASE)
_SIGNS = {">": True, ">=": True, "<": False, "<=": False}  # whether a newer version is asked for
_UNKNOWN_ARGUMENT = frozenset({"TypeError"})
_ANY_FAILURE = frozenset({"TypeError", "Exception", "BaseException"})
_MOST_FOLLOWED = 4  # names that are bound to an expression of names
_MOST_LETTERS = 2000  # of a test: a longer one is none of a version


@dataclass(frozen=True)
class Fallback:
    """What is done by versions of torch that do not know an argument of a function.

    Attributes:
        function: dotted names of the function.
        argument: what an old version does not take.
        until: the version from which on leaving the argument out is a finding.
        of_any_failure: whether a handler of every exception is one of the unknown argument too.
    """

    function: tuple[str, ...]
    argument: str
    until: tuple[int, int]
    of_any_failure: bool = True

    def is_at(self, call: ast.Call, context: FileContext) -> bool:
        """Return whether `call` is what is left to an old version.

        It stands in a handler of `TypeError` where what was tried passes the argument, in a branch that no version
        takes which knows it, or behind one that all of those take and that leaves.
        """
        child: ast.AST = call
        for around in context.ancestors(call):
            match around:
                case ast.ExceptHandler():
                    tried = context.parent(around)
                    assert isinstance(tried, ast.Try | ast.TryStar)
                    if self._is_expected(around.type) and self._passes(tried.body, context):
                        return True
                case ast.If(test=test) | ast.IfExp(test=test) if child is not test:
                    is_body = child is around.body or (isinstance(around.body, list) and child in around.body)
                    if self._tells(test, context, outcome=is_body) is False:
                        return True
            if isinstance(child, ast.stmt) and self._is_behind(child, context):
                return True
            child = around
        return False

    def _is_behind(self, statement: ast.stmt, context: FileContext) -> bool:
        """Whether a statement before this one leaves where the argument is known."""
        for before in statements_before(context.block_of(statement), statement):
            match before:
                case ast.If(test=test, body=[*_, ast.Return() | ast.Raise()], orelse=[]):
                    if self._tells(test, context, outcome=False) is False:
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
        if self.of_any_failure:
            return any(last_name(each) in _ANY_FAILURE for each in named)
        return bool(named) and all(last_name(each) in _UNKNOWN_ARGUMENT for each in named)

    def _passes(self, code: Sequence[ast.AST], context: FileContext) -> bool:
        """Whether the function is called with the argument somewhere in `code`, or with ones that cannot be told."""
        calls = (call for node in code for call in calls_in(node) if context.resolve(call) in self.function)
        return any(keyword.arg in (self.argument, None) for call in calls for keyword in call.keywords)

    def _tells(self, test: ast.expr, context: FileContext, *, outcome: bool, depth: int = 0) -> bool | None:
        """Return whether the argument is known where a test has this outcome; None where that cannot be told."""
        match test:
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self._tells(operand, context, outcome=not outcome, depth=depth)
            case ast.BoolOp(op=op, values=values):
                told = [self._tells(each, context, outcome=outcome, depth=depth) for each in values]
                if isinstance(op, ast.And) is outcome:  # each of them has this outcome
                    return next((each for each in told if each is not None), None)
                return told[0] if len(set(told)) == 1 else None
            case ast.Name() if depth < _MOST_FOLLOWED and (bound := _bound(test, context)):
                known = self._tells(bound, context, outcome=outcome, depth=depth + 1)
                if known is not None:
                    return known
            case ast.NamedExpr(value=value):
                return self._tells(value, context, outcome=outcome, depth=depth)
        is_known = self._is_known(test, context)
        return is_known if is_known is None or outcome else not is_known

    def _is_known(self, test: ast.expr, context: FileContext) -> bool | None:
        """Return whether a test that holds says that the argument is known, or that it is not; None where neither."""
        text = _text(test, context)
        if len(text) > _MOST_LETTERS:
            return None
        if _SIGNATURE.search(text):
            return _of_signature(test)
        if re.search(_TAKES + self.argument, text, re.IGNORECASE):
            return True
        if not _TORCH_VERSION.search(text):
            return None
        asks = _asks_for_newer(test, context)
        versions = [tuple(int(part) for part in each if part) for each in _NUMBERS.findall(text)]
        if asks is None or len(set(versions)) != 1 or versions[0] > self.until:
            return None
        return asks


def _bound(name: ast.Name, context: FileContext) -> ast.expr | None:
    """Return what a name stands for where it is bound once, in its function or else at the top of the file."""
    if (value := context.value_of(name)) is not name:
        return value
    scope = context.index.scope(name)
    if name.id in context.assignments(scope):  # a parameter, or bound more than once
        return None
    at_top = context.assignments(context.index.tree).get(name.id, [])
    return at_top[0] if len(at_top) == 1 else None


def _text(node: ast.expr, context: FileContext, depth: int = 0) -> str:
    """Return the source of an expression, and that of what its names stand for."""
    texts = [context.source(node)]
    for each in walk(node):
        if sum(map(len, texts)) > _MOST_LETTERS:
            break
        if isinstance(each, ast.Name):
            if context.resolve(each) == "torch.__version__":
                texts.append("torch.__version__")
            elif depth < _MOST_FOLLOWED and (bound := _bound(each, context)):
                texts.append(_text(bound, context, depth + 1))
    return "\n".join(texts)


def _of_signature(test: ast.expr) -> bool | None:
    match test:
        case ast.Compare(ops=[ast.In() | ast.NotIn() as op]):
            return isinstance(op, ast.In)
        case ast.Compare(ops=[ast.Is() | ast.IsNot() as op], comparators=[ast.Constant(value=None)]):
            return isinstance(op, ast.IsNot)
    return None


def _asks_for_newer(test: ast.expr, context: FileContext) -> bool | None:
    """Return whether a test holds for newer versions, or for older ones; None where that cannot be told."""
    match test:
        case ast.Compare(left=left, ops=[ast.Gt() | ast.GtE() | ast.Lt() | ast.LtE() as op], comparators=[right]):
            is_left, is_right = (bool(_TORCH_VERSION.search(_text(side, context))) for side in (left, right))
            return None if is_left is is_right else isinstance(op, ast.Gt | ast.GtE) is is_left
        case ast.Call(args=[ast.Constant(value=str(sign)), *_]) if sign in _SIGNS:
            return _SIGNS[sign]
        case ast.Call() | ast.Name() | ast.Attribute():
            name = last_name(test.func if isinstance(test, ast.Call) else test)
            return not _OLDER.search(name)  # `TORCH_1_10` is said of what is there
    return None
