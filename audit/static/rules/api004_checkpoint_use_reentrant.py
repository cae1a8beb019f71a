"""API004: activation checkpointing without `use_reentrant`."""

import ast
from collections.abc import Iterator

from audit.static.fixes.arguments import keyword_added
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Precision, Spot
from audit.static.rules.syntax import argument

_CHECKPOINTS = ("torch.utils.checkpoint.checkpoint", "torch.utils.checkpoint.checkpoint_sequential")


class CheckpointUseReentrant(CallRule):
    """Torch warns at every such call."""

    id = "API004"
    title = "Activation checkpointing without `use_reentrant`"
    what = "Reports calls of `torch.utils.checkpoint.checkpoint` that leave `use_reentrant` to the default."
    why = (
        "The default changes from True to False. The two differ: the reentrant variant gives no gradient where no "
        "input requires one, and does not work with `torch.autograd.grad`."
    )
    fix = "pass use_reentrant=False, and use_reentrant=True where the old behaviour is needed"
    fix_safety = FixSafety.UNSAFE
    references = (
        "https://docs.pytorch.org/docs/stable/checkpoint.html",
        "https://dev-discuss.pytorch.org/t/bc-breaking-update-to-torch-utils-checkpoint-not-passing-in-use-reentrant-flag-will-raise-an-error/1745",
    )
    precision = Precision(findings=6, sampled=6, false=0)
    words = ("checkpoint",)
    called = ("checkpoint", "checkpoint_sequential")
    also_silenced_by = ("TOR003",)
    VALID = (
        """
        from torch.utils.checkpoint import checkpoint

        y = checkpoint(f, x, use_reentrant=False)
        """,
        """
        from torch.utils.checkpoint import checkpoint

        y = checkpoint(f, x, **options)
        """,
        """
        from mine import checkpoint

        y = checkpoint(f, x)
        """,
    )
    INVALID = (
        """
        from torch.utils.checkpoint import checkpoint

        y = checkpoint(f, x)
        """,
        """
        import torch.utils.checkpoint as cp

        y = cp.checkpoint(f, x, preserve_rng_state=False)
        """,
    )
    FIXED = (
        (
            """
            from torch.utils.checkpoint import checkpoint

            y = checkpoint(
                f,
                x,  # the input
            )
            """,
            """
            from torch.utils.checkpoint import checkpoint

            y = checkpoint(
                f,
                x,  # the input
                use_reentrant=False,
            )
            """,
        ),
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a call of checkpoint without the argument."""
        name = context.resolve(call)
        given = argument(call, "use_reentrant") is not None or any(k.arg is None for k in call.keywords)
        if name in _CHECKPOINTS and not given:
            message = f"`{name.rpartition('.')[2]}` is called without `use_reentrant`"
            yield Spot(call, message, edits=keyword_added(call, "use_reentrant", "False", FixSafety.UNSAFE))
