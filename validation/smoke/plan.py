"""Which smoke checks should be carried out on a target."""

import functools
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from audit.catalog import Catalog, Undeclared
from audit.collected import Collected
from audit.execute import prepare_forks
from audit.judgement import Judgement, skipped
from audit.plan import Group, Plan, PlannedCheck, Run, resumed
from audit.plugin_checks import plugin_checks
from audit.plugins import SMOKE_CHECKS, plugins
from audit.results import Outcome, Subject, SubjectKind
from audit.static.inventory import InventoryItem
from audit.static.kinds import InventoryKind
from audit.subjects import declared_subject, package_subject
from validation.smoke.checks import declared, importing, reached, standalone
from validation.smoke.without_forward import only_derived_from, without_forward

if TYPE_CHECKING:
    from validation.smoke.model import RegisteredModel
    from validation.smoke.registry import ModelCheck


def plan_smoke(collected: Collected) -> Plan:
    """Plan the import of every module, every check of every registered model, and the reach of the model classes.

    Where the specs declare no model, its checks are planned on the package, where they wait for what cannot pass: what
    was not looked at must not leave the report.
    """
    load_ahead(collected)
    package = package_subject(collected)  # reads the sources, while the process that the target's come from begins
    catalog = collected.catalog
    declares = PlannedCheck(check=declared.CHECK, subject=package, judge=lambda run: declared.judge(catalog))
    models = _registered(collected, catalog)
    waiting = () if models else tuple(_waiting(package))
    groups = [Group(subject=package, planned=(declares, *_imports(collected), *waiting))]
    groups += _models(collected, catalog, models, package) if models else ()
    groups += _data(collected, catalog)
    groups += [_on_meta(models, package)] if models else []
    groups.append(_of_the_whole(collected, catalog, models, package))
    classes = tuple(_reach(collected, catalog)) if models and isinstance(catalog, Catalog) else ()
    groups += [Group(subject=package, planned=classes)] if classes else []
    groups += plugged_group(collected)
    return resumed(groups)


def plugged_group(collected: Collected) -> Plan:
    """Plan that the plug-ins of the area load; nothing where there are none."""
    if not plugins(SMOKE_CHECKS):
        return ()
    from validation.smoke.registry import plugged_checks

    return (Group(subject=package_subject(collected), planned=tuple(plugin_checks("smoke", plugged_checks()))),)


def load_ahead(collected: Collected) -> None:
    """Begin to load what the checks need here and in the target's processes, while these read the specs."""

    def load() -> None:
        from validation.smoke.model import AHEAD

        prepare_forks(collected.target, AHEAD)  # first, for it has a processor of its own
        try:
            from validation.smoke.registry import MODEL_CHECKS  # noqa: F401  # with torch, which takes longest
        except Exception:  # where the process ends, torch takes itself apart while it is imported
            if threading.main_thread().is_alive():
                raise

    threading.Thread(target=load, name="smoke-load", daemon=True).start()


def plan_imports(collected: Collected) -> Group:
    """Plan the import of every module alone."""
    return Group(subject=package_subject(collected), planned=tuple(_imports(collected)))


def _waiting(package: Subject) -> Iterator[PlannedCheck]:
    from validation.smoke.beside_models import CHECKS
    from validation.smoke.checks import meta_build
    from validation.smoke.registry import all_model_checks

    for check in (*(each.check for each in all_model_checks()), *CHECKS, meta_build.CHECK):
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


def _registered(collected: Collected, catalog: Catalog | Undeclared) -> "list[RegisteredModel]":
    # Loaded here and not above: it needs torch, which planning another area does not.
    from validation.smoke.model import RegisteredModel

    if not isinstance(catalog, Catalog):
        return []
    specs = collected.target.settings.specs
    assert specs is not None
    return [
        RegisteredModel(
            name=name, specs=specs, entry=entry, subject=declared_subject(collected, name, entry, SubjectKind.MODEL)
        )
        for name, entry in sorted((catalog.models or {}).items())
    ]


def _models(
    collected: Collected, catalog: Catalog | Undeclared, models: "Sequence[RegisteredModel]", package: Subject
) -> Iterator[Group]:
    from validation.smoke.beside_models import attention_known, captured, inside
    from validation.smoke.model import AHEAD
    from validation.smoke.registry import all_model_checks

    anywhere = [model for model in models if model.entry.device is None]
    if anywhere:
        yield captured(anywhere, package)  # first, for it takes the longest
    known = attention_known(collected, catalog)
    for model in models:
        every = (*(_planned(model, each) for each in all_model_checks()), inside(model, known))
        if model.entry.device is not None:
            every = _where_it_runs(model, (*every, *captured([model], model.subject).planned))
        yield Group(
            subject=model.subject,
            planned=every,
            ahead=AHEAD,
            is_kept=True,
        )


