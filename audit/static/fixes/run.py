"""The fixes of whole trees: worked out for every file first, then written."""

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from audit.errors import UsageError
from audit.report.files import WriteError, replace_content
from audit.static.analysis import StaticAnalysis, analyse
from audit.static.findings import Judged as RawJudged
from audit.static.fixes.disk import Content, content_of, real_file
from audit.static.fixes.imported import OtherFiles
from audit.static.fixes.judging import Judged, Proposal, class_lines, judge
from audit.static.fixes.places import Tree, shown
from audit.static.fixes.rounds import Fixed, fix_text
from audit.static.reading import ParsedFile, UnreadableFile, parse_text, read
from audit.static.rules.naming import active_rules, rules_named
from audit.static.rules.registry import rules_by_id
from audit.static.rules.rule import FixSafety, Rule
from audit.static.rules.sup001_unused_noqa import UnusedNoqa
from audit.static.sources import SourceFile
from audit.static.store import FactStore
from audit.target import Settings

HeldBack = Callable[[Path, Proposal], str | None]
Ignores = Callable[[Path, str], bool]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rules judge, and which of them edit."""

    rules: tuple[Rule, ...]
    editing: frozenset[str]

    def without(self, is_ignored: Callable[[str], bool]) -> "Choice":
        """Return the choice without the rules that are ignored."""
        rules = tuple(rule for rule in self.rules if not is_ignored(rule.id))
        return self if len(rules) == len(self.rules) else Choice(rules, self.editing & {rule.id for rule in rules})


@dataclass(frozen=True, slots=True)
class FileFix:
    """One file with something to fix.

    `unwritten` says why it was not written although it should have been, `verified` what the attention audit said of
    it, and `held` are fixes that were not tried, with the reason.
    """

    path: Path
    name: str
    before: str
    content: Content
    fixed: Fixed
    written: bool = False
    unwritten: str | None = None
    verified: str | None = None
    held: tuple[tuple[Proposal, str], ...] = ()

    @property
    def is_changed(self) -> bool:
        """Whether the fixes change the text."""
        return self.fixed.text != self.before


@dataclass(frozen=True, slots=True)
class FixRun:
    """What was found in all trees: the number of files read, those with fixes, and those that could not be judged."""

    files_read: int
    files: tuple[FileFix, ...]
    unreadable: tuple[tuple[str, str], ...] = ()


def choose(settings: Settings, select: Sequence[str]) -> Choice:
    """Return the rules that are on, and those named by `select`; only the latter edit, where any is named.

    Raises:
        UsageError: there is no rule of that name, or it has no automatic fix.
    """
    wanted = frozenset().union(*(_with_fixes(name) for name in select))
    on = active_rules(settings, named=wanted)
    return Choice(rules=on, editing=wanted or frozenset(rule.id for rule in on if rule.FIXED))


def _with_fixes(name: str) -> frozenset[str]:
    """Return the rules that `name` means and that have an automatic fix."""
    named = rules_named(name, where="--select")
    if fixing := frozenset(rule for rule in named if rules_by_id()[rule].FIXED):
        return fixing
    raise UsageError(f"{name} has no automatic fix; `astrobio-audit explain {min(named)}` says what to do")


def work_out(
    trees: Sequence[Tree],
    choice: Choice,
    *,
    allowed: Collection[FixSafety],
    exclude: Sequence[str],
    exclude_from: Path | None = None,
    installed: Sequence[Path],
    workers: int = 1,
    store: FactStore | None = None,
    held_back: HeldBack = lambda path, proposal: None,
    ignores: Ignores = lambda path, rule: False,
) -> FixRun:
    """Return the fixes of all files of `trees`; nothing is written.

    What `held_back` has a reason against is not tried; a rule that `ignores` names for a file says nothing of it.

    Raises:
        UsageError: there is no Python file.
    """
    files: dict[Path, FileFix] = {}
    unreadable: dict[Path, tuple[str, str]] = {}
    seen: set[Path] = set()
    for tree in trees:
        analysis = analyse(
            tree.root,
            tree.start,
            exclude=exclude,
            exclude_from=exclude_from,
            installed=installed,
            workers=workers,
            store=store,
        )
        models = _model_lines(analysis)
        others = OtherFiles(tree, analysis, exclude=exclude, exclude_from=exclude_from)
        for file, real in _by_their_own_name_first(analysis.files):
            if real in seen:  # a link to a file that is fixed by its own name
                continue
            seen.add(real)
            here = choice.without(functools.partial(ignores, file.path))
            if _is_settled(analysis.judged.get(file.relative), here):
                continue
            try:
                found = _fix_file(file, here, models.get(file.relative, set()), allowed, others, held_back)
            except RecursionError:
                found = "an expression in it is nested too deeply to follow"
            except OSError as error:
                found = f"cannot be read: {error.strerror or error}"
            if isinstance(found, str):
                unreadable[file.path] = (shown(file.path), found)
            elif found:
                files[file.path] = found
    if not seen:
        raise UsageError(f"no Python file in {', '.join(shown(tree.start) for tree in trees)}; nothing to fix")
    return FixRun(
        files_read=len(seen) - len(unreadable),
        files=tuple(files[path] for path in sorted(files)),
        unreadable=tuple(unreadable[path] for path in sorted(unreadable)),
    )


def _is_settled(judged: RawJudged | None, choice: Choice) -> bool:
    """Return whether no rule that edits found anything in a file; of one that was not judged that is unknown."""
    if judged is None or judged.too_deep or (judged.comments and UnusedNoqa.id in choice.editing):
        return False
    return not any(found.rule in choice.editing for found in judged.findings)


def _by_their_own_name_first(files: Sequence[SourceFile]) -> list[tuple[SourceFile, Path]]:
    """Return the files with the real path of each; links behind the files that are none."""
    named = [(file, _real(file.path)) for file in files]
    return sorted(named, key=lambda pair: (pair[0].path != pair[1], pair[0].path))


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a loop of links
        return path


def _model_lines(analysis: StaticAnalysis) -> dict[str, set[int]]:
    lines: dict[str, set[int]] = {}
    for item in analysis.models:
        lines.setdefault(item.path, set()).add(item.line)
    return lines


def _fix_file(
    file: SourceFile,
    choice: Choice,
    model_lines: Collection[int],
    allowed: Collection[FixSafety],
    others: OtherFiles,
    held_back: HeldBack,
) -> FileFix | str | None:
    """Return the fixes of a file, why it cannot be fixed, or None where there is nothing to fix."""
    parsed = read(file)
    if isinstance(parsed, UnreadableFile):
        return parsed.reason
    ranks = frozenset(rank for rank, line in enumerate(class_lines(parsed.tree)) if line in model_lines)

    def raw(current: ParsedFile, rules: Iterable[Rule] = choice.rules) -> Judged:
        found = judge(file.relative, current, tuple(rules), model_ranks=ranks).proposals
        return Judged(
            tuple(others.respected(file, each) if each.rule in choice.editing else _left(each) for each in found)
        )

    def judged(current: ParsedFile) -> Judged:
        found = raw(current).proposals
        return Judged(tuple(_left(each) if each.fix and held_back(file.path, each) else each for each in found))

    proposals = raw(parsed, _editing_rules(choice, parsed.text)).proposals
    if not any(each.fix for each in proposals):
        return None
    untried = tuple((each, why) for each in proposals if each.fix and (why := held_back(file.path, each)))
    content = content_of(file.path, parsed.text)
    if content is None:
        return "cannot be edited: its encoding does not give the same bytes back"
    fixed = fix_text(parsed, parse=lambda text: parse_text(text, path=file.relative), judge=judged, allowed=allowed)
    if content.encoded(fixed.text) is None:
        fixed = Fixed(parsed.text, left=fixed.made + fixed.left, rolled_back="its encoding lacks a character")
    return FileFix(file.path, shown(file.path), parsed.text, content, fixed, held=untried)


def _editing_rules(choice: Choice, text: str) -> Iterator[Rule]:
    """Yield the rules that edit; all of them where comments that silence nothing are looked for, which needs all."""
    needs_all = UnusedNoqa.id in choice.editing and "noqa" in text.lower()
    yield from (rule for rule in choice.rules if needs_all or rule.id in choice.editing - {UnusedNoqa.id})


def _left(proposal: Proposal) -> Proposal:
    """Return a finding without its fix."""
    return replace(proposal, fix=None)


def write(run: FixRun, trees: Sequence[Tree]) -> FixRun:
    """Write every changed file; one that cannot be written says why and does not keep the others from it.

    Ctrl-C ends it early: the files that are not marked as written then are as they were, but for the last one perhaps.
    """
    starts = [tree.start for tree in trees]
    files = list(run.files)
    with suppress(KeyboardInterrupt):
        for position, file in enumerate(files):
            if file.is_changed:
                files[position] = written(file, starts)
    return replace(run, files=tuple(files))


def written(file: FileFix, starts: Sequence[Path]) -> FileFix:
    """Write a changed file, or say why it cannot be written."""
    data = file.content.encoded(file.fixed.text)
    assert data is not None, "what cannot be encoded is not changed"
    try:
        replace_content(real_file(file.path, starts), data, expected=file.content.data)
    except WriteError as error:
        return replace(file, unwritten=str(error))
    return replace(file, written=True)
