"""How much one request may ask for, and how many may wait: so that no request keeps the others from an answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from astrobio.serving.inputs import InputError, InputSpec


@dataclass(frozen=True, kw_only=True)
class RequestLimits:
    """Limits of the inference API.

    Attributes:
        samples: per request.
        size: of each dimension that may have any size: the length of a sequence, the nodes or edges of a network. What
            a sample costs grows with its square.
        values: numbers in all inputs of a request together.
        body_bytes: size of a request.
        waiting: requests that may wait while one is computed.
        seconds: from the arrival of a request to its answer.
    """

    samples: int = 256
    size: int = 2048
    values: int = 1_000_000
    body_bytes: int = 8_000_000
    waiting: int = 32
    seconds: float = 60.0

    def require_sizes(self, inputs: Mapping[str, Tensor], specs: Sequence[InputSpec]) -> None:
        """Raise InputError where a free dimension, or all inputs together, are larger than the limit."""
        for spec in specs:
            for dim, (size, wanted) in enumerate(zip(inputs[spec.name].shape, spec.shape, strict=True)):
                if wanted is None and dim != spec.batch_dim and size > self.size:
                    raise InputError(
                        f"{spec.name} has size {size} in dimension {dim}, more than the limit of {self.size} "
                        "per request"
                    )
        total = sum(inputs[spec.name].numel() for spec in specs)
        if total > self.values:
            raise InputError(f"the inputs hold {total} values, more than the limit of {self.values} per request")
