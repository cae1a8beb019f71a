"""MOD009: a name that is read before anything has bound it."""

import ast
import builtins
from collections.abc import Iterator

from audit.results import Severity
from audit.static.rules.bindings import reads_before_binding
from audit.static.rules.context import FileContext
from audit.static.rules.rule import Rule, Spot

_BUILTINS = frozenset(
    {*vars(builtins), "__file__", "__path__", "__spec__", "__loader__", "__package__", "__annotations__"}
)


class ReadBeforeBound(Rule):
    """Only where no path binds the name first; one that some branch binds is another matter (see MOD010)."""

    id = "MOD009"
    title = "A name is read before it is bound"
    severity = Severity.MAJOR
    what = (
        "Reports the read of a name of a function or module where no path from its beginning has bound the name: "
        "in one branch of an `if` whose other branch binds it, in a fallback, or above the definition."
    )
    why = "The line raises `UnboundLocalError` or `NameError` whenever it runs, and no test ran it."
    fix = "bind the name first, in this branch too"
    references = ("https://docs.python.org/3/faq/programming.html#why-am-i-getting-an-unboundlocalerror",)
    nodes = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef)
    also_silenced_by = ("F821", "F823")
    VALID = (
        """
        def f(x, fast):
            if fast:
                y = x
            else:
                y = 2 * x
            return y
        """,
        """
        def f(items):
            for item in items:
                if item:
                    print(last)
                last = item
        """,
        """
        def f(path):
            try:
                opened = open(path)
            except OSError:
                opened = None
            finally:
                print(opened)
            return [opened for opened in ()]
        """,
        """
        def outer():
            def inner():
                return later

            later = 1
            return inner()
        """,
        """
        def f(data):
            if (n := len(data)) > 1:
                return n
            with open(data) as opened:
                return opened.read()
        """,
    )
    INVALID = (
        """
        def f(x, fast):
            if fast:
                scores = x
            else:
                scores = scores + x
            return scores
        """,
        """
        def f(x):
            try:
                return g(x)
            except ValueError as error:
                pass
            return error
        """,
        """
        try:
            import flash_attn
        except ImportError:
            log(f'no {NAME}')

        NAME = 'flash_attn'
        """,
        """
        def f(n):
            total += n
            return total
        """,
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield the first read of each name that nothing has bound."""
        assert isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef)
        is_module = isinstance(node, ast.Module)
        if is_module and (context.imports.has_star or "globals(" in context.text or "exec(" in context.text):
            return
        seen: set[str] = set()
        for name in reads_before_binding(node):
            skipped = is_module and (name.id in _BUILTINS or self._is_expected(name, context))
            if name.id not in seen and not skipped and not self._is_expected(name, context):
                seen.add(name.id)
                yield Spot(name, f"`{name.id}` is read here, and nothing has bound it yet")

    def _is_expected(self, name: ast.Name, context: FileContext) -> bool:
        """Return whether a handler around the read expects the error, or the read is no more than a `del`."""
        if isinstance(name.ctx, ast.Del):
            return True
        child: ast.AST = name
        for around in context.ancestors(name):
            if isinstance(around, ast.Try) and child in around.body:
                return any(
                    each.type is None
                    or any(w in ast.unparse(each.type) for w in ("NameError", "UnboundLocal", "Exception"))
                    for each in around.handlers
                )
            child = around
        return False
