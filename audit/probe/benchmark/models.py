"""Times the target's registered models: a forward pass in eval mode, or a training step."""

import time
from collections.abc import Callable

import torch

from .. import devices
from .. import specs as specs_
from ..adam import Adam
from ..calling import Arguments, arguments_of
from ..outputs import flatten
from ..parts import built, inputs_of, loss_by
from ..phases import phase
from ..tensors import digest
from .clock import clock
from .memory import peak_bytes, release
from .sampling import Rule, sampled

FORWARD, TRAINING_STEP = "forward", "training_step"
_LEARNING_RATE = 1e-3


class _Timed:
    """A model with its next batch; every batch is another one."""

    def __init__(self, specs: str, name: str, seed: int, batch: int, mode: str) -> None:
        self._specs, self._name = specs, name
        self._spec = specs_.entry(specs, "MODELS", name)
        self._batch, self._seed = batch, seed
        self.model = devices.placed_module(built(specs, name, seed)).train(mode == TRAINING_STEP)
        trainable = [p for p in self.model.parameters() if p.requires_grad]
        self._optimizer = Adam(trainable, _LEARNING_RATE) if mode == TRAINING_STEP else None

    def inputs(self) -> dict[str, object]:
        """Return the next batch, on the device."""
        self._seed += 1
        made = inputs_of(self._specs, self._name, self._seed, self._batch, anew=True)
        return {key: devices.placed_in(value) for key, value in made.items()}

    def action(self, inputs: dict[str, object]) -> Callable[[], object]:
        """Return what is to be timed on a batch: how its arguments are given is found out before."""
        arguments = arguments_of(self.model, inputs)
        if self._optimizer is None:
            return lambda: self._forward(arguments)
        return lambda: self._step(inputs, arguments)

    def forward(self, inputs: dict[str, object]) -> object:
        """Return the output without recording gradients."""
        return self._forward(arguments_of(self.model, inputs))

    def step(self, inputs: dict[str, object]) -> torch.Tensor:
        """Take a training step with Adam and return the loss."""
        return self._step(inputs, arguments_of(self.model, inputs))

    def _forward(self, arguments: Arguments) -> object:
        ordered, named = arguments
        with phase("forward"), torch.no_grad():
            return self.model(*ordered, **named)

    def _step(self, inputs: dict[str, object], arguments: Arguments) -> torch.Tensor:
        assert self._optimizer is not None
        self._optimizer.zero_grad(set_to_none=True)
        ordered, named = arguments
        with phase("forward"):
            output = self.model(*ordered, **named)
        loss = loss_by(self._spec, output, inputs)
        with phase("backward"):
            loss.backward()  # type: ignore[no-untyped-call]
        with phase("step"):
            self._optimizer.step()
        return loss.detach()

    def finding(self) -> dict[str, object]:
        """Return what tells that the model computes something: how many values are not finite, and digests.

        Two batches tell whether the output depends on what the model is given.
        """
        outputs = []
        for _ in range(2):
            inputs = self.inputs()
            outputs.append(flatten(self.forward(inputs) if self._optimizer is None else self.step(inputs)))
        values = [tensor for tensors in outputs for tensor in tensors.values() if tensor.is_floating_point()]
        if self._optimizer is not None:
            values += [p.detach() for p in self.model.parameters() if p.is_floating_point()]
        return {
            "values": sum(tensor.numel() for tensor in values),
            "not_finite": sum(int((~torch.isfinite(tensor)).sum()) for tensor in values),
            "outputs": [{key: digest(tensor) for key, tensor in tensors.items()} for tensors in outputs],
            "parameters": sum(p.numel() for p in self.model.parameters()),
        }


def check(specs: str, name: str, seed: int, batch: int, mode: str) -> dict[str, object]:
    """Return what a model makes of two batches, as `finding` says."""
    try:
        return _Timed(specs, name, seed, batch, mode).finding()
    finally:
        release()


def timed(
    specs: str,
    name: str,
    seed: int,
    batch: int,
    mode: str,
    rule: dict[str, object],
    warm_up: int,
    with_memory: bool,
) -> dict[str, object]:
    """Time calls until the rule says stop, then look once more at what the model computes."""
    stop = Rule(
        relative_error=float(str(rule["relative_error"])), least=int(str(rule["least"])), most=int(str(rule["most"])),
        seconds=float(str(rule["seconds"])),
    )  # fmt: skip
    try:
        subject = _Timed(specs, name, seed, batch, mode)
        watch = clock()
        found: dict[str, object] = {"cache_bytes": watch.cache_bytes}
        for number in range(max(warm_up, 1)):
            inputs = subject.inputs()
            begun = time.perf_counter_ns()
            subject.action(inputs)()
            watch.settle()
            if number == 0:
                found["first_call_ns"] = time.perf_counter_ns() - begun
        if with_memory:
            found["peak_bytes"], found["peak_how"] = peak_bytes(subject.action(subject.inputs()))
        with phase("timing"):
            found["samples_ns"] = sampled(
                # As its users have it: launching thousands of kernels is part of a step.
                lambda: watch.timed_ns(subject.action(subject.inputs()), launched_ahead=False),
                stop,
            )
        return {**found, **subject.finding()}
    finally:
        release()
