"""The figures that documents claim rest on something in the project."""

from collections.abc import Sequence
from dataclasses import replace

from audit.claims import AnyClaim
from audit.collected import Collected
from audit.judgement import Judgement, not_applicable
from audit.plan import Plan, PlannedCheck, Run
from audit.profiles import Profile
from audit.published import declared_figures
from audit.results import Check, Subject, SubjectKind
from audit.static.rules.checks import plan_rules
from audit.static.rules.claims import Claim, claims_of, is_backed, is_declared
from audit.static.rules.clm001_claim_without_evidence import ClaimWithoutEvidence
from audit.target import Target
from validation.readiness.places import Place, judge_places
from validation.readiness.project import Project

CHECK = Check(
    id="documents.figures_backed",
    title="Figures in documents rest on a claim, a report or a test",
    proves="Every figure that a document claims, as CLM001 tells them, is one that a declared claim "
    "([[tool.astrobio-audit.claims]]) publishes there, or that a test, benchmark, report or result of the "
    "project holds.",
    defect="an accuracy in the README that no file of the project holds",
    severity=ClaimWithoutEvidence.severity,
)
_JUDGED_THERE = (
    f"{CHECK.id} judges each figure of a release, by the claims of its profile; `static` has the results of this rule"
)


def judge(
    claims: Sequence[AnyClaim], target: Target, project: Project, run: Run, *, profile: Profile | None = None
) -> Sequence[Judgement]:
    """Look for what each figure rests on. One with nothing but a claim outside of the profile is not judged."""
    inside = [each for each in claims if profile is None or profile.holds(each.needs.least_gpus)]
    outside = [each for each in claims if each not in inside]
    declared = declared_figures(inside, target)
    wrong: list[Place] = []
    left_out: list[Judgement] = []
    looked_at = sum(path in project.texts.documents for path, _, _ in declared)
    for path in project.texts.documents:
        text = project.text(path)
        for claim in claims_of(text) if text is not None else ():
            if is_declared(claim, path, declared) or is_backed(claim, path, project.texts):
                looked_at += 1
            elif profile and (gpus := _gpus_for(claim, path, outside, target)):
                left_out.append(_left_out(path, claim.line, profile.outside(gpus)))
            else:
                looked_at += 1
                wrong.append(Place(path, claim.line, f"`{claim.text}`: neither a declared claim nor a result holds it"))
    if left_out and not looked_at:
        return left_out
    judged = judge_places(
        project,
        wrong,
        looked_at=looked_at,
        unit="claimed figures",
        origin="nobody can repeat a figure that nothing produces",
        fix="declare the claim and how it is measured, link to the result, or take the figure out",
        nothing="no document claims a figure",
        silenced_by=ClaimWithoutEvidence.id,
    )
    return [*judged, *left_out]


def plan_other_rules(collected: Collected) -> Plan:
    """Plan the rules of `static`, of which CLM001 leaves the figures of documents to this check.

    Raises:
        UsageError: what `plan_rules` raises.
    """
    return tuple(replace(group, planned=tuple(map(_left_to_this, group.planned))) for group in plan_rules(collected))


def _left_to_this(planned: PlannedCheck) -> PlannedCheck:
    if planned.check.id != ClaimWithoutEvidence().check_id:
        return planned
    return replace(planned, judge=lambda run: not_applicable(_JUDGED_THERE))


def _gpus_for(claim: Claim, path: str, outside: Sequence[AnyClaim], target: Target) -> int:
    """Return how many GPUs the declared claim needs that has the figure; 0 where there is none."""
    needed = (each.needs.least_gpus for each in outside if is_declared(claim, path, declared_figures([each], target)))
    return min(needed, default=0)


def _left_out(path: str, line: int, reason: str) -> Judgement:
    subject = Subject(kind=SubjectKind.FILE, path=path, line=line)
    return replace(not_applicable(reason), subject=subject)
