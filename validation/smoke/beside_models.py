"""Plans what of a model is not for its own process alone: its compilation, and the link to the attention audit."""

import functools
from collections.abc import Callable, Sequence

from audit.attention.named import attention_of
from audit.catalog import Catalog, Undeclared
from audit.collected import Collected
from audit.judgement import Judgement, skipped
from audit.plan import Group, PlannedCheck, Run
from audit.results import Check, Subject
from validation.smoke.checks import attention_inside
from validation.smoke.checks.attention_inside import Class, Judged
from validation.smoke.model import AHEAD, RegisteredModel
from validation.smoke.registry import CAPTURING

CHECKS: tuple[Check, ...] = (attention_inside.CHECK, *CAPTURING)


def captured(models: Sequence[RegisteredModel], package: Subject) -> Group:
    """Plan the compilation and the export of models, in one process: loading the compiler takes the longest."""
    broken: set[str] = set()  # models that ended the process; what they do to it need be seen once

    def carried_out(judge: Callable[[RegisteredModel, Run], Judgement], model: RegisteredModel, run: Run) -> Judgement:
        if model.name in broken:
            return skipped(f"{model.name} ended the target's process in the check before")
        broken.add(model.name)
        judgement = judge(model, run)
        broken.remove(model.name)
        return judgement

    planned = (
        PlannedCheck(check=check, subject=model.subject, judge=functools.partial(carried_out, judge, model))
        for model in models
        for check, judge in CAPTURING.items()
    )
    return Group(subject=package, planned=tuple(planned), ahead=AHEAD)


def inside(model: RegisteredModel, known: Judged) -> PlannedCheck:
    """Plan the check that what attention a model contains is judged."""
    return PlannedCheck(
        check=attention_inside.CHECK,
        subject=model.subject,
        judge=functools.partial(attention_inside.judge, model, known=known),
        requires=attention_inside.REQUIRES,
    )


def attention_known(collected: Collected, catalog: Catalog | Undeclared) -> Judged:
    """Return the attention classes of the inventory, and those that the specs declare."""
    found = {(item.module, item.qualname) for item in attention_of(collected) if item.facts.get("form") != "function"}
    entries = catalog.attention if isinstance(catalog, Catalog) else None
    declared: dict[Class, list[str]] = {}
    for name, entry in sorted((entries or {}).items()):
        module, _, qualname = (entry.declared_class or "").partition(":")
        if qualname:
            declared.setdefault((module, qualname), []).append(name)
    return Judged(
        found=frozenset(found),
        declared=None if entries is None else declared,
        has_specs=collected.target.settings.specs is not None,
    )
