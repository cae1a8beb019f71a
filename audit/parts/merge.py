"""Puts the reports on the parts of a plan together to the report on the whole."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from audit.errors import UsageError
from audit.judgement import error
from audit.parts.document import Instance, PlanDocument, shown_digest
from audit.parts.replies import foreign, unreported
from audit.report.document import Machine, Part, Provenance, Report, build_report
from audit.report.publish import read_report
from audit.results import Result
from audit.waivers import IN_NO_RUN, Day, Waiver, waive, waivers_in


@dataclass(frozen=True, kw_only=True)
class _Read:
    """A report on a part, and the file that it was read from."""

    path: Path
    report: Report
    part: Part


def merge_files(plan: PlanDocument, paths: Sequence[Path]) -> Report:
    """Read the parts and return the report on the whole; what no part holds is an error, `never reported`.

    The verdict is there when every group of the plan is in some part that was not cut short.

    Raises:
        UsageError: a file is no part of this plan, or holds what another one holds; says which.
    """
    parts = [_read(plan, path) for path in paths]
    held: dict[str, Path] = {}
    for each in parts:
        for group in each.part.groups:
            if group in held:
                raise UsageError(f"{each.path}: holds {group}, which {held[group]} holds too; leave one of them out")
            held[group] = each.path
    _refuse_different_facts(parts)
    order = {group: index for index, group in enumerate(plan.groups)}
    parts.sort(key=lambda each: min(order[group] for group in each.part.groups))
    missing = [instance for group, each in plan.groups.items() if group not in held for instance in each]
    results = [*chain.from_iterable(_results(each) for each in parts), *_never_reported(plan, missing)]
    defects = list(chain.from_iterable(each.report.defects for each in parts))
    if len({defect.id for defect in defects}) != len(defects):
        raise UsageError("two parts name a defect by the same id; they do not belong to one plan")
    machines = [(machine, each.path) for each in parts for machine in _machines(each).values()]
    named: dict[str, Path] = {}
    for machine, path in machines:
        if machine.name in named:
            raise UsageError(f"{path}: has a machine {machine.name!r}, and so has {named[machine.name]}; make it again")
        named[machine.name] = path
    first = parts[0].report
    partial_reason = _partial_reason(plan, parts, held)
    waivers, day = _waivers(parts)
    absent = IN_NO_RUN if plan.planned_from.release and partial_reason is None else None
    results, rows = waive(results, waivers, day, absent=absent)
    return build_report(
        command=plan.planned_from.command,
        provenance=_provenance([each.report for each in parts]),
        checks=plan.checks,
        results=results,
        release=plan.planned_from.release,
        profile=plan.planned_from.profile,
        partial_reason=partial_reason,
        interrupted=any(each.report.interrupted for each in parts),
        inventory=first.inventory,
        imports=first.imports,
        skipped_trees=first.skipped_trees,
        defects=defects,
        machines=[machine for machine, _ in machines],
        gates=first.gates,
        waivers=rows,
        waivers_by=day,
    )


def _read(plan: PlanDocument, path: Path) -> _Read:
    report = read_report(path)
    part, asked, made = report.part, plan.planned_from, report.provenance
    if part is None:
        raise UsageError(f"{path}: not a part of a plan; `astrobio-audit run PLAN.json` writes one")
    # Commit and profile first: they say more than that the plans differ, which they then do as well.
    told = {
        "commit": (asked.commit, made.commit),
        "state of the files (dirty)": (asked.dirty, made.dirty),
        "profile": (asked.profile or "none", report.profile or "none"),
        "plan": (shown_digest(plan.digest), shown_digest(part.plan)),
        "command": (asked.command, report.command),
        "package": (asked.package, made.package),
        "digest of the package": (asked.package_digest, made.package_digest),
        "digest of the configuration": (asked.config_digest, made.config_digest),
        "seed": (asked.seed, made.seed),
        "toolkit": (plan.tool.version, report.tool.version),
        "kind of verdict": (asked.release, report.release),
    }
    for what, (wanted, found) in told.items():
        if wanted != found:
            raise UsageError(f"{path}: another {what}: {found}, and the plan has {wanted}")
    unknown = [group for group in part.groups if group not in plan.groups]
    if unknown or len(set(part.groups)) != len(part.groups):
        raise UsageError(f"{path}: names groups that the plan has not, or one twice: {', '.join(unknown[:3])}")
    instances = [instance for group in part.groups for instance in plan.groups[group]]
    if problem := foreign(report.results, instances, plan):
        raise UsageError(f"{path}: holds {problem}")
    if absent := unreported(report.results, instances):
        raise UsageError(f"{path}: holds no result of {absent[0].check} on {absent[0].subject.name}")
    if other := [check.id for check in report.checks if plan.by_check.get(check.id) != check]:
        raise UsageError(f"{path}: describes {other[0]} in other words than the plan")
    return _Read(path=path, report=report, part=part)


def _refuse_different_facts(parts: Sequence[_Read]) -> None:
    """Refuse parts that say different things of the same files; what an interpreter lacks may differ."""
    first, *others = parts
    for each in others:
        if each.report.inventory and first.report.inventory and each.report.inventory != first.report.inventory:
            raise UsageError(f"{each.path}: another inventory of the same files than {first.path}")


def _waivers(parts: Sequence[_Read]) -> tuple[Sequence[Waiver], Day | None]:
    """Return the waivers of all parts, and the latest of the days by which they expired there.

    Raises:
        UsageError: the parts were made under different gates or waivers.
    """
    first, *others = parts
    waivers = waivers_in(first.report.waivers)
    for each in others:
        if each.report.gates != first.report.gates or waivers_in(each.report.waivers) != waivers:
            raise UsageError(f"{each.path}: other gates or waivers than {first.path}; make the parts again")
    days = [each.report.waivers_by for each in parts if each.report.waivers_by]
    return waivers, max(days, key=lambda each: each.day, default=None)


def _machines(read: _Read) -> Mapping[str | None, Machine]:
    """Return the machines of a part under names of their own, by what its evidence calls them."""
    report, label = read.report, read.part.label
    machines: dict[str | None, Machine] = {
        each.name: each.model_copy(update={"name": f"{label}: {each.name}"}) for each in report.machines
    }
    if any(result.evidence.machine is None for result in report.results):
        made = report.provenance
        machines[None] = Machine(
            name=label,
            python=made.python,
            torch=made.torch,
            platform=made.platform,
            machine=made.machine,
            environment=made.environment,
        )
    return machines


def _results(read: _Read) -> list[Result]:
    names = {name: machine.name for name, machine in _machines(read).items()}
    return [
        result.model_copy(
            update={"evidence": result.evidence.model_copy(update={"machine": names[result.evidence.machine]})}
        )
        for result in read.report.results
    ]


def _never_reported(plan: PlanDocument, missing: Sequence[Instance]) -> list[Result]:
    return [
        error("never reported: no part that was merged holds it").result(
            plan.by_check[each.check], each.subject, seed=plan.planned_from.seed, duration_s=None, reproduce=""
        )
        for each in missing
    ]


def _partial_reason(plan: PlanDocument, parts: Sequence[_Read], held: Mapping[str, Path]) -> str | None:
    reasons = []
    if len(held) < len(plan.groups):
        reasons.append(
            f"merged from {len(parts)} parts with {len(held)} of {len(plan.groups)} groups of plan {plan.shown_digest}"
        )
    reasons += [f"{each.path.name} was cut short" for each in parts if each.report.interrupted]
    return ", ".join(reasons) or None


def _provenance(reports: Sequence[Report]) -> Provenance:
    first = reports[0].provenance
    same = all(each.provenance.environment == first.environment for each in reports)
    return first.model_copy(
        update={
            "command": shlex.join(["astrobio-audit", *sys.argv[1:]]),
            "environment": first.environment if same else None,
            "started_at": min(each.provenance.started_at for each in reports),
            "finished_at": max(each.provenance.finished_at for each in reports),
        }
    )
