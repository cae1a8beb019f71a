"""What is tried last, where no usual size could be called: as many heads as tokens, and the sizes of the defaults."""

import re
from collections.abc import Iterator, Mapping

import torch

from .. import specs
from . import conventions
from .constructing import Constructor, Slots
from .conventions import HEADS_OF_LENGTH, Sizes
from .first_layers import first_layers
from .reading import parameters_of

_OF_SIZES = re.compile(r"is invalid for input of size|view size is not compatible")
_OF_WIDTH = re.compile(r"shapes cannot be multiplied|Given normalized_shape")


def last_resorts(
    constructor: Constructor, classes: Mapping[str, str | None], reason: str, seed: int
) -> Iterator[tuple[Slots, Sizes]]:
    """Yield arguments and sizes that may help against the reason for which the others failed.

    Args:
        constructor: of the class.
        classes: of its configurations.
        reason: of the attempt that came furthest.
        seed: of the weights.
    """
    if _OF_SIZES.search(reason):
        # Heads that are merged without moving axes fit where there are as many heads as tokens.
        yield constructor.slots(HEADS_OF_LENGTH, classes), HEADS_OF_LENGTH
    if _OF_WIDTH.search(reason) and not constructor.configs and (sizes := _of_defaults(constructor, seed)):
        # What sets the width has a name of its own, or is a number in the code.
        slots = constructor.slots(sizes, classes)
        yield {path: values for path, values in slots.items() if _kind(path[-1]) == "drop"}, sizes


def _of_defaults(constructor: Constructor, seed: int) -> Sizes | None:
    """Return the sizes of what its defaults build, as its first layer and its attributes show them."""
    specs.seed_everything(seed)
    try:
        module = constructor.built()
        first = next((each.name for each in parameters_of(module.forward)), "")
        layer = first_layers(module).get(first)
    except Exception:  # arguments without a default, or whatever the target raises
        return None
    if not isinstance(layer, torch.nn.Linear | torch.nn.LayerNorm | torch.nn.RMSNorm):
        return None
    width = int(layer.weight.shape[-1])
    named = [value for name, value in vars(module).items() if type(value) is int and _kind(name) == "heads"]
    heads = next((number for number in named if number > 0 and width % number == 0), 1)
    return Sizes(width, heads, heads, width // heads, width)


def _kind(name: str) -> str | None:
    return conventions.kind_of(name, lengthy_block=False)
