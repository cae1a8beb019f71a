"""TST002: an assertion that always holds."""

import ast
from collections.abc import Callable, Iterator

from audit.severity import Severity
from audit.static.fixes.edits import Edit, Fix, fix
from audit.static.fixes.source import SourceText
from audit.static.rules.context import FileContext
from audit.static.rules.rule import EXAMPLE_TEST_FILE, FixSafety, Rule, Spot
from audit.static.rules.syntax import constant, method, number


class ConstantAssertion(Rule):
    """What is asserted does not depend on the code."""

    id = "TST002"
    title = "An assertion that always holds"
    severity = Severity.MAJOR
    what = (
        "Reports in test files `assert` of a literal that is true, of a non-empty tuple, of something compared "
        "with itself or of `len(x) >= 0`, and `assertTrue(True)`."
    )
    why = "It reads like a check and never fails: `assert (x == y, 'message')` is a tuple, and a tuple is true."
    fix_safety = FixSafety.UNSAFE
    fix_depends_on = "only a condition and its message in parentheses are edited: the test may fail afterwards"
    fix = "assert something about what the code computed"
    references = ("https://docs.astral.sh/ruff/rules/assert-tuple/",)
    nodes = (ast.Assert, ast.Call)
    words = ("assert",)
    example_file = EXAMPLE_TEST_FILE
    VALID = (
        """
        def test_a():
            assert f(x) == 1
        """,
        """
        def test_a():
            assert False, 'must not get here'
        """,
        """
        def test_a():
            assert len(f(x)) >= 1
        """,
    )
    INVALID = (
        """
        def test_a():
            f(x)
            assert True
        """,
        """
        def test_a():
            y = f(x)
            assert (y == 1, 'wrong')
        """,
        """
        def test_a():
            y = f(x)
            assert len(y) >= 0
        """,
    )
    FIXED = (
        (
            """
            def test_a():
                y = f(x)
                assert (y == 1, 'wrong')
            """,
            """
            def test_a():
                y = f(x)
                assert y == 1, 'wrong'
            """,
        ),
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield an assertion of something that always holds."""
        if not context.is_test:
            return
        if isinstance(node, ast.Assert) and _always_holds(node.test):
            yield Spot(node, f"`assert {ast.unparse(node.test)[:60]}` always holds", edits=_edits(node))
        if isinstance(node, ast.Call) and method(node) == "assertTrue" and node.args and constant(node.args[0]) is True:
            yield Spot(node, "`assertTrue(True)` always holds")


def _edits(node: ast.Assert) -> Callable[[SourceText], Fix | None] | None:
    """Return the fix that takes away the parentheses which make a tuple of a condition and its message."""
    match node.test:
        case ast.Tuple(elts=[_, ast.Constant(value=str()) | ast.JoinedStr()]) as test:
            pass
        case _:
            return None

    def edits(source: SourceText) -> Fix | None:
        text = source.of(test)
        inner = text[1:-1].strip()
        if not text.startswith("(") or "\n" in text or "#" in text or inner.endswith(","):
            return None
        return fix([Edit(source.start(test), source.end(test), inner)], FixSafety.UNSAFE)

    return edits


def _always_holds(test: ast.expr) -> bool:
    match test:
        case ast.Constant(value=value):
            return bool(value)
        case ast.Tuple(elts=parts):
            return bool(parts)
        case ast.Compare(left=ast.Call(func=ast.Name(id="len")), ops=[ast.GtE()], comparators=[bound]):
            return number(bound) == 0.0
        case ast.BoolOp(op=ast.Or(), values=parts):
            return any(isinstance(part, ast.Constant) and bool(part.value) for part in parts)
    return False
