"""Attention by torch's own math kernel in float64, with every mask written out element by element."""

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel


def reference(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    mask: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """(B, L, H, D) in and out; a query whose keys are all masked gives zeros."""
    groups = query.shape[2] // key.shape[2]
    heads = [[head // groups for head in range(query.shape[2])]] * 2
    q, k, v = (
        query.double().transpose(1, 2),
        *(
            torch.stack([each.double()[:, :, head] for head in of], dim=1)
            for each, of in zip((key, value), heads, strict=True)
        ),
    )
    with sdpa_kernel(SDPBackend.MATH):
        if mask is None:
            return F.scaled_dot_product_attention(q, k, v, scale=scale).transpose(1, 2)
        empty = (mask == -torch.inf).all(dim=-1, keepdim=True)
        mask = mask.masked_fill(empty, 0.0)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
        return out.masked_fill(empty.expand(*out.shape[:-1], 1), 0.0).transpose(1, 2)


def written_out(queries: int, keys: int, sees: object, *, shift: int | None = None) -> Tensor:
    """An additive mask (Lq, Lk) in float64; `sees(place of the query, key)` says what is kept."""
    first = keys - queries if shift is None else shift
    mask = torch.zeros(queries, keys, dtype=torch.float64)
    for query in range(queries):
        for key in range(keys):
            if not sees(query + first, key):  # type: ignore[operator]
                mask[query, key] = -torch.inf
    return mask


def numbers(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def close(found: Tensor, expected: Tensor, *, dtype: torch.dtype = torch.float64) -> None:
    """Equal to the rounding of the result; in float64, to that of sums of a few products."""
    eps = torch.finfo(dtype).eps
    assert found.dtype == dtype
    assert found.shape == expected.shape
    torch.testing.assert_close(
        found.double(), expected, rtol=eps if dtype != torch.float64 else 64 * eps, atol=64 * 2e-16
    )
