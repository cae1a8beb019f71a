"""TST005: a test that looks at shapes only."""

import ast
import re
from collections.abc import Iterator

from audit.static.rules.context import FileContext
from audit.static.rules.rule import EXAMPLE_TEST_FILE, Rule, Spot
from audit.static.rules.syntax import calls_in, last_name

_SHALLOW = re.compile(
    r"\.shape|\.size\(|\.ndim|\.dim\(|isnan|isfinite|isinf|is not None|isinstance|\.dtype|len\(|\.numel|hasattr"
)


class OnlyShapesAsserted(Rule):
    """A layer that returns zeros passes."""

    id = "TST005"
    title = "A test asserts shapes, types or finiteness only"
    what = "Reports a `test_*` function all of whose assertions are about shape, type, presence or NaN."
    why = "A model that ignores its mask, its input or its weights passes the test."
    fix = "assert something that depends on the values: a reference, a symmetry, a change of the input"
    default_on = False
    off_because = "such tests are worth having beside others, and the file does not show which others there are"
    nodes = (ast.FunctionDef,)
    words = ("def test",)
    example_file = EXAMPLE_TEST_FILE
    VALID = (
        """
        def test_a():
            y = model(x)
            assert y.shape == x.shape
            assert model(x + 1) != y
        """,
    )
    INVALID = (
        """
        import torch


        def test_a():
            y = model(x)
            assert y.shape == x.shape
            assert not torch.isnan(y).any()
        """,
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield a test without an assertion about values."""
        assert isinstance(node, ast.FunctionDef)
        if not context.is_test or not node.name.startswith("test_"):
            return
        asserts = [each for each in context.index.below(node) if isinstance(each, ast.Assert)]
        others = any(
            "assert" in last_name(call.func).lower() or last_name(call.func) == "raises" for call in calls_in(node)
        )
        if asserts and not others and all(_SHALLOW.search(ast.unparse(each.test)) for each in asserts):
            yield Spot(node, f"`{node.name}` looks at shapes, types or finiteness only")
