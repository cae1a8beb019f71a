"""API014: `torch.library.Library` in a test."""

import ast
from collections.abc import Iterator

from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import EXAMPLE_TEST_FILE, Precision, Spot


class LibraryInATest(CallRule):
    """TorchFix's rule for the repository of torch."""

    id = "API014"
    title = "`torch.library.Library` in a test outlives it"
    what = "Reports calls of `torch.library.Library` in test files."
    why = "What the library registers stays for all tests that run later in the process."
    fix = "use torch.library._scoped_library as a context manager"
    references = ("https://github.com/pytorch/pytorch/pull/118318",)
    default_on = False
    off_because = "the replacement is private to torch; meant for the repository of torch itself"
    precision = Precision(findings=2, sampled=0, false=0)
    words = ("Library",)
    example_file = EXAMPLE_TEST_FILE
    called = ("Library",)
    also_silenced_by = ("TOR901",)
    VALID = (
        """
        import torch

        with torch.library._scoped_library('mine', 'DEF') as library:
            pass
        """,
    )
    INVALID = (
        """
        import torch

        library = torch.library.Library('mine', 'DEF')
        """,
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a library that a test file makes."""
        if context.is_test and context.resolve(call) == "torch.library.Library":
            yield Spot(call, "`torch.library.Library` outlives the test that makes it")
