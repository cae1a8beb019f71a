"""The report as a document: the shape of every command's `--json`."""

import weakref
from collections.abc import Iterator, Sequence
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticSerializationError

from audit import __version__
from audit.gates import Gates, MissedGate, gated, missed_gates
from audit.profiles import Profile, left_out_by
from audit.results import Check, Defect, Frozen, Outcome, Result
from audit.score import Area, Summary, Verdict, summarise, verdict
from audit.static.imports.causes import ImportRow
from audit.static.inventory import InventoryItem
from audit.waivers import Day, WaiverRow, contradiction

SCHEMA_VERSION: Final = "1.1"
TOOL_NAME: Final = "astrobio-audit"
# A linter that leaves with 0 is read as one that found nothing: here minor findings count for the exit code too.
_EVERY_FAILURE_COUNTS: Final = ("static",)
_ROWS_AT_ONCE = 500
Count = Annotated[int, Field(ge=0, lt=2**63)]


class Tool(Frozen):
    """What wrote the report."""

    name: Literal["astrobio-audit"]
    version: str


class Device(Frozen):
    """An accelerator that the target's interpreter sees."""

    name: str
    memory_bytes: Count
    capability: str


class Environment(Frozen):
    """What the target ran on; None where the command never started the target's interpreter."""

    python: str
    torch: str
    cuda: str | None
    devices: tuple[Device, ...]
    libraries: dict[str, str | None]
    threads: Count
    cpu_count: Count
    memory_bytes: Count


class Provenance(Frozen):
    """What was measured, by what, on what and when."""

    command: Annotated[str, Field(description="The command line, without the program's path.")]
    package: str
    package_digest: Annotated[str | None, Field(description="SHA-256 over the package's Python files.")]
    config_digest: str
    prefix: Annotated[
        str, Field(description="The target's folder inside its repository; results have paths relative to it.")
    ] = ""
    commit: Annotated[str | None, Field(description="Commit of the target's repository; None outside one.")]
    dirty: Annotated[
        bool | None,
        Field(description="Whether the target's files differ from the commit; None where that cannot be told."),
    ]
    seed: int
    python: Annotated[str, Field(description="The auditor's interpreter.")]
    torch: Annotated[str | None, Field(description="The auditor's torch; None where it was not needed.")]
    platform: str
    machine: str
    environment: Environment | None
    started_at: str
    finished_at: str


class SkippedTreeRow(Frozen):
    """A folder that discovery left out."""

    path: str
    files: Annotated[int | None, Field(description="Python files in it; None where they could not be counted.")]
    reason: str


class Unneeded(Frozen):
    """An entry of a baseline of which nothing, or less than it says, is found any more."""

    check: str
    path: str
    qualname: str | None
    found: Count
    listed: Count


class Baseline(Frozen):
    """What the run was compared with: findings that were there before are set apart."""

    source: Annotated[str, Field(description="The baseline file, relative to the target, or the revision.")]
    set_apart: Annotated[Count, Field(description="Findings that do not count because they were there before.")]
    unneeded: tuple[Unneeded, ...] = ()


class Machine(Frozen):
    """Where results of a report were measured that was put together from several machines."""

    name: Annotated[str, Field(min_length=1, description="As `machine` of the evidence has it.")]
    python: Annotated[str, Field(description="The auditor's interpreter there.")]
    torch: str | None
    platform: str
    machine: str
    environment: Environment | None


class Part(Frozen):
    """Which part of a plan a report holds."""

    plan: Annotated[str, Field(description="Digest of the plan.")]
    label: Annotated[str, Field(min_length=1, description="The part in words, such as `shard 1/3`.")]
    groups: Annotated[tuple[str, ...], Field(min_length=1, description="Ids of the plan's groups in it.")]


