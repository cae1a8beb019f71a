"""A training loop that can be interrupted: everything that it depends on is in its checkpoints."""

import gc
import os
import random
import sys
import time
from array import array
from pathlib import Path
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from .. import devices
from .. import specs as specs_
from ..phases import phase
from ..tensors import digest
from .problem import OutOfBatches, Problem, problem_of

# Bound before the target's code runs, like those in `tensors`.
_save = torch.save
_load = torch.load
_isfinite = torch.isfinite
_cpu_rng = torch.get_rng_state
_set_cpu_rng = torch.set_rng_state
_perf_counter = time.perf_counter

MEMORY_SAMPLES = 40
_TOLD_EVERY_S = 0.5


class Loop:
    """Model, optimizer and schedule between two steps."""

    def __init__(self, problem: Problem, seed: int) -> None:
        """Build the model anew under a seed."""
        self.problem = problem
        specs_.seed_everything(seed)
        self.model = devices.placed_module(problem.build()).train()
        self.optimizer: torch.optim.Optimizer | None = None
        self.scheduler: torch.optim.lr_scheduler.LRScheduler | None = None
        self.is_sparse = False
        self.done = 0

    def step(self) -> float:
        """Take one optimizer step; return the loss before it."""
        batch = devices.placed_in(self.problem.batch(self.done))
        if self.optimizer is None and self.problem.gives_optimizer and not any(map(is_lazy, self.model.parameters())):
            self._make_optimizer()  # as trainers do: what the first forward adds to the model is not in it
        self.model.zero_grad(set_to_none=True)
        loss = self.problem.loss(self.model, batch)
        with phase("backward"):
            loss.backward()  # type: ignore[no-untyped-call]
        if self.optimizer is None:
            self.is_sparse = any(p.grad is not None and p.grad.is_sparse for p in self.model.parameters())
            self._make_optimizer()
        assert self.optimizer is not None
        with phase("step"):
            self.optimizer.step()
            if self.scheduler is not None:
                self.scheduler.step()
        self.done += 1
        return float(loss.detach())

    def _make_optimizer(self) -> None:
        self.optimizer = self.problem.optimizer(self.model, is_sparse=self.is_sparse)
        self.scheduler = self.problem.scheduler(self.optimizer)

    def parameters(self) -> list[object]:
        """Return of each parameter that can learn, as whole numbers cannot, its names and whether it does.

        The last says whether it is in a group of the optimizer.
        """
        groups = self.optimizer.param_groups if self.optimizer is not None else []
        optimized = {id(each) for group in groups for each in group["params"]}
        found: dict[int, tuple[list[object], torch.nn.Parameter]] = {}
        for key, parameter in self.model.named_parameters(remove_duplicate=False):
            if parameter.is_floating_point() or parameter.is_complex():
                found.setdefault(id(parameter), ([], parameter))[0].append(key)
        return [[names, each.requires_grad, id(each) in optimized] for names, each in found.values()]

    def digest(self) -> str:
        """Return one digest of every parameter and buffer."""
        state = {**dict(self.model.named_parameters()), **dict(self.model.named_buffers())}
        return "/".join(digest(tensor) for _, tensor in sorted(state.items()))

    def save(self, path: Path) -> None:
        """Write a checkpoint: it appears under its name when all of it is there."""
        assert self.optimizer is not None
        state = {
            "step": self.done,
            "sparse": self.is_sparse,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict() if self.scheduler is not None else None,
            "random": random_state(),
        }
        aside = path.with_suffix(".partial")
        with phase("save"):
            _save(state, aside)
        aside.replace(path)

    def load(self, path: Path) -> None:
        """Become what a checkpoint holds."""
        with phase("load"):
            state: dict[str, Any] = _load(path, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.is_sparse = state["sparse"]
            self._make_optimizer()
            assert self.optimizer is not None
            self.optimizer.load_state_dict(state["optimizer"])
            if self.scheduler is not None:
                self.scheduler.load_state_dict(state["scheduler"])
            self.done = state["step"]
            set_random_state(state["random"])


def random_state() -> dict[str, Any]:
    """Return the state of every global generator, as torch loads it with `weights_only`."""
    state: dict[str, Any] = {"torch": _cpu_rng(), "python": random.getstate()}
    if devices.on_gpu():
        state["cuda"] = torch.cuda.get_rng_state(devices.current())
    if "numpy.random" in sys.modules:
        name, keys, *rest = sys.modules["numpy.random"].get_state()
        state["numpy"] = [name, keys.tolist(), *rest]
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Set every global generator to what `random_state` returned."""
    _set_cpu_rng(state["torch"])
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], devices.current())
    if "numpy" in state and "numpy.random" in sys.modules:
        sys.modules["numpy.random"].set_state(tuple(state["numpy"]))


def run(
    specs: str,
    section: str,
    name: str,
    seed: int,
    steps: int,
    checkpoint_every: int,
    validate_every: int,
    compared_steps: int,
    folder: str,
    seconds: float,
) -> dict[str, object]:
    """Train for so many steps, at most so many seconds, and leave checkpoints in `folder`.

    Args:
        specs: the specs' module.
        section: `MODELS` or `TRAINING`.
        name: of the entry.
        seed: of everything random.
        steps: optimizer steps.
        checkpoint_every: steps between checkpoints; the last step has one too.
        validate_every: steps between measurements on held-out batches.
        compared_steps: steps behind each checkpoint after which the digest of the weights is taken.
        folder: for `STEP.pt`, and for `progress`, which holds the number of steps done.
        seconds: after which no further step is begun.

    Returns:
        losses, seconds and CPU seconds of each step; `checkpoints` and `digests` by step; `validation` as pairs of step
        and mean loss; `memory` as pairs of step and bytes, resident and on the GPU together; `ended`: why it ended
        before the last step, or None; `parameters`: of each that can learn its names, whether it does by its
        requires_grad, and whether it is in a group of the optimizer.
    """
    place = Path(folder)
    problem = problem_of(specs, section, name, seed)
    loop = Loop(problem, seed)
    # Of fixed size, so that what is measured of the memory is not our own notes.
    losses, wall = array("d", bytes(8 * steps)), array("d", bytes(8 * steps))
    memory = array("d", bytes(16 * (MEMORY_SAMPLES + 1)))
    every_memory = max(1, -(-steps // MEMORY_SAMPLES))
    held_out: list[object] | None = None
    validation: list[tuple[int, float]] = []
    digests: dict[str, str] = {}
    checkpoints: list[int] = []
    looked_at = {min(each + compared_steps, steps) for each in range(0, steps, checkpoint_every)} | {steps}
    ended, samples = None, 0
    gc.collect()
    gc.freeze()  # what is there by now is not gone through again before each look at the memory
    begun = told = _perf_counter()
    while loop.done < steps:
        before = _perf_counter()
        if before - begun > seconds:
            ended = "time"
            break
        try:
            loss = loop.step()
        except OutOfBatches:
            ended = "batches"
            break
        now = _perf_counter()
        done = loop.done
        losses[done - 1], wall[done - 1] = loss, now - before
        if loss - loss != 0:  # NaN or infinite
            ended = "not finite"
            break
        if done % checkpoint_every == 0 or done == steps:
            loop.save(place / f"{done}.pt")
            checkpoints.append(done)
        if done in looked_at:
            digests[str(done)] = loop.digest()
        if done % validate_every == 0 or done == steps:
            held_out = devices.placed_in(problem.held_out(steps)) if held_out is None else held_out
            validation.append((done, mean_loss(problem, loop.model, held_out)))
        if done % every_memory == 0:
            gc.collect()
            memory[2 * samples], memory[2 * samples + 1] = done, resident_bytes() + device_bytes()
            samples += 1
        if now - told > _TOLD_EVERY_S:
            told = now
            (place / "progress").write_text(str(done))
    count = loop.done
    gc.unfreeze()
    return {
        "losses": losses.tolist()[:count],
        "seconds": wall.tolist()[:count],
        "checkpoints": checkpoints,
        "digests": digests,
        "validation": [list(pair) for pair in validation],
        "memory": [[memory[2 * each], memory[2 * each + 1]] for each in range(samples)],
        "ended": ended,
        "parameters": loop.parameters(),
    }


def mean_loss(problem: Problem, model: torch.nn.Module, batches: list[object]) -> float:
    """Return the mean of `losses_of`; random generators and the mode are afterwards as before."""
    values = losses_of(problem, model, batches)
    return sum(values) / len(values) if values else float("nan")


def losses_of(problem: Problem, model: torch.nn.Module, batches: list[object]) -> list[float]:
    """Return the loss of each batch, on the device already, under the same random numbers whoever the model is.

    In eval mode; in train mode where the specs declare that it alone returns what the loss is of: then buffers are
    afterwards as before.
    """
    state, training = random_state(), model.training
    kept = dict(model.named_buffers()) if problem.differs_in_training else {}
    buffers = {key: buffer.detach().clone() for key, buffer in kept.items()}
    model.train(problem.differs_in_training)
    values = []
    try:
        with torch.no_grad():
            for index, batch in enumerate(batches):
                specs_.seed_everything(problem.seed + index)
                values.append(float(problem.loss(model, batch)))
            for key, buffer in kept.items():
                buffer.copy_(buffers[key])
    finally:
        model.train(training)
        set_random_state(state)
    return values


def resident_bytes() -> float:
    """Return the resident memory of this process; exact, where /proc/self/statm may be some pages off."""
    try:
        with open("/proc/self/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Rss:"):
                    return int(line.split()[1]) * 1024.0
    except OSError:  # a kernel without it
        pass
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * float(os.sysconf("SC_PAGE_SIZE"))


def device_bytes() -> float:
    """Return what torch has allocated for tensors on the GPU; 0 on a CPU."""
    return float(torch.cuda.memory_allocated(devices.current())) if devices.on_gpu() else 0.0
