"""TRN006: gradients clipped while they are still scaled."""

import ast
from collections.abc import Callable, Iterator

from audit.severity import Severity
from audit.static.fixes.edits import Fix, fix
from audit.static.fixes.source import SourceText
from audit.static.fixes.statements import line_before
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Spot
from audit.static.rules.syntax import calls_in, last_name
from audit.static.rules.training_forms import scaled_backward

_CLIPS = frozenset(
    {"torch.nn.utils.clip_grad_norm_", "torch.nn.utils.clip_grad_value_", "torch.nn.utils.clip_grad_norm"}
)


class ClippedWhileScaled(CallRule):
    """The bound is meant for gradients, not for 65536 times the gradients."""

    id = "TRN006"
    title = "Gradients are clipped while the AMP scale is still on them"
    severity = Severity.MAJOR
    what = (
        "Reports torch's `clip_grad_norm_` and `clip_grad_value_` behind `scaler.scale(loss).backward()` without "
        "`unscale_`."
    )
    why = (
        "Scaled gradients are nearly always above the bound: after unscaling the step is a tiny fraction of what "
        "was meant."
    )
    fix = "call scaler.unscale_(optimizer) before clipping"
    fix_safety = FixSafety.UNSAFE
    references = ("https://docs.pytorch.org/docs/stable/notes/amp_examples.html#gradient-clipping",)
    words = (".scale(",)
    called = ("clip_grad_norm_", "clip_grad_value_", "clip_grad_norm")
    VALID = (
        """
        from torch.nn.utils import clip_grad_norm_


        def train(scaler, optimizer):
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            clip_grad_norm_(parameters, 1.0)
            scaler.step(optimizer)
        """,
    )
    INVALID = (
        """
        from torch.nn.utils import clip_grad_norm_


        def train(scaler, optimizer):
            scaler.scale(loss).backward()
            clip_grad_norm_(parameters, 1.0)
            scaler.step(optimizer)
        """,
    )
    FIXED = (
        (
            """
            from torch.nn.utils import clip_grad_norm_

            for x in loader:
                scaler.scale(f(x)).backward()
                clip_grad_norm_(model.parameters(), 1.0)
                scaler.step(optimizer)
                scaler.update()
            """,
            """
            from torch.nn.utils import clip_grad_norm_

            for x in loader:
                scaler.scale(f(x)).backward()
                scaler.unscale_(optimizer)
                clip_grad_norm_(model.parameters(), 1.0)
                scaler.step(optimizer)
                scaler.update()
            """,
        ),
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a clip of gradients that nothing has unscaled."""
        if context.resolve(call) not in _CLIPS:
            return
        calls = list(calls_in(context.index.scope(call)))
        scaled = [scaler for each in calls if each.lineno < call.lineno and (scaler := scaled_backward(each))]
        if scaled and not any("unscale" in last_name(each.func) for each in calls):
            edits = _edits(call, scaled[0], calls, context)
            yield Spot(call, "gradients are clipped while the AMP scale is still on them", edits=edits)


def _edits(
    clip: ast.Call, scaler: str, calls: list[ast.Call], context: FileContext
) -> Callable[[SourceText], Fix | None] | None:
    """Return the fix that unscales first, where one call `scaler.step(optimizer)` names the optimizer."""
    steps = {
        ast.unparse(each.args[0])
        for each in calls
        if ast.unparse(each.func) == f"{scaler}.step" and len(each.args) == 1 and not each.keywords
    }
    if len(steps) != 1:
        return None
    statement = context.statement_of(clip)
    line = f"{scaler}.unscale_({steps.pop()})"
    return lambda source: fix(line_before(statement, line, source), FixSafety.UNSAFE)
