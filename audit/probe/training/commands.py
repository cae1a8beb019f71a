"""The target's own training command: run, resumed, killed, and harmed, with a record of every optimizer step.

Runs are compared by checksums of the weights after each step: one that goes on with another must go on with the very
same weights, and the first checksum tells from which step it went on.
"""

import functools
import random
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

from .. import specs as specs_
from . import harness, processes
from .curve_files import losses_in
from .entries import filled
from .problem import problem_of
from .processes import Running

_POLL_S = 0.0005
_NO_HARM = ""


@dataclass(kw_only=True)
class Commands:
    """An entry's commands, with what their placeholders stand for.

    Attributes:
        specs: the specs' module.
        name: of the entry.
        seed: for `{seed}`.
        steps: for `{steps}`, where one is a step of one optimizer.
        checkpoint_every: for `{checkpoint_every}`, likewise.
        optimizer_steps: that the command takes for each of its own steps.
        own_steps: of the command for each step of an optimizer; one of the two is 1.
        folder: for everything that the runs write.
        root: where the commands run.
        source: the folder of the target's package.
        seconds: of one run.
        forks: whether runs are forks of this process; else each is a new interpreter.
    """

    specs: str
    name: str
    seed: int
    steps: int
    checkpoint_every: int
    folder: str
    root: str
    source: str
    seconds: float
    optimizer_steps: int = 1
    own_steps: int = 1
    forks: bool = False

    def __post_init__(self) -> None:
        """Have there what the specs keep of their data, for the forks."""
        self.spec = specs_.entry(self.specs, "TRAINING", self.name)
        self.place = Path(self.folder)
        self.place.mkdir(parents=True, exist_ok=True)
        if self.forks:
            problem_of(self.specs, "TRAINING", self.name, self.seed).batch(0)

    @property
    def taken(self) -> int:
        """Steps of optimizers in a whole run."""
        return self.steps * self.optimizer_steps

    @property
    def interval(self) -> int:
        """Steps of optimizers between checkpoints."""
        return self.checkpoint_every * self.optimizer_steps

    def line(self, key: str, run: Path, *, resumes: bool) -> list[str]:
        """Return one of the entry's commands for a run folder."""
        values: dict[str, object] = {
            "python": sys.executable,
            "checkpoint_dir": run,
            "steps": self.steps * self.own_steps,
            "checkpoint_every": self.checkpoint_every * self.own_steps,
            "seed": self.seed,
        }
        return filled(self.spec, key, values, resumes=resumes)

    def start(
        self,
        run: Path,
        *,
        resumes: bool = False,
        harm: str = _NO_HARM,
        after: int = 0,
        max_file_bytes: int = 0,
        forks: bool | None = None,
    ) -> Running:
        """Start the command."""
        words = self.line("command", run, resumes=resumes)[1:]
        options: dict[str, object] = {
            "harm": harm, "after": after, "max_file_bytes": max_file_bytes, "watched": str(run),
        }  # fmt: skip
        if self.forks if forks is None else forks:
            return processes.fork(words, folder=self.place, root=self.root, options=options)
        return processes.new_interpreter(words, folder=self.place, root=self.root, source=self.source, options=options)

    def finished(self, running: Running) -> dict[str, object]:
        """Wait for the end of a run and return what it did."""
        in_time = running.wait(self.seconds)
        return {**running.described(), "in_time": in_time}


def whole(commands: Commands) -> dict[str, object]:
    """Run the command twice from beginning to end in new interpreters, and begin it in a fork.

    Returns:
        `first`, `second`, `fork`: what each did. `largest_file_bytes` of what the first left. Where the first took
        other steps than asked, `counted` is a run of half as many, with its `steps` and what `harness.COUNT` counts.
    """
    runs = {name: commands.finished(commands.start(commands.place / name, forks=False)) for name in ("first", "second")}
    sizes = [path.stat().st_size for path in (commands.place / "first").rglob("*") if path.is_file()]
    forking = replace(commands, forks=True)
    begun = forking.start(commands.place / "fork", harm=harness.KILL, after=commands.interval)
    found = {**runs, "fork": commands.finished(begun), "largest_file_bytes": max(sizes, default=0)}
    took = runs["first"]["checksums"]
    assert isinstance(took, list)
    return found if len(took) in (0, commands.taken) else {**found, "counted": _counted(commands)}


