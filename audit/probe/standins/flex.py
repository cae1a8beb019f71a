"""A stand-in for `torch.nn.attention.flex_attention`, which computes on a CPU what the compiled kernel does on a GPU.

torch's own runs on a CPU, but through the compiler: it takes seconds, and a target that compiles it when it is imported
needs a C++ compiler as well. Masks of blocks are torch's own. Only the functions are replaced, and `torch.compile`
gives back what it is given.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from .exact import NotKnown
from .recorded import Record

MODULE = "torch.nn.attention.flex_attention"
Indexed = Callable[..., Tensor]


def over_all(function: Indexed, sizes: tuple[int, int, int, int], scores: Tensor | None = None) -> Tensor:
    """Return a function of (batch, head, query, key), with the score before them where given, at all of them."""
    indices = [torch.arange(size) for size in sizes]
    first = () if scores is None else (0,)
    mapped: Callable[..., Any] = function
    for axis in range(3, -1, -1):
        own = tuple(0 if place == axis else None for place in range(4))
        mapped = torch.vmap(mapped, in_dims=(*first, *own))
    return mapped(*(() if scores is None else (scores,)), *indices)  # type: ignore[no-any-return]


def flex(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    score_mod: Indexed | None,
    mask_mod: Indexed | None,
    scale: float | None,
    enable_gqa: bool,
) -> tuple[Tensor, Tensor]:
    """Return the output (B, H, Lq, Dv) and the log of the sums (B, H, Lq); a query that sees nothing gives zeros.

    Raises:
        ValueError: heads differ and `enable_gqa` does not say that they may.
    """
    heads, key_heads = query.shape[1], key.shape[1]
    if heads != key_heads and not enable_gqa:
        raise ValueError(
            f"Expect query and key/value to have the same number of heads but got Hq={heads} and Hkv={key_heads}."
        )
    if heads % key_heads:
        raise ValueError(
            f"Expect number of query heads to be a multiple of kv heads but got Hq={heads} and Hkv={key_heads}."
        )
    q, k, v = (each.double() for each in (query, key, value))
    k, v = (each.repeat_interleave(heads // key_heads, dim=1) for each in (k, v))
    scores = q @ k.mT * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    sizes = (scores.shape[0], scores.shape[1], scores.shape[2], scores.shape[3])
    if score_mod is not None:
        scores = over_all(score_mod, sizes, scores).double()
    if mask_mod is not None:
        scores = scores.masked_fill(~over_all(mask_mod, sizes), -torch.inf)
    empty = (scores == -torch.inf).all(dim=-1, keepdim=True)
    weights = scores.masked_fill(empty, 0.0).softmax(dim=-1).masked_fill(empty, 0.0)
    sums = scores.masked_fill(empty, 0.0).logsumexp(dim=-1).masked_fill(empty[..., 0], -torch.inf)
    return (weights @ v).to(query.dtype), sums.float()


def functions(record: Record) -> Mapping[str, Callable[..., object]]:
    """Return the functions that are replaced by their names, each counted in `record`."""
    from torch.nn.attention.flex_attention import AuxOutput

    def flex_attention(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        score_mod: Indexed | None = None,
        block_mask: Any = None,
        scale: float | None = None,
        enable_gqa: bool = False,
        return_lse: bool = False,
        kernel_options: object = None,
        *,
        return_aux: Any = None,
    ) -> object:
        if return_aux is not None and return_aux.max_scores:
            raise NotKnown("the stand-in for flex_attention does not know max_scores")
        if block_mask is not None:
            longest = tuple(block_mask.seq_lengths)
            if longest != (query.shape[2], key.shape[2]):
                raise ValueError(
                    f"block_mask was created for block_mask.shape={tuple(block_mask.shape)} but got "
                    f"q_len={query.shape[2]} and kv_len={key.shape[2]}"
                )
        out, sums = flex(
            query,
            key,
            value,
            score_mod=score_mod,
            mask_mod=None if block_mask is None else block_mask.mask_mod,
            scale=scale,
            enable_gqa=enable_gqa,
        )
        if return_aux is not None:
            return out, AuxOutput(lse=sums if return_aux.lse else None)
        return (out, sums) if return_lse else out

    return {"flex_attention": record.counted(MODULE, flex_attention)}
