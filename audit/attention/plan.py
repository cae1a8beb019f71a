"""Which attention checks should be carried out on a target."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from audit.attention.carried import Carried, Span, span_of
from audit.attention.guessed import guessed_groups
from audit.attention.named import attention_of, items_named
from audit.attention.whole_models import whole_model
from audit.catalog import Catalog, SpecEntry, judge_section
from audit.collected import Collected
from audit.gateway.client import Plain
from audit.judgement import Judgement, error
from audit.named import Named
from audit.plan import Concluded, Group, Plan, PlannedCheck, Run
from audit.plugin_checks import plugin_checks
from audit.plugins import PROPERTIES, plugins
from audit.results import Check, Result, Severity, Subject, SubjectKind
from audit.session import Planner
from audit.static.inventory import InventoryItem, InventoryKind
from audit.subjects import declared_subject, package_subject

if TYPE_CHECKING:
    from audit.attention.subject import AttentionSubject
    from audit.attention.traced import Trace

DECLARED = Check(
    id="attention.declared",
    title="The specs declare the package's attention mechanisms",
    proves="The specs can be imported and declare at least one attention mechanism.",
    defect="specs without ATTENTION",
    severity=Severity.MAJOR,
)
MODEL_CORES = Check(
    id="attention.model_cores",
    title="Attention that only the model's forward shows holds no mistake that a trace shows",
    proves="Of every attention that one forward of a registered or named model carries out and that belongs to no "
    "class or function of the inventory, the softmax runs once, over the keys, without dropout in eval mode, and the "
    "scale is not one that comes of taking the wrong size.",
    defect="a softmax over the queries in an attention that is put together at run time",
    severity=Severity.CRITICAL,
)

_AREA = "attention"
DECLARE_WHERE_DEFINED = "declare the class or function in the module that defines it"


def plan_attention(collected: Collected) -> Plan:
    """Plan what `_of_target` does, and that the plug-ins of the area load.

    Raises:
        UsageError: what planning raises.
    """
    from audit.attention.properties import plugged_properties

    plugged = tuple(plugin_checks(_AREA, plugged_properties())) if plugins(PROPERTIES) else ()
    return (*_of_target(collected), *([Group(subject=package_subject(collected), planned=plugged)] if plugged else []))


def _of_target(collected: Collected) -> Plan:
    """Plan every property for every attention mechanism in the specs, or without specs for those of the inventory.

    Where the specs cannot be read, the properties are planned on the package, where they wait for what cannot pass:
    what was not looked at must not leave the report.
    """
    if collected.target.settings.specs is None and (items := attention_of(collected)):
        return (*guessed_groups(collected, items), *_agreement(collected, items))
    catalog = collected.catalog
    package = package_subject(collected)
    declared = PlannedCheck(
        check=DECLARED, subject=package, judge=lambda run: judge_section(catalog, "attention", may_be_empty=True)
    )
    if not isinstance(catalog, Catalog) or catalog.attention is None:
        return (Group(subject=package, planned=(declared, *_waiting(package))),)
    groups = [Group(subject=package, planned=(declared,))]
    specs = collected.target.settings.specs
    assert specs is not None
    groups += [_group(collected, specs, name, entry) for name, entry in sorted(catalog.attention.items())]
    named = {entry.declared for entry in catalog.attention.values()}
    items = attention_of(collected)
    # What specs hold says how others are called, and is no mechanism of its own.
    own = [item for item in items if item.module != specs and not item.module.startswith(f"{specs}.")]
    left_out = [item for item in own if f"{item.module}:{item.qualname}" not in named]
    if left_out:
        groups += guessed_groups(collected, left_out, carried=Carried(list(_traces(collected, specs, catalog))))
    groups += _model_groups(collected, specs, catalog, own)
    groups += _agreement(collected, items)
    return tuple(groups)


def plan_named(names: Sequence[Named]) -> Planner:
    """Return what plans the checks of classes and functions that the user has named, whatever the specs say.

    A model that takes token ids is no attention itself: what attends inside it is judged, and its forward is traced.

    Raises:
        UsageError: when it plans, where a file has no such class or function.
    """

    def plan(collected: Collected) -> Plan:
        named = items_named(collected, names, InventoryKind.ATTENTION)
        wholes = [whole for item in named if (whole := whole_model(collected, item))]
        of_tokens = [whole.item for whole in wholes]
        items = [item for item in named if item not in of_tokens]
        for whole in wholes:
            items += [item for item in whole.inside if item not in items]
        return (
            *(whole.group(MODEL_CORES) for whole in wholes),
            *guessed_groups(collected, items),
            *_agreement(collected, items),
        )

    return plan


def _agreement(collected: Collected, items: Sequence[InventoryItem]) -> Iterator[Group]:
    """Yield the checks of stand-ins for the libraries that the files of attention mechanisms import."""
    from audit.attention.agreement import agreement_groups

    return agreement_groups(collected.target.source / item.path for item in items)


def _traces(collected: Collected, specs: str, catalog: Catalog) -> Iterator[tuple[str, Callable[[Run], "Trace"]]]:
    """Yield what traces one forward of each entry of the specs, by the entry's name."""
    from audit.attention.cases import inputs_mib
    from audit.attention.traced import trace_of_model

    for name, entry in sorted((catalog.attention or {}).items()):
        attention = _attention(specs, name, entry)
        if not isinstance(attention, str) and inputs_mib(attention.contract) <= collected.target.settings.memory_mb:
            yield name, functools.partial(_first_trace, attention)
    for name, model in sorted((catalog.models or {}).items()):
        if not model.problem:
            yield name, functools.partial(trace_of_model, specs=specs, name=name)


