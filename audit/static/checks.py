"""The checks of `astrobio-audit static`: what the sources alone can tell."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from audit.collected import Collected
from audit.judgement import Judgement, Measured, error, failed, judged, not_applicable
from audit.plan import Group, Plan, PlannedCheck
from audit.results import Check, Comparison, Location, Severity, Subject, SubjectKind
from audit.static.analysis import StaticAnalysis
from audit.static.imports.check import IMPORTS, judge_imports
from audit.static.notebooks import SUFFIX as NOTEBOOK
from audit.static.syntax_versions import NEEDS_VERSION
from audit.subjects import package_subject

PARSES = Check(
    id="static.parses",
    title="Every Python file can be read and parsed",
    proves="Every Python file that discovery did not leave out can be decoded and is valid Python.",
    defect="a file with a syntax error",
    severity=Severity.CRITICAL,
)
MODELS = Check(
    id="static.models",
    title="The package defines models",
    proves="At least one class reaches torch.nn.Module through its bases, across files, aliases and re-exports.",
    defect="a class whose base is merely called Module",
    severity=Severity.MAJOR,
)
RESOLVED = Check(
    id="static.bases_resolved",
    title="Every base class that could make a class a model is known",
    proves="No class is left of which it is unknown whether it is a model, because a base could not be resolved.",
    defect="a base imported from a package whose sources are not part of the target",
    severity=Severity.MINOR,
)
NO_FILES = "the package holds no Python file"


def plan_static(collected: Collected) -> Plan:
    """Plan the static checks of the package or tree. A tree need not hold a model: it may be the tests of one."""
    analysis = collected.shown
    package = package_subject(collected)
    models = PlannedCheck(check=MODELS, subject=package, judge=lambda run: _models(analysis))
    planned = (
        PlannedCheck(check=PARSES, subject=package, judge=lambda run: list(_parses(collected))),
        *(() if collected.target.is_tree else (models,)),
        PlannedCheck(check=RESOLVED, subject=package, judge=lambda run: _resolved(collected)),
        PlannedCheck(check=IMPORTS, subject=package, judge=lambda run: _imports(collected)),
    )
    return (Group(subject=package, planned=planned),)


def _imports(collected: Collected) -> list[Judgement]:
    files = collected.shown.files
    if files and all(file.relative.endswith(NOTEBOOK) for file in files):
        return [not_applicable("all files are notebooks, which nothing imports")]
    if not files or collected.imports == ():
        return [error(NO_FILES)]
    return judge_imports(collected.imports)


def _parses(collected: Collected) -> Iterator[Judgement]:
    analysis = collected.shown
    if not analysis.files:
        yield error(NO_FILES)
        return
    for file in analysis.unreadable:
        path = collected.rooted(file.path)
        place = Location(path=path, line=file.line, column=file.column)
        subject = Subject(kind=SubjectKind.FILE, path=path, line=file.line, digest=file.digest)
        needs = NEEDS_VERSION.search(file.reason)
        fix = f"run the audit with {needs[0]}, or exclude the file" if needs else "mend the file or exclude it"
        yield replace(failed(file.reason, location=place, fix=fix), subject=subject)
    if not analysis.unreadable:
        yield judged(
            Measured(
                value=len(analysis.files),
                bound=len(analysis.files),
                comparison=Comparison.EQUAL,
                origin="every file found must parse",
                unit="files",
            ),
            otherwise="",
        )


def _models(analysis: StaticAnalysis) -> Judgement:
    if not analysis.files:
        return error(NO_FILES)
    if analysis.unreadable and not analysis.models:
        return error(f"{len(analysis.unreadable)} files could not be read, and no model was found in the others")
    return judged(
        Measured(
            value=len(analysis.models),
            bound=1,
            comparison=Comparison.AT_LEAST,
            origin="a package without a model is not what this tool judges",
            unit="model classes",
        ),
        otherwise=f"no class in {len(analysis.files)} files reaches torch.nn.Module through its bases",
        fix="name the package that holds the models",
    )


def _resolved(collected: Collected) -> Sequence[Judgement]:
    if not collected.shown.files:
        return [error(NO_FILES)]
    unresolved = [item for item in collected.inventory if not item.resolved]
    if not unresolved:
        return [
            judged(
                Measured(
                    value=0,
                    bound=0,
                    comparison=Comparison.EQUAL,
                    origin="a class of which it is unknown whether it is a model may be one that nothing checks",
                    unit="classes",
                ),
                otherwise="",
            )
        ]
    return [
        replace(
            failed(
                f"it is unknown whether {item.qualname} is a model: a base among {', '.join(item.bases)} was not found",
                location=Location(path=item.path, line=item.line),
            ),
            subject=Subject(
                kind=SubjectKind.MODEL_CLASS,
                module=item.module,
                qualname=item.qualname,
                path=item.path,
                line=item.line,
                digest=item.digest,
            ),
        )
        for item in unresolved
    ]
