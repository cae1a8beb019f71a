"""A stand-in for `flash_attn.cute`, the fourth version of flash attention: its one dense function.

As its 4.0.0 betas have it: an answer and its log-sums, None where a window has no limit. Learned sinks, block sparsity
and variable lengths are not known here.
"""

from collections.abc import Callable, Mapping
from typing import cast

from torch import Tensor

from . import flash3
from .exact import NotKnown
from .recorded import Record

VERSION = "4.0.0"


def modules(record: Record) -> dict[str, Mapping[str, object]]:
    """Return the names of the library's modules, and what each holds."""
    third = cast(Callable[..., tuple[Tensor, Tensor]], flash3.functions(record)["flash_attn_func"])

    def flash_attn_func(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        softmax_scale: float | None = None,
        causal: bool = False,
        window_size: tuple[int | None, int | None] = (None, None),
        softcap: float | None = None,
        **others: object,
    ) -> tuple[Tensor, Tensor]:
        if unknown := [name for name, value in others.items() if value is not None]:
            raise NotKnown(f"the stand-in for flash_attn.cute does not know {', '.join(unknown)}")
        before, after = (-1 if limit is None else limit for limit in window_size)
        return third(
            q, k, v, softmax_scale, causal, window_size=(before, after), softcap=softcap or 0.0, return_attn_probs=True
        )

    return {"flash_attn": {}, "flash_attn.cute": {"__version__": VERSION, "flash_attn_func": flash_attn_func}}
