"""TRN002: a scheduler that steps before the optimizer does."""

import ast
from collections.abc import Callable, Iterator

from audit.severity import Severity
from audit.static.fixes.edits import Edit, Fix, fix
from audit.static.fixes.source import SourceText
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Spot
from audit.static.rules.syntax import calls_in, statements_before
from audit.static.rules.training_forms import is_scheduler, optimizer_steps


class SchedulerBeforeOptimizer(CallRule):
    """The order changed in torch 1.1."""

    id = "TRN002"
    title = "The learning-rate scheduler steps before the optimizer"
    severity = Severity.MAJOR
    what = "Reports `scheduler.step()` that stands before the only `optimizer.step()` of the same block of a loop."
    why = "The first value of the schedule is skipped, and every step uses the rate of the next one; torch only warns."
    fix = "call optimizer.step() first"
    fix_safety = FixSafety.UNSAFE
    references = ("https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate",)
    words = ("step",)
    called = ("step",)
    VALID = (
        """
        for x in loader:
            optimizer.step()
            scheduler.step()
        """,
        """
        for epoch in range(9):
            for x in loader:
                optimizer.step()
            scheduler.step()
        """,
        """
        for t in steps:
            x = scheduler.step(noise, t, x)
            optimizer.step()
        """,
        """
        for x in loader:
            scaler.step(optimizer)
            scaler.update()
            scheduler.step()
        """,
    )
    INVALID = (
        """
        for x in loader:
            scheduler.step()
            optimizer.step()
        """,
        """
        from torch.optim.lr_scheduler import StepLR

        s = StepLR(opt, 9)
        for x in loader:
            loss.backward()
            s.step()
            opt.step()
        """,
        """
        for x in loader:
            scaler.scale(loss(x)).backward()
            scheduler.step()
            scaler.step(optimizer)
            scaler.update()
        """,
    )
    FIXED = (
        (
            """
            for x in loader:
                scheduler.step()  # each batch
                optimizer.step()
                log(x)
            """,
            """
            for x in loader:
                optimizer.step()
                scheduler.step()  # each batch
                log(x)
            """,
        ),
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a scheduler's step with the optimizer's behind it."""
        statement = context.statement_of(call)
        if not is_scheduler(call, context) or not isinstance(statement, ast.Expr) or context.loop_of(call) is None:
            return
        block = context.block_of(statement)
        before, behind = statements_before(block, statement), block[block.index(statement) + 1 :]
        steps_before = [each for one in before for each in optimizer_steps(calls_in(one), context)]
        steps_behind = [
            one for one in behind if isinstance(one, ast.Expr) and list(optimizer_steps([one.value], context))
        ]
        if steps_behind and not steps_before:
            message = f"`{ast.unparse(call.func)}` runs before `{ast.unparse(steps_behind[0])}`"
            yield Spot(call, message, edits=_edits(statement, steps_behind[0]))


def _edits(first: ast.stmt, last: ast.stmt) -> Callable[[SourceText], Fix | None]:
    """Return the fix that moves the scheduler's step behind that of the optimizer."""

    def edits(source: SourceText) -> Fix | None:
        if not source.stands_alone(first) or not source.stands_alone(last):
            return None
        start, behind = source.line_start(source.start(first)), source.line_end(source.end(last))
        line = source.text[start : source.line_end(source.end(first))]
        moved = Edit(behind, behind, source.line_break + line)
        return fix([Edit(start, source.next_line(source.end(first)), ""), moved], FixSafety.UNSAFE)

    return edits
