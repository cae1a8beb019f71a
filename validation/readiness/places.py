"""What is wrong in files of a project, as results: one failed result for each place, one that passed for none."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from audit.judgement import Judgement, Measured, failed, judged, not_applicable, skipped
from audit.results import Comparison, Location, Subject, SubjectKind
from validation.readiness.listing import listed
from validation.readiness.project import Project

MAX_PLACES = 500  # of one check; what more there is, is counted


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """What is wrong in a file; lines and columns start at 1 and are 0 where the file as a whole is meant."""

    path: str
    line: int
    message: str
    column: int = 0


def judge_places(
    project: Project,
    places: Iterable[Place],
    *,
    looked_at: int,
    unit: str,
    origin: str,
    fix: str,
    nothing: str,
    silenced_by: str | None = None,
    unread: Sequence[str] = (),
) -> Sequence[Judgement]:
    """Return the results of one check over a project.

    Args:
        project: whose files were looked at.
        places: what is wrong in them.
        looked_at: how many things were judged.
        unit: what these are.
        origin: why none may be wrong.
        fix: what to do about one that is.
        nothing: why the check does not concern a project without any.
        silenced_by: an id that a `noqa` comment beside the place, or the configuration for its path, may name.
        unread: what was not judged, with the reason; with it nothing passes.
    """
    if not looked_at and not unread:
        return [not_applicable(nothing)]
    found = sorted(set(places))
    kept = [place for place in found if not _is_silenced(project, place, silenced_by)]
    if kept:
        results = [_failed(project, place, fix) for place in kept[:MAX_PLACES]]
        if len(kept) > MAX_PLACES:
            results.append(failed(f"{len(kept) - MAX_PLACES} more of the kind", fix=fix))
        return results
    if unread:
        return [skipped(f"{len(unread)} {unit} were not judged: {listed(unread, 3)}")]
    aside = f"; {len(found)} silenced by `noqa` comments or `per_path_ignores`" if found else ""
    measured = Measured(
        value=0,
        bound=0,
        comparison=Comparison.EQUAL,
        origin=f"{origin}; {unit} judged: {looked_at}{aside}",
        unit=f"wrong {unit}",
    )
    return [judged(measured, otherwise="")]


def _is_silenced(project: Project, place: Place, name: str | None) -> bool:
    if not name:
        return False
    text = project.text(place.path)
    return project.ignores.ignores(place.path, name) or (text is not None and text.silences(name, place.line))


def _failed(project: Project, place: Place, fix: str) -> Judgement:
    text = project.text(place.path)
    line = place.line or None
    location = Location(path=place.path, line=line, column=place.column or None)
    subject = Subject(kind=SubjectKind.FILE, path=place.path, line=line, digest=text.digest if text else None)
    return replace(failed(place.message, location=location, fix=fix), subject=subject)
