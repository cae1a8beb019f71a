"""What the rules object to in one text, and the edits that they propose there."""

import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from audit.static.findings import NoqaComment
from audit.static.fixes.edits import Edit, Fix
from audit.static.fixes.noqa import unused_comment
from audit.static.fixes.source import SourceText
from audit.static.reading import ParsedFile
from audit.static.rules.context import FileContext
from audit.static.rules.judge import attributes_read, spots
from audit.static.rules.registry import rules_by_id
from audit.static.rules.rule import Rule, Spot
from audit.static.rules.sup001_unused_noqa import UnusedNoqa
from audit.static.rules.suppress import noqa_comments, silencing
from audit.static.tree import TreeIndex

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
Place = tuple[str, str | None]  # the id of a rule, and the class or function in which it found something


@dataclass(frozen=True, slots=True)
class Proposal:
    """A finding, with the edits that would mend it; None where there is nothing exact to do.

    Lines and columns start at 1 and count characters; the end column is exclusive.
    """

    rule: str
    line: int
    column: int
    end_line: int
    end_column: int
    message: str
    qualname: str | None
    fix: Fix | None

    @property
    def place(self) -> Place:
        """By what findings before and after an edit are compared: lines move, and messages quote what changes."""
        return self.rule, self.qualname


@dataclass(frozen=True, slots=True)
class Judged:
    """The findings of one text in order, those that `# noqa` silences left out."""

    proposals: tuple[Proposal, ...]

    @property
    def counts(self) -> Counter[Place]:
        """How often each rule found something in each class or function."""
        return Counter(each.place for each in self.proposals)


def judge(path: str, parsed: ParsedFile, rules: Sequence[Rule], *, model_ranks: frozenset[int]) -> Judged:
    """Return what `rules` find in a text; `model_ranks` tell which of its classes, in their order, are models.

    Raises:
        RecursionError: an expression is nested too deeply to follow.
    """
    lines = class_lines(parsed.tree)
    models = frozenset(lines[rank] for rank in model_ranks if rank < len(lines))
    context = FileContext(path, TreeIndex(parsed.tree), model_lines=models, text=parsed.text)
    source = SourceText(parsed.text)
    comments = _Comments(noqa_comments(parsed.text, context.index))
    found: list[Proposal] = []
    for rule in rules:
        if not rule.words or any(word in parsed.text for word in rule.words):
            found += _found(rule, context, source, comments)
    if any(isinstance(rule, UnusedNoqa) for rule in rules):
        found += _unused(comments, {rule.id for rule in rules}, source)
    unique = {(each.line, each.column, each.rule, each.message): each for each in found}
    return Judged(tuple(unique[key] for key in sorted(unique)))


class _Comments:
    """The `# noqa` comments of a file, and which of them were needed, by the name of the rule."""

    def __init__(self, comments: Sequence[NoqaComment]) -> None:
        self.all = comments
        self.used: set[tuple[NoqaComment, str]] = set()

    def silence(self, names: tuple[str, ...], *, first: int, last: int) -> bool:
        found = silencing(self.all, names, first=first, last=last)
        self.used.update(found)
        return bool(found)

    def cover(self, names: tuple[str, ...], *, first: int, last: int) -> bool:
        return bool(silencing(self.all, names, first=first, last=last))


def class_lines(tree: ast.Module) -> list[int]:
    """Return the lines of the classes of a file in their order."""
    return sorted(node.lineno for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def _found(rule: Rule, context: FileContext, source: SourceText, comments: _Comments) -> Iterator[Proposal]:
    names = (rule.id, *rule.also_silenced_by)
    for spot in spots(rule, context):
        if spot.unless_attribute and spot.unless_attribute in attributes_read(context).split("\n"):
            continue
        start, end = _span(spot.node, source)
        if not comments.silence(names, first=source.line_of(start), last=source.line_of(end)):
            fix = _fix(spot, context, source)
            if fix and any(_is_covered(edit, comments, names, source) for edit in fix.edits):
                fix = None  # one of the lines that would change is to stay as it is
            yield _proposal(rule.id, spot.message, context.qualname(spot.node), fix, (start, end), source)


def _is_covered(edit: Edit, comments: _Comments, names: tuple[str, ...], source: SourceText) -> bool:
    return comments.cover(names, first=source.line_of(edit.start), last=source.line_of(edit.end))


def _span(node: ast.AST, source: SourceText) -> tuple[int, int]:
    if not hasattr(node, "lineno"):
        return 0, 0
    start = source.start(node)
    if isinstance(node, _DEFINITIONS):  # the line that names it; its body is not what is shown or silenced
        return start, source.line_end(start)
    return start, source.end(node)


def _fix(spot: Spot, context: FileContext, source: SourceText) -> Fix | None:
    # Before Python 3.12 the places of what stands in an f-string are not those in the file.
    if spot.edits is None or isinstance(spot.node, ast.JoinedStr):
        return None
    if any(isinstance(each, ast.JoinedStr) for each in context.ancestors(spot.node)):
        return None
    return spot.edits(source)


def _unused(comments: _Comments, run: set[str], source: SourceText) -> Iterator[Proposal]:
    """Yield a proposal for each id of a rule that was run and had nothing to be silenced on its line."""
    known = run & rules_by_id().keys() - {UnusedNoqa.id}
    for comment in comments.all:
        unused = [name for name in comment.ids if name in known and (comment, name) not in comments.used]
        for name in unused:
            start = source.line_start_of(comment.line) + comment.column - 1
            end = start + comment.end_column - comment.column
            fix = unused_comment(start, end, set(unused), source)
            yield _proposal(UnusedNoqa.id, UnusedNoqa.message(name), None, fix, (start, end), source)


def _proposal(
    rule: str, message: str, qualname: str | None, fix: Fix | None, span: tuple[int, int], source: SourceText
) -> Proposal:
    (line, column), (end_line, end_column) = (source.position(each) for each in span)
    return Proposal(rule, line, column, end_line, end_column, message, qualname, fix)
