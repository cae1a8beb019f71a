"""MOD008: a module that chooses half precision for its caller."""

import ast
import re
from collections.abc import Iterator

from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import Precision, Spot
from audit.static.rules.syntax import argument, last_name, method, receiver

_HALF = frozenset({"torch.float16", "torch.half", "torch.bfloat16"})
_CASTS = frozenset({"half", "bfloat16"})
_CASTS_BACK = frozenset({"to", "type", "type_as", "float"})
_OWN_METHODS = frozenset({"half", "bfloat16", "float", "to", "type", "_apply", "convert_to_fp16", "__init__"})
_CHOSEN = re.compile(r"dtype|fp16|bf16|float16|bfloat16|half|amp|precision|cast|flash|quant|kernel", re.IGNORECASE)
_MAKERS = ("zeros", "ones", "full", "empty", "arange", "linspace", "rand", "randn", "tensor", "eye", "as_tensor")


class HardCodedDtype(CallRule):
    """The caller chooses the precision; tensors should follow the input or the parameters.

    float32 is left alone: of 67 tensors that `forward` methods of the corpus make in it 34 were read, and nearly all
    hold positions, angles or counts, where it is right.
    """

    id = "MOD008"
    title = "A module hard-codes half precision"
    what = (
        "Reports `.half()`, `.bfloat16()`, `.to(torch.float16)` and tensors made with `dtype=torch.float16` or "
        "`torch.bfloat16` in the `forward` of a module, where no test asks for the type and no kernel needs it."
    )
    why = "A float32 or float64 model fails with mixed types there, or loses digits without a word."
    fix = "take the type of the input or of a parameter: x.dtype"
    references = ("https://docs.pytorch.org/docs/stable/tensor_attributes.html#torch.dtype",)
    precision = Precision(findings=4, sampled=4, false=0)
    words = ("half", "float16")
    called = ("to", "type", "half", "bfloat16", *_MAKERS)
    VALID = (
        """
        import torch
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                return x + torch.zeros(4, dtype=x.dtype)
        """,
        """
        import torch
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                if self.use_fp16:
                    x = x.half()
                return self.proj(x)
        """,
        """
        import torch


        def main(model):
            return model.half()
        """,
        """
        import torch
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                return torch.softmax(x.float(), dim=-1).to(x.dtype)
        """,
    )
    INVALID = (
        """
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                return self.proj(x.half())
        """,
        """
        import torch
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                return x + torch.zeros(4, dtype=torch.float16)
        """,
        """
        import torch
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                return self.proj(x.to(torch.bfloat16))
        """,
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a cast to half precision, or a tensor made in it, where the function never asks for the type."""
        if not self._is_half(call, context):
            return
        function = context.function_of(call)
        if function is None or function.name in _OWN_METHODS or not context.model_of(function):
            return
        tested = (each.test for each in context.ancestors(call) if isinstance(each, ast.If | ast.IfExp))
        if any(_CHOSEN.search(context.source(test)) for test in tested) or self._is_undone(call, context):
            return
        yield Spot(call, f"`{ast.unparse(call)[:60]}` in a module chooses the precision for its caller")

    def _is_half(self, call: ast.Call, context: FileContext) -> bool:
        if method(call) in _CASTS:
            return not call.args and not call.keywords and not context.resolve(call)
        if method(call) in ("to", "type") and not context.resolve(call):
            return any(context.resolve(each) in _HALF for each in (*call.args, argument(call, "dtype")) if each)
        made = context.resolve(call).startswith("torch.") and last_name(call.func) in _MAKERS
        return made and context.resolve(argument(call, "dtype")) in _HALF

    def _is_undone(self, call: ast.Call, context: FileContext) -> bool:
        """Return whether the result goes back to another type in the same expression, as a rounding on purpose does."""
        for around in context.ancestors(call):
            if isinstance(around, ast.stmt):
                return False
            of = receiver(around) if isinstance(around, ast.Call) and method(around) in _CASTS_BACK else None
            if of is not None and call in ast.walk(of):
                return True
        return False
