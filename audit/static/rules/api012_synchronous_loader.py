"""API012: a `DataLoader` that loads in the training process."""

import ast
from collections.abc import Iterator

from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Precision, Spot
from audit.static.rules.syntax import argument, constant, unpacks


class SynchronousLoader(CallRule):
    """A hint about speed."""

    id = "API012"
    title = "`DataLoader` without worker processes"
    what = "Reports `torch.utils.data.DataLoader` with `num_workers` 0 or left out."
    why = "Samples are made while the device waits."
    fix = "pass num_workers"
    fix_safety = FixSafety.UNSAFE
    references = ("https://docs.pytorch.org/docs/stable/data.html#multi-process-data-loading",)
    default_on = False
    off_because = "data that lies in memory is loaded faster without workers; a hint, not a defect"
    precision = Precision(findings=20, sampled=0, false=0)
    words = ("DataLoader",)
    called = ("DataLoader",)
    also_silenced_by = ("TOR401",)
    VALID = (
        """
        from torch.utils.data import DataLoader

        loader = DataLoader(data, num_workers=4)
        """,
        """
        from torch.utils.data import DataLoader

        loader = DataLoader(data, **options)
        """,
    )
    INVALID = (
        """
        from torch.utils.data import DataLoader

        loader = DataLoader(data)
        """,
        """
        import torch

        loader = torch.utils.data.DataLoader(data, num_workers=0)
        """,
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a loader without workers."""
        if context.resolve(call) == "torch.utils.data.DataLoader" and not unpacks(call):
            workers = argument(call, "num_workers", 5)
            if workers is None or constant(workers) == 0:
                yield Spot(call, "`DataLoader` loads in the training process (num_workers is 0)")
