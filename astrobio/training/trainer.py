"""Fits the model of a task: mixed precision, gradient accumulation and clipping, checkpoints, any number of ranks.

A run is a function of the task, its seed and the settings. On a CPU, one that was interrupted and resumed ends with
the same bits as one that was not.

The batch of a step is put together from shards: with `accumulate` a and w ranks, `a * w` of them, and shard k of step n
is `task.batch(n * a * w + k, batch_size / (a * w))`. So two ranks see what one process that accumulates twice sees.
"""

import gc
import importlib.metadata
import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from astrobio.training.checkpoints import Checkpoint
from astrobio.training.distributed import Ranks, joined_ranks
from astrobio.training.errors import Interrupted, RunFolderError, UsageError, WriteError
from astrobio.training.events import EventLog
from astrobio.training.run_folder import RunFolder
from astrobio.training.run_state import Json, captured, own_random_state, restore
from astrobio.training.schedules import learning_rate_factor
from astrobio.training.task import TrainingTask

Record = Mapping[str, float]  # what is logged of a step
Report = Callable[[str], None]

PRECISIONS: dict[str, torch.dtype | None] = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
_BETAS = (0.9, 0.99)
# Below it a float16 run makes no progress: the gradients overflow whatever they are scaled by.
_SMALLEST_LOSS_SCALE = 2.0**-10


