"""Has a model continue tokens, and computes what one forward says of each of them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from .. import specs as specs_
from ..calling import called
from ..outputs import replaced
from ..parts import built, inputs_of
from ..phases import phase
from ..tensors import dump
from .batches import Inputs, copied
from .moving import FLOAT32_EPS, moved

STEPS = 8
_FORCED_STEP = 2  # the new token at which the first row is made to end; what stands behind it is looked at
_LARGE = 1e4


def generates(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Continue a prompt, and run forward on the prompt with its continuation.

    The model has noise among its weights: as many begin, the likeliest token hardly depends on what stands before the
    last one, and a cache that is lost would not show.

    Returns:
        `length` of the prompt; `tokens`: (B, length + STEPS) as `tokens`; `logits` and `moved.<i>`: (B, length + STEPS,
        vocabulary), of forward on them, and moved by one unit in the last place; `forgotten`: (B, STEPS, vocabulary),
        of forward on the token before each new one alone; `ended`: the tokens where the first row was made to end at
        its second new token; None where nothing says which token ends, or no output of forward could be changed;
        `in_training`: modules that `run` was given in eval mode and has left in train mode.

    Raises:
        TypeError: the content is no tensor of tokens, `run` returns no continuation of it, or there are no logits.
    """
    spec = specs_.entry(specs, "MODELS", name)
    rules = spec["generate"]
    assert isinstance(rules, dict)
    model = built(specs, name, seed).eval()
    _disturb(model, seed)
    content = str(rules["content"])
    inputs_for: Callable[[Any, Any], Any] = rules.get("inputs", lambda inputs, tokens: {**inputs, content: tokens})
    inputs = copied(inputs_of(specs, name, seed, batch_size))
    whole = inputs.get(content)
    if not isinstance(whole, torch.Tensor) or whole.dim() != 2 or whole.is_floating_point():
        raise TypeError(f"{content} must be a tensor of tokens (batch, length)")
    prompt = whole[:, : int(rules.get("prompt", max(1, whole.shape[1] // 2)))]
    with phase("generate"):
        begun = inputs_for(inputs, prompt)
    tokens = _continued(rules["run"], model, begun, prompt)
    in_training = [key or "the model" for key, each in model.named_modules() if each.training]
    model.eval()
    logits_of: Callable[[Any], Any] = rules.get("logits", own_logits)

    def run(given: Inputs) -> dict[str, torch.Tensor]:
        with phase("forward"), torch.no_grad():
            output = called(model, given)
        with phase("logits"):
            logits = logits_of(output)
        if not isinstance(logits, torch.Tensor) or logits.dim() != 3:
            raise TypeError("what 'logits' returns must be a tensor (batch, length, vocabulary)")
        return {"logits": _finite(logits.float())}

    with phase("generate"):
        complete = inputs_for(inputs, tokens)
        last = [inputs_for(inputs, tokens[:, at - 1 : at]) for at in range(prompt.shape[1], tokens.shape[1])]
    reply: dict[str, object] = {
        "length": prompt.shape[1],
        "tokens": dump({"tokens": tokens}),
        "logits": dump(run(complete)),
        "forgotten": dump({"logits": torch.cat([run(each)["logits"][:, -1:] for each in last], dim=1)}),
        "ended": None,
        "in_training": list[object](in_training),
    }
    reply |= {f"moved.{index}": dump(each) for index, each in enumerate(moved(model, complete, FLOAT32_EPS, seed, run))}
    if "ends" in rules:
        with _made_to_end(model, int(rules["ends"]), len(prompt)) as made:
            ended = _continued(rules["run"], model, begun, prompt)
        reply["ended"] = dump({"tokens": ended}) if made[0] else None
    return reply


def _disturb(model: nn.Module, seed: int) -> None:
    """Add noise to every matrix and table, of the size that keeps what a layer returns as large as its input."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point() and parameter.dim() > 1:
                noise = torch.randn(parameter.shape, generator=generator) * parameter.shape[-1] ** -0.5
                parameter.add_(noise.to(parameter.device, parameter.dtype))


def _continued(run: Callable[..., Any], model: nn.Module, inputs: Mapping[str, object], prompt: Any) -> torch.Tensor:
    with phase("generate"):
        tokens = run(model, copied(inputs), STEPS)
    if isinstance(tokens, torch.Tensor) and tokens.shape == (len(prompt), STEPS):
        tokens = torch.cat((prompt, tokens), dim=1)
    wanted = (len(prompt), prompt.shape[1] + STEPS)
    if not isinstance(tokens, torch.Tensor) or tokens.shape != wanted or tokens.is_floating_point():
        found = tuple(tokens.shape) if isinstance(tokens, torch.Tensor) else type(tokens).__name__
        raise TypeError(f"'run' must return tokens of shape {wanted} for {STEPS} steps, and returned {found}")
    if not torch.equal(tokens[:, : prompt.shape[1]], prompt):
        raise TypeError("what 'run' returns must begin with the tokens that it was given, or hold the new ones alone")
    return tokens.detach()


def own_logits(output: Any) -> Any:
    """Return the logits of an output that nothing more is said of."""
    return getattr(output, "logits", output)


def _finite(logits: torch.Tensor) -> torch.Tensor:
    """Put less than any other logit in the place of -inf, which tokens have that may not be drawn."""
    allowed = logits > -torch.inf
    return logits.masked_fill(logits == -torch.inf, float(logits[allowed].min()) - 1) if allowed.any() else logits


@contextmanager
def _made_to_end(model: nn.Module, ends: int, batch_size: int) -> Iterator[list[int]]:
    """Make the token that ends the likeliest one for the first row, in one forward; count the outputs changed so."""
    calls, made = [0], [0]

    def change(path: str, tensor: torch.Tensor) -> object:
        if tensor.dim() != 3 or len(tensor) != batch_size or not tensor.is_floating_point() or tensor.shape[2] <= ends:
            return tensor
        made[0] += 1
        tensor = tensor.clone()
        tensor[0, -1, ends] = _LARGE
        return tensor

    def look(module: nn.Module, arguments: object, returned: object) -> object:
        calls[0] += 1
        return replaced(returned, change) if calls[0] == _FORCED_STEP else returned

    handle = model.register_forward_hook(look)
    try:
        yield made
    finally:
        handle.remove()
