"""MOD007: a name that nothing binds."""

import ast
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.builtin_names import BUILTIN_NAMES
from audit.static.rules.context import FileContext
from audit.static.rules.rule import Rule, Spot

_KNOWN = frozenset(
    {
        *BUILTIN_NAMES,
        "__file__",
        "__path__",
        "__class__",
        "__builtins__",
        "__annotations__",
        "__module__",
        "__qualname__",
        "__spec__",
        "__loader__",
        "__package__",
        "__doc__",
        "__name__",
        "WindowsError",
        "get_ipython",
        "reveal_type",
    }
)
_MAKES_NAMES = ("globals(", "exec(", "locals(", "vars(", "__builtins__", "builtins.")


class UnboundName(Rule):
    """Names are compared with all that the file binds anywhere, whatever the scope: recall is small, so are errors."""

    id = "MOD007"
    title = "A name that nothing in the file binds"
    severity = Severity.MAJOR
    what = (
        "Reports a name that is read, is no builtin, and is bound nowhere in the file. Silent in a file with a "
        "star import or one that makes names at run time, in annotations, and where a handler expects the "
        "`NameError`."
    )
    why = "The line raises `NameError` when it runs: often in a fallback branch that the author's machine never takes."
    fix = "import or define it"
    references = ("https://docs.astral.sh/ruff/rules/undefined-name/",)
    nodes = (ast.Name,)
    also_silenced_by = ("F821",)
    VALID = (
        """
        import math


        def f(x):
            return math.sqrt(x)
        """,
        """
        try:
            text = unicode
        except NameError:
            text = str
        """,
        """
        from math import *

        x = sqrt(2)
        """,
        """
        from __future__ import annotations


        def f(x: Tensor) -> Tensor:
            return x
        """,
        """
        def f(x):
            match x:
                case [first, *rest]:
                    return first, rest
                case {'a': a, **others}:
                    return a, others
        """,
    )
    INVALID = (
        """
        try:
            import flash_attn
        except ImportError:
            logger.warning('no flash_attn')
            flash_attn = None
        """,
        """
        def f(x):
            return F.softmax(x, dim=-1)
        """,
    )

    def candidates(self, context: FileContext) -> Iterator[ast.AST]:
        """Yield the names that the file reads and does not bind; none of a file that may bind any."""
        index, bound = context.index, context.bound_names
        unknown = [name for name in index.name_places if name not in bound and name not in _KNOWN]
        nodes = [index.nodes[place] for place in sorted(place for name in unknown for place in index.name_places[name])]
        unbound = [node for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
        if unbound and not context.imports.has_star and not any(text in context.text for text in _MAKES_NAMES):
            yield from unbound

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield a name that is bound nowhere."""
        assert isinstance(node, ast.Name)
        if not _is_annotation(node, context) and not _expected(node, context):
            yield Spot(node, f"nothing in the file binds `{node.id}`")


def _is_annotation(node: ast.AST, context: FileContext) -> bool:
    child = node
    for around in context.ancestors(node):
        if child in (getattr(around, "annotation", None), getattr(around, "returns", None)):
            return True
        if isinstance(around, ast.stmt):
            return isinstance(around, ast.Delete)
        child = around
    return False


def _expected(node: ast.AST, context: FileContext) -> bool:
    """Return whether a handler around the name expects that it may not be bound."""
    child = node
    for around in context.ancestors(node):
        if isinstance(around, ast.Try) and child in around.body:
            for handler in around.handlers:
                if handler.type is None or any(
                    word in context.source(handler.type) for word in ("NameError", "Exception")
                ):
                    return True
        if isinstance(around, ast.If) and (
            "version" in context.source(around.test) or "TYPE_CHECKING" in context.source(around.test)
        ):
            return True
        child = around
    return False
