"""ATT016: one branch of attention is causal always, the other on demand."""

import ast
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.rules.attention_forms import SDPA
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Spot
from audit.static.rules.syntax import (
    argument,
    calls_in,
    constant,
    last_name,
    parameters,
    self_attribute,
)

_FLASH = frozenset(
    f"flash_attn.{name}" for name in ("flash_attn_func", "flash_attn_varlen_func", "flash_attn_qkvpacked_func")
)


class CausalInOneBranch(CallRule):
    """Which branch runs depends on the machine, and so does what is computed."""

    id = "ATT016"
    title = "The causal flag is fixed in one branch of attention and passed on in another"
    severity = Severity.MAJOR
    what = (
        "Reports a call of fused attention with `is_causal=True` or `causal=True` and no mask, in a function that "
        "holds another such call whose flag is an attribute or a parameter."
    )
    why = "The branch with the fixed flag is causal where the layer was built not to be: an encoder sees only the past."
    fix = "pass the same flag in every branch"
    fix_safety = FixSafety.UNSAFE
    references = ("https://github.com/McGill-NLP/llm2vec/issues/79",)
    words = ("causal=True",)
    called = ("scaled_dot_product_attention", "flash_attn_func", "flash_attn_varlen_func", "flash_attn_qkvpacked_func")
    VALID = (
        """
        import torch.nn.functional as F


        def f(q, k, v, causal, fast):
            if fast:
                return F.scaled_dot_product_attention(q, k, v, is_causal=causal)
            return F.scaled_dot_product_attention(q, k, v, scale=1.0, is_causal=causal)
        """,
        """
        import torch.nn.functional as F


        def f(q, k, v, causal):
            if causal:
                return F.scaled_dot_product_attention(q, k, v, is_causal=True)
            return F.scaled_dot_product_attention(q, k, v)
        """,
    )
    INVALID = (
        """
        import torch.nn.functional as F
        from flash_attn import flash_attn_func


        def f(q, k, v, causal, fast):
            if fast:
                return flash_attn_func(q, k, v, causal=True)
            return F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        """,
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a call with a fixed flag beside one with a flag that is passed on."""
        function = context.function_of(call)
        if function is None or constant(_flag(call, context)) is not True:
            return
        for around in context.ancestors(call):
            if around is function:
                break
            if isinstance(around, ast.If | ast.IfExp) and "causal" in context.source(around.test):
                return
        others = (_flag(other, context) for other in calls_in(function) if other is not call)
        passed_on = (other for other in others if isinstance(other, ast.Name | ast.Attribute))
        names = {each.arg for each in parameters(function)}
        if any(self_attribute(other) or last_name(other) in names for other in passed_on):
            yield Spot(call, "this branch is causal always; another branch of the function passes the flag on")


def _flag(call: ast.Call, context: FileContext) -> ast.expr | None:
    """Return the causal flag that a call of fused attention is given."""
    name = context.resolve(call)
    if name == SDPA:
        return argument(call, "is_causal", 5)
    return argument(call, "causal") if name in _FLASH else None
