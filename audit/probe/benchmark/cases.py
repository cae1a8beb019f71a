"""One set of sizes of attention, and the tensors it is tried on: the same buffers with new content each time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .. import devices
from ..callee import DTYPES
from ..plain import NotPlain

FORWARD, BACKWARD, DECODE = "forward", "backward", "decode"


@dataclass(frozen=True)
class Case:
    """Sizes, rules and mode. In `decode` one query stands at the end of `length` keys, the last of them new."""

    batch: int
    heads: int
    kv_heads: int
    length: int
    head_dim: int
    is_causal: bool
    window: int | None
    dtype: torch.dtype
    mode: str

    @property
    def queries(self) -> int:
        """Number of queries of each head."""
        return 1 if self.mode == DECODE else self.length

    @property
    def is_square(self) -> bool:
        """Whether there are as many queries as keys."""
        return self.queries == self.length

    @property
    def keeps_all(self) -> bool:
        """Whether every query sees every key, so that no rule needs to be told."""
        hides = (self.is_causal and self.queries > 1) or (self.window is not None and self.window < self.length)
        return not hides

    def allowed(self) -> Tensor | None:
        """Return which keys a query sees, bool, (Lq, Lk), True = sees; None for all.

        The last query stands at the last key; a window of w has |p - j| < w for the position p of a query.
        """
        if self.keeps_all:
            return None
        with devices.own():
            positions = torch.arange(self.queries)[:, None] + self.length - self.queries
            ahead = positions - torch.arange(self.length)
        allowed = torch.ones_like(ahead, dtype=torch.bool) if self.window is None else ahead.abs() < self.window
        return allowed & (ahead >= 0) if self.is_causal else allowed


def case_of(given: Mapping[str, object]) -> Case:
    """Read a case as the parent sends it.

    Raises:
        NotPlain: something in it has another type than it should.
    """
    for key in ("batch", "heads", "kv_heads", "length", "head_dim"):
        if not isinstance(given.get(key), int):
            raise NotPlain(f"case: {key} must be a whole number")
    window = given.get("window")
    if window is not None and not isinstance(window, int):
        raise NotPlain("case: window must be a whole number or None")
    sizes = {key: int(str(given[key])) for key in ("batch", "heads", "kv_heads", "length", "head_dim")}
    return Case(
        **sizes, is_causal=bool(given["is_causal"]), window=window, dtype=DTYPES[str(given["dtype"])],
        mode=str(given["mode"]),
    )  # fmt: skip


@dataclass
class Buffers:
    """Query, key, value and the gradient of the output, on the device.

    A backend that keeps what it computed for the same tensors, by their identity or place, is asked again with the same
    tensors and other content.
    """

    case: Case
    query: Tensor = field(init=False)
    key: Tensor = field(init=False)
    value: Tensor = field(init=False)
    weights: Tensor = field(init=False)
    new_key: Tensor = field(init=False)
    new_value: Tensor = field(init=False)

    def __post_init__(self) -> None:
        """Allocate them."""
        case = self.case
        of_query = (case.batch, case.heads, case.queries, case.head_dim)
        of_key = (case.batch, case.kv_heads, case.length, case.head_dim)
        of_new = (case.batch, case.kv_heads, 1, case.head_dim)
        with devices.own():
            self.query, self.weights = (torch.empty(of_query, dtype=case.dtype) for _ in range(2))
            self.key, self.value = (torch.empty(of_key, dtype=case.dtype) for _ in range(2))
            self.new_key, self.new_value = (torch.empty(of_new, dtype=case.dtype) for _ in range(2))
        if case.mode == BACKWARD:
            for leaf in self.leaves:
                leaf.requires_grad_()

    @property
    def leaves(self) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value."""
        return self.query, self.key, self.value

    def refill(self, generator: torch.Generator, rows: Sequence[int] | None = None) -> None:
        """Draw new content from the standard normal distribution.

        With `rows` the gradient of the output is zero but for these queries, so that the gradients of keys and values
        follow from them alone.
        """
        drawn = [self.query, self.key, self.value]
        drawn += [self.weights] if self.case.mode == BACKWARD else []
        drawn += [self.new_key, self.new_value] if self.case.mode == DECODE else []
        with torch.no_grad():
            for tensor in drawn:
                tensor.normal_(generator=generator)
            if rows is not None and self.case.mode == BACKWARD:
                silent = torch.ones(self.case.queries, dtype=torch.bool)
                silent[list(rows)] = False
                self.weights[:, :, devices.placed(silent)] = 0

    def generator(self, seed: int) -> torch.Generator:
        """Return a generator on the device of the buffers."""
        return torch.Generator(device=self.query.device).manual_seed(seed)
