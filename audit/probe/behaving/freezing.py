"""Which parameters learn, beside those that the specs declare frozen."""

from collections.abc import Iterable, Mapping, Sequence

from torch import nn

from ..parts import built, model_loss
from .misdeclared import Misdeclared, matching, nearest, quoted


def declared_frozen(specs: str, name: str, seed: int, batch_size: int, frozen: list[str]) -> dict[str, object]:
    """Look at what learns in train mode, before and after a forward and a loss, which may change it.

    Args:
        specs: the target's specs.
        name: of the model.
        seed: of weights and inputs.
        batch_size: samples.
        frozen: patterns of the names of parameters that must not learn, `*` for any text.

    Returns:
        `frozen` and `trainable`: the names of the parameters that are declared frozen, and of the others that could
        learn, as whole numbers cannot; `learns` and `learns_after_forward`: those of the first that learn; `rests` and
        `rests_after_forward`: those of the others that do not.

    Raises:
        Misdeclared: a pattern is that of no parameter.
    """
    model = built(specs, name, seed).train()
    declared = frozen_names(model, frozen)
    others = [
        key for key, p in _named(model).items() if key not in declared and (p.is_floating_point() or p.is_complex())
    ]
    reply: dict[str, object] = {"frozen": declared, "trainable": others}
    reply |= {"learns": _that(model, declared, learn=True), "rests": _that(model, others, learn=False)}
    model_loss(model, specs, name, seed, batch_size)
    return reply | {
        "learns_after_forward": _that(model, declared, learn=True),
        "rests_after_forward": _that(model, others, learn=False),
    }


def frozen_names(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Return the names of the parameters that patterns declare frozen; of one with several names any of them does.

    Raises:
        Misdeclared: a pattern is that of no parameter.
    """
    named = _named(model)
    chosen: set[int] = set()
    for pattern in patterns:
        found = [id(named[key]) for key in matching(named, pattern)]
        if not found:
            raise Misdeclared(
                f"no parameter of the model is called {quoted(pattern)}{nearest(pattern, _known(named, pattern))}"
            )
        chosen.update(found)
    return [key for key, parameter in named.items() if id(parameter) in chosen]


def _known(names: Iterable[str], pattern: str) -> list[str]:
    """Return what a pattern may have meant: names, or the parts of the model that hold some."""
    if "*" not in pattern:
        return list(names)
    parts = (key.split(".") for key in names)
    holders = (".".join(each[:depth]) for each in parts for depth in range(1, len(each)))
    return [f"{holder}.*" for holder in dict.fromkeys(holders)]


def _named(model: nn.Module) -> Mapping[str, nn.Parameter]:
    return dict(model.named_parameters(remove_duplicate=False))


def _that(model: nn.Module, names: Sequence[str], *, learn: bool) -> list[object]:
    named = _named(model)
    return [key for key in names if key in named and named[key].requires_grad == learn]
