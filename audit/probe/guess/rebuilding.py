"""Builds and calls a guessed subject again, from its choices alone."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch

from .. import devices, specs
from ..phases import phase
from . import caches, gates, optional
from .adapting import called
from .loading import load
from .searching import namespace_of
from .values import decoded

Call = Callable[[Mapping[str, torch.Tensor | None], Mapping[str, object]], object]


def rebuilt(subject: Mapping[str, Any], seed: int, dtype: torch.dtype) -> tuple[torch.nn.Module | None, Call]:
    """Return the module, None for a function, and what calls it with canonical tensors.

    Args:
        subject: `path`, `module`, `qualname` and `choices`, as `find` takes and returns them.
        seed: of the weights.
        dtype: of the weights.
    """
    choices = subject["choices"]
    with phase("import"):
        value = load(subject["path"], subject["module"], subject["qualname"], how=choices["loaded"]).value
    namespace = namespace_of(value)
    form = choices["form"]
    if choices.get("host"):  # a processor is run by the class that is built with it
        value = namespace[choices["host"]]
    module: torch.nn.Module | None = None
    function = cast(Callable[..., object], value)
    if isinstance(value, type):
        specs.seed_everything(seed)
        with phase("build"):
            arguments = {key: decoded(item, namespace) for key, item in choices["arguments"].items()}
            built = function(**arguments)
            assert isinstance(built, torch.nn.Module)
            gates.open_(built, choices["opened"])
        built.to(dtype)
        devices.placed_module(built)
        built.eval()  # not in one line: a class of its own may return nothing
        function = module = built

    def call(leaves: Mapping[str, torch.Tensor | None], described: Mapping[str, object]) -> object:
        own = form | {"offset": described.get("offset", 0)}
        if described["kind"] == "decode":
            if not form.get("cache"):
                raise NotImplementedError("no call form of a cache was found")
            chunks = cast(list[int], described["chunks"])
            return caches.decoded(
                function,
                own,
                leaves,
                chunks,
                namespace=namespace,
                uncached=bool(described.get("uncached")),
                without_positions=bool(described.get("without_positions")),
            )
        if described.get("mask_form"):
            own |= {"mask": form["mask"] | described["mask_form"]}
        more = optional.made(cast(Mapping[str, Any], described.get("more") or {}), own, leaves)
        return called(function, own, leaves, is_causal=bool(described["is_causal"]), namespace=namespace, more=more)

    # A core without layers of its own is judged as the function that it is.
    return (module if form["canonical"] == "module" else None), call
