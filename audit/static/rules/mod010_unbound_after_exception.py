"""MOD010: a name that a caught exception leaves unbound, read right after."""

import ast
import re
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.rules.bindings import stored_names
from audit.static.rules.context import FileContext
from audit.static.rules.rule import Rule, Spot
from audit.static.rules.syntax import calls_in, last_name, parameters
from audit.static.tree import children, walk

_RETURNS = re.compile(
    r"^(?:print|str|repr|type|format|format_exc|print_exc|debug|info|warn|warning|error|exception|log|len)$"
)
_ENDS = (ast.Return, ast.Raise, ast.Break, ast.Continue)


class UnboundAfterException(Rule):
    """Reads in the same block only, in a statement that surely runs."""

    id = "MOD010"
    title = "A name that a caught exception leaves unbound is read afterwards"
    severity = Severity.MAJOR
    what = (
        "Reports the read of a name that only the body of a `try` binds, after a handler that goes on without "
        "binding it."
    )
    why = "After the exception that the handler means to survive, the next line raises `UnboundLocalError`."
    fix = "bind the name in the handler or before the `try`, or let the exception out"
    references = ("https://docs.python.org/3/faq/programming.html#why-am-i-getting-an-unboundlocalerror",)
    nodes = (ast.Try,)
    VALID = (
        """
        def f(path):
            data = None
            try:
                data = load(path)
            except OSError:
                print('no data')
            return data
        """,
        """
        def f(path):
            try:
                data = load(path)
            except OSError:
                return None
            return data
        """,
        """
        def f(path):
            try:
                data = load(path)
            except OSError:
                sys.exit('no data')
            return data
        """,
        """
        def f(path):
            try:
                import rdkit
                found = True
            except ImportError:
                found = False
            return rdkit.parse(path)
        """,
    )
    INVALID = (
        """
        def f(path):
            try:
                data = load(path)
            except Exception as error:
                logger.error(f'failed: {error}')
            return data
        """,
        """
        def f(q, k, v):
            try:
                out = flash(q, k, v)
            except RuntimeError:
                pass
            out = out + v
            return out
        """,
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield the first read of each name that one of the handlers leaves unbound."""
        assert isinstance(node, ast.Try)
        function = context.function_of(node)
        surviving = [each for each in node.handlers if _goes_on(each)]
        if function is None or not surviving or context.loop_of(node) is not None:
            return
        names = stored_names(node.body) - stored_names([*node.orelse, *node.finalbody])
        given = {each.arg for each in parameters(function)}
        names -= given | _bound_before(names, node, function) | _declared(function)
        block = context.block_of(node)
        for statement in block[block.index(node) + 1 :]:
            if isinstance(statement, ast.stmt) and names:
                yield from self._reads(statement, names, context)
                names -= stored_names([statement])
                if isinstance(statement, _ENDS):
                    return

    def _reads(self, statement: ast.stmt, names: set[str], context: FileContext) -> Iterator[Spot]:
        """Yield the names that a statement reads whatever happens in it."""
        certain: list[ast.AST] = [statement]
        if isinstance(statement, ast.If | ast.While):
            certain = [statement.test]
        elif isinstance(statement, ast.For):
            certain = [statement.iter]
        elif not isinstance(statement, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Expr | ast.Return):
            return
        for each in certain:
            conditional = (ast.IfExp, ast.BoolOp, ast.Lambda, ast.GeneratorExp)
            if any(isinstance(found, conditional) for found in walk(each)):
                continue
            for found in sorted((each, *context.index.own(each)), key=_place):
                if isinstance(found, ast.Name) and isinstance(found.ctx, ast.Load) and found.id in names:
                    names.discard(found.id)
                    yield Spot(found, f"`{found.id}` is unbound here when the `try` above failed and was survived")


def _place(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def _goes_on(handler: ast.ExceptHandler) -> bool:
    """Return whether execution surely goes on behind a handler, and nothing it binds tells the code there of it."""
    if any(isinstance(node, _ENDS) for node in walk(handler)) or stored_names(handler.body):
        return False
    calls = list(calls_in(handler))
    own = any(isinstance(call.func, ast.Name) and call.func.id in ("error", "exception") for call in calls)
    return not own and all(_RETURNS.match(last_name(call.func)) for call in calls)


def _bound_before(names: set[str], tried: ast.Try, function: ast.AST) -> set[str]:
    """Return which of the names something outside the `try` and above it binds."""
    before = (node for node in children(function) if getattr(node, "lineno", 0) <= tried.lineno)
    return {
        found.id
        for each in before
        for found in walk(each)
        if isinstance(found, ast.Name)
        and isinstance(found.ctx, ast.Store)
        and found.id in names
        and (found.lineno, found.col_offset) < (tried.lineno, tried.col_offset)
    }


def _declared(function: ast.AST) -> set[str]:
    declared = (node for node in walk(function) if isinstance(node, ast.Global | ast.Nonlocal))
    return {name for node in declared for name in node.names}
