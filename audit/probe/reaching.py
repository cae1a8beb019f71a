"""Tells which classes of modules run in what the specs declare: in a forward, and in what is called beside it."""

import sys
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch

from . import specs as specs_
from .behaving import generation
from .behaving.batches import copied
from .parts import built, forward, inputs_of, loss_of
from .phases import current, phase
from .plain import said_by
from .training.problem import problem_of

Class = tuple[str, str]  # module, qualname


def reached(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Return the class of every module whose forward ran in one forward pass of the model.

    Of a module without a forward any other method counts: it can be used in no other way.
    """
    model = built(specs, name, seed).eval()
    inputs = inputs_of(specs, name, seed, batch_size)
    with _running() as classes:
        forward(model, inputs)
    return {"classes": _listed(classes)}


def reached_beside(specs: str, section: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Return the same of what an entry of the specs calls beside the forward of a model.

    Args:
        specs: the target's specs.
        section: of MODELS the entry's loss, each function of `inference` and what `generate` runs are called; of
            TRAINING the loss of its first batch.
        name: of the entry.
        seed: of weights and inputs.
        batch_size: samples of a model of MODELS.

    Returns:
        `classes`: by what was called; `raised`: what a call raised, of those that did.
    """
    found: dict[str, object] = {}
    raised: dict[str, object] = {}
    calls = _of_training if section == "TRAINING" else _of_model
    for part, call in calls(specs, name, seed, batch_size).items():
        with _running() as classes, phase(current()):  # whose mark is put back behind an exception
            try:
                call()
            except Exception as error:  # another check says what is wrong with it
                raised[part] = said_by(error)
        found[part] = _listed(classes)
    return {"classes": found, "raised": raised}


def _of_model(specs: str, name: str, seed: int, batch_size: int) -> Mapping[str, Callable[[], object]]:
    spec = specs_.entry(specs, "MODELS", name)

    def loss() -> None:
        inputs = inputs_of(specs, name, seed, batch_size)
        loss_of(specs, name, forward(built(specs, name, seed).eval(), inputs), inputs)

    def infer(call: Callable[..., object]) -> None:
        inputs = copied(inputs_of(specs, name, seed, batch_size))
        call(built(specs, name, seed).eval(), inputs, torch.Generator().manual_seed(seed))

    calls: dict[str, Callable[[], object]] = {"loss": loss}
    inference = spec.get("inference")
    for key, call in inference.items() if isinstance(inference, Mapping) else ():
        calls[f"inference of {key}"] = partial(infer, call)
    if spec.get("generate") is not None:
        calls["generate"] = partial(generation.generates, specs, name, seed, batch_size)
    return calls


def _of_training(specs: str, name: str, seed: int, batch_size: int) -> Mapping[str, Callable[[], object]]:
    def loss() -> None:
        specs_.seed_everything(seed)
        problem = problem_of(specs, "TRAINING", name, seed)
        problem.loss(problem.build().train(), problem.batch(0))

    return {"loss": loss}


@contextmanager
def _running() -> Iterator[set[Class]]:
    """Yield a set to which the classes of modules that run are added, and their bases."""
    classes: set[Class] = set()

    def note(module: torch.nn.Module, _: object = None) -> None:
        classes.update((base.__module__, base.__qualname__) for base in type(module).__mro__)

    def watch(frame: types.FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_varnames[:1] == ("self",) and not hasattr(torch.nn.Module, code.co_name):
            module = frame.f_locals.get("self")
            if isinstance(module, torch.nn.Module) and type(module).forward is torch.nn.Module.forward:
                note(module)

    handle = torch.nn.modules.module.register_module_forward_pre_hook(note)
    sys.setprofile(watch)
    try:
        yield classes
    finally:
        sys.setprofile(None)
        handle.remove()


def _listed(classes: set[Class]) -> list[object]:
    return [list(pair) for pair in sorted(classes)]
