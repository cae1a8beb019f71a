"""The backends that compute attention, and what they are handed.

A backend receives a checked `AttentionCall` and returns the attended values. All backends compute the same function
of the call; they differ in speed, memory and rounding only. A call that a backend cannot compute exactly is refused
with a reason, never approximated. A backend that raises when it runs is warned about with `BackendFailedWarning`, and
the next one that supports the call takes over.
"""

from typing import Protocol

from torch import Tensor

from astrobio.attention.backends.call import AttentionCall
from astrobio.attention.backends.eager import EagerBackend
from astrobio.attention.backends.flash_attention_2 import Flash2Backend
from astrobio.attention.backends.flash_attention_3 import Flash3Backend
from astrobio.attention.backends.flash_attention_4 import Flash4Backend
from astrobio.attention.backends.sdpa import SdpaBackend
from astrobio.attention.backends.triton import TritonBackend


class AttentionBackend(Protocol):
    """One way to compute softmax attention."""

    @property
    def name(self) -> str:
        """What `backend="..."` selects."""

    def unsupported_reason(self, call: AttentionCall) -> str | None:
        """Why this backend cannot compute `call`, or None when it can."""

    def run(self, call: AttentionCall) -> Tensor:
        """The attended values, (B, H, Lq, D), in the dtype of the query."""


class BackendFailedWarning(UserWarning):
    """A backend that declares support for a call raised when it ran it; the message names both."""


_CHAIN: tuple[AttentionBackend, ...] = (
    Flash4Backend(),
    Flash3Backend(),
    Flash2Backend(),
    TritonBackend(),
    SdpaBackend(),
    EagerBackend(),
)

BACKENDS: dict[str, AttentionBackend] = {backend.name: backend for backend in _CHAIN}
"""Every backend by name, in the order in which `backend="auto"` tries them; where it tries `sdpa` before `triton`, see
`astrobio.attention.functional`."""

PORTABLE_BACKENDS = ("sdpa", "eager")
"""Those that run on every device."""


def check_backend_name(name: str) -> None:
    """Accept `"auto"` and the names in `BACKENDS`.

    Raises:
        ValueError: for any other name; the message lists the valid ones.
    """
    if name != "auto" and name not in BACKENDS:
        raise ValueError(f"unknown attention backend {name!r}; choose from: {', '.join(('auto', *BACKENDS))}")


__all__ = [
    "BACKENDS",
    "PORTABLE_BACKENDS",
    "AttentionBackend",
    "AttentionCall",
    "BackendFailedWarning",
    "check_backend_name",
]
