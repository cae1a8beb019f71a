import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from astrobio.attention import functional


@pytest.fixture(autouse=True)
def no_backend_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test makes fail is tried again by the next."""
    monkeypatch.setattr(functional, "_FAILED_BEFORE", {})


@pytest.fixture(scope="session")
def naive_attention() -> Callable[..., Tensor]:
    """Attention as loops over single numbers in float64, differentiable: what every backend is compared with."""
    return _naive_attention


@pytest.fixture(scope="session")
def rounding_bound() -> Callable[..., float]:
    """The largest error that rounding in one dtype can make in attention, to first order."""
    return _rounding_bound


def _naive_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    is_causal: bool = False,
    allowed: Tensor | None = None,
    bias: Tensor | None = None,
    scale: float | None = None,
    window: int | None = None,
    num_global_tokens: int = 0,
    soft_cap: float | None = None,
    alibi_slopes: Tensor | None = None,
    sinks: Tensor | None = None,
) -> Tensor:
    query, key, value = query.double(), key.double(), value.double()
    batch, heads, query_length, head_dim = query.shape
    key_length = key.shape[2]
    shape = (batch, heads, query_length, key_length)
    allowed = torch.ones(shape, dtype=torch.bool) if allowed is None else allowed.expand(shape)
    bias = torch.zeros(shape, dtype=torch.float64) if bias is None else bias.double().expand(shape)
    scale = 1 / math.sqrt(head_dim) if scale is None else scale
    rows = []
    for b in range(batch):
        for h in range(heads):
            kv = h // (heads // key.shape[1])
            for i in range(query_length):
                position = i + key_length - query_length
                keys = [j for j in range(key_length) if allowed[b, h, i, j] and (j <= position or not is_causal)]
                if window is not None:
                    seen = range(num_global_tokens)
                    keys = [j for j in keys if abs(position - j) < window or j in seen or position in seen]
                scores = []
                for j in keys:
                    score = scale * (query[b, h, i] * key[b, kv, j]).sum()
                    if soft_cap is not None:
                        score = soft_cap * (score / soft_cap).tanh()
                    if alibi_slopes is not None:
                        score = score - alibi_slopes[h] * abs(position - j)
                    scores.append(score + bias[b, h, i, j])
                unattended = [] if sinks is None else [sinks[h]]
                largest = max((float(score.detach()) for score in (*scores, *unattended)), default=0.0)
                weights = [(score - largest).exp() for score in scores]
                total = sum((score - largest).exp() for score in (*scores, *unattended))
                row = torch.zeros(head_dim, dtype=torch.float64)
                for weight, j in zip(weights, keys, strict=True):
                    row = row + weight / total * value[b, kv, j]
                rows.append(row)
    return torch.stack(rows).view(batch, heads, query_length, head_dim)


def _rounding_bound(
    query: Tensor, key: Tensor, value: Tensor, *, bias: Tensor | None = None, scale: float | None = None
) -> float:
    # Sums of n terms err by at most n u times the sum of magnitudes (Higham 2002, section 3.1). An error e of the
    # scores changes a weight by a factor within exp(2 e); exponential, sum and division add (Lk + 3) u.
    unit_roundoff = torch.finfo(query.dtype).eps / 2
    head_dim, key_length = query.shape[3], key.shape[2]
    scale = 1 / math.sqrt(head_dim) if scale is None else abs(scale)
    magnitude = scale * float(query.double().abs().sum(-1).max() * key.double().abs().max())
    if bias is not None:
        magnitude += float(bias[bias.isfinite()].abs().max())
    score_error = (head_dim + 3) * unit_roundoff * magnitude
    weight_error = 2 * score_error + (key_length + 3) * unit_roundoff
    return (weight_error + (key_length + 1) * unit_roundoff) * float(value.double().abs().max())
