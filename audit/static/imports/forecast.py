"""One row per module of a target: whether its import would fail in the target's interpreter, and why."""

import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter

from audit.static.analysis import StaticAnalysis
from audit.static.conclusions import Form, Remembered, concluded
from audit.static.imports.as_file import forecast_files, is_meant_to_be_run
from audit.static.imports.causes import Cause, Failure, FileForecast, ImportRow, Root
from audit.static.imports.course import Attempt, Log
from audit.static.imports.declared import Declared, declared_dependencies
from audit.static.imports.dependencies import Dependencies
from audit.static.imports.installed import Installed
from audit.static.imports.interpreter import FactsAhead, InterpreterFacts, interpreter_facts, syntax_problems
from audit.static.imports.memory import MEMORY, Courses, FileMemory, ForecastMemory
from audit.static.imports.next_missing import missing_next
from audit.static.imports.patched import Asked, Patched, asked_again
from audit.static.imports.program import NOTHING, imported_names
from audit.static.imports.programs import Programs
from audit.static.imports.trial import Trial, failing_binaries
from audit.static.imports.world import Surroundings, TargetModule, World
from audit.static.notebooks import SUFFIX as NOTEBOOK
from audit.static.reading import ParsedFile, UnreadableFile, read
from audit.static.sources import SourceFile
from audit.static.syntax_versions import needed_by_tree
from audit.target import Target

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
    asked: FactsAhead | None = None,
) -> tuple[ImportRow, ...] | None:
    """Return the forecast of every module, sorted by name; None where the interpreter does not tell its facts.

    `search` are more folders in which modules are found; of the top-level modules `undecided` nothing is claimed.
    Files that are meant to be run are forecast as such too; `every_as_file` means all of them to be. The target's
    interpreter may have been `asked` for its facts already.
    """
    facts = asked.wait() if asked else interpreter_facts(target.python)
    if facts is None:
        return None
    if search or undecided:
        path = (*map(str, search), *facts.path)
        facts = facts.model_copy(update={"path": path, "builtin_modules": facts.builtin_modules | undecided})
    installed = Installed(facts, target.source, package=target.package, store=analysis.store)
    declared = declared_dependencies(target.root)

    world = sorted((name, value) for name, value in facts.environment.items() if name not in _VOLATILE)
    told = (sorted(declared.names), sorted(declared.platform_only), world, every_as_file)
    around = (str(target.source), target.package, facts.told, *map(repr, told))
    store = None if target.probe else analysis.store  # what a process says of a binary has no witness
    files = repr([(file.relative, file.module) for file in analysis.files])
    memory = Remembered(MEMORY, (*around, files), store=store)
    return concluded(
        replace(_ROWS, lasts=lambda _: installed.is_certain),
        lambda: (*analysis.given(), *around),
        lambda: _forecast(analysis, target, facts, installed, declared, memory, every_as_file=every_as_file),
        witnesses=lambda: installed.consulted | memory.witnesses,
        store=store,
    )


def _forecast(
    analysis: StaticAnalysis,
    target: Target,
    facts: InterpreterFacts,
    installed: Installed,
    declared: Declared,
    memory: Remembered[ForecastMemory],
    *,
    every_as_file: bool,
) -> tuple[ImportRow, ...] | None:
    files = _importable(analysis)
    programs = Programs(analysis.records)
    earlier = memory.value
    known = _unchanged(files, analysis, earlier)
    asked = _asked_again(earlier, files, known, analysis) if earlier else ()
    if asked is None:  # what others were found to lack may be there now, or the other way round
        earlier = None
    failures = _failures([file for file in files if file.relative not in known], analysis, facts, target.python)
    if failures is None:
        return None
    failures |= {path: each.failure for path, each in known.items() if each.failure}
    modules = [
        TargetModule(file.module, file.relative, file.is_package, programs, failures.get(file.relative))
        for file in files
    ]
    own = {module.module.partition(".")[0] for module in modules}
    outside = Surroundings(
        installed,
        facts,
        declared,
        Dependencies(installed, facts, own=own),
        Patched(partial(_patches, files, analysis), asked or ()),
        not_loading=_tried(modules, installed, facts, target, own=own) if target.probe else {},
    )
    contents = analysis.file_digests

    def now(file: SourceFile) -> FileMemory:
        traits = known[file.relative].traits if file.relative in known else programs.traits(file.relative)
        return FileMemory(contents[file.relative], traits, failures.get(file.relative))

    courses = Courses(earlier, _changed(files, known, now, earlier))
    names = {module.module for module in modules}
    attempts = _attempts(names)
    world = World(modules, outside)
    log = courses.run("modules", world, attempts)
    then = missing_next(world, attempts, log, courses=courses)
    states = {file.relative: now(file) for file in files}
    run = [
        module for module in modules if every_as_file or is_meant_to_be_run(module, states[module.path].traits, names)
    ]
    tops = {top for state in states.values() for top in state.traits.tops}
    as_files = forecast_files(run, modules, outside, source=target.source, tops=tops, courses=courses)
    # What hindered reading may be gone by the next run.
    programs.let_go()  # what follows takes memory of its own
    if installed.is_certain and not any(file.passing for file in analysis.unreadable):
        kept = courses.memory(list(states.values()), asked=outside.patched.asked)
        memory.keep(kept, witnesses=installed.consulted)
    source = target.source.relative_to(target.root).as_posix()
    return _rows(modules, log, then, as_files, prefix="" if source == "." else f"{source}/")


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


