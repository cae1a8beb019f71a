"""API010: `ToTensor` of torchvision's v2 transforms."""

from collections.abc import Mapping
from typing import ClassVar

from audit.static.fixes.replacing import Replacement
from audit.static.fixes.torch_calls import to_tensor
from audit.static.rules.named_api import NamedApiRule
from audit.static.rules.rule import FixSafety


class ToTensor(NamedApiRule):
    """The v2 class warns at every construction."""

    id = "API010"
    title = "`torchvision.transforms.v2.ToTensor` is deprecated"
    what = "Reports `ToTensor` of `torchvision.transforms.v2`; that of `torchvision.transforms` is not deprecated."
    why = "It is to be removed. It scales integers and leaves other images as they are, which two transforms now say."
    fix = "use v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])"
    fix_safety = FixSafety.UNSAFE
    references = ("https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.v2.ToTensor.html",)
    words = ("ToTensor",)
    table: ClassVar[Mapping[str, str]] = {
        "torchvision.transforms.v2.ToTensor": "v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])"
    }
    replacements: ClassVar[Mapping[str, Replacement]] = {
        "torchvision.transforms.v2.ToTensor": Replacement("torchvision.transforms.v2.Compose", to_tensor, any_use=False)
    }
    also_silenced_by = ("TOR202",)
    VALID = (
        """
        from torchvision.transforms import v2

        t = v2.Compose([v2.ToImage(), v2.ToDtype(dtype, scale=True)])
        """,
        """
        from torchvision import transforms

        t = transforms.ToTensor()
        """,
    )
    INVALID = (
        """
        from torchvision.transforms import v2

        t = v2.ToTensor()
        """,
        "from torchvision.transforms.v2 import ToTensor\n",
    )
    FIXED = (
        (
            """
            import torch
            from torchvision.transforms import v2

            t = v2.ToTensor()
            """,
            """
            import torch
            from torchvision.transforms import v2

            t = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
            """,
        ),
    )

    def message(self, name: str) -> str:
        """Return what the user reads."""
        return f"`{name}` is deprecated"
