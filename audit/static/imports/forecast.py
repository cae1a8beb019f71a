"""One row per module of a target: whether its import would fail in the target's interpreter, and why."""

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from audit.static.analysis import StaticAnalysis
from audit.static.conclusions import Form, concluded
from audit.static.imports.as_file import attempt, forecast_files, is_meant_to_be_run
from audit.static.imports.causes import Cause, Failure, FileForecast, ImportRow, Root
from audit.static.imports.declared import Declared, declared_dependencies
from audit.static.imports.dependencies import Dependencies
from audit.static.imports.execute import Executor
from audit.static.imports.importing import Importer, Surroundings, TargetModule
from audit.static.imports.installed import Installed
from audit.static.imports.interpreter import InterpreterFacts, interpreter_facts, syntax_problems
from audit.static.imports.next_missing import missing_next
from audit.static.imports.patched import Patched
from audit.static.imports.program import NOTHING, imported_names
from audit.static.imports.trial import Trial, failing_binaries
from audit.static.notebooks import SUFFIX as NOTEBOOK
from audit.static.reading import ParsedFile, UnreadableFile, read
from audit.static.sources import SourceFile
from audit.static.syntax_versions import needed_by_tree
from audit.target import Target

# Imports nest as deeply as the target's modules import each other, about ten calls for each.
_RECURSION_LIMIT = 20_000
# What the reader says of files that no interpreter can import; it refuses others for reasons of its own (their size).
_SURELY_BROKEN = ("contains a null byte", "not ", "cannot be decoded", "cannot be read")
_SYNTAX_ERROR = "syntax error"
_MAX_THEN = 8  # packages named in one line; the rows have all


# What shells set anew for each command or window; a module that asks for one of these is told what it was before.
_VOLATILE = frozenset({"_", "OLDPWD", "PWD", "SHLVL"})
_ROWS_TYPE: TypeAdapter[tuple[ImportRow, ...] | None] = TypeAdapter(tuple[ImportRow, ...] | None)
_ROWS = Form("imports", lambda rows: _ROWS_TYPE.dump_json(rows).decode(), _ROWS_TYPE.validate_json)


@dataclass(frozen=True, slots=True)
class RootCause:
    """One reason for which modules fail, where it lies, and how many fail for it.

    `then` are the other packages that these modules miss, with how many of them do; most first.
    """

    cause: Cause
    root: Root
    modules: int
    then: tuple[tuple[str, int], ...] = ()

    @property
    def text(self) -> str:
        """What it is, in words, and what the same modules miss next."""
        named = ", ".join(f"{name} in {number}" for name, number in self.then[:_MAX_THEN])
        named += ", ..." if len(self.then) > _MAX_THEN else ""
        return f"{self.cause.in_words}: {self.root.name}" + (f" (then: {named})" if named else "")


def forecast(
    analysis: StaticAnalysis,
    target: Target,
    *,
    search: Sequence[Path] = (),
    undecided: Set[str] = frozenset(),
    every_as_file: bool = False,
) -> tuple[ImportRow, ...] | None:
    """Return the forecast of every module, sorted by name; None where the interpreter does not tell its facts.

    `search` are more folders in which modules are found; of the top-level modules `undecided` nothing is claimed.
    Files that are meant to be run are forecast as such too; `every_as_file` means all of them to be.
    """
    facts = interpreter_facts(target.python)
    if facts is None:
        return None
    if search or undecided:
        path = (*map(str, search), *facts.path)
        facts = facts.model_copy(update={"path": path, "builtin_modules": facts.builtin_modules | undecided})
    installed = Installed(facts, target.source, package=target.package, store=analysis.store)
    declared = declared_dependencies(target.root)

    def given() -> tuple[str, ...]:
        world = sorted((name, value) for name, value in facts.environment.items() if name not in _VOLATILE)
        told = (sorted(declared.names), sorted(declared.platform_only), world, every_as_file)
        return (*analysis.given(), str(target.source), target.package, facts.told, *map(repr, told))

    return concluded(
        _ROWS,
        given,
        lambda: _forecast(analysis, target, facts, installed, declared, every_as_file=every_as_file),
        witnesses=lambda: installed.consulted,
        store=None if target.probe else analysis.store,  # what a process says of a binary has no witness
    )


def _forecast(
    analysis: StaticAnalysis,
    target: Target,
    facts: InterpreterFacts,
    installed: Installed,
    declared: Declared,
    *,
    every_as_file: bool,
) -> tuple[ImportRow, ...] | None:
    modules = _modules(analysis, facts, target.python)
    if modules is None:
        return None
    tops = {module.module.partition(".")[0] for module in modules}
    outside = Surroundings(
        installed,
        facts,
        declared,
        Dependencies(installed, facts, own=tops),
        Patched(target.source / module.path for module in modules),
        not_loading=_tried(modules, installed, facts, target, own=tops) if target.probe else {},
    )
    importer = Importer(modules, outside)
    Executor(importer)
    prefix = target.source.relative_to(target.root)
    with _deep_recursion():
        outcomes = dict(_outcomes(importer))
        then = missing_next(modules, outside, outcomes)
        run = [module for module in modules if every_as_file or is_meant_to_be_run(module, importer.targets)]
        as_files = forecast_files(run, modules, outside, source=target.source)
    rows = (_row(importer, module, outcomes[module], prefix, then=then.get(module, ())) for module in sorted(outcomes))
    return tuple(_with_file(row, as_files, prefix) for row in rows)


def _tried(
    modules: Sequence[TargetModule], installed: Installed, facts: InterpreterFacts, target: Target, *, own: set[str]
) -> Mapping[str, Trial]:
    """Try the packages that modules import, in children of the target's interpreter; return those that do not load."""
    names = {name.partition(".")[0] for module in modules for name in imported_names(module.program or NOTHING)}
    return failing_binaries(
        names - own,
        installed,
        facts,
        target.python,
        timeout_s=target.settings.timeout_s,
        side_by_side=target.workers,
    )


