"""Which checks are carried out on which files of weights."""

import functools

from audit.catalog import Catalog
from audit.collected import Collected
from audit.judgement import failed, not_applicable
from audit.plan import Group, Plan, PlannedCheck
from audit.results import Subject, SubjectKind
from audit.static.inventory import InventoryItem
from audit.static.kinds import InventoryKind
from audit.subjects import package_subject
from audit.weights import DeclaredWeights
from validation.readiness.checkpoints.checks import FILE_CHECKS, fits_model, layout, whole
from validation.readiness.checkpoints.file import Checkpoint
from validation.readiness.project import Project, normalised


def plan_checkpoints(collected: Collected, project: Project) -> Plan:
    """Plan the checks of each file of weights, with those that are declared and not there."""
    items = {item.path: item for item in project.data if item.kind is InventoryKind.CHECKPOINT}
    declared = {normalised(each.path): each for each in collected.target.settings.checkpoints}
    groups = [_group(collected, item, declared.get(path)) for path, item in sorted(items.items())]
    groups += [_absent(path) for path in sorted(declared.keys() - items.keys())]
    if groups:
        return tuple(groups)
    package = package_subject(collected)
    nothing = not_applicable("the project holds no file of weights")
    return (
        Group(subject=package, planned=(PlannedCheck(check=whole.CHECK, subject=package, judge=lambda run: nothing),)),
    )


def _group(collected: Collected, item: InventoryItem, declared: DeclaredWeights | None) -> Group:
    subject = Subject(kind=SubjectKind.FILE, path=item.path)
    checkpoint = Checkpoint(collected.target.root, item, subject)
    planned = [
        PlannedCheck(
            check=each.check,
            subject=subject,
            judge=functools.partial(each.judge, checkpoint),
            requires=each.requires,
        )
        for each in FILE_CHECKS
    ]
    if declared:
        judge = functools.partial(fits_model.judge, declared, _classes(collected), checkpoint)
        planned.append(PlannedCheck(check=fits_model.CHECK, subject=subject, judge=judge, requires=(layout.CHECK.id,)))
    return Group(subject=subject, planned=tuple(planned), is_kept=True)


def _classes(collected: Collected) -> dict[str, str | None]:
    catalog = collected.catalog
    models = (catalog.models or {}) if isinstance(catalog, Catalog) else {}
    return {name: entry.declared for name, entry in models.items()}


def _absent(path: str) -> Group:
    subject = Subject(kind=SubjectKind.FILE, path=path)
    missing = failed("the configuration declares this file of weights, and the project does not hold it")
    return Group(
        subject=subject, planned=(PlannedCheck(check=whole.CHECK, subject=subject, judge=lambda run: missing),)
    )
