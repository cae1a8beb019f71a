"""ATT011: the caller's mask is changed."""

import ast
from collections.abc import Callable, Iterator

from audit.severity import Severity
from audit.static.fixes.edits import Edit, Fix, fix
from audit.static.fixes.source import SourceText
from audit.static.rules.attention_forms import is_mask_name
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Precision, Rule, Spot
from audit.static.rules.syntax import parameters

_IN_PLACE = frozenset({"masked_fill_", "fill_", "mul_", "add_", "sub_", "logical_not_", "logical_and_", "logical_or_"})
_IN_PLACE |= {"zero_", "clamp_", "copy_", "bitwise_not_", "triu_", "tril_", "neg_"}

_HAS_TWIN = _IN_PLACE - {"fill_", "zero_", "copy_"}


class MaskChangedInPlace(Rule):
    """A mask is often shared by all layers: what one changes, the next gets."""

    id = "ATT011"
    title = "A mask that belongs to the caller is changed in place"
    severity = Severity.MAJOR
    what = (
        "Reports in-place methods and indexed assignments on a parameter named as a mask in a module's `forward`, "
        "where nothing binds the name anew."
    )
    why = "The caller's tensor is another one afterwards: the next layer, head or call masks something else."
    fix_safety = FixSafety.UNSAFE
    fix_depends_on = "an indexed assignment is left to a person"
    fix = "make a new tensor: mask = mask.masked_fill(...), or mask.clone() first"
    precision = Precision(findings=1, sampled=1, false=0)
    nodes = (ast.Call, ast.Subscript)
    words = ("mask",)
    VALID = (
        """
        from torch import nn


        class A(nn.Module):
            def forward(self, x, mask):
                mask = mask.clone()
                mask[:, 0] = True
                return x * mask
        """,
        """
        from torch import nn


        class A(nn.Module):
            def forward(self, x, mask):
                return x.masked_fill_(mask, 0.0)
        """,
    )
    INVALID = (
        """
        from torch import nn


        class A(nn.Module):
            def forward(self, x, mask):
                mask.masked_fill_(mask == 0, float('-inf'))
                return x + mask
        """,
        """
        from torch import nn


        class A(nn.Module):
            def forward(self, x, attn_mask=None):
                attn_mask[:, 0] = True
                return x * attn_mask
        """,
    )
    FIXED = (
        (
            """
            from torch import nn


            class A(nn.Module):
                def forward(self, x, mask):
                    mask.masked_fill_(mask == 0, float('-inf'))
                    return x + mask
            """,
            """
            from torch import nn


            class A(nn.Module):
                def forward(self, x, mask):
                    mask = mask.masked_fill(mask == 0, float('-inf'))
                    return x + mask
            """,
        ),
    )

    def candidates(self, context: FileContext) -> list[ast.AST]:
        """Return the calls of methods that change a tensor, and what is assigned to by an index."""
        calls = [call for name in _IN_PLACE for call in context.calls_by_name.get(name, ())]
        cut: list[ast.Subscript] = context.index.by_type.get(ast.Subscript, [])  # type: ignore[assignment]
        return [*calls, *(each for each in cut if isinstance(each.ctx, ast.Store))]

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield a change of a mask parameter."""
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=changed)) if changed in _IN_PLACE:
                how = f"`.{changed}()`"
            case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store()):
                how = "an indexed assignment"
            case _:
                return
        function = context.function_of(node)
        if function is None or function.name != "forward" or not is_mask_name(name) or not context.model_of(function):
            return
        is_parameter = any(each.arg == name for each in parameters(function))
        if is_parameter and len(context.assignments(function).get(name, [])) == 1:
            yield Spot(node, f"{how} changes the caller's `{name}`", edits=_edits(node, name, context))


def _edits(node: ast.AST, name: str, context: FileContext) -> Callable[[SourceText], Fix | None] | None:
    """Return the fix of a statement that is nothing but a method with a twin that makes a new tensor."""
    method = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
    if method not in _HAS_TWIN or not isinstance(context.parent(node), ast.Expr):
        return None

    def edits(source: SourceText) -> Fix | None:
        assert isinstance(node, ast.Call)
        start, end = source.start(node), source.end(node.func)
        return fix([Edit(start, start, f"{name} = "), Edit(end - 1, end, "")], FixSafety.UNSAFE)

    return edits