@dataclass(frozen=True)
class FitSettings:
    """How to fit, beside what the task's preset says.

    Attributes:
        precision: "float32", or "bfloat16" or "float16" for autocast; float16 scales its losses.
        accumulate: forward and backward passes per step and rank, each with its share of the batch.
        checkpoint_every: steps between checkpoints; None means a tenth of all.
        keep: how many checkpoints to keep.

    Raises:
        UsageError: a setting is out of range.
    """

    precision: str = "float32"
    accumulate: int = 1
    checkpoint_every: int | None = None
    keep: int = 3

    def __post_init__(self) -> None:
        """Refuse settings that describe no fit."""
        if self.precision not in PRECISIONS:
            raise UsageError(f"unknown precision {self.precision!r}; choose from: {', '.join(PRECISIONS)}")
        for name in ("accumulate", "checkpoint_every", "keep"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1, got {value}")


def _say_nothing(told: object) -> None:
    pass


def fit(
    task: TrainingTask,
    *,
    steps: int | None = None,
    output: Path | None = None,
    resume: bool = False,
    device: str = "cpu",
    settings: FitSettings | None = None,
    report: Report = _say_nothing,
    on_step: Callable[[Record], None] = _say_nothing,
    is_stop_wanted: Callable[[], bool] = lambda: False,
) -> tuple[nn.Module, dict[str, float]]:
    """Fit the model of a task and measure it on held-out data.

    Args:
        task: what to learn; its seed fixes everything that is random.
        steps: optimiser steps; None means those of the preset.
        output: folder for checkpoints, loss curve and figures; None writes nothing.
        resume: go on with the run in `output`.
        device: "cpu", "cuda" or "cuda:<index>".
        settings: precision, accumulation and checkpoints; None means the defaults.
        report: receives lines of progress, on the first rank.
        on_step: receives step, losses, learning rate and gradient norm after every step, on every rank.
        is_stop_wanted: asked after every step; the run is saved and left when it says so.

    Returns:
        The fitted model in evaluation mode, and the figures of `task.evaluate`.

    Raises:
        UsageError: an argument is out of range, or the batch cannot be divided among the ranks.
        RunFolderError: `output` holds a run that is not to be resumed, or not the one to be resumed.
        FloatingPointError: a loss, gradient, weight or figure is not finite; the message names step and parameter.
        WriteError: a file cannot be written; the last checkpoint is intact.
        Interrupted: `is_stop_wanted` said so.
    """
    settings = FitSettings() if settings is None else settings
    steps = task.preset.steps if steps is None else steps
    if steps < 1:
        raise UsageError(f"steps must be at least 1, got {steps}")
    if resume and output is None:
        raise UsageError("there is nothing to resume without an output folder")
    with ExitStack() as stack:
        ranks = stack.enter_context(joined_ranks(device))
        stack.enter_context(own_random_state(task.seed, ranks.device))
        run = _Run(task, steps=steps, settings=settings, ranks=ranks)
        stack.callback(run.leave_ranks)
        folder = RunFolder(output) if output is not None else None
        if folder is not None and ranks.is_first:
            stack.callback(folder.close)
        report = report if ranks.is_first else _say_nothing
        done = _prepare(run, folder, resume=resume, report=report)
        log = _opened_log(folder if ranks.is_first else None, next_step=done + 1, stack=stack)
        for step in range(done, steps):
            record = run.step(step)
            stopping = ranks.mean([float(is_stop_wanted())])[0] > 0  # no rank may go on alone
            if ranks.is_first:
                log(record)
            on_step(record)
            if _is_told(step + 1, steps):
                report(f"step {step + 1}/{steps}: loss {record['loss']:.5f}")
            if stopping or _is_saved(step + 1, steps, settings):
                _save(run, folder, step + 1)
            if stopping and step + 1 < steps:
                raise Interrupted(f"stopped after step {step + 1} of {steps}")
        run.require_finite_weights(steps)
        figures = _evaluated(run, folder, steps)
        return run.model, figures


class _Run:
    """Model, optimiser and scaler of one rank."""

    def __init__(self, task: TrainingTask, *, steps: int, settings: FitSettings, ranks: Ranks) -> None:
        self.task, self.steps, self.settings, self.ranks = task, steps, settings, ranks
        self.shards = settings.accumulate * ranks.world_size
        if task.preset.batch_size % self.shards:
            raise UsageError(
                f"a batch of {task.preset.batch_size} cannot be divided into {settings.accumulate} (accumulation) x "
                f"{ranks.world_size} (ranks) equal parts"
            )
        learning_rate_factor(0, steps=steps, warm_up_steps=1, schedule=task.preset.schedule)  # an unknown one, now
        self.model = task.build_model().to(ranks.device)
        self.optimizer = torch.optim.AdamW(
            [parameter for parameter in self.model.parameters() if parameter.requires_grad],
            lr=task.preset.learning_rate,
            weight_decay=task.preset.weight_decay,
            betas=_BETAS,
        )
        self.dtype = PRECISIONS[settings.precision]
        self.scaler = torch.amp.GradScaler(ranks.device.type, enabled=self.dtype is torch.float16)
        self.trained: nn.Module = self.model
        if ranks.world_size > 1:
            self.trained = DistributedDataParallel(self.model)
            torch.manual_seed(task.seed + 1_000_003 * ranks.rank)  # the ranks start equal, and drop out differently

    def leave_ranks(self) -> None:
        """Let go of the other ranks: what holds their connection must be gone before it is closed."""
        if self.ranks.world_size == 1:
            return
        self.trained = self.model
        gc.collect()  # it is part of a cycle; collected after the connection, it now and then aborts the process

    def identity(self) -> Json:
        """What must be the same for a run to be resumed."""
        try:
            version = importlib.metadata.version("astrobio-audit")
        except importlib.metadata.PackageNotFoundError:  # a source tree that was never installed
            version = "unknown"
        return {
            "task": self.task.name,
            "preset": self.task.preset_name,
            "seed": self.task.seed,
            "steps": self.steps,
            "batch_size": self.task.preset.batch_size,
            "accumulate": self.settings.accumulate,
            "world_size": self.ranks.world_size,
            "precision": self.settings.precision,
            "device": self.ranks.device.type,
            "version": version,
            "torch": torch.__version__,
        }

    def step(self, step: int) -> dict[str, float]:
        """Take one optimiser step, counted from 0; returns what is logged of it, the same on every rank."""
        preset = self.task.preset
        factor = learning_rate_factor(
            step, steps=self.steps, warm_up_steps=preset.warm_up_steps, schedule=preset.schedule
        )
        for group in self.optimizer.param_groups:
            group["lr"] = preset.learning_rate * factor
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        losses = self._backward(step)
        self._require_finite_loss(losses["loss"], step + 1)
        self.scaler.unscale_(self.optimizer)
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), max_norm=preset.max_grad_norm))
        if not math.isfinite(norm) and not self.scaler.is_enabled():
            raise FloatingPointError(
                f"the gradient of {_not_finite(self.model, gradients=True)} is not finite at step {step + 1}, where "
                f"the loss is {losses['loss']:.6g}; lower the learning rate"
            )
        self.scaler.step(self.optimizer)  # leaves the weights alone where a scaled gradient overflowed
        self.scaler.update()
        if self.scaler.is_enabled() and self.scaler.get_scale() < _SMALLEST_LOSS_SCALE:
            raise FloatingPointError(
                f"the gradient of {_not_finite(self.model, gradients=True)} overflows float16 at step {step + 1} "
                "however small the loss is scaled; use bfloat16 or float32"
            )
        return {"step": step + 1, **losses, "learning_rate": preset.learning_rate * factor, "gradient_norm": norm}

    def require_finite_weights(self, step: int) -> None:
        """Raise FloatingPointError where the step has broken a weight."""
        if name := _not_finite(self.model, gradients=False):
            raise FloatingPointError(f"{name} is not finite after step {step}; lower the learning rate")

    def _backward(self, step: int) -> dict[str, float]:
        """Accumulate the gradients of this rank's shards; the mean losses over all shards."""
        passes, ranks = self.settings.accumulate, self.ranks
        size = self.task.preset.batch_size // self.shards
        sums: dict[str, float] = {}
        for index in range(passes):
            shard = step * self.shards + index * ranks.world_size + ranks.rank
            batch = {name: tensor.to(ranks.device) for name, tensor in self.task.batch(shard, size).items()}
            is_last = index == passes - 1
            ddp = self.trained
            alone = ddp.no_sync() if isinstance(ddp, DistributedDataParallel) and not is_last else nullcontext()
            with alone:
                with torch.autocast(ranks.device.type, dtype=self.dtype, enabled=self.dtype is not None):
                    losses = self.task.loss(self.trained, batch)
                torch.autograd.backward(self.scaler.scale(losses["loss"] / passes))
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
        means = ranks.mean([total / passes for total in sums.values()])
        return dict(zip(sums, means, strict=True))

    def _require_finite_loss(self, loss: float, step: int) -> None:
        if math.isfinite(loss):
            return
        name = _not_finite(self.model, gradients=False)
        cause = f"{name} is not finite" if name else "every weight is finite, look at the batch"
        raise FloatingPointError(f"the loss is {loss} at step {step}: {cause}; lower the learning rate")


