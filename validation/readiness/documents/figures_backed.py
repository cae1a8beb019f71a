"""The figures that documents claim rest on something in the project."""

import re
from collections.abc import Sequence

from audit.claims import AnyClaim
from audit.judgement import Judgement
from audit.plan import Run
from audit.results import Check, Location
from audit.static.rules.claims import Claim, claims_of, is_backed
from audit.static.rules.clm001_claim_without_evidence import ClaimWithoutEvidence
from audit.target import Target
from validation.claims.published import Unpublished, place_of
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
_FIGURES = re.compile(r"\d+(?:\.\d+)?")
Declared = Sequence[tuple[str, int, str]]  # file, line and words


def judge(claims: Sequence[AnyClaim], target: Target, project: Project, run: Run) -> Sequence[Judgement]:
    """Look for what each figure rests on."""
    declared = [
        (place.path, place.line or 0, claim.published.text) for claim in claims if (place := _place(claim, target))
    ]
    wrong: list[Place] = []
    looked_at = sum(path in project.texts.documents for path, _, _ in declared)
    for path in project.texts.documents:
        text = project.text(path)
        for claim in claims_of(text) if text is not None else ():
            looked_at += 1
            if not _is_declared(claim, path, declared) and not is_backed(claim, path, project.texts):
                wrong.append(Place(path, claim.line, f"`{claim.text}`: neither a declared claim nor a result holds it"))
    return judge_places(
        project,
        wrong,
        looked_at=looked_at,
        unit="claimed figures",
        origin="nobody can repeat a figure that nothing produces",
        fix="declare the claim and how it is measured, link to the result, or take the figure out",
        nothing="no document claims a figure",
        silenced_by=ClaimWithoutEvidence.id,
    )


def _place(claim: AnyClaim, target: Target) -> Location | None:
    try:
        return place_of(claim.published, target)
    except Unpublished:
        return None  # the area of claims says so


def _is_declared(claim: Claim, path: str, declared: Declared) -> bool:
    """Return whether a declared claim has the figure, and is published on the line or the two around it."""
    return any(
        path == file and abs(claim.line - line) <= 1 and claim.figure in _FIGURES.findall(words)
        for file, line, words in declared
    )
