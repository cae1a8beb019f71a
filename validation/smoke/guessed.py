"""Plans the smoke checks of models that no specs declare: built and fed as their own source suggests."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from audit.attention.found import module_of
from audit.catalog import SpecEntry
from audit.collected import Collected
from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, judged, not_applicable
from audit.plan import Group, PlannedCheck, Run
from audit.replies import names_of, number_of, text_of
from audit.results import Check, Comparison, Outcome, Severity, Subject, SubjectKind
from audit.static.inventory import InventoryItem
from validation.smoke.model import AHEAD, RegisteredModel
from validation.smoke.without_forward import REASON, without_forward

if TYPE_CHECKING:
    from validation.smoke.checks.attention_inside import Judged

GUESSED = Check(
    id="smoke.guessed",
    title="The model can be built and fed without specs",
    proves="Without specs, the class was loaded, built from arguments that its own source suggests, and answered two "
    "batches with finite tensors that have an entry for each sample.",
    defect="a constructor that raises for every size",
    severity=Severity.MAJOR,
)
_ORIGIN = "what was not built and called is not judged"
_LOSS = "what it is trained to: MODELS[...]['loss']"
_A_LAYER = (
    "undeclared: that it is a model to be trained, MODELS[...]; observed: a layer without trainable parameters, which "
    "the models that hold it are judged with"
)
# What nothing but a declaration says.
UNDECLARED: Mapping[str, str] = {
    "smoke.overfits": _LOSS,
    "smoke.initial_loss": "the loss of a model that knows nothing: MODELS[...]['loss'] and ['initial_loss']",
    "smoke.sample_order": _LOSS,
    "smoke.future_leaks": "that it reads in one direction: MODELS[...]['causal']",
    "smoke.inference": "what is called beside forward: MODELS[...]['inference']",
    "smoke.generates": "what generates tokens: MODELS[...]['generate']",
    "smoke.next_token": "what generates tokens: MODELS[...]['generate']",
    "smoke.declared_frozen": "which parameters are frozen: MODELS[...]['frozen']",
    "smoke.residual": "which blocks add to what they are given: MODELS[...]['residual']",
    "smoke.padded_rows": "that a row may go without its padding: MODELS[...]['padding'] with 'removable'",
    "smoke.padding_leaks": "which inputs a mask hides: MODELS[...]['padding']",
}
# What a wrong guess would fail as a wrong model does, and which declaration would tell them apart.
LEANING: Mapping[str, str] = {
    "smoke.backward": f"{_LOSS}, in which every parameter takes part",
    "smoke.optimizer_step": f"{_LOSS}, in which every parameter takes part",
    "smoke.frozen": f"{_LOSS}, in which every parameter takes part",
    "smoke.accumulation": _LOSS,
    "smoke.gradcheck": "a batch on which the model is smooth: MODELS[...]['inputs'] and ['loss']",
    "smoke.input_gradients": "what its inputs are: MODELS[...]['inputs']",
    "smoke.batch_rows": "inputs of which each sample can be taken: MODELS[...]['inputs']",
    "smoke.output_forms": "inputs for any batch size: MODELS[...]['inputs']",
    "smoke.forward": "inputs that the model is for: MODELS[...]['inputs']",
    "smoke.train_eval": "whether training is random: MODELS[...]['random_in_training']",
}


def guessed_groups(collected: Collected, items: Sequence[InventoryItem]) -> Iterator[Group]:
    """Yield the checks of each of these model classes, whose paths are relative to the source folder."""
    from validation.smoke.beside_models import attention_known

    # Specs of the target say nothing of a class that is named beside them.
    known = replace(attention_known(collected, collected.catalog), has_specs=False)
    lacking = without_forward(collected.target.source, collected.analysis.models)
    for item in items:
        subject = Subject(
            kind=SubjectKind.MODEL,
            module=item.module,
            qualname=item.qualname,
            path=collected.rooted(item.path),
            line=item.line,
            digest=item.digest,
        )
        guessed = _Guessed(subject, collected.target.source / item.path)
        planned = tuple(guessed.planned(known))
        if (item.module, item.qualname) in lacking:
            planned = tuple(_without_forward(each) for each in planned)
        yield Group(subject=subject, planned=planned, ahead=AHEAD)


@dataclass
class _Guessed:
    """One model, found out about by its first check; the others are carried out after it by the same process."""

    subject: Subject
    path: Path
    model: RegisteredModel | None = field(default=None, init=False)

    def planned(self, known: "Judged") -> Iterator[PlannedCheck]:
        # Loaded here and not above: the checks need torch, which planning another area does not.
        from validation.smoke.checks import attention_inside, meta_build
        from validation.smoke.registry import CAPTURING, all_model_checks

        yield PlannedCheck(check=GUESSED, subject=self.subject, judge=self._found)
        own = [(each.check, each.requires, each.judge) for each in all_model_checks()]
        inside = functools.partial(attention_inside.judge, known=known)
        beside: list[tuple[Check, tuple[str, ...], Callable[[RegisteredModel, Run], Judgement]]] = [
            (attention_inside.CHECK, attention_inside.REQUIRES, inside),
            (meta_build.CHECK, (), meta_build.judge),
            *((check, (), judge) for check, judge in CAPTURING.items()),
        ]
        for check, requires, judge in (*own, *beside):
            yield PlannedCheck(
                check=check,
                subject=self.subject,
                judge=functools.partial(self._judged, check, judge),
                requires=(GUESSED.id, *requires),
                only_with=GUESSED.id,
            )

    def _found(self, run: Run) -> Judgement:
        reply = run.probe.call(
            "model_find",
            path=str(self.path),
            module=module_of(self.path),
            qualname=self.subject.qualname,
            seed=run.seed,
        )
        if reply.get("problem") is not None:
            return error(text_of(reply, "problem"), fix=self._hint)
        self.model = RegisteredModel(
            name=self.subject.name,
            specs=text_of(reply, "guess"),
            entry=SpecEntry.model_validate({"problem": None, "class": text_of(reply, "class")}),
            subject=self.subject,
        )
        if _has_nothing_to_learn(self.model, run):
            return not_applicable(_A_LAYER)
        loading = f"; {said}" if (said := text_of(reply, "loading")) else ""
        return judged(
            Measured(
                value=1,
                bound=1,
                comparison=Comparison.AT_LEAST,
                origin=f"built as {text_of(reply, 'built')}, fed with {text_of(reply, 'fed')}, B samples in a batch"
                f"{loading}; {_ORIGIN}",
                unit="ways to build and feed it",
            ),
            otherwise="no way to build and feed it was found",
        )

    @property
    def _hint(self) -> str:
        place = f"{self.subject.path}::{self.subject.qualname}"
        return f"write a spec; `astrobio-audit spec {place}` prints one to begin with, and MODELS is for whole models"

    def _judged(self, check: Check, judge: Callable[[RegisteredModel, Run], Judgement], run: Run) -> Judgement:
        assert self.model is not None  # it waits for the first
        if missing := UNDECLARED.get(check.id):
            return not_applicable(f"undeclared: {missing}")
        judgement = judge(self.model, run)
        missing = LEANING.get(check.id)
        if missing and judgement.outcome is Outcome.FAILED:
            reason = f"undeclared: {missing}; observed with a guess: {judgement.reason}"
            return replace(error(reason, location=judgement.location, fix=self._hint), subject=judgement.subject)
        if judgement.measured is None:
            return judgement
        origin = f"{judgement.measured.origin}; no specs: inputs are a guess, the loss a weighted mean of the outputs"
        return replace(judgement, measured=replace(judgement.measured, origin=origin))


def _without_forward(planned: PlannedCheck) -> PlannedCheck:
    return replace(planned, judge=lambda run: not_applicable(REASON), requires=(), only_with="")


def _has_nothing_to_learn(model: RegisteredModel, run: Run) -> bool:
    """Whether there are no trainable parameters, and none that forward uses and that are not registered."""
    if number_of(model.call(run, "model_build"), "trainable") > 0:
        return False
    try:
        reply = model.call_on_batch(run, "model_unregistered")
    except TargetRaised:
        return False  # smoke.build says that there are none
    return not names_of(reply, "learnable")
