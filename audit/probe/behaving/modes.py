"""Compares train mode with eval mode, and tells which modules of a model behave differently in them."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from .. import specs as specs_
from ..circumstances import rates_of
from ..outputs import flatten
from ..parts import built, forward, inputs_of
from ..tensors import digest, dump
from .batches import Inputs

_DRAWS = 8  # a stochastic depth of 0.1 shows in 8 runs of 3 samples with a probability of 92 %


def modes(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Run one batch in eval mode, and several times in train mode under different seeds of the global generators.

    Every run is one of a model built anew, so that statistics which a run changes do not reach the next.

    Returns:
        `eval` and `train`: outputs; `other`: that of the first train run which differs from `train`, else of the last.
        `dropouts`: modules with a dropout above zero; `shows`: how likely those of torch's own that ran would have
        changed a number in one of the train runs, 1 where others ran, 0 where none did; `learning`: modules whose
        buffers a train run changes, with their classes; `statistics`: normalisation layers that take their statistics
        from the batch in train mode.
    """

    def inputs() -> Inputs:
        """Return the batch; a copy for each run, for what one changes is not what the next is judged by."""
        return inputs_of(specs, name, seed, batch_size)

    model = built(specs, name, seed)
    before = {key: digest(buffer) for key, buffer in model.named_buffers()}
    with _without_fast_path():
        evaluated = dump(flatten(forward(model.eval(), inputs())))
    specs_.seed_everything(seed)
    with _watching(model) as kept:
        train = dump(flatten(forward(model.train(), inputs())))
    learning = {key.rpartition(".")[0] for key, buffer in model.named_buffers() if before.get(key) != digest(buffer)}
    modules = dict(model.named_modules())
    other = train
    for draw in range(1, _DRAWS):
        again = built(specs, name, seed).train()
        specs_.seed_everything(seed + draw)
        other = dump(flatten(forward(again, inputs())))
        if other != train:
            break
    return {
        "eval": evaluated,
        "train": train,
        "other": other,
        "dropouts": [f"{key} ({type(each).__name__})" for key, each in modules.items() if dropout_of(each) > 0],
        "shows": -math.expm1(_DRAWS * sum(kept)),
        "learning": [f"{key} ({type(modules[key]).__name__})" for key in sorted(learning)],
        "statistics": [f"{key} ({type(each).__name__})" for key, each in modules.items() if takes_statistics(each)],
    }


@contextmanager
def _without_fast_path() -> Iterator[None]:
    """Have torch's own encoder layers compute in eval mode what they compute in train mode.

    Without gradients they take a fused kernel in eval mode alone, which rounds otherwise: no doing of the model.
    """
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def _watching(model: nn.Module) -> Iterator[list[float]]:
    """Yield a list that fills with the logarithms of how likely each dropout that runs keeps all that it is given."""
    kept: list[float] = []

    def note(module: nn.Module, given: tuple[object, ...], output: object) -> None:
        first = given[0] if given else None
        share = dropout_of(module)
        if type(module) is nn.Dropout and isinstance(first, torch.Tensor) and share < 1:
            kept.append(first.numel() * math.log1p(-share))
        else:
            kept.append(-math.inf)

    handles = [each.register_forward_hook(note) for each in model.modules() if dropout_of(each) > 0]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def dropout_of(module: nn.Module) -> float:
    """Return a module's dropout probability, perhaps one that it hands to a function; 0 where it has none."""
    if isinstance(module, _DropoutNd):
        return float(module.p)
    if isinstance(module, nn.MultiheadAttention):
        return float(module.dropout)
    if isinstance(module, nn.RNNBase):
        return float(module.dropout) if module.num_layers > 1 else 0.0
    kept = [vars(module)[key] for key in rates_of(module)]
    return max((float(each) for each in kept if type(each) in (int, float) and 0 < each < 1), default=0.0)


def takes_statistics(module: nn.Module) -> bool:
    """Whether a normalisation layer uses the statistics of its batch in train mode and others in eval mode."""
    return isinstance(module, _NormBase) and (module.track_running_stats or _over_the_batch(module))


def _over_the_batch(module: nn.Module) -> bool:
    return isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and not isinstance(
        module, torch.nn.modules.instancenorm._InstanceNorm
    )


def couples_samples(model: nn.Module) -> list[str]:
    """Return the layers that mix the samples of a batch in train mode."""
    return [f"{key} ({type(each).__name__})" for key, each in model.named_modules() if _over_the_batch(each)]
