"""TST004: a script that reports success after it failed."""

import ast
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import Spot
from audit.static.rules.syntax import Function, constant, last_name


class ExitZeroAfterFailure(CallRule):
    """CI looks at the exit code."""

    id = "TST004"
    title = "A failure ends with exit code 0"
    severity = Severity.MAJOR
    what = (
        "Reports `sys.exit(0)`, `exit(0)` and `os._exit(0)` in a handler of `Exception`, `AssertionError` or "
        "everything."
    )
    why = "Whoever looks at the exit code, as CI does, sees success."
    fix = "exit with another code than 0, or let the exception out"
    words = ("exit",)
    called = ("exit", "_exit", "quit")
    VALID = (
        """
        import sys

        try:
            main()
        except Exception:
            sys.exit(1)
        """,
        """
        import sys

        try:
            main()
        except KeyboardInterrupt:
            sys.exit(0)
        """,
    )
    INVALID = (
        """
        import sys

        try:
            main()
        except Exception as error:
            print(error)
            sys.exit(0)
        """,
        """
        import os

        try:
            main()
        except:
            os._exit(0)
        """,
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield an exit with 0 in a broad handler."""
        if context.resolve(call) not in ("sys.exit", "os._exit", "exit", "quit") or len(call.args) > 1:
            return
        if call.args and constant(call.args[0]) not in (0, None):
            return
        for around in context.ancestors(call):
            if isinstance(around, ast.ExceptHandler):
                if around.type is None or last_name(around.type) in ("Exception", "BaseException", "AssertionError"):
                    yield Spot(call, "the program fails here, and its exit code says success")
                return
            if isinstance(around, Function | ast.Lambda):
                return
