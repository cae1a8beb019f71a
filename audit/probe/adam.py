"""Adam for parameters of which some get sparse gradients, as those of `nn.Embedding(sparse=True)` do."""

from collections.abc import Iterable

import torch


class Adam:
    """Adam, and for gradients that are sparse `SparseAdam`, which moves the entries that these have.

    The first step of both has the size of the learning rate whatever the gradient's size, so that a small gradient
    still moves a float32 parameter.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter], learning_rate: float) -> None:
        self._parameters = list(parameters)
        self._learning_rate = learning_rate
        self._dense = torch.optim.Adam(self._parameters, lr=learning_rate)
        self._sparse: torch.optim.SparseAdam | None = None

    def zero_grad(self, *, set_to_none: bool = True) -> None:
        """Clear the gradients of all parameters."""
        self._dense.zero_grad(set_to_none=set_to_none)

    def step(self) -> None:
        """Take a step; which optimizer takes a parameter is told by the gradient that it has now."""
        sparse = [(p, p.grad) for p in self._parameters if p.grad is not None and p.grad.is_sparse]
        if not sparse:
            self._dense.step()
            return
        if self._sparse is None:
            self._sparse = torch.optim.SparseAdam(self._parameters, lr=self._learning_rate)
        dense = [(p, p.grad) for p in self._parameters if p.grad is not None and not p.grad.is_sparse]
        for optimizer, hidden in ((self._dense, sparse), (self._sparse, dense)):
            for p, _ in hidden:  # what has no gradient is passed over
                p.grad = None
            optimizer.step()
            for p, gradient in hidden:
                p.grad = gradient
