"""Which smoke checks should be carried out on a target."""

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from audit.attention.named import attention_of
from audit.catalog import Catalog
from audit.judgement import Judgement, skipped
from audit.plan import Group, Plan, PlannedCheck, Run
from audit.results import Outcome, Subject, SubjectKind
from audit.session import Collected
from audit.subjects import declared_subject, package_subject
from validation.smoke.checks import declared, importing, reached

if TYPE_CHECKING:
    from validation.smoke.checks import ModelCheck
    from validation.smoke.checks.attention_inside import Judged
    from validation.smoke.model import RegisteredModel


def plan_smoke(collected: Collected) -> Plan:
    """Plan the import of every module, every check of every registered model, and the reach of the model classes.

    Where the specs declare no model, its checks are planned on the package, where they wait for what cannot pass: what
    was not looked at must not leave the report.
    """
    catalog = collected.catalog
    package = package_subject(collected)
    declares = PlannedCheck(check=declared.CHECK, subject=package, judge=lambda run: declared.judge(catalog))
    if not (isinstance(catalog, Catalog) and catalog.models):
        return (Group(subject=package, planned=(declares, *_imports(collected), *_waiting(package))),)
    groups = [Group(subject=package, planned=(declares, *_imports(collected)))]
    groups.append(Group(subject=package, planned=tuple(_captured(collected, catalog))))
    groups += _models(collected, catalog)
    classes = tuple(_reach(collected, catalog))
    groups += [Group(subject=package, planned=classes)] if classes else []
    return tuple(groups)


def _waiting(package: Subject) -> Iterator[PlannedCheck]:
    from validation.smoke.checks import CAPTURING, MODEL_CHECKS, attention_inside

    for check in (*(each.check for each in MODEL_CHECKS), attention_inside.CHECK, *CAPTURING):
        yield PlannedCheck.waiting(check, package, requires=declared.CHECK.id)


def _imports(collected: Collected) -> Iterator[PlannedCheck]:
    """Plan one import for each module, parents first: below a package that cannot be imported nothing can be."""
    broken: set[str] = set()

    def judge(module: str, path: str, run: Run) -> Judgement:
        parents = [module[:index] for index, character in enumerate(module) if character == "."]
        if culprit := next((parent for parent in parents if parent in broken), None):
            return skipped(f"its parent package {culprit} cannot be imported")
        broken.add(module)
        judgement = importing.judge(module, path, run)
        if judgement.outcome is Outcome.PASSED:
            broken.remove(module)
        return judgement

    for file in sorted(collected.analysis.files, key=lambda file: file.module):
        parts = file.module.split(".")
        if all(part.isidentifier() for part in parts) and parts[-1] != "__main__":
            subject = Subject(
                kind=SubjectKind.MODULE,
                module=file.module,
                path=collected.rooted(file.relative),
                digest=collected.analysis.file_digests.get(file.relative),
            )
            yield PlannedCheck(
                check=importing.CHECK, subject=subject, judge=functools.partial(judge, file.module, subject.path or "")
            )


def _captured(collected: Collected, catalog: Catalog) -> Iterator[PlannedCheck]:
    """Plan the compilation and the export of every model, in one process: loading the compiler takes the longest."""
    from validation.smoke.checks import CAPTURING

    for model in _registered(collected, catalog):
        for check, judge in CAPTURING.items():
            yield PlannedCheck(check=check, subject=model.subject, judge=functools.partial(judge, model))


def _models(collected: Collected, catalog: Catalog) -> Iterator[Group]:
    # Loaded here and not above: the checks need torch, which planning another area does not.
    from validation.smoke.checks import MODEL_CHECKS, attention_inside

    known = _attention(collected, catalog)
    for model in _registered(collected, catalog):
        inside = PlannedCheck(
            check=attention_inside.CHECK,
            subject=model.subject,
            judge=functools.partial(attention_inside.judge, model, known=known),
            requires=attention_inside.REQUIRES,
        )
        own = [_planned(model, each) for each in MODEL_CHECKS]
        # The last of them, saving and loading, ends the process.
        yield Group(subject=model.subject, planned=(*own[:-1], inside, own[-1]))


def _registered(collected: Collected, catalog: Catalog) -> Iterator["RegisteredModel"]:
    from validation.smoke.model import RegisteredModel

    specs = collected.target.settings.specs
    assert specs is not None
    for name, entry in sorted((catalog.models or {}).items()):
        subject = declared_subject(collected, name, entry, SubjectKind.MODEL)
        yield RegisteredModel(name=name, specs=specs, entry=entry, subject=subject)


def _attention(collected: Collected, catalog: Catalog) -> "Judged":
    """Return the attention classes of the inventory, and those that the specs declare."""
    from validation.smoke.checks.attention_inside import Class, Judged

    found = {(item.module, item.qualname) for item in attention_of(collected) if item.facts.get("form") != "function"}
    declared: dict[Class, list[str]] = {}
    for name, entry in sorted((catalog.attention or {}).items()):
        module, _, qualname = (entry.declared_class or "").partition(":")
        if qualname:
            declared.setdefault((module, qualname), []).append(name)
    return Judged(found=frozenset(found), declared=None if catalog.attention is None else declared)


def _planned(model: "RegisteredModel", each: "ModelCheck") -> PlannedCheck:
    return PlannedCheck(
        check=each.check,
        subject=model.subject,
        judge=lambda run: each.judge(model, run),
        requires=each.requires,
    )


def _reach(collected: Collected, catalog: Catalog) -> Iterator[PlannedCheck]:
    specs = collected.target.settings.specs
    assert specs is not None
    models = sorted(catalog.models or {})
    attention = {entry.declared_class: name for name, entry in sorted((catalog.attention or {}).items(), reverse=True)}

    known: list[reached.Reach] = []  # filled by the first of the checks; they run one after another

    def judge(class_: reached.Class, run: Run) -> Judgement:
        if not known:
            known.append(reached.find_reach(specs, models, run))
        return reached.judge(class_, known[0], attention.get(":".join(class_)))

    for item in collected.analysis.models:
        subject = Subject(
            kind=SubjectKind.MODEL_CLASS,
            module=item.module,
            qualname=item.qualname,
            path=collected.rooted(item.path),
            line=item.line,
            digest=item.digest,
        )
        reach = functools.partial(judge, (item.module, item.qualname))
        yield PlannedCheck(check=reached.CHECK, subject=subject, judge=reach)