def _first_trace(attention: "AttentionSubject", run: Run) -> "Trace":
    from audit.attention.traced import traces_of

    return traces_of(attention, run, attention.finest_dtype).first


def _attention(specs: str, name: str, entry: SpecEntry) -> "AttentionSubject | str":
    """Return an entry of the specs as the properties see it, or what is wrong with it."""
    # Loaded here and not above: the properties need torch, which planning another area does not.
    from audit.attention.contract import read_contract
    from audit.attention.subject import AttentionSubject

    if entry.problem:
        return entry.problem
    contract = read_contract(entry)
    if isinstance(contract, str):
        return contract
    source: dict[str, Plain] = {"kind": "spec", "specs": specs, "name": name}
    if entry.stand_ins is not None:
        source["forced"] = {"library": entry.stand_ins, "accepts_float32": True}
    return AttentionSubject(
        name=name,
        source=source,
        contract=contract,
        declared=entry.declared or "",
        is_function=entry.declared_function is not None,
        decodes=entry.decodes,
        decodes_masked=entry.decodes_masked,
    )


def _model_groups(
    collected: Collected, specs: str, catalog: Catalog, items: Sequence[InventoryItem]
) -> Iterator[Group]:
    """Yield the check of what only the forward of a model shows."""
    if not catalog.models:
        return
    source = collected.target.source
    spans = [span_of(source / item.path, item.qualname, item.line) for item in items]
    for name, entry in sorted(catalog.models.items()):
        subject = declared_subject(collected, name, entry, SubjectKind.MODEL)
        judge = functools.partial(_judge_model, specs, name, entry, spans)
        planned = PlannedCheck(check=MODEL_CORES, subject=subject, judge=judge)
        yield Group(subject=subject, planned=(planned,), is_kept=True)


def _judge_model(specs: str, name: str, entry: SpecEntry, spans: Sequence[Span], run: Run) -> Judgement:
    from audit.attention.answers import Settled
    from audit.attention.model_cores import judge

    if entry.problem:
        return error(f"specs {specs}: MODELS[{name!r}]: {entry.problem}")
    try:
        return judge(specs, name, spans, run)
    except Settled as settled:
        return settled.judgement


def _waiting(package: Subject) -> Iterator[PlannedCheck]:
    from audit.attention.properties import all_properties

    for prop in all_properties():
        yield PlannedCheck.waiting(prop.check, package, requires=DECLARED.id)


def _group(collected: Collected, specs: str, name: str, entry: SpecEntry) -> Group:
    kind = SubjectKind.KERNEL if entry.declared_function else SubjectKind.ATTENTION
    subject = declared_subject(collected, name, entry, kind)
    planned = tuple(replace(each, stand_in=entry.stand_ins) for each in _planned(subject, specs, name, entry))
    conclude = functools.partial(_concluded, subject, specs, name, entry)
    return Group(subject=subject, planned=planned, conclude=conclude, is_kept=True)


def _concluded(
    subject: Subject, specs: str, name: str, entry: SpecEntry, run: Run, results: Sequence[Result]
) -> Concluded:
    from audit.attention.defects.conclude import concluded

    attention = _attention(specs, name, entry)
    return concluded([] if isinstance(attention, str) else [(subject, attention)], run, results)


def _planned(subject: Subject, specs: str, name: str, entry: SpecEntry) -> Iterator[PlannedCheck]:
    from audit.attention.cases import inputs_mib
    from audit.attention.properties import Property, all_properties
    from audit.attention.subject import LENGTH

    attention = _attention(specs, name, entry)

    def judge(prop: Property, run: Run) -> Judgement:
        if isinstance(attention, str):
            return error(f"specs {specs}: ATTENTION[{name!r}]: {attention}")
        if subject.digest is None:
            return error(
                f"{entry.declared} is not defined in the sources of {run.target.package}", fix=DECLARE_WHERE_DEFINED
            )
        longest = attention.contract.max_length
        if longest is not None and longest < LENGTH:
            return error(
                f"the contract declares max_length = {longest}, and inputs have {LENGTH} tokens: nothing was called",
                fix=f"let `build` make one that takes {LENGTH} tokens at least, and declare its `max_length`",
            )
        needed, limit = inputs_mib(attention.contract), run.target.settings.memory_mb
        if needed > limit:
            return error(
                f"the contract's inputs take {needed} MiB; the target's process may use no more than {limit} MiB",
                fix="declare smaller sizes, or raise `memory_mb`",
            )
        return prop.carried_out(attention, run, named=subject)

    for prop in all_properties():
        yield PlannedCheck(check=prop.check, subject=subject, judge=functools.partial(judge, prop))
