"""Which attention checks should be carried out on a target."""

import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from audit.attention.guessed import guessed_groups
from audit.attention.named import Named, attention_of, item_named
from audit.catalog import Catalog, SpecEntry, judge_section
from audit.judgement import Judgement, error
from audit.plan import Concluded, Group, Plan, PlannedCheck, Run
from audit.results import Check, Result, Severity, Subject, SubjectKind
from audit.session import Collected, Planner
from audit.subjects import declared_subject, package_subject

if TYPE_CHECKING:
    from audit.attention.contract import Contract
    from audit.attention.subject import AttentionSubject

DECLARED = Check(
    id="attention.declared",
    title="The specs declare the package's attention mechanisms",
    proves="The specs can be imported and declare at least one attention mechanism.",
    defect="specs without ATTENTION",
    severity=Severity.MAJOR,
)

DECLARE_WHERE_DEFINED = "declare the class or function in the module that defines it"


def plan_attention(collected: Collected) -> Plan:
    """Plan every property for every attention mechanism in the specs, or without specs for those of the inventory.

    Where the specs cannot be read, the properties are planned on the package, where they wait for what cannot pass:
    what was not looked at must not leave the report.
    """
    if collected.target.settings.specs is None and (items := attention_of(collected)):
        return tuple(guessed_groups(collected, items))
    catalog = collected.catalog
    package = package_subject(collected)
    declared = PlannedCheck(
        check=DECLARED, subject=package, judge=lambda run: judge_section(catalog, "attention", may_be_empty=True)
    )
    if not isinstance(catalog, Catalog) or catalog.attention is None:
        return (Group(subject=package, planned=(declared, *_waiting(package))),)
    groups = [Group(subject=package, planned=(declared,))]
    if catalog.attention:
        assert collected.target.settings.specs is not None
        groups += [
            _group(collected, collected.target.settings.specs, n, e) for n, e in sorted(catalog.attention.items())
        ]
    return tuple(groups)


def plan_named(names: Sequence[Named]) -> Planner:
    """Return what plans the checks of classes and functions that the user has named, whatever the specs say.

    Raises:
        UsageError: when it plans, where a file has no such class or function.
    """

    def plan(collected: Collected) -> Plan:
        return tuple(guessed_groups(collected, [item_named(collected, name) for name in names]))

    return plan


def _waiting(package: Subject) -> Iterator[PlannedCheck]:
    from audit.attention.properties import PROPERTIES

    for prop in PROPERTIES:
        yield PlannedCheck.waiting(prop.check, package, requires=DECLARED.id)


def _group(collected: Collected, specs: str, name: str, entry: SpecEntry) -> Group:
    kind = SubjectKind.KERNEL if entry.declared_function else SubjectKind.ATTENTION
    subject = declared_subject(collected, name, entry, kind)
    planned = tuple(_planned(subject, specs, name, entry))
    return Group(subject=subject, planned=planned, conclude=functools.partial(_concluded, subject, specs, name, entry))


def _concluded(
    subject: Subject, specs: str, name: str, entry: SpecEntry, run: Run, results: Sequence[Result]
) -> Concluded:
    from audit.attention.contract import read_contract
    from audit.attention.defects.conclude import concluded

    contract = None if entry.problem else read_contract(entry)
    known = [] if contract is None or isinstance(contract, str) else [_attention(specs, name, entry, contract)]
    return concluded([(subject, attention) for attention in known], run, results)


def _attention(specs: str, name: str, entry: SpecEntry, contract: "Contract") -> "AttentionSubject":
    from audit.attention.subject import AttentionSubject

    return AttentionSubject(
        name=name,
        source={"kind": "spec", "specs": specs, "name": name},
        contract=contract,
        declared=entry.declared or "",
        is_function=entry.declared_function is not None,
        decodes=entry.decodes,
        decodes_masked=entry.decodes_masked,
    )


def _planned(subject: Subject, specs: str, name: str, entry: SpecEntry) -> Iterator[PlannedCheck]:
    # Loaded here and not above: the properties need torch, which planning another area does not.
    from audit.attention.cases import inputs_mib
    from audit.attention.contract import read_contract
    from audit.attention.properties import PROPERTIES, Property

    contract = None if entry.problem else read_contract(entry)

    def judge(prop: Property, run: Run) -> Judgement:
        if contract is None or isinstance(contract, str):
            return error(f"specs {specs}: ATTENTION[{name!r}]: {entry.problem or contract}")
        if subject.digest is None:
            return error(
                f"{entry.declared} is not defined in the sources of {run.target.package}", fix=DECLARE_WHERE_DEFINED
            )
        if inputs_mib(contract) > run.target.settings.memory_mb:
            return error(
                f"the contract's inputs take {inputs_mib(contract)} MiB; the target's process may use no more than "
                f"{run.target.settings.memory_mb} MiB",
                fix="declare smaller sizes, or raise `memory_mb`",
            )
        return prop.carried_out(_attention(specs, name, entry, contract), run, named=subject)

    for prop in PROPERTIES:
        yield PlannedCheck(check=prop.check, subject=subject, judge=functools.partial(judge, prop))
