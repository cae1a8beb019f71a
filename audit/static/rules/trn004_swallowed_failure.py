"""TRN004: a training step whose failures are passed over."""

import ast
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.rules.context import FileContext
from audit.static.rules.rule import Rule, Spot
from audit.static.rules.syntax import calls_in, last_name
from audit.static.rules.training_forms import backward_calls


class SwallowedFailure(Rule):
    """A step that fails is no step."""

    id = "TRN004"
    title = "A training step's failures are caught and passed over"
    severity = Severity.MAJOR
    what = "Reports `except Exception` and bare `except` that only pass or continue around a call of `backward()`."
    why = "A run in which every step fails looks like a run: it ends, and leaves a checkpoint of random weights."
    fix = "let the exception out, or catch the one that is expected and count it"
    references = ("https://docs.python.org/3/tutorial/errors.html",)
    nodes = (ast.Try,)
    words = ("backward",)
    VALID = (
        """
        for x in loader:
            try:
                f(x).backward()
            except MemoryError:
                continue
        """,
        """
        for x in loader:
            try:
                f(x).backward()
            except Exception:
                failures += 1
                raise
        """,
    )
    INVALID = (
        """
        for x in loader:
            try:
                f(x).backward()
            except Exception:
                continue
        """,
        """
        for x in loader:
            try:
                f(x).backward()
            except:
                pass
        """,
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield a handler that passes over a failed step."""
        assert isinstance(node, ast.Try)
        if not any(list(backward_calls(calls_in(statement))) for statement in node.body):
            return
        for handler in node.handlers:
            broad = handler.type is None or last_name(handler.type) in ("Exception", "BaseException")
            if broad and all(isinstance(each, ast.Pass | ast.Continue) for each in handler.body):
                yield Spot(handler, "a training step that fails is passed over")
