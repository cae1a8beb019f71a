"""TRN005: scaled gradients that the optimizer takes as they are."""

import ast
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Spot
from audit.static.rules.syntax import calls_in, method, receiver
from audit.static.rules.training_forms import optimizer_steps, scaled_backward


class ScalerBypassed(CallRule):
    """The scaler's `step` divides the gradients by the scale first, and skips the step where they overflowed."""

    id = "TRN005"
    title = "The optimizer steps on gradients that the AMP scaler has scaled"
    severity = Severity.MAJOR
    what = (
        "Reports `scaler.scale(loss).backward()` in a function that calls `optimizer.step()` and never `scaler.step`."
    )
    why = "The optimizer gets gradients 65536 times too large, and takes the step after an overflow too."
    fix = "call scaler.step(optimizer) and scaler.update()"
    fix_safety = FixSafety.UNSAFE
    references = ("https://docs.pytorch.org/docs/stable/notes/amp_examples.html",)
    words = (".scale(",)
    called = ("backward",)
    VALID = (
        """
        def train(scaler, optimizer):
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        """,
        """
        def train(scaler, optimizer):
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            optimizer.step()
        """,
    )
    INVALID = (
        """
        def train(scaler, optimizer):
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            optimizer.step()
        """,
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a backward of a scaled loss whose gradients are never unscaled."""
        scaler = scaled_backward(call)
        if not scaler:
            return
        calls = list(calls_in(context.index.scope(call)))
        of_scaler = {method(each) for each in calls if ast.unparse(receiver(each) or each.func) == scaler}
        steps = [step for step in optimizer_steps(calls, context) if ast.unparse(receiver(step) or step.func) != scaler]
        if steps and not of_scaler & {"step", "unscale_"}:
            taken = ast.unparse(steps[0].func)
            yield Spot(call, f"the gradients of `{scaler}.scale(...)` reach `{taken}` as they are")
