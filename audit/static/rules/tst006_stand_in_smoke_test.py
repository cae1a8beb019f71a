"""TST006: a smoke test of a stand-in."""

import ast
import re
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.rules.context import FileContext
from audit.static.rules.rule import Rule, Spot
from audit.static.standard_library import STANDARD_LIBRARY

_SMOKE = re.compile(r"smoke", re.IGNORECASE)


class StandInSmokeTest(Rule):
    """Judged in files named as smoke tests only."""

    id = "TST006"
    title = "A smoke test builds a stand-in and never imports the package"
    severity = Severity.MAJOR
    what = (
        "Reports `nn.Sequential(...)` in a test file named as a smoke test that imports nothing but the standard "
        "library, torch, numpy and pytest."
    )
    why = "It shows that torch works. The models of the package are never built."
    fix = "import the package and build its models"
    nodes = (ast.Call,)
    words = ("Sequential",)
    example_file = "tests/test_smoke.py"
    VALID = (
        """
        from torch import nn

        from zoo import Model


        def test_a():
            assert nn.Sequential(Model())(1) == 2
        """,
        """
        import torch

        assert torch.ones(1) == 1
        """,
    )
    INVALID = (
        """
        from torch import nn


        def test_a():
            assert nn.Sequential(nn.Linear(2, 2))(1) is not None
        """,
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield the stand-in of a smoke test that imports no package of its own."""
        assert isinstance(node, ast.Call)
        name = context.path.rpartition("/")[2]
        if not context.is_test or not _SMOKE.search(name) or context.resolve(node) != "torch.nn.Sequential":
            return
        roots = {found.qualified.partition(".")[0] for found in context.imports.imports}
        if roots <= STANDARD_LIBRARY | {"torch", "numpy", "pytest"} and not context.imports.has_star:
            yield Spot(node, "a stand-in is tested; nothing of a package is imported")
