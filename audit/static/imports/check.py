"""The check `static.imports`: no module of the package would fail to import in the target's interpreter."""

from collections.abc import Mapping, Sequence

from audit.judgement import Judgement, Measured, error, failed, judged
from audit.results import Check, Comparison, Location, Severity
from audit.static.imports.causes import Cause, ImportRow
from audit.static.imports.forecast import RootCause, root_causes

IMPORTS = Check(
    id="static.imports",
    title="Every module can be imported",
    proves="Read as data, no module's import fails in the target's interpreter: what it needs is installed, every name "
    "that it imports exists, no cycle reads a name too early, and every guard leaves what is used later.",
    defect="an import of a package that is not installed",
    severity=Severity.CRITICAL,
)
_FIXES: Mapping[Cause, str] = {
    Cause.MISSING_DEPENDENCY: "install it",
    Cause.UNDECLARED_DEPENDENCY: "declare it and install it, or guard the import",
    Cause.PLATFORM_ONLY: "guard the import, with a fallback for where it is not installed",
    Cause.BROKEN_DEPENDENCY: "install what it needs",
    Cause.BINARY_DOES_NOT_LOAD: "install a build for this interpreter and machine, or guard the import",
    Cause.MISSING_MODULE: "require a version that has it, or import it from where it is now",
    Cause.MISSING_SYMBOL: "require a version that has it, or import it from where it is now",
    Cause.CIRCULAR: "import inside the function that needs it, or move what both need to a third module",
    Cause.BROKEN_FALLBACK: "bind it in the fallback, or use it only where the import has succeeded",
    Cause.RAISED: "raise it where the feature is used, not at import",
}


def judge_imports(rows: Sequence[ImportRow] | None) -> list[Judgement]:
    """Pass when no module fails, else fail once for each root cause."""
    if rows is None:
        return [
            error("the target's interpreter does not tell its version, path and packages", fix="name it by --python")
        ]
    causes = root_causes(rows)
    if not causes:
        return [judged(_failing(0, of=len(rows)), otherwise="")]
    return [_failed(cause, of=len(rows)) for cause in causes]


def _failed(cause: RootCause, *, of: int) -> Judgement:
    modules = "1 module" if cause.modules == 1 else f"{cause.modules} modules"
    return failed(
        f"{modules} cannot be imported: {cause.text}",
        measured=_failing(cause.modules, of=of),
        location=Location(path=cause.root.path, line=cause.root.line),
        fix=_FIXES.get(cause.cause),
    )


def _failing(number: int, *, of: int) -> Measured:
    return Measured(
        value=number,
        bound=0,
        comparison=Comparison.EQUAL,
        origin=f"each of the package's {of} modules must be importable",
        unit="modules that fail",
    )
