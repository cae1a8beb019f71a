"""ATT013: queries scaled before an attention that scales them again."""

import ast
import re
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.fixes.arguments import keyword_added
from audit.static.rules.attention_forms import SDPA
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Spot
from audit.static.rules.syntax import Function, argument, statements_before, unpacks

_SCALE = re.compile(r"scale|scaling|sqrt|\*\* ?-0\.5")


class ScaledTwice(CallRule):
    """The fused attention divides by the square root of the head size unless it is told otherwise."""

    id = "ATT013"
    title = "Queries are scaled before fused attention, which scales them again"
    severity = Severity.MAJOR
    what = (
        "Reports `scaled_dot_product_attention` without `scale=` whose queries the same block of statements "
        "multiplied by a scale, or divided by a square root, before."
    )
    why = "The logits are too small by the square root of the head size, and the weights nearly even."
    fix = "pass scale=1.0, or leave the scaling to the function"
    fix_safety = FixSafety.UNSAFE
    references = ("https://github.com/esceptico/perceiver-io/issues/9",)
    words = ("scaled_dot_product_attention",)
    called = ("scaled_dot_product_attention",)
    VALID = (
        """
        import torch.nn.functional as F


        def f(q, k, v, scale):
            q = q * scale
            return F.scaled_dot_product_attention(q, k, v, scale=1.0)
        """,
        """
        import torch.nn.functional as F


        def f(q, k, v, scale, fused):
            if fused:
                return F.scaled_dot_product_attention(q, k, v)
            q = q * scale
            return (q @ k.mT).softmax(-1) @ v
        """,
    )
    INVALID = (
        """
        import torch.nn.functional as F


        def f(q, k, v, scale):
            q = q * scale
            return F.scaled_dot_product_attention(q, k, v)
        """,
        """
        import math

        import torch.nn.functional as F


        def f(q, k, v):
            return F.scaled_dot_product_attention(q / math.sqrt(q.shape[-1]), k, v)
        """,
    )
    FIXED = (
        (
            """
            import torch.nn.functional as F


            def f(q, k, v, scale):
                q = q * scale
                return F.scaled_dot_product_attention(q, k, v)
            """,
            """
            import torch.nn.functional as F


            def f(q, k, v, scale):
                q = q * scale
                return F.scaled_dot_product_attention(q, k, v, scale=1.0)
            """,
        ),
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a call whose queries were scaled."""
        if context.resolve(call) != SDPA or unpacks(call) or argument(call, "scale") is not None:
            return
        edits = keyword_added(call, "scale", "1.0", FixSafety.UNSAFE)
        query = argument(call, "query", 0)
        if isinstance(query, ast.BinOp) and _is_scaling(query.op, query.right):
            yield Spot(call, "the queries are scaled already, and fused attention scales them again", edits=edits)
        if isinstance(query, ast.Name) and self._scaled_before(query.id, call, context):
            yield Spot(call, f"`{query.id}` is scaled already, and fused attention scales it again", edits=edits)

    def _scaled_before(self, name: str, call: ast.Call, context: FileContext) -> bool:
        """Return whether a statement that surely ran before scales `name`, and none after it binds the name anew."""
        statement: ast.AST = context.statement_of(call)
        while isinstance(statement, ast.stmt) and not isinstance(statement, Function):
            for before in reversed(statements_before(context.block_of(statement), statement)):
                match before:
                    case ast.Assign(
                        targets=[ast.Name(id=bound)], value=ast.BinOp(left=ast.Name(id=old), op=op, right=right)
                    ) if bound == name and old == name:
                        return _is_scaling(op, right)
                    case ast.AugAssign(target=ast.Name(id=bound), op=op, value=right) if bound == name:
                        return _is_scaling(op, right)
                if any(
                    isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
                    for node in ast.walk(before)
                ):
                    return False
            statement = context.parent(statement)
        return False


def _is_scaling(op: ast.operator, by: ast.expr) -> bool:
    return isinstance(op, ast.Mult | ast.Div) and bool(_SCALE.search(ast.unparse(by))) and "log" not in ast.unparse(by)
