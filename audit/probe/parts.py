"""The steps that procedures on a registered model are made of: building it, its batches, its forward and its loss."""

from torch import nn

from .models import SpecError
from .models import _built as built
from .models import _forward as forward
from .models import _inputs as inputs_of
from .models import _loss as model_loss
from .models import _loss_of as loss_of
from .models import _train as train_once

__all__ = ["SpecError", "built", "forward", "inputs_of", "loss_of", "model_loss", "train_once"]


def class_path(model: nn.Module) -> str:
    """Return the class of a model, `module:qualname`; of one that `torch.compile` wraps, that of what it wraps."""
    made = type(getattr(model, "_orig_mod", model))
    return f"{made.__module__}:{made.__qualname__}"
