"""MOD003: a submodule or parameter that nothing reads."""

import ast
from collections.abc import Iterator, Sequence

from audit.static.rules.context import FileContext
from audit.static.rules.rule import Precision, Rule, Spot
from audit.static.rules.syntax import method, self_attribute

_WORDS = ("getattr", "__dict__", "_modules", "vars(", "torchscript")
_WALKS = frozenset({"children", "modules", "named_children", "named_modules", "get_submodule"})


class UnusedSubmodule(Rule):
    """Judged by name over the whole target: an attribute of that name read anywhere counts as a use."""

    id = "MOD003"
    title = "A submodule or parameter that nothing in the package reads"
    what = (
        "Reports `self.x = nn.Something(...)` and `self.x = nn.Parameter(...)` in the `__init__` of a module where"
        " no file of the package reads an attribute called `x`, and the file looks up no attribute by a computed "
        "name."
    )
    why = (
        "Its parameters get no gradient: distributed training stops with an error, and the count of parameters is "
        "wrong."
    )
    fix = "use it in forward, or take it out"
    references = ("https://docs.pytorch.org/docs/stable/generated/torch.nn.parallel.DistributedDataParallel.html",)
    precision = Precision(findings=2, sampled=2, false=0)
    nodes = (ast.Assign,)
    words = ("nn",)
    VALID = (
        """
        from torch import nn


        class A(nn.Module):
            def __init__(self):
                super().__init__()
                self.proj = nn.Linear(4, 4)

            def forward(self, x):
                return self.proj(x)
        """,
        """
        from torch import nn


        class A(nn.Module):
            def __init__(self):
                super().__init__()
                self.proj = nn.Linear(4, 4)

            def forward(self, x):
                for layer in self.children():
                    x = layer(x)
                return x
        """,
    )
    INVALID = (
        """
        from torch import nn


        class A(nn.Module):
            def __init__(self):
                super().__init__()
                self.proj = nn.Linear(4, 4)
                self.spare = nn.Linear(4, 4)

            def forward(self, x):
                return self.proj(x)
        """,
        """
        import torch
        from torch import nn


        class A(nn.Module):
            def __init__(self):
                super().__init__()
                self.bias = nn.Parameter(torch.zeros(4))

            def forward(self, x):
                return x
        """,
    )

    def candidates(self, context: FileContext) -> Sequence[ast.AST]:
        """Return the assignments to an attribute of `self`."""
        return context.set_attributes

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield an assigned submodule or parameter that the file does not read."""
        match node:
            case ast.Assign(targets=[target], value=ast.Call() as value) if name := self_attribute(target):
                pass
            case _:
                return
        function = context.function_of(node)
        owner = context.model_of(function)
        if function is None or function.name != "__init__" or owner is None:
            return
        made = context.resolve(value)
        is_parameter = made in ("torch.nn.Parameter", "torch.nn.parameter.Parameter")
        if not is_parameter and not (made.startswith("torch.nn.") and context.creates_model(value)):
            return
        only_torch = all(context.resolve(base).startswith("torch.nn.") for base in owner.bases)
        forward = any(isinstance(each, ast.FunctionDef) and each.name == "forward" for each in owner.body)
        if made == "torch.nn.Identity" or not only_torch or not forward or _looks_up(owner, context):
            return
        if not context.is_quoted(name):
            kind = "parameter" if is_parameter else "submodule"
            yield Spot(node, f"nothing in the package reads the {kind} `{name}`", unless_attribute=name)


def _looks_up(owner: ast.ClassDef, context: FileContext) -> bool:
    """Return whether attributes are looked up by computed names, or a module's children walked through."""
    walks = (call for name in _WALKS for call in context.calls_by_name.get(name, ()) if method(call) == name)
    return any(context.index.is_below(call, owner) for call in walks) or any(map(context.mentions, _WORDS))