class Report(Frozen):
    """A finished report. Its summary is recomputed on reading: a document that was edited does not validate."""

    # No default: a document that does not name its version is not one of this version. 1.1 has parts, machines, gates,
    # waivers and a profile besides, which a document of 1.0 lacks: it is read all the same.
    schema_version: Literal["1.0", "1.1"]
    tool: Tool
    command: str
    provenance: Provenance
    verdict: Annotated[Verdict | None, Field(description="None for a partial run.")]
    score: Annotated[float | None, Field(description="Smallest score of the areas; None when nothing applies.")]
    coverage: Annotated[float | None, Field(description="Smallest share of checks judged among the areas.")]
    partial: bool
    partial_reason: str | None = None
    interrupted: Annotated[bool, Field(description="Whether a partial run was cut short, and not only filtered.")] = (
        False
    )
    release: Annotated[bool, Field(description="Whether the verdict is a release's.")]
    profile: Annotated[
        Profile | None,
        Field(description="The hardware that the release is judged for; None where everything planned counts."),
    ] = None
    areas: tuple[Area, ...]
    checks: tuple[Check, ...]
    results: tuple[Result, ...]
    defects: Annotated[
        tuple[Defect, ...], Field(description="What is wrong, one entry for each mistake; several checks may show it.")
    ] = ()
    inventory: tuple[InventoryItem, ...] = ()
    imports: tuple[ImportRow, ...] = ()
    skipped_trees: tuple[SkippedTreeRow, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    gates: Annotated[Gates | None, Field(description="What the release needs besides; None where nothing is said.")] = (
        None
    )
    missed_gates: tuple[MissedGate, ...] = ()
    waivers: tuple[WaiverRow, ...] = ()
    waivers_by: Annotated[Day | None, Field(description="The day by which waivers expire.")] = None
    part: Annotated[Part | None, Field(description="Of a report on a part of a plan; None for every other.")] = None
    machines: Annotated[
        tuple[Machine, ...], Field(description="Those that evidence names; none where it names none.")
    ] = ()

    @model_validator(mode="after")
    def _summary_follows_from_results(self) -> Self:
        summary = summarise(self.results)
        if (summary.areas, summary.score, summary.coverage) != (self.areas, self.score, self.coverage):
            raise ValueError("areas, score or coverage do not follow from the results")
        missed = _missed(self.gates, summary, self.results, applies=self.release and not self.partial)
        if missed != self.missed_gates:
            raise ValueError("the gates that were missed do not follow from the results")
        expected = None if self.partial else _verdict(self.command, self.results, release=self.release, missed=missed)
        if self.verdict is not expected:
            raise ValueError(f"verdict {self.verdict} does not follow from the results, which say {expected}")
        if self.partial and not self.partial_reason:
            raise ValueError("a partial report says why it is partial")
        if self.interrupted and not self.partial:
            raise ValueError("an interrupted run is partial")
        if problem := contradiction(self.results, self.waivers, self.waivers_by, is_part=self.part is not None):
            raise ValueError(problem)
        if sum(each.set_apart for each in self.baselines) != sum(bool(each.set_apart) for each in self.results):
            raise ValueError("the baselines set apart another number of results than are marked")
        known = {check.id for check in self.checks}
        unknown = sorted({result.check for result in self.results} - known)
        if unknown:
            raise ValueError(f"results of checks that the report does not list: {', '.join(unknown)}")
        silent = sorted(known - {result.check for result in self.results})
        if silent:
            raise ValueError(f"checks that the report lists and that have no result: {', '.join(silent)}")
        if problem := defects_contradict(self.defects, self.results):
            raise ValueError(problem)
        if self.part and not self.partial:
            raise ValueError("a report on a part of a plan is partial")
        if problem := _machines_contradict(self.machines, self.results):
            raise ValueError(problem)
        if problem := _profile_contradicts(self.profile, self.results, release=self.release):
            raise ValueError(problem)
        severities = {check.id: check.severity for check in self.checks}
        changed = sorted({each.check for each in self.results if each.severity is not severities[each.check]})
        if changed:
            raise ValueError(f"results with another severity than their check: {', '.join(changed)}")
        return self

    def json_parts(self) -> Iterator[str]:
        """Yield the JSON text in parts, of long lists a few rows at a time: that of a large tree takes 31 MB."""
        yield from _last.parts_of(self) or self._made_parts()

    def _made_parts(self) -> Iterator[str]:
        before = "{"
        for name in Report.model_fields:
            rows = getattr(self, name)
            if not isinstance(rows, tuple) or not rows:
                yield before + self.model_dump_json(indent=2, include={name})[1:-2]
            else:
                yield f'{before}\n  "{name}": ['
                for start in range(0, len(rows), _ROWS_AT_ONCE):
                    some = self.model_copy(update={name: rows[start : start + _ROWS_AT_ONCE]})
                    text = some.model_dump_json(indent=2, include={name})
                    yield ("," if start else "") + text[text.index("[") + 1 : text.rindex("\n  ]")]
                yield "\n  ]"
            before = ","
        yield "\n}\n"

    @property
    def exit_code(self) -> int:
        """0 ready or clean, 1 findings or not ready, 3 incomplete.

        A filtered run of one area exits like a whole one, so that one check can be repeated in a script. A filtered
        readiness run never exits 0: it says nothing about a release.
        """
        if self.interrupted:
            return 3
        conclusion = self.verdict or _verdict(self.command, self.results, release=False)
        if conclusion in (Verdict.FINDINGS, Verdict.NOT_READY):
            return 1
        return 3 if conclusion is Verdict.INCOMPLETE or (self.partial and self.release) else 0


def defects_contradict(defects: Sequence[Defect], results: Sequence[Result]) -> str | None:
    """Return where defects and the results that name them disagree; None where they agree."""
    named: dict[str, set[str]] = {}
    for result in results:
        if result.defect:
            named.setdefault(result.defect.id, set()).add(result.check)
    if len({defect.id for defect in defects}) != len(defects):
        return "two defects have one id"
    listed = {defect.id: set(defect.checks) for defect in defects}
    if listed != named:
        return "the results name other defects, or other checks of these, than the report lists"
    return None


def _machines_contradict(machines: Sequence[Machine], results: Sequence[Result]) -> str | None:
    """Return which machine is named by two, or named and not there; None where all is well."""
    names = {machine.name for machine in machines}
    if len(names) != len(machines):
        return "two machines have one name"
    unknown = sorted({each.evidence.machine for each in results if each.evidence.machine} - names)
    return f"evidence names machines that the report does not list: {', '.join(unknown)}" if unknown else None


def _profile_contradicts(profile: Profile | None, results: Sequence[Result], *, release: bool) -> str | None:
    """Return what keeps a report from being one for a profile; None where all is well.

    What says to lie outside of one profile is no result of another: a verdict is not made one about more by an edit.
    """
    if profile and not release:
        return "only a release is judged for a profile"
    reasons = {each.reason for each in results if each.outcome is Outcome.NOT_APPLICABLE}
    named = {name for reason in reasons if (name := left_out_by(reason))}
    if others := sorted(named - {profile}):
        return f"results lie outside the profile {others[0]}, and the report is for {profile or 'none'}"
    return None


def build_report(
    *,
    command: str,
    provenance: Provenance,
    checks: tuple[Check, ...],
    results: list[Result],
    release: bool,
    partial_reason: str | None,
    profile: Profile | None = None,
    interrupted: bool = False,
    inventory: tuple[InventoryItem, ...] = (),
    imports: tuple[ImportRow, ...] = (),
    skipped_trees: tuple[SkippedTreeRow, ...] = (),
    baselines: tuple[Baseline, ...] = (),
    defects: Sequence[Defect] = (),
    gates: Gates | None = None,
    waivers: tuple[WaiverRow, ...] = (),
    waivers_by: Day | None = None,
    part: Part | None = None,
    machines: Sequence[Machine] = (),
) -> Report:
    """Sort the results, compute summary and verdict, and return the document, which UTF-8 can hold."""
    ordered = tuple(sorted(results, key=lambda result: result.sort_key))
    summary = summarise(ordered)
    missed = _missed(gates, summary, ordered, applies=release and partial_reason is None)
    report = Report(
        schema_version=SCHEMA_VERSION,
        tool=Tool(name=TOOL_NAME, version=__version__),
        command=command,
        provenance=provenance,
        verdict=None if partial_reason else _verdict(command, ordered, release=release, missed=missed),
        score=summary.score,
        coverage=summary.coverage,
        partial=partial_reason is not None,
        partial_reason=partial_reason,
        interrupted=interrupted,
        release=release,
        profile=profile,
        areas=summary.areas,
        checks=tuple(sorted(checks, key=lambda check: check.id)),
        results=ordered,
        defects=tuple(sorted(defects, key=lambda defect: defect.id)),
        inventory=inventory,
        imports=imports,
        skipped_trees=skipped_trees,
        baselines=baselines,
        gates=gates,
        missed_gates=missed,
        waivers=waivers,
        waivers_by=waivers_by if waivers else None,
        part=part,
        machines=tuple(sorted(machines, key=lambda machine: machine.name)),
    )
    return report if _is_encodable(report) else Report.model_validate(encodable(report.model_dump()))


def _verdict(command: str, results: Sequence[Result], *, release: bool, missed: Sequence[MissedGate] = ()) -> Verdict:
    return gated(verdict(results, release=release, every_failure_counts=command in _EVERY_FAILURE_COUNTS), missed)


def _missed(
    gates: Gates | None, summary: Summary, results: Sequence[Result], *, applies: bool
) -> tuple[MissedGate, ...]:
    return missed_gates(gates, summary, results) if gates and applies else ()


class _Last:
    """The JSON text of the report that was built last, which is most often written next."""

    def __init__(self) -> None:
        self._report: weakref.ref[Report] | None = None
        self._parts: tuple[str, ...] = ()

    def keep(self, report: Report) -> None:
        """Make the text of a report, and keep it in place of any other. Raises what making it raises."""
        self._report, self._parts = None, ()
        self._parts = tuple(report.json_parts())
        self._report = weakref.ref(report, lambda _: self.forget())

    def parts_of(self, report: Report) -> tuple[str, ...]:
        """Return the text in parts; none where it is that of another report."""
        return self._parts if self._report and self._report() is report else ()

    def forget(self) -> None:
        """Keep nothing."""
        self._report, self._parts = None, ()


_last = _Last()


def _is_encodable(report: Report) -> bool:
    """Whether UTF-8 can hold the report as it is. Nearly all are: only others are worth a second validation."""
    try:
        _last.keep(report)
    except (PydanticSerializationError, UnicodeEncodeError):
        return False
    return True


def encodable(value: object) -> object:
    """Return plain data with lone surrogates, which names that are not Unicode hold, written as Python writes them."""
    if isinstance(value, str):
        return str.encode(value, "utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {encodable(key): encodable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [encodable(each) for each in value]
    return value