def _counted(commands: Commands) -> dict[str, object]:
    half = replace(commands, steps=commands.steps // 2)
    counted = commands.finished(half.start(commands.place / "counted", harm=harness.COUNT, forks=False))
    words = str(counted["named"] or "").split()
    return {**counted, "steps": half.steps * half.own_steps, "counts": [int(word) for word in words]}


def resumed(commands: Commands) -> dict[str, object]:
    """Kill the run in the step behind each checkpoint in turn, and resume it from there; return what each run did.

    `left` are the files in `{checkpoint_dir}` after the first kill.
    """
    every = commands.interval
    run = commands.place / "resumed"
    runs = [commands.finished(commands.start(run, harm=harness.SETTLED, after=every + 1))]
    left = sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file())
    for checkpoint in range(every, commands.taken, every):
        after = min(every + 1, commands.taken - checkpoint)
        runs.append(commands.finished(commands.start(run, resumes=True, harm=harness.SETTLED, after=after)))
        if not runs[-1]["checksums"]:
            break
    return {"runs": runs, "left": left}


def killed_at_operations(commands: Commands, most: int) -> dict[str, object]:
    """Kill runs behind single operations on the files of their second checkpoint, and resume each of them.

    Args:
        commands: those of the entry.
        most: how many operations are tried; of more, those that are spread evenly over all.

    Returns:
        `operations`: the name of each that was seen. `tried`: for each that was tried its `name`, and what the run that
        was `stopped` there and the `resumed` one did.
    """
    every = commands.interval
    harm = f"{harness.FILES}:{2 * every}:{3 * every - 1}"
    counted = commands.finished(commands.start(commands.place / "operations", harm=harm))
    names = str(counted["named"] or "").splitlines()
    wanted = min(most, len(names))
    numbers = sorted({1 + round(index * (len(names) - 1) / max(wanted - 1, 1)) for index in range(wanted)})
    tried: list[dict[str, object]] = []
    for number in numbers:
        run = commands.place / f"operation-{number}"
        stopped = commands.finished(commands.start(run, harm=harm, after=number))
        resumed = commands.finished(commands.start(run, resumes=True, harm=harness.KILL, after=1))
        tried.append({"name": names[number - 1], "stopped": stopped, "resumed": resumed})
    return {"operations": names, "tried": tried}


def killed(commands: Commands, reference: list[int], write_s: float, step_s: float, kills: int) -> dict[str, object]:
    """Kill runs at random points of the time in which they write a checkpoint, each time resuming the one before.

    Args:
        commands: those of the entry.
        reference: checksums of an uninterrupted run.
        write_s: how long a step with a checkpoint takes longer than another.
        step_s: how long another takes.
        kills: how often; one more run is resumed behind the last.

    Returns:
        `runs`: what each did; `fresh` for those that did not resume; `delay_s` between the last step before the
        checkpoint and the kill.
    """
    every = commands.interval
    chance = random.Random(commands.seed)
    where = {checksum: index for index, checksum in enumerate(reference)}
    runs: list[dict[str, object]] = []
    number, done = 0, 0
    run = commands.place / "killed-0"
    for kill in range(kills + 1):
        fresh = done == 0
        # Half of them while it writes, the others until the next step is over.
        delay = chance.uniform(0.0, write_s if kill % 2 else write_s + step_s)
        running = commands.start(run, resumes=not fresh, harm=harness.PACED, after=every)
        last = kill == kills
        _kill_at_boundary(running, commands, where, every, delay=delay, at_once=last)
        runs.append({**running.described(), "fresh": fresh, "delay_s": delay})
        checksums = runs[-1]["checksums"]
        assert isinstance(checksums, list)
        if not checksums:
            break
        done = where.get(checksums[0], 0) + len(checksums)
        if done + every >= commands.taken:  # too near to the end for another
            number, done = number + 1, 0
            run = commands.place / f"killed-{number}"
            if kill < kills and len(checksums) and where.get(checksums[-1], 0) + 1 < commands.taken:
                # The end of this one: what is left by the kill must be good.
                ended = commands.start(run.with_name(f"killed-{number - 1}"), resumes=True)
                _kill_at_boundary(ended, commands, where, every, delay=0.0, at_once=True)
                runs.append({**ended.described(), "fresh": False, "delay_s": None})
                if not runs[-1]["checksums"]:
                    break
    return {"runs": runs}


