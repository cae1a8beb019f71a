"""The backends of `attention` as they are timed."""

from torch import Tensor

from astrobio.attention import (
    attention,
)
from astrobio.attention.backends import BACKENDS, AttentionCall


def _benchmark_spec(name: str) -> dict[str, object]:
    """A backend as it is timed: through `attention`, whose checks are part of a call."""
    backend = BACKENDS[name]

    def forward(query: Tensor, key: Tensor, value: Tensor, is_causal: bool, window: int | None) -> Tensor:
        return attention(query, key, value, is_causal=is_causal, window=window, backend=name)

    def unsupported(query: Tensor, key: Tensor, value: Tensor, is_causal: bool, window: int | None) -> str | None:
        scale = query.shape[-1] ** -0.5
        call = AttentionCall(query=query, key=key, value=value, scale=scale, is_causal=is_causal, window=window)
        return backend.unsupported_reason(call)

    return {
        "function": f"{type(backend).__module__}:{type(backend).__qualname__}.run",
        "forward": forward,
        "unsupported": unsupported,
    }


BENCHMARKS: dict[str, dict[str, object]] = {f"astrobio_{name}": _benchmark_spec(name) for name in BACKENDS}
