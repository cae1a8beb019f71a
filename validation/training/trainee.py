"""A model or an entry of TRAINING as the training checks see it, with the one run that most of them look at."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from audit.catalog import SpecEntry
from audit.gateway import ProbeFailure
from audit.gateway.client import Plain
from audit.plan import Run
from audit.replies import list_of, names_of, numbers_of
from audit.results import Subject
from audit.scratch import Scratch, scratch_folder
from validation.training.pace import AS_ASKED, Pace
from validation.training.settings import COMMAND_CHECKPOINT_EVERY, COMMAND_STEPS, TrainingSettings

_SLACK_S = 120.0  # to build, to save, and to measure on held-out batches
_TOLD_EVERY_S = 0.5
KIND = "train"  # of folders


@dataclass(frozen=True, kw_only=True)
class TrainedParameter:
    """A parameter that can learn: its names, whether it does, and whether it is in a group of the optimizer."""

    names: tuple[str, ...]
    learns: bool
    optimized: bool


@dataclass(frozen=True, kw_only=True)
class FirstRun:
    """The uninterrupted run.

    Attributes:
        losses: of each step.
        seconds: of each step.
        checkpoints: after which steps there is one.
        digests: of the weights, after some steps.
        validation: step and mean loss on held-out batches.
        memory: step and resident bytes.
        ended: why it ended before the last step.
        parameters: those that can learn.
    """

    losses: tuple[float, ...]
    seconds: tuple[float, ...]
    checkpoints: tuple[int, ...]
    digests: Mapping[int, str]
    validation: tuple[tuple[float, float], ...]
    memory: tuple[tuple[float, float], ...]
    ended: str | None
    parameters: tuple[TrainedParameter, ...] = ()


@dataclass(kw_only=True)
class Trainee:
    """One entry of MODELS or TRAINING. The check that carries out the run fills `first`, or those below it."""

    name: str
    specs: str
    section: str
    entry: SpecEntry
    subject: Subject
    settings: TrainingSettings
    first: FirstRun | None = None
    reference: "Reference | None" = None
    pace: Pace = AS_ASKED
    _scratch: Scratch | None = field(default=None, repr=False)

    @property
    def declared_as(self) -> str:
        """Where the specs declare it."""
        return f"{self.section}[{self.name!r}]"

    @property
    def run_done(self) -> FirstRun:
        """The uninterrupted run, which the checks that need it require to have passed."""
        assert self.first is not None
        return self.first

    @property
    def folder(self) -> str:
        """Where the checkpoints of the run are; removed with `forget`, or at the latest when the auditor ends."""
        if self._scratch is None:
            self._scratch = Scratch(KIND)
        return self._scratch.path

    def forget(self) -> None:
        """Remove the checkpoints."""
        if self._scratch is not None:
            self._scratch.remove()
            self._scratch = None

    def call(self, run: Run, procedure: str, **given: Plain) -> Mapping[str, Plain]:
        """Run one of the probe's training procedures on it."""
        return run.probe.call(
            procedure,
            timeout_s=self.settings.limit_s + _SLACK_S,
            specs=self.specs,
            section=self.section,
            name=self.name,
            seed=run.seed,
            **given,
        )

    def call_command(
        self, run: Run, procedure: str, *, checkpoint_every: int = COMMAND_CHECKPOINT_EVERY, **given: Plain
    ) -> Mapping[str, Plain]:
        """Run one of the probe's procedures on the target's own command, in a folder of its own."""
        with scratch_folder(KIND) as folder:
            return run.probe.call(
                procedure,
                timeout_s=self.settings.limit_s + _SLACK_S,
                specs=self.specs,
                name=self.name,
                seed=run.seed,
                steps=COMMAND_STEPS,
                checkpoint_every=checkpoint_every,
                optimizer_steps=self.pace.optimizer_steps,
                own_steps=self.pace.own_steps,
                folder=folder + "/runs",
                root=str(run.target.root),
                source=str(run.target.source),
                seconds=self.settings.limit_s,
                **given,
            )

    @contextmanager
    def told(self, run: Run) -> Iterator[None]:
        """Show while a run is going on which step it is at."""
        over = threading.Event()
        progress = Path(self.folder) / "progress"

        def look() -> None:
            while not over.wait(_TOLD_EVERY_S):
                try:
                    done = int(progress.read_text())
                except (OSError, ValueError):  # not there yet, or half written
                    continue
                run.tell(f"step {done}/{self.settings.steps}")

        watcher = threading.Thread(target=look, name="training-progress", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()


@dataclass(frozen=True, kw_only=True)
class CommandRun:
    """One run of the target's own command.

    Attributes:
        status: exit status, negative after a signal; None where it is not known.
        weights: checksums after each optimizer step of the parameters that the optimizer has.
        checksums: of these, and of what else is in the state dicts of the modules that they are in.
        copies: of modules with parameters of the same shapes that have changed since the step before; 0 where none has,
            and in the first step.
        gradients: checksums of what each optimizer step was taken from.
        times: in seconds, after each optimizer step.
        said: the end of its output.
        named: the parameter that was harmed.
        dtypes: of the optimised parameters, and those that autocast rounds to.
        in_time: whether it ended by itself within its time.
    """

    status: int | None
    weights: tuple[int, ...]
    checksums: tuple[int, ...]
    copies: tuple[int, ...]
    times: tuple[float, ...]
    said: str
    named: str | None
    in_time: bool
    gradients: tuple[int, ...] = ()
    dtypes: tuple[str, ...] = ()


# What the checksums are of, for the evidence.
COMPARED = (
    "checksums after each step of the optimised parameters, of the other parameters and the buffers that their modules "
    "save, and of modules that are moving copies of them"
)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """An uninterrupted run of the command, and what is known from it."""

    run: CommandRun
    forks: bool
    largest_file_bytes: int
    pace: Pace = AS_ASKED

    @property
    def every(self) -> int:
        """Optimizer steps between checkpoints."""
        return COMMAND_CHECKPOINT_EVERY * self.pace.optimizer_steps

    def position(self, run: CommandRun, *, near: int = 0) -> int | None:
        """Return from which step another run went on; None where it computed something else than this one.

        Where several steps would do, as when a step has changed nothing, the nearest to `near` is returned.
        """
        found = [begun for begun in _places(self.run.checksums, run.checksums) if self._has_copies(run, begun)]
        return min(found, key=lambda begun: abs(begun - near), default=None)

    def difference(self, run: CommandRun, *, near: int = 0) -> str:
        """Say what differs in a run that is not a part of this one, and should have gone on behind the step `near`."""
        if _places(self.run.checksums, run.checksums):
            return "the weights of the uninterrupted run, and with another copy of the model, such as averaged weights"
        if _places(self.run.weights, run.weights):
            return (
                "the weights of the uninterrupted run, and with other buffers or parameters that are not optimised, "
                "such as running statistics"
            )
        return f"other weights than the uninterrupted run{self._why_others(run, near)}"

    def _why_others(self, run: CommandRun, near: int) -> str:
        """Return what the first gradient tells of other weights; empty where it tells nothing."""
        if not run.gradients or not near or near >= len(self.run.gradients):
            return ""
        if run.gradients[0] == self.run.gradients[near]:
            return (
                ", though its first gradient is the same: the state of the optimizer, its learning rate or schedule is "
                "another"
            )
        return (
            ", from another gradient in its first step: the weights, the batch or what was drawn by chance is another"
        )

    def _has_copies(self, run: CommandRun, begun: int) -> bool:
        # What has changed before the first step of a process is not known.
        return self.run.copies[begun + 1 : begun + len(run.copies)] == run.copies[1:]


def _places(whole: tuple[int, ...], part: tuple[int, ...]) -> list[int]:
    """Return where `part` stands in `whole`."""
    length = len(part)
    return [start for start in range(len(whole) - length + 1) if whole[start : start + length] == part] if part else []


def first_run_of(reply: Mapping[str, Plain]) -> FirstRun:
    """Read the reply to `train_run`.

    Raises:
        ProbeFailure: it is not of that form.
    """
    digests, ended = reply.get("digests"), reply.get("ended")
    if not isinstance(digests, dict) or not (ended is None or isinstance(ended, str)):
        raise ProbeFailure("the target's process sent a malformed account of its training")
    return FirstRun(
        losses=tuple(numbers_of(reply, "losses")),
        seconds=tuple(numbers_of(reply, "seconds")),
        checkpoints=tuple(int(step) for step in numbers_of(reply, "checkpoints")),
        digests={int(step): str(digest) for step, digest in digests.items()},
        validation=pairs_of(reply, "validation"),
        memory=pairs_of(reply, "memory"),
        ended=ended,
        parameters=tuple(map(_parameter_of, list_of(reply, "parameters"))),
    )


def _parameter_of(told: Plain) -> TrainedParameter:
    match told:
        case [[*names], bool() as learns, bool() as optimized] if names:
            return TrainedParameter(names=tuple(map(str, names)), learns=learns, optimized=optimized)
    raise ProbeFailure("the target's process sent a malformed account of its parameters")


def command_run_of(reply: Plain) -> CommandRun:
    """Read what a reply says of one run of the command.

    Raises:
        ProbeFailure: it is not of that form.
    """
    if not isinstance(reply, dict):
        raise ProbeFailure("the target's process sent a malformed account of a run")
    status, named = reply.get("status"), reply.get("named")
    return CommandRun(
        status=status if isinstance(status, int) else None,
        weights=tuple(int(value) for value in numbers_of(reply, "weights")),
        checksums=tuple(int(value) for value in numbers_of(reply, "checksums")),
        copies=tuple(int(value) for value in numbers_of(reply, "copies")),
        gradients=tuple(int(value) for value in numbers_of(reply, "gradients")),
        times=tuple(numbers_of(reply, "times")),
        said=str(reply.get("said")),
        named=named if isinstance(named, str) else None,
        in_time=reply.get("in_time") is not False,
        dtypes=tuple(names_of(reply, "dtypes")),
    )


def command_runs_of(reply: Mapping[str, Plain], key: str) -> list[CommandRun]:
    """Read a list of such."""
    runs = reply.get(key)
    if not isinstance(runs, list):
        raise ProbeFailure("the target's process sent no account of its runs")
    return [command_run_of(each) for each in runs]


def pairs_of(reply: Mapping[str, Plain], key: str) -> tuple[tuple[float, float], ...]:
    """Return the pairs of numbers that a reply holds under `key`.

    Raises:
        ProbeFailure: they are not of that form.
    """
    values = reply.get(key)
    pairs = []
    for value in values if isinstance(values, list) else [None]:
        match value:
            case [int() | float() as first, int() | float() as second]:
                pairs.append((float(first), float(second)))
            case _:
                raise ProbeFailure(f"the target's process sent a reply without {key}")
    return tuple(pairs)
