"""MOD009: a name that is read before anything has bound it."""

import ast
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.builtin_names import BUILTIN_NAMES
from audit.static.rules.bindings import reads_before_binding
from audit.static.rules.context import FileContext
from audit.static.rules.rule import Precision, Rule, Spot

_BUILTINS = frozenset(
    {*BUILTIN_NAMES, "__file__", "__path__", "__spec__", "__loader__", "__package__", "__annotations__"}
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
    precision = Precision(findings=1, sampled=1, false=0)
    nodes = (ast.Module,)
    also_silenced_by = ("F821", "F823")
    VALID = (
        """
        def f(x, fast):
            if fast:
                y = x
                z = y
            else:
                try:
                    y = z = g(x)
                except ValueError as error:
                    y = z = h(error)
            return y, z
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
        """
        def f(x, log):
            log = [y for y in log if (z := g(y)) or z]
            log = [w for y in log if (w := g(y))]
            kind = d.type if (d := x.device) else None
            if log:
                with (open(kind) as first, open(first.name) as second):
                    return second
            else:
                return kind
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
            mask = mask.to(x.device)
            return x + mask
        """,
        """
        try:
            import flash_attn
        except ImportError:
            log(f'no {NAME}')

        NAME = 'flash_attn'
        """,
        """
        def f(items):
            total += len(items)
            total = total / 2
            return total
        """,
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield the first read of each name that nothing has bound."""
        reads = sorted(reads_before_binding(context.index), key=lambda found: _place(found[0]))
        if not reads:
            return
        makes_names = context.imports.has_star or "globals(" in context.text or "exec(" in context.text
        seen: set[tuple[ast.AST, str]] = set()
        for name, scope in reads:
            if isinstance(scope, ast.Module) and (makes_names or name.id in _BUILTINS):
                continue
            if (scope, name.id) not in seen and not self._is_expected(name, context):
                seen.add((scope, name.id))
                yield Spot(name, f"`{name.id}` is read here, and nothing has bound it yet")

    def _is_expected(self, name: ast.Name, context: FileContext) -> bool:
        """Return whether a handler around the read expects the error."""
        child: ast.AST = name
        for around in context.ancestors(name):
            if isinstance(around, ast.Try) and child in around.body:
                return any(
                    each.type is None
                    or any(w in context.source(each.type) for w in ("NameError", "UnboundLocal", "Exception"))
                    for each in around.handlers
                )
            child = around
        return False


def _place(node: ast.Name) -> tuple[int, int]:
    return node.lineno, node.col_offset
