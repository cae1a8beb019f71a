"""A registered model as the smoke checks see it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from audit.catalog import SpecEntry
from audit.gateway import ProbeFailure
from audit.gateway.client import Plain
from audit.judgement import Judgement, skipped
from audit.plan import Run
from audit.replies import bytes_of, number_of, text_of
from audit.results import Subject

if TYPE_CHECKING:
    from torch import Tensor

BATCH_SIZE = 3
PAIR = 2  # samples, for what is about numbers and not about a batch, and costs many runs
# What the process of a model imports anyhow: the first optimizer loads torch's compiler, for a second.
AHEAD = ("torch._dynamo",)


@dataclass(frozen=True, kw_only=True)
class RegisteredModel:
    """One entry of the specs' MODELS."""

    name: str
    specs: str
    entry: SpecEntry
    subject: Subject

    def call(self, run: Run, procedure: str) -> Mapping[str, Plain]:
        """Run one of the probe's model procedures on this model."""
        return run.probe.call(procedure, specs=self.specs, name=self.name, seed=run.seed)

    def undeclared(self) -> Judgement | None:
        """Return why nothing can be asked of the model: its entry cannot be used, as `smoke.build` says; None else.

        For checks that do not wait for smoke.build.
        """
        problem = self.entry.problem
        return (
            skipped(f"the entry of the specs cannot be used, an error of smoke.build: {problem}") if problem else None
        )

    def stand_in(self, reply: Mapping[str, Plain]) -> str | None:
        """Return what was built in the model's place, by the `class` of a reply; None where it is the model.

        For checks that do not wait for smoke.build.
        """
        built = text_of(reply, "class")
        if built == self.entry.declared and self.subject.digest is not None:
            return None
        return f"what is built is {built}, another class than the one declared: see smoke.build"

    def sized(self, judgement: Judgement, reply: Mapping[str, Plain]) -> Judgement:
        """Bind a judgement to the size of what was judged, by the `parameters` of a reply."""
        subject = self.subject.model_copy(update={"parameters": int(number_of(reply, "parameters"))})
        return replace(judgement, subject=subject)

    def call_on_batch(self, run: Run, procedure: str, **arguments: Plain) -> Mapping[str, Plain]:
        """The same with a batch of inputs, and what else the procedure takes; a `seed` stands for the run's."""
        return run.probe.call(procedure, timeout_s=None, **self._batch(run) | arguments)

    def call_lasting(self, run: Run, procedure: str, *, anew: bool, **arguments: Plain) -> Mapping[str, Plain]:
        """The same in another process, one that has served other models; or `anew`, in a new one."""
        other = run.probe.lasting(procedure)
        if anew:
            other.close()
        return other.call_unharmed(procedure, **self._batch(run) | arguments)

    def call_on_batch_unharmed(self, run: Run, procedure: str, **arguments: Plain) -> Mapping[str, Plain]:
        """The same in a process that has served other models, and once more in a new one where that fails."""
        return run.probe.call_unharmed(procedure, **self._batch(run) | arguments)

    def call_aside(self, run: Run, procedure: str, **arguments: Plain) -> Mapping[str, Plain]:
        """The same in a process of its own, that nothing else is called in."""
        aside = run.probe.beside(procedure)
        try:
            return aside.call(procedure, timeout_s=None, **self._batch(run) | arguments)
        finally:
            aside.close()

    def _batch(self, run: Run) -> dict[str, Plain]:
        return {"specs": self.specs, "name": self.name, "seed": run.seed, "batch_size": BATCH_SIZE}


def tensors_of(reply: Mapping[str, Plain], key: str) -> dict[str, "Tensor"]:
    """Return the tensors that a reply holds under `key`.

    Raises:
        ProbeFailure: the reply is not of that form.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load as load_safetensors  # loads torch, which planning can do without

    try:
        return load_safetensors(bytes_of(reply, key))
    except SafetensorError as problem:
        raise ProbeFailure(f"the target's process sent malformed tensors: {problem}") from problem


def listed(names: Iterable[str], limit: int = 8) -> str:
    """Return the names as a list for a reader, cut where it is long."""
    ordered = list(names)
    more = f" and {len(ordered) - limit} more" if len(ordered) > limit else ""
    return ", ".join(ordered[:limit]) + more
