"""MOD001: a module whose `__init__` does not call that of `torch.nn.Module`."""

import ast
from collections.abc import Callable, Iterator

from audit.severity import Severity
from audit.static.fixes.edits import Fix, fix
from audit.static.fixes.source import SourceText
from audit.static.fixes.statements import first_line
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Precision, Rule, Spot
from audit.static.rules.syntax import self_attribute

_NO_ARGUMENTS = frozenset(f"torch.nn.{name}" for name in ("Module", "ModuleList", "ModuleDict", "Sequential"))


class MissingSuperInit(Rule):
    """Judged where every base is a class of torch, so that nothing else can make the call."""

    id = "MOD001"
    title = "A module's `__init__` never calls `super().__init__()`"
    severity = Severity.MAJOR
    what = (
        "Reports a class that derives directly from a module class of torch and whose `__init__` assigns "
        "attributes but never calls `super().__init__` or the base's `__init__`."
    )
    why = "Assigning a layer raises `cannot assign module before Module.__init__() call`; nothing is registered."
    fix = "call super().__init__() first"
    fix_safety = FixSafety.UNSAFE
    fix_depends_on = "where the base's `__init__` takes arguments, a person has to give them"
    references = ("https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html",)
    precision = Precision(findings=2, sampled=2, false=0)
    nodes = (ast.ClassDef,)
    words = ("__init__",)
    VALID = (
        """
        from torch import nn


        class A(nn.Module):
            def __init__(self):
                super().__init__()
                self.proj = nn.Linear(4, 4)
        """,
        """
        from torch import nn


        class A(nn.Module):
            def __init__(self):
                nn.Module.__init__(self)
                self.size = 4
        """,
        """
        class A:
            def __init__(self):
                self.size = 4
        """,
    )
    INVALID = (
        """
        from torch import nn


        class A(nn.Module):
            def __init__(self):
                self.proj = nn.Linear(4, 4)
        """,
        """
        import torch


        class A(torch.nn.Linear):
            def __init__(self, size):
                self.size = size
        """,
    )
    FIXED = (
        (
            """
            from torch import nn


            class A(nn.Module):
                def __init__(self):
                    'Make the layer.'
                    self.proj = nn.Linear(4, 4)
            """,
            """
            from torch import nn


            class A(nn.Module):
                def __init__(self):
                    'Make the layer.'
                    super().__init__()
                    self.proj = nn.Linear(4, 4)
            """,
        ),
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield the `__init__` of a model class that calls no other `__init__`."""
        assert isinstance(node, ast.ClassDef)
        if (
            not context.is_model(node)
            or len(node.bases) != 1
            or not context.resolve(node.bases[0]).startswith("torch.nn.")
        ):
            return
        for function in node.body:
            if isinstance(function, ast.FunctionDef) and function.name == "__init__" and not function.decorator_list:
                nodes = context.index.below(function)
                assigns = any(
                    self_attribute(each) and isinstance(each.ctx, ast.Store)
                    for each in nodes
                    if isinstance(each, ast.Attribute)
                )
                calls = any(isinstance(each, ast.Name) and each.id == "super" for each in nodes) or any(
                    isinstance(each, ast.Attribute) and each.attr == "__init__" for each in nodes
                )
                if assigns and not calls:
                    edits = _edits(function) if context.resolve(node.bases[0]) in _NO_ARGUMENTS else None
                    yield Spot(function, f"`{node.name}.__init__` never calls `super().__init__()`", edits=edits)


def _edits(function: ast.FunctionDef) -> Callable[[SourceText], Fix | None]:
    return lambda source: fix(first_line(function, "super().__init__()", source), FixSafety.UNSAFE)
