"""TST003: a test that passes over its own failure."""

import ast
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.rules.context import FileContext
from audit.static.rules.rule import EXAMPLE_TEST_FILE, Rule, Spot
from audit.static.rules.syntax import last_name


class TestSwallowsFailure(Rule):
    """An assertion that fails is an exception, and is passed over like any other."""

    __test__ = False  # for pytest, which takes the class's name for that of a test

    id = "TST003"
    title = "A test catches every exception and goes on"
    severity = Severity.MAJOR
    what = (
        "Reports in a `test_*` function `except Exception`, `except AssertionError` and bare `except` whose "
        "handler only passes, continues, returns or prints, around the test's assertions or around all it does."
    )
    why = "The test passes when the code under test fails."
    fix = "let the exception out; where it is expected, use pytest.raises"
    nodes = (ast.ExceptHandler,)
    words = ("except",)
    example_file = EXAMPLE_TEST_FILE
    VALID = (
        """
        def test_a():
            try:
                f(x)
            except ValueError:
                pass
            assert f(1) == 2
        """,
        """
        import pytest


        def test_a():
            with pytest.raises(ValueError):
                f(x)
        """,
        """
        import pytest


        def test_a():
            try:
                assert f(x)
            except Exception:
                pytest.fail('no')
        """,
        """
        def test_a():
            try:
                release()
            except Exception:
                pass
            assert f(1) == 2
        """,
    )
    INVALID = (
        """
        def test_a():
            try:
                assert f(x) == 1
            except Exception:
                pass
        """,
        """
        def test_a():
            try:
                assert f(x) == 1
            except:
                print('failed')
        """,
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield a handler that passes over a failed assertion."""
        assert isinstance(node, ast.ExceptHandler)
        function = context.function_of(node)
        if not context.is_test or function is None or not function.name.startswith("test_"):
            return
        broad = node.type is None or last_name(node.type) in ("Exception", "BaseException", "AssertionError")
        tried = context.parent(node)
        if not broad or not isinstance(tried, ast.Try) or not all(_says_nothing(each) for each in node.body):
            return
        if any(isinstance(each, ast.Assert) for statement in tried.body for each in ast.walk(statement)):
            yield Spot(node, f"`{function.name}` passes when its assertion fails")


def _says_nothing(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Continue() | ast.Return() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Expr(value=ast.Call(func=function)):
            return last_name(function) in ("print", "info", "warning", "debug", "error", "exception", "print_exc")
    return False
