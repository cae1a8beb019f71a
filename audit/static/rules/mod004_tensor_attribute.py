"""MOD004: a tensor kept as a plain attribute of a module."""

import ast
from collections.abc import Callable, Iterator, Sequence

from audit.severity import Severity
from audit.static.fixes.edits import Edit, Fix, fix
from audit.static.fixes.source import SourceText
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Precision, Rule, Spot
from audit.static.rules.syntax import Function, argument, constant, self_attribute

_FACTORIES = frozenset(
    f"torch.{name}"
    for name in ("tensor", "zeros", "ones", "rand", "randn", "arange", "linspace", "eye", "full", "tril", "triu")
)
_MOVES = frozenset({"to", "cuda", "type_as", "cpu", "item", "tolist", "new_tensor", "numpy", "expand_as"})


class TensorAttribute(Rule):
    """A buffer follows the module to its device and into the checkpoint; an attribute does neither."""

    id = "MOD004"
    title = "A tensor is a plain attribute of a module"
    severity = Severity.MINOR
    what = (
        "Reports `self.x = torch.zeros(...)` and other factories in the `__init__` of a module, where another "
        "method reads `self.x` without moving it and the class neither registers it nor overrides `_apply` or "
        "`to`."
    )
    why = (
        "`model.to(device)` and `load_state_dict` leave the tensor where and as it was: the first call on a GPU fails."
    )
    fix = "use self.register_buffer('x', ..., persistent=False)"
    fix_safety = FixSafety.UNSAFE
    references = ("https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html",)
    precision = Precision(findings=1, sampled=1, false=0)
    nodes = (ast.Assign,)
    words = ("torch.", "import")
    VALID = (
        """
        import torch
        from torch import nn


        class A(nn.Module):
            def __init__(self):
                super().__init__()
                self.register_buffer('ramp', torch.arange(4))

            def forward(self, x):
                return x + self.ramp
        """,
        """
        import torch
        from torch import nn


        class A(nn.Module):
            def __init__(self):
                super().__init__()
                self.ramp = torch.arange(4)

            def forward(self, x):
                return x + self.ramp.to(x.device)
        """,
        """
        import torch
        from torch import nn


        class A(nn.Module):
            def __init__(self):
                super().__init__()
                self.one = torch.tensor(1.0)

            def forward(self, x):
                return x + self.one
        """,
    )
    INVALID = (
        """
        import torch
        from torch import nn


        class A(nn.Module):
            def __init__(self):
                super().__init__()
                self.ramp = torch.arange(4)

            def forward(self, x):
                return x + self.ramp
        """,
        """
        import torch
        from torch import nn


        class A(nn.Module):
            def __init__(self, n):
                super().__init__()
                self.mask = torch.tril(torch.ones(n, n))

            def forward(self, x):
                return x * self.mask
        """,
    )
    FIXED = (
        (
            """
            import torch
            from torch import nn


            class A(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.ramp = torch.arange(4)  # positions

                def forward(self, x):
                    return x + self.ramp
            """,
            """
            import torch
            from torch import nn


            class A(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.register_buffer("ramp", torch.arange(4), persistent=False)  # positions

                def forward(self, x):
                    return x + self.ramp
            """,
        ),
    )

    def candidates(self, context: FileContext) -> Sequence[ast.AST]:
        """Return the assignments to an attribute of `self`."""
        return context.set_attributes

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield a tensor that the module will not move."""
        match node:
            case ast.Assign(targets=[target], value=ast.Call() as value) if name := self_attribute(target):
                made = context.resolve(value)
            case _:
                return
        function = context.function_of(node)
        owner = context.model_of(function)
        if made not in _FACTORIES or function is None or function.name != "__init__" or owner is None:
            return
        is_scalar = made == "torch.tensor" and bool(value.args) and constant(value.args[0]) is not ...
        if not is_scalar and argument(value, "device") is None and self._is_read_where_it_is(name, owner, context):
            message = f"`self.{name}` is a plain attribute: `model.to(device)` does not move it"
            yield Spot(node, message, edits=_edits(node, value, name))

    def _is_read_where_it_is(self, name: str, owner: ast.ClassDef, context: FileContext) -> bool:
        """Return whether other methods read the attribute, and all of them as it is."""
        methods = [each for each in owner.body if isinstance(each, Function)]
        if any(each.name in ("_apply", "to", "cuda") for each in methods):
            return False
        inner = [node for each in methods if each.name != "__init__" for node in context.index.below(each)]
        uses = [node for node in inner if isinstance(node, ast.Attribute) and self_attribute(node) == name]
        stored = [
            node
            for node in context.index.below(owner)
            if isinstance(node, ast.Attribute) and self_attribute(node) == name and isinstance(node.ctx, ast.Store)
        ]
        if len(stored) != 1 or not uses or f'"{name}"' in context.text or f"'{name}'" in context.text:
            return False
        return all(self._stays(use, context) for use in uses)

    def _stays(self, use: ast.Attribute, context: FileContext) -> bool:
        node = context.parent(use)
        while isinstance(node, ast.Subscript | ast.Attribute | ast.Call):
            if isinstance(node, ast.Attribute) and (
                node.attr in _MOVES or node.attr in ("shape", "dtype", "device", "size", "ndim")
            ):
                return False
            if isinstance(node, ast.Call) and use in node.args:
                return False
            node = context.parent(node)
        return isinstance(node, ast.BinOp | ast.Return | ast.Compare)


def _edits(node: ast.Assign, value: ast.Call, name: str) -> Callable[[SourceText], Fix | None]:
    def edits(source: SourceText) -> Fix | None:
        start, end = source.start(value), source.end(value)
        before = source.text[source.start(node) : start]
        if not before.rstrip().endswith("=") or end != source.end(node):  # parentheses, or a comment between
            return None
        opened = Edit(source.start(node), start, f"self.register_buffer({source.quoted(name)}, ")
        return fix([opened, Edit(end, end, ", persistent=False)")], FixSafety.UNSAFE)

    return edits