def _planned(model: "RegisteredModel", each: "ModelCheck") -> PlannedCheck:
    return PlannedCheck(
        check=each.check,
        subject=model.subject,
        judge=lambda run: each.judge(model, run),
        requires=each.requires,
    )


def _where_it_runs(model: "RegisteredModel", planned: tuple[PlannedCheck, ...]) -> tuple[PlannedCheck, ...]:
    """Have every check of a model that needs a device wait for this device."""
    from validation.smoke.checks import device

    gpus = 1 if model.entry.device == "cuda" else 0
    first = PlannedCheck(check=device.CHECK, subject=model.subject, judge=functools.partial(device.judge_model, model))
    waiting = (replace(each, requires=(device.CHECK.id, *each.requires)) for each in planned)
    return tuple(replace(each, gpus=gpus) for each in (first, *waiting))


def _data(collected: Collected, catalog: Catalog | Undeclared) -> Iterator[Group]:
    from validation.smoke.dataset import DeclaredData
    from validation.smoke.registry import DATA_CHECKS

    if not isinstance(catalog, Catalog):
        return
    specs = collected.target.settings.specs
    assert specs is not None
    for name, entry in sorted((catalog.data or {}).items()):
        subject = declared_subject(collected, name, entry, SubjectKind.DATASET)
        declared = DeclaredData(name=name, specs=specs, entry=entry, subject=subject)
        yield Group(
            subject=subject,
            planned=tuple(
                PlannedCheck(
                    check=each.check,
                    subject=subject,
                    judge=functools.partial(each.judge, declared),
                    requires=each.requires,
                )
                for each in DATA_CHECKS
            ),
        )


def _of_the_whole(
    collected: Collected, catalog: Catalog | Undeclared, models: "Sequence[RegisteredModel]", package: Subject
) -> Group:
    """Plan what is about the whole: devices, compiled extensions, data sets, and files to start."""
    from validation.smoke.checks import data_declared, device, extensions

    native = extensions.native(collected.inventory_without_tests)
    planned = (
        PlannedCheck(check=device.CHECK, subject=package, judge=device.judge),
        PlannedCheck(
            check=extensions.CHECK, subject=package, judge=functools.partial(extensions.judge, native, models)
        ),
        PlannedCheck(
            check=data_declared.CHECK,
            subject=package,
            judge=lambda run: data_declared.judge(catalog, collected.shown.inventory),
        ),
        *_scripts(collected),
    )
    return Group(subject=package, planned=planned)


def _on_meta(models: "Sequence[RegisteredModel]", package: Subject) -> Group:
    """Plan the builds on the meta device, in one process: what torch needs for that takes a second to load."""
    from validation.smoke.checks import meta_build
    from validation.smoke.model import AHEAD

    planned = (
        PlannedCheck(check=meta_build.CHECK, subject=model.subject, judge=functools.partial(meta_build.judge, model))
        for model in models
    )
    return Group(subject=package, planned=tuple(planned), ahead=AHEAD)


def _started_by(item: InventoryItem) -> tuple[str, ...]:
    by = item.facts.get("by")
    return by if isinstance(by, tuple) else ()


def _scripts(collected: Collected) -> Iterator[PlannedCheck]:
    """Plan the loading of each file of the package that has a part to be started."""
    analysis = collected.analysis
    paths = {
        item.path: item.module
        for item in analysis.inventory
        if item.kind is InventoryKind.ENTRY_POINT and "__main__" in _started_by(item)
    }
    for path, module in sorted(paths.items()):
        if module.rpartition(".")[2] != "__main__":
            subject = Subject(
                kind=SubjectKind.FILE,
                module=module,
                path=collected.rooted(path),
                digest=analysis.file_digests.get(path),
            )
            yield PlannedCheck(
                check=standalone.CHECK, subject=subject, judge=functools.partial(standalone.judge, subject.path or "")
            )


def _reach(collected: Collected, catalog: Catalog) -> Iterator[PlannedCheck]:
    specs = collected.target.settings.specs
    assert specs is not None
    models = sorted(catalog.models or {})
    attention = {entry.declared_class: name for name, entry in sorted((catalog.attention or {}).items(), reverse=True)}

    training = sorted(catalog.training or {})
    bases = only_derived_from(collected.target.source, collected.analysis.models)
    lacking = without_forward(collected.target.source, collected.analysis.models)
    # Filled by the first of the checks that needs it; they run one after another.
    known: list[reached.Reach] = []
    beside: list[reached.Reach] = []

    def judge(class_: reached.Class, run: Run) -> Judgement:
        def reach_beside() -> reached.Reach:
            if not beside:
                beside.append(reached.find_reach_beside(specs, known[0].of(models), training, run))
            return beside[0]

        if not known:
            known.append(reached.find_reach(specs, models, run))
        return reached.judge(
            class_,
            known[0],
            attention.get(":".join(class_)),
            beside=reach_beside,
            is_base=class_ in bases,
            has_forward=class_ not in lacking,
        )

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
