"""API016: arguments of torch that are deprecated or ignored."""

import ast
from collections.abc import Iterator

from audit.static.fixes.arguments import argument_removed
from audit.static.fixes.reduction import reduction_instead
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Spot
from audit.static.rules.syntax import constant

_LOSSES: tuple[str, ...] = (
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "cross_entropy",
    "kl_div",
    "smooth_l1_loss",
    "binary_cross_entropy",
)
_LOSSES += ("binary_cross_entropy_with_logits", "soft_margin_loss", "hinge_embedding_loss", "margin_ranking_loss")
_LOSS_CLASSES: tuple[str, ...] = (
    "L1Loss",
    "MSELoss",
    "NLLLoss",
    "CrossEntropyLoss",
    "KLDivLoss",
    "SmoothL1Loss",
    "BCELoss",
)
_LOSS_CLASSES += ("BCEWithLogitsLoss", "SoftMarginLoss", "MarginRankingLoss", "CosineEmbeddingLoss")
_REDUCTION = frozenset(
    {f"torch.nn.functional.{name}" for name in _LOSSES} | {f"torch.nn.{name}" for name in _LOSS_CLASSES}
)


class DeprecatedArgument(CallRule):
    """`size_average` and `reduce` of the losses, `verbose` of the schedulers."""

    id = "API016"
    title = "A deprecated argument of a torch function"
    what = "Reports `size_average` and `reduce` of torch's losses and `verbose` of its learning-rate schedulers."
    why = (
        "Torch warns at each call. `size_average` and `reduce` override `reduction` where both are given; a "
        "scheduler no longer takes `verbose`."
    )
    fix = "pass reduction='mean', 'sum' or 'none'; call scheduler.get_last_lr() to print the rate"
    fix_safety = FixSafety.SAFE
    fix_depends_on = "without `verbose` a scheduler is made where torch refused to, which is unsafe"
    references = ("https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html",)
    words = ("size_average", "reduce", "verbose")
    VALID = (
        """
        from torch import nn

        loss = nn.MSELoss(reduction='sum')
        """,
        """
        from torch.optim.lr_scheduler import StepLR

        s = StepLR(optimizer, 10)
        """,
    )
    INVALID = (
        """
        from torch import nn

        loss = nn.MSELoss(size_average=False)
        """,
        """
        import torch.nn.functional as F

        loss = F.cross_entropy(x, y, reduce=True)
        """,
        """
        from torch.optim.lr_scheduler import StepLR

        s = StepLR(optimizer, 10, verbose=True)
        """,
    )
    FIXED = (
        (
            """
            from torch import nn

            loss = nn.MSELoss(size_average=False, reduce=True)
            """,
            """
            from torch import nn

            loss = nn.MSELoss(reduction="sum")
            """,
        ),
        (
            """
            import torch.nn.functional as F

            loss = F.cross_entropy(x, y, reduction="sum", reduce=False)
            """,
            """
            import torch.nn.functional as F

            loss = F.cross_entropy(x, y, reduction="none")
            """,
        ),
        (
            """
            from torch.optim.lr_scheduler import StepLR

            s = StepLR(optimizer, 10, verbose=True)
            """,
            """
            from torch.optim.lr_scheduler import StepLR

            s = StepLR(optimizer, 10)
            """,
        ),
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield deprecated arguments of a call."""
        given = {keyword.arg: keyword for keyword in call.keywords}
        if not given.keys() & {"size_average", "reduce", "verbose"}:
            return
        name = "" if context.belongs_to("torch") else context.resolve(call)
        old: tuple[str, ...] = ("size_average", "reduce") if name in _REDUCTION else ()
        if name.startswith("torch.optim.lr_scheduler."):
            old = ("verbose",)
        for each in old:
            if each in given and constant(given[each].value) not in (None, ...):
                removed = argument_removed(call, each, None, FixSafety.UNSAFE)
                edits = removed if each == "verbose" else reduction_instead(call, inputs=name.count("functional") * 2)
                yield Spot(given[each], f"`{each}` of `{name}` is deprecated", edits=edits)
