"""One row per module of a target: whether its import would fail in the target's interpreter, and why."""

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from audit.static.analysis import StaticAnalysis
from audit.static.imports.causes import Cause, Failure, ImportRow, Root
from audit.static.imports.declared import declared_dependencies
from audit.static.imports.execute import Executor
from audit.static.imports.importing import Importer, TargetModule
from audit.static.imports.installed import Installed
from audit.static.imports.interpreter import InterpreterFacts, interpreter_facts, syntax_problems
from audit.static.imports.machine import Raised
from audit.static.reading import UnreadableFile
from audit.target import Target

# Imports nest as deeply as the target's modules import each other, about ten calls for each.
_RECURSION_LIMIT = 20_000
# What the reader says of files that no interpreter can import; it refuses others for reasons of its own (their size).
_SURELY_BROKEN = ("contains a null byte", "not ", "cannot be decoded", "cannot be read")
_SYNTAX_ERROR = "syntax error"


@dataclass(frozen=True, slots=True)
class RootCause:
    """One reason for which modules fail, where it lies, and how many fail for it."""

    cause: Cause
    root: Root
    modules: int

    @property
    def text(self) -> str:
        """What it is, in words."""
        return f"{self.cause.in_words}: {self.root.name}"


def forecast(
    analysis: StaticAnalysis,
    target: Target,
    *,
    search: Sequence[Path] = (),
    undecided: Set[str] = frozenset(),
) -> tuple[ImportRow, ...] | None:
    """Return the forecast of every module, sorted by name; None where the interpreter does not tell its facts.

    `search` are more folders in which modules are found; of the top-level modules `undecided` nothing is claimed.
    """
    facts = interpreter_facts(target.python)
    if facts is None:
        return None
    if search or undecided:
        path = (*map(str, search), *facts.path)
        facts = facts.model_copy(update={"path": path, "builtin_modules": facts.builtin_modules | undecided})
    modules = _modules(analysis, facts, target.python)
    if modules is None:
        return None
    installed = Installed(facts, target.source, package=target.package)
    importer = Importer(modules, installed, facts, declared_dependencies(target.root))
    Executor(importer)
    prefix = target.source.relative_to(target.root)
    with _deep_recursion():
        outcomes = dict(_outcomes(importer))
    return tuple(_row(importer, module, outcomes[module], prefix) for module in sorted(outcomes))


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
    return RootCause(cause, min(roots, key=lambda root: (root.path, root.line)), len(members))


def _modules(analysis: StaticAnalysis, facts: InterpreterFacts, python: Path) -> list[TargetModule] | None:
    """Return the modules of the target; where two files have one name the package wins, as in Python.

    A file in the syntax of another Python version is for the target's interpreter to judge, if that has another
    version than this one.
    """
    broken = {file.path: file for file in analysis.unreadable}
    same_version = facts.version[:2] == sys.version_info[:2]
    problems: Mapping[str, tuple[int, str]] = {}
    if not same_version:
        answered = syntax_problems(python, [file.path for file in analysis.files])
        if answered is None:
            return None
        problems = answered
    programs = analysis.programs
    modules: dict[str, TargetModule] = {}
    for file in sorted(analysis.files, key=lambda file: (file.is_package, file.relative)):
        failure = None
        if problem := problems.get(str(file.path)):
            failure = _syntax_failure(file.relative, problem[0], problem[1])
        elif unreadable := broken.get(file.relative):
            failure = _failure_of(unreadable, same_version=same_version)
        program = programs.get(file.relative)
        modules[file.module] = TargetModule(file.module, file.relative, file.is_package, program, failure)
    return list(modules.values())


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
    loaded_after: dict[str, frozenset[str]] = {}
    for module in sorted(importer.targets):
        parent = module.rpartition(".")[0]
        while parent and parent not in importer.targets:
            parent = parent.rpartition(".")[0]
        failures[module] = failures.get(parent)
        if failures[module] is None:
            importer.begin(loaded_after.get(parent, frozenset()))
            failures[module] = _attempt(importer, module)
            if importer.targets[module].is_package:
                loaded_after[module] = frozenset(importer.loaded)
        yield module, failures[module]


def _attempt(importer: Importer, module: str) -> Failure | None:
    try:
        importer.load(module, (importer.targets[module].path, 1))
    except Raised as raised:
        return raised.failure
    except RecursionError:
        return None  # nothing is known of it, and what is not known does not fail
    return None


def _row(importer: Importer, module: str, failure: Failure | None, prefix: Path) -> ImportRow:
    target = importer.targets[module]
    shown = failure or importer.guarded.get(module)
    root = Root(path=(prefix / shown.path).as_posix(), line=shown.line, name=shown.name) if shown else None
    return ImportRow(
        module=module,
        path=(prefix / target.path).as_posix(),
        forecast="fails" if failure else "ok",
        cause=shown.cause if shown else None,
        root=root,
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
