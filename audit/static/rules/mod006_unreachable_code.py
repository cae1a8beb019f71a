"""MOD006: statements behind one that always leaves."""

import ast
from collections.abc import Iterator

from audit.static.rules.context import FileContext
from audit.static.rules.rule import Precision, Rule, Spot


class UnreachableCode(Rule):
    """A statement that can never run."""

    id = "MOD006"
    title = "Statements that can never run"
    what = "Reports the first statement that stands behind `return`, `raise`, `break` or `continue` in the same block."
    why = "Somebody thought it would run: often a check, or the real computation behind a shortcut left from debugging."
    fix = "remove the statement, or the one that leaves before it"
    references = ("https://pylint.readthedocs.io/en/stable/user_guide/messages/warning/unreachable.html",)
    precision = Precision(findings=6, sampled=6, false=0)
    nodes = (ast.Return, ast.Raise, ast.Break, ast.Continue)
    also_silenced_by = ("PLW0101",)
    VALID = (
        """
        def f(x):
            if x:
                return 1
            return 2
        """,
        """
        def f():
            return
            yield
        """,
        """
        def f():
            raise NotImplementedError
            return 0
        """,
    )
    INVALID = (
        """
        def f(x):
            return x
            return x + 1
        """,
        """
        def f(xs):
            for x in xs:
                continue
                g(x)
        """,
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield the statement behind one that leaves."""
        assert isinstance(node, ast.stmt)
        block = context.block_of(node)
        behind = block[block.index(node) + 1 :]
        if not behind:
            return
        makes_generator = any(
            isinstance(each, ast.Yield | ast.YieldFrom) for rest in behind for each in context.index.below(rest)
        )
        if not makes_generator and not _is_stub_end(node, behind):
            yield Spot(behind[0], f"this never runs: the line {node.lineno} before it always leaves")


def _is_stub_end(node: ast.stmt, behind: list[ast.stmt]) -> bool:
    """Return whether the rest only tells a type checker what an abstract method returns, or is a lone `pass`."""
    if isinstance(node, ast.Raise) and len(behind) == 1 and isinstance(behind[0], ast.Return):
        return True
    return all(
        isinstance(each, ast.Pass) or (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
        for each in behind
    )
