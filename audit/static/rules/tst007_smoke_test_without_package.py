"""TST007: a smoke test that imports nothing of a package."""

import ast
import re
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.rules.context import FileContext
from audit.static.rules.rule import Rule, Spot
from audit.static.rules.syntax import parameters
from audit.static.standard_library import STANDARD_LIBRARY

_SMOKE = re.compile(r"smoke", re.IGNORECASE)
_RUNS_OTHERS = frozenset({"subprocess", "runpy", "importlib", "multiprocessing", "asyncio", "ctypes"})
_LIBRARIES = frozenset({"torch", "torchvision", "numpy", "pytest", "scipy", "pandas"})


class SmokeTestWithoutPackage(Rule):
    """Judged in files named as smoke tests only; TST006 reports those that build a stand-in."""

    id = "TST007"
    title = "A smoke test never imports the package it claims to test"
    severity = Severity.MAJOR
    what = (
        "Reports a test file named as a smoke test that imports nothing but the standard library, torch, numpy "
        "and the like, starts no other program, and has a test without fixtures."
    )
    why = "It passes whatever state the package is in, a package that cannot be imported included."
    fix = "import the package and build its models"
    nodes = (ast.Module,)
    words = ("def test",)
    example_file = "tests/test_smoke.py"
    VALID = (
        """
        from zoo import Model


        def test_a_model_runs():
            assert Model()(1) is not None
        """,
        """
        import subprocess


        def test_the_command_runs():
            assert subprocess.run(['zoo', '--help']).returncode == 0
        """,
        """
        def test_a_model_runs(model):
            assert model(1) is not None
        """,
    )
    INVALID = (
        """
        import torch


        def test_a_model_runs():
            assert torch.isfinite(torch.randn(2, 2) @ torch.randn(2, 2)).all()
        """,
        """
        def test_everything():
            results = {'passed': 11, 'failed': 0}
            assert results['failed'] == 0
        """,
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield the first test of a smoke test that imports no package of its own."""
        name = context.path.rpartition("/")[2]
        if not context.is_test or not _SMOKE.search(name) or "Sequential" in context.text:
            return
        roots = {found.qualified.partition(".")[0] for found in context.imports.imports}
        if context.imports.has_star or roots & _RUNS_OTHERS or not roots <= STANDARD_LIBRARY | _LIBRARIES:
            return
        tests = [
            found
            for name, functions in context.functions_by_name.items()
            for found in functions
            if name.startswith("test") and not {each.arg for each in parameters(found)} - {"self"}
        ]
        if tests:
            first = min(tests, key=lambda found: found.lineno)
            yield Spot(first, "nothing of a package is imported here: the test passes whatever state the package is in")