def _kill_at_boundary(
    running: Running, commands: Commands, where: dict[int, int], every: int, *, delay: float, at_once: bool
) -> None:
    """Kill a run so long behind a step after which it writes a checkpoint; behind its first step with `at_once`."""
    deadline = time.monotonic() + commands.seconds
    target: int | None = 1 if at_once else None
    while running.is_alive and time.monotonic() < deadline:
        steps = running.steps
        if steps and target is None:
            first = running.described()["checksums"]
            assert isinstance(first, list)
            target = every - where.get(first[0], 0) % every
        if target is not None and steps >= target:
            _sleep(delay)
            break
        time.sleep(_POLL_S)
    running.end()


def _sleep(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while (left := end - time.perf_counter()) > 0:
        time.sleep(min(left, _POLL_S) if left > _POLL_S else 0)


def poisoned(commands: Commands) -> dict[str, object]:
    """Turn a weight, and in another run its gradient, into NaN; then resume. Return what each run did."""
    every = commands.interval
    runs: dict[str, object] = {}
    for harm, after in ((harness.WEIGHT, 2 * every), (harness.GRADIENT, 2 * every + 1)):
        run = commands.place / harm
        runs[harm] = {**commands.finished(commands.start(run, harm=harm, after=after)), "after": after}
        runs[f"{harm}_resumed"] = commands.finished(commands.start(run, resumes=True, harm=harness.KILL, after=1))
    return runs


def full(commands: Commands, max_file_bytes: int) -> dict[str, object]:
    """Let a run fail to write its second checkpoint, then resume it where there is room; return what each run did."""
    run = commands.place / "full"
    begun = commands.finished(commands.start(run, harm=harness.SETTLED, after=commands.interval + 1))
    without_room = commands.finished(commands.start(run, resumes=True, max_file_bytes=max_file_bytes))
    with_room = commands.finished(commands.start(run, resumes=True, harm=harness.KILL, after=1))
    return {"begun": begun, "full": without_room, "resumed": with_room}


def two_ranks(commands: Commands) -> dict[str, object]:
    """Run the commands with two ranks and with one process; return what each did, and its losses by step."""
    return {key: _with_curve(commands, key) for key in ("torchrun", "one_process")}


def _with_curve(commands: Commands, key: str) -> dict[str, object]:
    run = commands.place / key
    line = commands.line(key, run, resumes=False)
    running = processes.plain(line, folder=commands.place, root=commands.root, source=commands.source)
    done = commands.finished(running)
    return {**done, "curve": losses_in(run / str(commands.spec["curve"]))}


def tidied(procedure: Callable[..., dict[str, object]]) -> Callable[..., dict[str, object]]:
    """Return a procedure that takes the fields of `Commands` by name, and removes what the runs have written."""

    @functools.wraps(procedure)
    def run(**given: object) -> dict[str, object]:
        own = {field.name: given.pop(field.name) for field in fields(Commands) if field.name in given}
        try:
            return procedure(Commands(**own), **given)  # type: ignore[arg-type]  # the parent's word
        finally:
            shutil.rmtree(str(own["folder"]), ignore_errors=True)

    return run