def _importable(analysis: StaticAnalysis) -> list[SourceFile]:
    """Return the files of modules; where two files have one name the package wins, as in Python."""
    files = [file for file in analysis.files if not file.relative.endswith(NOTEBOOK)]  # which nothing can import
    by_name = {file.module: file for file in sorted(files, key=lambda file: (file.is_package, file.relative))}
    return list(by_name.values())


def _unchanged(
    files: Sequence[SourceFile], analysis: StaticAnalysis, earlier: ForecastMemory | None
) -> dict[str, FileMemory]:
    """Return what is known, by path, of the files that have the content which they had for an earlier forecast."""
    if earlier is None or len(earlier.files) != len(files):
        return {}
    contents = analysis.file_digests
    return {
        file.relative: before
        for file, before in zip(files, earlier.files, strict=True)
        if before.content is not None and before.content == contents[file.relative]
    }


def _patches(files: Iterable[SourceFile], analysis: StaticAnalysis) -> dict[str, frozenset[str]]:
    """Return what files patch, by path."""
    found: dict[str, frozenset[str]] = analysis.records.by_path("patches")
    return {file.relative: found[file.relative] for file in files if file.relative in found}


def _asked_again(
    earlier: ForecastMemory, files: Sequence[SourceFile], known: Collection[str], analysis: StaticAnalysis
) -> Asked | None:
    """Return what the `earlier` forecast has asked of what files patch; None where an answer is another now."""
    patches = analysis.records.lazily("patches") if earlier.asked else {}
    changed = [file.relative for file in files if file.relative not in known]
    return asked_again(earlier.asked, {path: patches.get(path, frozenset()) for path in changed})


def _changed(
    files: Sequence[SourceFile],
    known: Collection[str],
    now: Callable[[SourceFile], FileMemory],
    earlier: ForecastMemory | None,
) -> set[str]:
    """Return the paths of the files of which a forecast may say something else than the `earlier` one.

    A file with another content can have the same program: a comment has changed.
    """
    if earlier is None or len(earlier.files) != len(files):
        return set()  # there is nothing that they have changed since
    return {
        file.relative
        for file, before in zip(files, earlier.files, strict=True)
        if file.relative not in known and replace(now(file), content=before.content) != before
    }


def _failures(
    files: Sequence[SourceFile], analysis: StaticAnalysis, facts: InterpreterFacts, python: Path
) -> dict[str, Failure] | None:
    """Return why files cannot be imported at all, by path; None where the interpreter cannot be asked.

    A file in the syntax of another Python version is for the target's interpreter to judge, if that has another
    version than this one.
    """
    broken = {file.path: file for file in analysis.unreadable}
    same_version = facts.version[:2] == sys.version_info[:2]
    problems: Mapping[str, tuple[int, str]] = {}
    if not same_version:
        answered = syntax_problems(python, [file.path for file in files])
        if answered is None:
            return None
        problems = answered
    failures = {}
    for file in files:
        failure = None
        if problem := problems.get(str(file.path)):
            failure = _refused(file, *problem, version=facts.version)
        elif unreadable := broken.get(file.relative):
            failure = _failure_of(unreadable, same_version=same_version)
        if failure:
            failures[file.relative] = failure
    return failures


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


def _attempts(modules: Set[str]) -> list[Attempt]:
    """Return an import of each module, packages before what is in them: a submodule's import begins with theirs."""
    names = sorted(modules)
    places = {name: place for place, name in enumerate(names)}
    attempts = []
    for name in names:
        parent = name.rpartition(".")[0]
        while parent and parent not in places:
            parent = parent.rpartition(".")[0]
        attempts.append(Attempt(name, after=places.get(parent)))
    return attempts


def _rows(
    modules: Sequence[TargetModule],
    log: Log,
    then: Mapping[str, tuple[str, ...]],
    as_files: Mapping[str, Failure | None],
    *,
    prefix: str,
) -> tuple[ImportRow, ...]:
    """Return a row for each module by what the log of their attempts says."""
    ordered = sorted(modules, key=lambda module: module.module)
    guarded: dict[int, Failure] = {}
    for entry in log:
        for number, failure in entry.guarded:
            guarded.setdefault(number, failure)
    rows = (
        _row(module, entry.failure, guarded.get(number), then.get(module.module, ()), prefix)
        for number, (module, entry) in enumerate(zip(ordered, log, strict=True))
    )
    return tuple(_with_file(row, as_files, prefix) for row in rows)


def _with_file(row: ImportRow, as_files: Mapping[str, Failure | None], prefix: str) -> ImportRow:
    if row.module not in as_files:
        return row
    failure = as_files[row.module]
    ended = FileForecast(
        forecast="fails" if failure else "ok",
        cause=failure.cause if failure else None,
        root=_root(failure, prefix) if failure else None,
    )
    return row.model_copy(update={"as_file": ended})


def _root(failure: Failure, prefix: str) -> Root:
    return Root(path=prefix + failure.path, line=failure.line, name=failure.name)


def _row(
    module: TargetModule, failure: Failure | None, guarded: Failure | None, then: tuple[str, ...], prefix: str
) -> ImportRow:
    shown = failure or guarded
    return ImportRow(
        module=module.module,
        path=prefix + module.path,
        forecast="fails" if failure else "ok",
        cause=shown.cause if shown else None,
        root=_root(shown, prefix) if shown else None,
        then=then,
        guarded=bool(shown) and (failure is None or failure.cause is Cause.BROKEN_FALLBACK),
    )
