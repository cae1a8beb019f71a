"""Plans the checks of attention that no specs declare: built and called as its own source suggests."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from audit.attention.carried import Carried, span_of
from audit.attention.contract import Contract
from audit.attention.found import Found, Way, find, source_of
from audit.attention.inside import attention_inside
from audit.attention.without import holds_no_attention
from audit.collected import Collected
from audit.judgement import Judgement, Measured, error, judged, not_applicable, skipped
from audit.plan import Concluded, Group, Judge, PlannedCheck, Run
from audit.results import Check, Comparison, Result, Severity, Subject, SubjectKind
from audit.static.inventory import InventoryItem

if TYPE_CHECKING:
    from audit.attention.properties import Property
    from audit.attention.subject import AttentionSubject

BUILT = Check(
    id="attention.built",
    title="The mechanism can be built and called",
    proves="Without specs, the class or function was loaded, built from arguments that its own source suggests, and "
    "answered a call with a tensor of the expected shape.",
    defect="a constructor that raises for every size",
    severity=Severity.MAJOR,
)
_MOST_NAMED = 6
_ORIGIN = "what was not built and called is not judged"


def guessed_groups(
    collected: Collected, items: Sequence[InventoryItem], *, carried: Carried | None = None
) -> Iterator[Group]:
    """Yield the checks of each of these attention items, whose paths are relative to the source folder.

    Those that something else carries out, which is judged itself, are not judged again.
    """
    for item in items:
        is_class = item.facts.get("form") != "function"
        subject = Subject(
            kind=SubjectKind.ATTENTION if is_class else SubjectKind.KERNEL,
            module=item.module,
            qualname=item.qualname,
            path=collected.rooted(item.path),
            line=item.line,
            digest=item.digest,
        )
        is_known = "mechanisms" in item.facts  # else it is none of the inventory, and the user has named it
        mechanism = _Mechanism(subject, collected.target.source / item.path, carried, is_known=is_known)
        planned = tuple(mechanism.planned())
        yield Group(subject=subject, planned=planned, conclude=mechanism.concluded, is_kept=True)


@dataclass
class _Mechanism:
    """One mechanism, found out about by its first check; the others are carried out after it by the same process."""

    subject: Subject
    path: Path
    carried: Carried | None = None
    is_known: bool = True
    found: Found | None = field(default=None, init=False)
    _carried_by: str | None = field(default=None, init=False)

    def planned(self) -> Iterator[PlannedCheck]:
        # Loaded here and not above: the properties need torch, which planning another area does not.
        from audit.attention.properties import all_properties

        yield PlannedCheck(check=BUILT, subject=self.subject, judge=self._built)
        # What something else carries out does not have to be built, and has no check that waits for that.
        requires = () if self.carried else (BUILT.id,)
        for prop in all_properties():
            yield PlannedCheck(check=prop.check, subject=self.subject, judge=self._judge_of(prop), requires=requires)

    @property
    def _qualname(self) -> str:
        assert self.subject.qualname is not None
        return self.subject.qualname

    def _built(self, run: Run) -> Judgement:
        if self.carried is not None:
            span = span_of(self.path, self._qualname, self.subject.line or 1)
            self._carried_by = self.carried.by(span, run)
            if self._carried_by is not None:
                return not_applicable(self._elsewhere())
        if not self.is_known and holds_no_attention(self.path, self._qualname):
            return error(
                f"{self._qualname} holds no attention as far as its file shows: nothing in it multiplies queries with "
                "keys, and no layer or function that it uses there does",
                fix="name the class or function that attends; `astrobio-audit smoke "
                f"{self.subject.path}::{self._qualname}` judges a model as a whole",
            )
        self.found = find(run.probe, self.path, self._qualname, seed=run.seed)
        fix = f"write a spec; `astrobio-audit spec {self.subject.path}::{self._qualname}` prints one to begin with"
        if self.found.problem is not None:
            return error(self.found.problem, fix=self._parts(run) or fix)
        ways = Measured(
            value=len(self.found.subjects),
            bound=1,
            comparison=Comparison.AT_LEAST,
            origin=_with_loading(_ORIGIN, self.found),
            unit="ways to build and call it",
        )
        judgement = judged(ways, otherwise="no way to build and call it was found", fix=fix)
        return replace(judgement, subject=self.subject.model_copy(update={"parameters": self.found.parameters}))

    def _parts(self, run: Run) -> str:
        """Return the commands for what attends in a class that the user has named; empty where nothing is known to."""
        if self.is_known:
            return ""
        inside = attention_inside(run.target, self.path, self._qualname)
        named = [f"`astrobio-audit attention {item.path}::{item.qualname}`" for item in inside]
        more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
        return f"name what attends in it: {', '.join(named[:_MOST_NAMED])}{more}" if named else ""

    def _judge_of(self, prop: "Property") -> Judge:
        def judge(run: Run) -> list[Judgement]:
            if self.carried is not None:
                if self.found is None and self._carried_by is None:  # the first check was left out, or raised
                    self._built(run)
                if self._carried_by is not None:
                    return [not_applicable(self._elsewhere())]
                if self.found is None or self.found.problem is not None:
                    return [skipped(f"needs {BUILT.id} to pass on this subject")]
            assert self.found is not None
            return [self._judged(prop, run, self.found, way) for way in self.found.subjects]

        return judge

    def _elsewhere(self) -> str:
        return f"not declared by itself: carried out by {self._carried_by}, and judged there"

    def _judged(self, prop: "Property", run: Run, found: Found, way: Way) -> Judgement:
        named, attention = self._attention(found, way)
        if isinstance(attention, str):
            return replace(error(attention), subject=named)
        judgement = prop.carried_out(attention, run, named=named)
        if judgement.measured is not None:
            measured = judgement.measured
            judgement = replace(judgement, measured=replace(measured, origin=_with_loading(measured.origin, found)))
        return judgement

    def concluded(self, run: Run, results: Sequence[Result]) -> Concluded:
        """Return the results with the defects that their failures come from, and these."""
        from audit.attention.defects.conclude import concluded

        ways = [self._attention(self.found, way) for way in self.found.subjects] if self.found else []
        return concluded([(named, each) for named, each in ways if not isinstance(each, str)], run, results)

    def _attention(self, found: Found, way: Way) -> "tuple[Subject, AttentionSubject | str]":
        """Return what reports call this way to build it, and the subject itself, or why there is none."""
        from audit.attention.subject import AttentionSubject

        named = self.subject
        if way.name:
            named = named.model_copy(update={"qualname": f"{self._qualname}[{way.name}]"})
        try:
            contract = Contract.model_validate(way.contract)
        except ValidationError as invalid:
            first = invalid.errors()[0]
            return named, f"the inferred contract is none: {first['loc']}: {first['msg']}"
        attention = AttentionSubject(
            name=named.name,
            source=source_of(self.path, self._qualname, way),
            contract=contract,
            declared=found.declared,
            is_function=found.kind == "function",
            decodes=way.decodes,
            is_declared=False,
            option=way.name,
            claims=way.claims,
        )
        return named, attention


def _with_loading(origin: str, found: Found) -> str:
    """Return the origin of a bound with how the code was loaded, where that was not by an import of its module."""
    return f"{origin}; {found.loading}" if found.loading else origin
