"""Which token the loss asks for at each position: the one whose logit it would raise most."""

from collections.abc import Callable
from typing import Any

import torch

from .. import specs as specs_
from ..calling import called
from ..outputs import flatten
from ..parts import built, inputs_of, loss_of
from ..phases import phase
from ..tensors import dump
from .batches import copied
from .generation import own_logits


def next_token(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Differentiate the loss by the logits that forward returns.

    Returns:
        `tokens`: (B, L), and `asked`: (B, L), the token whose logit has the lowest gradient, -1 where none has one
        below zero; both None where no output is of shape (B, L, vocabulary) and has a part in the loss.

    Raises:
        TypeError: the content is no tensor of tokens.
    """
    rules = specs_.entry(specs, "MODELS", name)["generate"]
    assert isinstance(rules, dict)
    content = str(rules["content"])
    inputs = copied(inputs_of(specs, name, seed, batch_size))
    tokens = inputs.get(content)
    if not isinstance(tokens, torch.Tensor) or tokens.dim() != 2 or tokens.is_floating_point():
        raise TypeError(f"{content} must be a tensor of tokens (batch, length)")
    tokens = tokens.detach().clone()
    model = built(specs, name, seed).eval()
    specs_.seed_everything(seed)
    with phase("forward"):
        output = called(model, inputs)
    logits_of: Callable[[Any], Any] = rules.get("logits", own_logits)
    with phase("logits"):
        declared = logits_of(output)
    loss = loss_of(specs, name, output, inputs)
    # What `logits` returns may be a copy, of which the loss knows nothing.
    for logits in (declared, *flatten(output).values()):
        if not isinstance(logits, torch.Tensor) or logits.dim() != 3 or logits.shape[:2] != tokens.shape:
            continue
        if not (logits.requires_grad and loss.requires_grad):
            continue
        with phase("backward"):
            (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True, allow_unused=True)
        if gradient is not None and gradient.any():
            least, asked = gradient.float().min(dim=-1)
            return {"tokens": dump({"tokens": tokens}), "asked": dump({"asked": asked.masked_fill(least >= 0, -1)})}
    return {"tokens": None, "asked": None}
