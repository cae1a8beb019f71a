"""API005: a private name of torch for which there is a public one."""

from collections.abc import Mapping
from typing import ClassVar

from audit.static.fixes.replacing import Replacement
from audit.static.fixes.torch_calls import PRIVATE
from audit.static.rules.named_api import NamedApiRule
from audit.static.rules.rule import FixSafety, Precision


class NonPublicName(NamedApiRule):
    """Private places of functions that `torch.utils.data` and others export."""

    id = "API005"
    title = "A private name of torch that has a public one"
    what = "Reports the use and the import of a private name where torch exports the same object publicly."
    why = "Private modules move without notice; the public name stays."
    fix = "use the public name"
    fix_safety = FixSafety.SAFE
    fix_depends_on = "`_LRScheduler` is a class of its own, which `isinstance` can tell from `LRScheduler`: unsafe"
    references = ("https://github.com/pytorch/pytorch/pull/69862", "https://github.com/pytorch-labs/torchfix")
    precision = Precision(findings=5, sampled=5, false=0)
    words = ("_utils", "_LRScheduler")
    table: ClassVar[Mapping[str, str]] = {
        "torch.utils.data._utils.collate.default_collate": "torch.utils.data.default_collate",
        "torch.utils.data._utils.collate.default_convert": "torch.utils.data.default_convert",
        "torch.utils.data._utils.worker.get_worker_info": "torch.utils.data.get_worker_info",
        "torch.optim.lr_scheduler._LRScheduler": "torch.optim.lr_scheduler.LRScheduler",
    }
    replacements: ClassVar[Mapping[str, Replacement]] = PRIVATE
    also_silenced_by = ("TOR104", "TOR105")
    VALID = (
        "from torch.utils.data import default_collate\n",
        """
        try:
            from torch.optim.lr_scheduler import LRScheduler
        except ImportError:
            from torch.optim.lr_scheduler import _LRScheduler as LRScheduler
        """,
    )
    INVALID = (
        "from torch.utils.data._utils.collate import default_collate\n",
        """
        import torch

        batch = torch.utils.data._utils.collate.default_convert(samples)
        """,
        "from torch.optim.lr_scheduler import _LRScheduler\n",
    )
    FIXED = (
        (
            """
            from torch.utils.data._utils.collate import default_collate

            batch = default_collate(samples)
            """,
            """
            from torch.utils.data import default_collate

            batch = default_collate(samples)
            """,
        ),
        (
            """
            import torch

            batch = torch.utils.data._utils.collate.default_convert(samples)
            """,
            """
            import torch

            batch = torch.utils.data.default_convert(samples)
            """,
        ),
        (
            """
            from torch.optim.lr_scheduler import _LRScheduler


            class Mine(_LRScheduler):
                pass
            """,
            """
            from torch.optim.lr_scheduler import LRScheduler


            class Mine(LRScheduler):
                pass
            """,
        ),
    )

    def message(self, name: str) -> str:
        """Return what the user reads."""
        return f"`{name}` is private to torch"