def _prepare(run: _Run, folder: RunFolder | None, *, resume: bool, report: Report) -> int:
    """Begin or resume the run in `folder`; returns the steps that are done."""
    if folder is None:
        return 0
    checkpoint: Checkpoint | None = None
    failure: Exception | None = None
    if run.ranks.is_first:
        try:
            if resume:
                checkpoint = folder.go_on(run.identity(), report=report)
                report(f"resuming after step {checkpoint.step}" if checkpoint else "no checkpoint yet; starting anew")
            else:
                folder.begin(run.identity())
        except Exception as error:  # told to the other ranks, which would wait for ever, and raised again there
            failure = error
    failure, checkpoint = run.ranks.from_first((failure, checkpoint))
    if failure is not None:
        raise failure
    if checkpoint is None:
        return 0
    try:
        restore(
            checkpoint.tensors,
            checkpoint.state,
            model=run.model,
            optimizer=run.optimizer,
            scaler=run.scaler,
            ranks=run.ranks,
        )
    except ValueError as error:
        assert folder is not None
        told = f"the checkpoint of step {checkpoint.step} in {folder.path} cannot be resumed from"
        raise RunFolderError(f"{told}: {error}") from error
    return checkpoint.step


def _opened_log(folder: RunFolder | None, *, next_step: int, stack: ExitStack) -> Callable[[Record], None]:
    """Where the records of this rank's steps go."""
    if folder is None:
        return _say_nothing
    events = EventLog(folder.path / "events", next_step=next_step)
    stack.callback(events.close)

    def log(record: Record) -> None:
        folder.log(record)
        events.add(record)

    return log


def _save(run: _Run, folder: RunFolder | None, step: int) -> None:
    if folder is None:
        return
    run.require_finite_weights(step)
    tensors, rest = captured(run.model, run.optimizer, run.scaler, run.ranks)
    state = {**run.identity(), **rest, "schedule": run.task.preset.schedule, "next_batch": step * run.shards}
    failure: WriteError | None = None
    if run.ranks.is_first:
        try:
            folder.save(step, tensors, state, keep=run.settings.keep)
        except WriteError as error:
            failure = error
    failure = run.ranks.from_first(failure)
    if failure is not None:
        raise failure


def _evaluated(run: _Run, folder: RunFolder | None, step: int) -> dict[str, float]:
    figures: dict[str, float] = {}
    if run.ranks.is_first:
        figures = evaluated(run.task, run.model)
        if folder is not None and all(math.isfinite(value) for value in figures.values()):
            folder.write_figures({**run.identity(), "figures": figures})
    figures = run.ranks.from_first(figures)
    run.model.eval()
    for name, value in figures.items():
        if not math.isfinite(value):
            raise FloatingPointError(f"{name} on held-out data is {value} after step {step}")
    return figures


@torch.no_grad()
def evaluated(task: TrainingTask, model: nn.Module) -> dict[str, float]:
    """The figures of a model on the task's held-out data; leaves it in evaluation mode."""
    model.eval()
    return dict(task.evaluate(model))


def _is_saved(step: int, steps: int, settings: FitSettings) -> bool:
    every = max(1, steps // 10) if settings.checkpoint_every is None else settings.checkpoint_every
    return step == steps or step % every == 0


def _is_told(step: int, steps: int) -> bool:
    return step == steps or step % max(1, steps // 20) == 0


def _not_finite(model: nn.Module, *, gradients: bool) -> str | None:
    """The first parameter of which a value, or its gradient, is not finite."""
    for name, parameter in model.named_parameters():
        values = parameter.grad if gradients else parameter
        if values is not None and not values.isfinite().all():
            return name
    return None
