"""Rules over a project as checks: one failed result per place, as for the rules over Python files."""

from collections.abc import Sequence, Set
from dataclasses import replace

from audit.collected import Collected
from audit.judgement import Judgement, Measured, failed, judged, not_applicable
from audit.published import declared_figures
from audit.results import Comparison, Location, Subject, SubjectKind
from audit.static.ignores import PathIgnores
from audit.static.rules.project_files import ProjectFiles
from audit.static.rules.project_rule import Place, ProjectRule


def project_files(collected: Collected, *, judged_notebooks: Set[str] = frozenset()) -> ProjectFiles:
    """Return the files around the package that the one walk over its project found."""
    target, analysis = collected.target, collected.analysis
    return ProjectFiles(
        target.root,
        texts=analysis.texts,
        items=analysis.surroundings,
        exclude=target.settings.exclude,
        judged_notebooks=judged_notebooks,
        declared=declared_figures(target.settings.claims, target),
    )


def places(rule: ProjectRule, project: ProjectFiles) -> tuple[list[Place], int]:
    """Return what a rule finds, in order, and how many of its findings a `noqa` comment silences."""
    found = sorted(set(rule.judge_project(project)), key=lambda each: (each.path, each.line, each.column, each.message))
    kept = [place for place in found if not _is_silenced(rule, place, project)]
    return kept, len(found) - len(kept)


def _is_silenced(rule: ProjectRule, place: Place, project: ProjectFiles) -> bool:
    text = project.text(place.path) if place.path in project.texts else None
    return text is not None and text.silences(rule.id, place.line)


def judge_project(
    rule: ProjectRule, project: ProjectFiles, ignores: PathIgnores, *, limited: bool = False
) -> Sequence[Judgement]:
    """Return the results of one rule, less what `ignores` leaves out; a run that is `limited` to paths has none."""
    if limited:
        return [not_applicable("the run is limited to paths; the rule judges a whole project")]
    concerned = rule.concerned(project)
    if not concerned:
        return [not_applicable("the project has no file of the kind that the rule looks at")]
    found, silenced = places(rule, project)
    left = [place for place in found if not ignores.ignores(place.path, rule.id)]
    if left:
        return [_failed(rule, place, project) for place in left]
    aside = f"; {silenced} silenced by `noqa` comments" if silenced else ""
    aside += f"; {len(found)} ignored by `per_path_ignores`" if found else ""
    measured = Measured(
        value=0,
        bound=0,
        comparison=Comparison.EQUAL,
        origin=f"{rule.id} may find nothing in the {len(concerned)} files that it looks at{aside}",
        unit="findings",
    )
    return [judged(measured, otherwise="")]


def _failed(rule: ProjectRule, place: Place, project: ProjectFiles) -> Judgement:
    text = project.text(place.path) if place.path in project.texts else None
    line = place.line or None
    location = Location(
        path=place.path,
        line=line,
        column=place.column or None,
        end_line=line,
        end_column=place.end_column or None,
    )
    subject = Subject(
        kind=SubjectKind.FILE, path=place.path, line=line, digest=text.digest if text is not None else None
    )
    return replace(failed(place.message, location=location, fix=rule.fix), subject=subject)
