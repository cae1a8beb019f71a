"""ATT015: `view` of a transposed tensor that joins axes."""

import ast
from collections.abc import Callable, Iterator

from audit.static.fixes.edits import Edit, Fix, fix
from audit.static.fixes.source import SourceText
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Precision, Spot
from audit.static.rules.syntax import method, receiver


class ViewAfterTranspose(CallRule):
    """`view` cannot join axes that do not lie side by side in memory."""

    id = "ATT015"
    title = "`view` joins axes of a tensor that was just transposed"
    what = (
        "Reports `x.transpose(1, 2).view(...)`, and the same with `permute`, where the new shape is three sizes of"
        " which the last is a product: heads joined again."
    )
    why = (
        "Torch raises `view size is not compatible with input tensor's size and stride`, except where a size is 1 or "
        "the memory happens to lie in the new order, as some backends of fused attention leave it."
    )
    fix = "use reshape, or contiguous().view"
    fix_safety = FixSafety.SAFE
    references = ("https://docs.pytorch.org/docs/stable/generated/torch.Tensor.view.html",)
    precision = Precision(findings=1, sampled=1, false=0)
    words = (".view(",)
    called = ("view",)
    VALID = (
        "y = x.transpose(1, 2).reshape(b, n, h * d)\n",
        "y = x.transpose(1, 2).contiguous().view(b, n, h * d)\n",
        "y = x.transpose(1, 2).view(b, n, h, d)\n",
        "y = x.transpose(1, 2).view(torch.int32)\n",
    )
    INVALID = (
        "y = x.transpose(1, 2).view(b, n, h * d)\n",
        "y = x.permute(0, 2, 1, 3).view(b, -1, h * d)\n",
    )
    FIXED = (
        (
            """
            y = x.transpose(1, 2).view(b, n, h * d)
            """,
            """
            y = x.transpose(1, 2).reshape(b, n, h * d)
            """,
        ),
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a view that joins the axes of a transposed tensor."""
        before = receiver(call) if method(call) == "view" else None
        if before is None or method(before) not in ("transpose", "permute", "swapaxes"):
            return
        match call.args:
            case [_, _, ast.BinOp(op=ast.Mult())]:
                yield Spot(call, f"`view` joins axes right after `{method(before)}`", edits=_edits(call))


def _edits(call: ast.Call) -> Callable[[SourceText], Fix | None]:
    def edits(source: SourceText) -> Fix | None:
        end = source.end(call.func)
        return fix([Edit(end - len("view"), end, "reshape")], FixSafety.SAFE)

    return edits
