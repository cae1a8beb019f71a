"""MOD005: a module that moves tensors to a device of its own choice."""

import ast
from collections.abc import Iterator

from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import Spot
from audit.static.rules.syntax import argument, constant, last_name, method


class HardCodedDevice(CallRule):
    """The caller moves the module; its tensors should follow the input or the parameters."""

    id = "MOD005"
    title = "A module hard-codes the device"
    what = (
        "Reports `.cuda()`, `.to('cuda...')` and `device='cuda...'` in the methods of a module, where no test asks"
        " whether there is such a device."
    )
    why = "The module fails on a machine without that device, and on every other GPU of one that has several."
    fix = "take the device of the input or of a parameter: x.device"
    references = ("https://docs.pytorch.org/docs/stable/notes/cuda.html",)
    words = ("cuda",)
    VALID = (
        """
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                return x.to(self.weight.device)
        """,
        """
        import torch
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                if torch.cuda.is_available():
                    x = x.cuda()
                return x
        """,
        """
        def main(model):
            return model.cuda()
        """,
        """
        from torch import nn


        class A(nn.Module):
            def cuda(self, device=None):
                self.table.cuda(device)
                return super().cuda(device)
        """,
    )
    INVALID = (
        """
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                return self.proj(x.cuda())
        """,
        """
        import torch
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                return x + torch.zeros(4, device='cuda')
        """,
        """
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                return x.to('cuda:0')
        """,
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a call that names a device."""
        named = [argument(call, "device"), call.args[0] if method(call) == "to" and call.args else None]
        names_cuda = any(isinstance(value := constant(each), str) and value.startswith("cuda") for each in named)
        moves = method(call) == "cuda" and not call.args and not call.keywords and not context.resolve(call)
        if not names_cuda and not moves:
            return
        if last_name(call.func) in ("autocast", "device", "is_autocast_enabled", "GradScaler", "get_autocast_dtype"):
            return
        function = context.function_of(call)
        if function is None or function.name in ("cuda", "to", "_apply") or not context.model_of(function):
            return
        tested = (around.test for around in context.ancestors(call) if isinstance(around, ast.If | ast.IfExp))
        if not any("cuda" in context.source(test) or "device" in context.source(test) for test in tested):
            yield Spot(call, f"`{ast.unparse(call)[:60]}` in a module chooses the device for its caller")
