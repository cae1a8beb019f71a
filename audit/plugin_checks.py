"""Plug-ins in a report: which took part, and which should have."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import ModuleType

from audit.judgement import Judgement, Measured, error, judged
from audit.plan import PlannedCheck
from audit.plugins import Found, Loaded
from audit.results import Check, Comparison, Severity, Subject, SubjectKind


def plugin_checks(area: str, found: Sequence[Loaded[Found]]) -> Iterator[PlannedCheck]:
    """Plan for each plug-in of an area that it loads: without it something is not judged that should be."""
    check = Check(
        id=f"{area}.plugin_loads",
        title="What plug-ins add to the area can be carried out",
        proves="The plug-in was imported, and has what its kind needs.",
        defect="a plug-in that was written for another version of the auditor",
        severity=Severity.MAJOR,
    )
    for each in found:
        subject = Subject(kind=SubjectKind.ENVIRONMENT, qualname=f"{each.plugin.package}: {each.plugin.name}")
        yield PlannedCheck(check=check, subject=subject, judge=partial(_judged, each.problem))


def _judged(problem: str | None, run: object) -> Judgement:
    if problem is not None:
        return error(problem, fix="mend or update the plug-in, or uninstall its package")
    measured = Measured(
        value=1, bound=1, comparison=Comparison.EQUAL, origin="each plug-in adds one thing", unit="loaded"
    )
    return judged(measured, otherwise="")


def check_in(module: object, area: str, taken: Sequence[str]) -> tuple[Check, Callable[..., Judgement]]:
    """Return `CHECK` and `judge` of a module that adds a check to an area.

    Raises:
        ValueError: it lacks them, or the check has another area or a name that is taken.
    """
    if not isinstance(module, ModuleType):
        raise ValueError("it must name a module, without a colon")
    check, judge = getattr(module, "CHECK", None), getattr(module, "judge", None)
    if not isinstance(check, Check) or not callable(judge):
        raise ValueError("the module must have CHECK, an audit.results.Check, and a function judge")
    if check.area != area:
        raise ValueError(f"its check {check.id} must be called {area}.NAME")
    if check.id in taken:
        raise ValueError(f"there is a check {check.id} already")
    return check, judge
