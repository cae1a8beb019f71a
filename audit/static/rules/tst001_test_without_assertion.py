"""TST001: a test that cannot fail but by an exception."""

import ast
import re
from collections.abc import Iterator

from audit.static.rules.context import FileContext
from audit.static.rules.rule import EXAMPLE_TEST_FILE, Rule, Spot
from audit.static.rules.syntax import calls_in, is_stub, last_name

_ASSERTS = re.compile(
    r"assert|check|verif|expect|raise|warn|fail|compar|test|valid|ensure|equal|close|match|same|benchmark|run|skip|approx|snapshot|golden|parity",
    re.IGNORECASE,
)


class TestWithoutAssertion(Rule):
    """Silent where the test calls anything whose name says that it may check something."""

    __test__ = False  # for pytest, which takes the class's name for that of a test

    id = "TST001"
    title = "A test that asserts nothing"
    what = (
        "Reports a `test_*` function without `assert`, `raise` or `pytest.raises` that calls no function whose "
        "name speaks of checking, comparing, expecting, failing or testing."
    )
    why = "The test passes whatever the code computes, as long as it does not raise."
    fix = "assert what the code must compute"
    nodes = (ast.FunctionDef, ast.AsyncFunctionDef)
    words = ("def test",)
    example_file = EXAMPLE_TEST_FILE
    VALID = (
        """
        def test_sum():
            assert model(x).sum() == 3
        """,
        """
        import pytest


        def test_refuses():
            with pytest.raises(ValueError):
                model(None)
        """,
        """
        def test_all():
            check_model(model)
        """,
        """
        import pytest


        @pytest.mark.skip
        def test_later():
            pass
        """,
        """
        def helper():
            model(x)
        """,
        """
        def look(y):
            assert y == 1


        def test_helped():
            look(model(x))
        """,
    )
    INVALID = (
        """
        def test_forward():
            y = model(x)
            print(y.shape)
        """,
        """
        class TestModel:
            def test_forward(self):
                model(x)
        """,
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield a test that asserts nothing."""
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if not context.is_test or not node.name.startswith("test_") or not self._is_collected(node, context):
            return
        decorators = " ".join(ast.unparse(each) for each in node.decorator_list)
        if _may_check(node) or is_stub(node) or _ASSERTS.search(decorators):
            return
        names = {last_name(call.func) for call in calls_in(node)}
        helpers = [each for name in names for each in context.functions_by_name.get(name, ())]
        if names and not any(_may_check(each) for each in helpers):
            yield Spot(node, f"`{node.name}` asserts nothing")

    def _is_collected(self, node: ast.FunctionDef | ast.AsyncFunctionDef, context: FileContext) -> bool:
        """Return whether pytest or unittest would run the function: at the top, or in a class of tests."""
        owner = context.class_of(node)
        if owner is None:
            return context.index.scope(node) is context.index.tree
        unittest = any(last_name(base).endswith("TestCase") for base in owner.bases)
        return unittest or owner.name.startswith("Test")


def _may_check(function: ast.AST) -> bool:
    """Return whether a function asserts or raises, or calls something that may, or that has no name to tell."""
    if any(isinstance(each, ast.Assert | ast.Raise | ast.Yield) for each in ast.walk(function)):
        return True
    return any(not (name := last_name(call.func)) or _ASSERTS.search(name) for call in calls_in(function))
