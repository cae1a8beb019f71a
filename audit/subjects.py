"""Subjects as reports name them, bound to their sources by digest."""

from audit.catalog import SpecEntry
from audit.collected import Collected
from audit.results import Subject, SubjectKind


def package_subject(collected: Collected) -> Subject:
    """Return the package, or the tree, as a subject, with the digest of its Python files."""
    target = collected.target
    return Subject(
        kind=SubjectKind.PACKAGE,
        module=None if target.is_tree else target.package,
        path=target.relative(target.package_path),
        digest=collected.shown.digest,
    )


def declared_subject(collected: Collected, name: str, entry: SpecEntry, kind: SubjectKind) -> Subject:
    """Return a model or attention mechanism of the specs, placed and digested where the sources define it.

    One that the sources do not define has neither path nor digest.
    """
    module, _, qualname = (entry.declared or "").partition(":")
    found = collected.analysis.find_definition(module, qualname) if module and qualname else None
    return Subject(
        kind=kind,
        spec=name,
        module=module or None,
        qualname=qualname or None,
        path=collected.rooted(found.path) if found else None,
        line=found.line if found else None,
        digest=found.digest if found else None,
    )