def root_causes(rows: Iterable[ImportRow]) -> tuple[RootCause, ...]:
    """Group the failing modules by what makes them fail, most modules first."""
    groups: dict[tuple[object, ...], list[ImportRow]] = defaultdict(list)
    for row in rows:
        if row.forecast == "fails" and row.cause and row.root:
            place = () if row.cause.is_of_the_environment else (row.root.path, row.root.line)
            groups[row.cause, row.root.name, *place].append(row)
    causes = (_root_cause(members) for members in groups.values())
    return tuple(sorted(causes, key=lambda each: (-each.modules, each.root.path, each.root.line, each.root.name)))


def _root_cause(members: Sequence[ImportRow]) -> RootCause:
    roots = [row.root for row in members if row.root]
    cause = members[0].cause
    assert cause
    missed = Counter(name for row in members for name in row.then)
    then = tuple(sorted(missed.items(), key=lambda each: (-each[1], each[0])))
    return RootCause(cause, min(roots, key=lambda root: (root.path, root.line)), len(members), then)


def _modules(analysis: StaticAnalysis, facts: InterpreterFacts, python: Path) -> list[TargetModule] | None:
    """Return the modules of the target; where two files have one name the package wins, as in Python.

    A file in the syntax of another Python version is for the target's interpreter to judge, if that has another
    version than this one.
    """
    files = [file for file in analysis.files if not file.relative.endswith(NOTEBOOK)]  # which nothing can import
    broken = {file.path: file for file in analysis.unreadable}
    same_version = facts.version[:2] == sys.version_info[:2]
    problems: Mapping[str, tuple[int, str]] = {}
    if not same_version:
        answered = syntax_problems(python, [file.path for file in files])
        if answered is None:
            return None
        problems = answered
    programs = analysis.programs
    modules: dict[str, TargetModule] = {}
    for file in sorted(files, key=lambda file: (file.is_package, file.relative)):
        failure = None
        if problem := problems.get(str(file.path)):
            failure = _refused(file, *problem, version=facts.version)
        elif unreadable := broken.get(file.relative):
            failure = _failure_of(unreadable, same_version=same_version)
        program = programs.get(file.relative)
        modules[file.module] = TargetModule(file.module, file.relative, file.is_package, program, failure)
    return list(modules.values())


def _refused(file: SourceFile, line: int, message: str, *, version: tuple[int, int, int]) -> Failure:
    """Return the failure of a file that the target's interpreter does not compile, with the version that would."""
    parsed = read(file)
    needed = needed_by_tree(parsed.tree) if isinstance(parsed, ParsedFile) else None
    if needed and needed[0] > version[:2]:
        (major, minor), construct = needed
        message = f"needs Python >= {major}.{minor} ({construct}), and this is {version[0]}.{version[1]}"
    return _syntax_failure(file.relative, line, message)


def _syntax_failure(path: str, line: int, message: str) -> Failure:
    return Failure("SyntaxError", Cause.SYNTAX_ERROR, path, line, message)


def _failure_of(file: UnreadableFile, *, same_version: bool) -> Failure | None:
    if file.reason.startswith(_SYNTAX_ERROR):
        message = file.reason.partition(": ")[2]
        return _syntax_failure(file.path, file.line or 1, message) if same_version else None
    if file.reason.startswith(_SURELY_BROKEN):
        return Failure("SyntaxError", Cause.UNREADABLE, file.path, file.line or 1, file.reason)
    return None


def _outcomes(importer: Importer) -> Iterator[tuple[str, Failure | None]]:
    """Yield how the import of each module ends in a new process, packages before what is in them."""
    failures: dict[str, Failure | None] = {}
    loaded_after: dict[str, tuple[frozenset[str], bool]] = {}
    for module in sorted(importer.targets):
        parent = module.rpartition(".")[0]
        while parent and parent not in importer.targets:
            parent = parent.rpartition(".")[0]
        failures[module] = failures.get(parent)
        if failures[module] is None:
            loaded, is_unordered = loaded_after.get(parent, (frozenset(), False))
            importer.begin(loaded, is_unordered=is_unordered)
            failures[module] = attempt(importer, module)
            if importer.targets[module].is_package:
                loaded_after[module] = frozenset(importer.loaded), importer.is_unordered
        yield module, failures[module]


def _with_file(row: ImportRow, as_files: Mapping[str, Failure | None], prefix: Path) -> ImportRow:
    if row.module not in as_files:
        return row
    failure = as_files[row.module]
    ended = FileForecast(
        forecast="fails" if failure else "ok",
        cause=failure.cause if failure else None,
        root=_root(failure, prefix) if failure else None,
    )
    return row.model_copy(update={"as_file": ended})


def _root(failure: Failure, prefix: Path) -> Root:
    return Root(path=(prefix / failure.path).as_posix(), line=failure.line, name=failure.name)


def _row(importer: Importer, module: str, failure: Failure | None, prefix: Path, *, then: tuple[str, ...]) -> ImportRow:
    target = importer.targets[module]
    shown = failure or importer.guarded.get(module)
    return ImportRow(
        module=module,
        path=(prefix / target.path).as_posix(),
        forecast="fails" if failure else "ok",
        cause=shown.cause if shown else None,
        root=_root(shown, prefix) if shown else None,
        then=then,
        guarded=bool(shown) and (failure is None or failure.cause is Cause.BROKEN_FALLBACK),
    )


@contextmanager
def _deep_recursion() -> Iterator[None]:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _RECURSION_LIMIT))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
