"""ATT009: `dropout_p` of the fused attention that is not switched off in evaluation."""

import ast
from collections.abc import Callable, Iterator

from audit.severity import Severity
from audit.static.fixes.arguments import arguments_of
from audit.static.fixes.edits import Edit, Fix, fix
from audit.static.fixes.source import SourceText
from audit.static.rules.att008_dropout_without_training import has_self, reads_training
from audit.static.rules.attention_forms import SDPA
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Spot
from audit.static.rules.syntax import argument, number, self_attribute


class DropoutPWithoutTraining(CallRule):
    """The fused attention has no mode: what it is given, it drops."""

    id = "ATT009"
    title = "`dropout_p` of fused attention is not switched off in evaluation"
    severity = Severity.MAJOR
    what = (
        "Reports calls of `scaled_dot_product_attention` in a module whose `dropout_p` is an attribute or a "
        "literal above 0, in a method that never reads `self.training`."
    )
    why = "The function applies dropout always: after `model.eval()` the outputs are still random."
    fix = "pass dropout_p=self.dropout_p if self.training else 0.0"
    fix_safety = FixSafety.UNSAFE
    references = (
        "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html",
        "https://github.com/pytorch/pytorch/issues/124464",
    )
    words = ("scaled_dot_product_attention",)
    called = ("scaled_dot_product_attention",)
    VALID = (
        """
        import torch.nn.functional as F
        from torch import nn


        class A(nn.Module):
            def forward(self, q, k, v):
                p = self.p if self.training else 0.0
                return F.scaled_dot_product_attention(q, k, v, dropout_p=p)
        """,
        """
        import torch.nn.functional as F
        from torch import nn


        class A(nn.Module):
            def forward(self, q, k, v):
                return F.scaled_dot_product_attention(q, k, v, dropout_p=0.0)
        """,
    )
    INVALID = (
        """
        import torch.nn.functional as F
        from torch import nn


        class A(nn.Module):
            def forward(self, q, k, v):
                return F.scaled_dot_product_attention(q, k, v, dropout_p=self.p)
        """,
        """
        import torch.nn.functional as F
        from torch import nn


        class A(nn.Module):
            def forward(self, q, k, v):
                return F.scaled_dot_product_attention(q, k, v, None, 0.1)
        """,
    )
    FIXED = (
        (
            """
            import torch.nn.functional as F
            from torch import nn


            class A(nn.Module):
                def forward(self, q, k, v):
                    return F.scaled_dot_product_attention(q, k, v, dropout_p=self.p)
            """,
            """
            import torch.nn.functional as F
            from torch import nn


            class A(nn.Module):
                def forward(self, q, k, v):
                    return F.scaled_dot_product_attention(q, k, v, dropout_p=self.p if self.training else 0.0)
            """,
        ),
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a call that drops in evaluation."""
        given = argument(call, "dropout_p", 4)
        function = context.function_of(call)
        if given is None or context.resolve(call) != SDPA or not context.model_of(function):
            return
        rate = context.value_of(given)
        always = bool(self_attribute(rate)) or (number(rate) or 0.0) > 0.0
        if always and not reads_training(function):
            edits = _edits(call, given) if has_self(function) else None
            yield Spot(call, "`dropout_p` stays in force in evaluation: fused attention has no mode", edits=edits)


def _edits(call: ast.Call, given: ast.expr) -> Callable[[SourceText], Fix | None]:
    def edits(source: SourceText) -> Fix | None:
        found = [each for each in arguments_of(call, source) or () if each.value is given]
        made = [Edit(each.end, each.end, " if self.training else 0.0") for each in found]
        return None if isinstance(given, ast.IfExp | ast.Lambda) else fix(made, FixSafety.UNSAFE)

    return edits
