"""TRN006: gradients clipped while they are still scaled."""

import ast
from collections.abc import Iterator

from audit.results import Severity
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

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a clip of gradients that nothing has unscaled."""
        if context.resolve(call) not in _CLIPS:
            return
        calls = list(calls_in(context.index.scope(call)))
        scaled = any(scaled_backward(each) and each.lineno < call.lineno for each in calls)
        if scaled and not any("unscale" in last_name(each.func) for each in calls):
            yield Spot(call, "gradients are clipped while the AMP scale is still on them")
