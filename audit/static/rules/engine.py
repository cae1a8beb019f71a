"""All rules over one file in one walk, and over all files of a target."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from audit.static.analysis import StaticAnalysis
from audit.static.reading import ParsedFile, UnreadableFile, read
from audit.static.rules.context import FileContext
from audit.static.rules.registry import rules_by_id
from audit.static.rules.rule import Rule, Spot
from audit.static.rules.sup001_unused_noqa import UnusedNoqa
from audit.static.rules.suppress import Noqa, is_silenced, noqa_comments

_LINE_END = re.compile(r"\r\n|\r|\n")
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """What a rule found in a file. Lines and columns start at 1 and count characters; the end column is exclusive."""

    path: str
    line: int
    column: int
    rule: str
    end_line: int
    end_column: int
    message: str
    fix: str
    digest: str
    unless_attribute: str | None = None
    qualname: str | None = None


@dataclass(frozen=True, slots=True)
class FileFindings:
    """The findings of one file, the ids that `# noqa` silenced (one each time), and the attributes the file reads."""

    findings: tuple[Finding, ...] = ()
    silenced: tuple[str, ...] = ()
    attributes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RuleReport:
    """What the rules say of a target: the number of files read, the findings in order, and those silenced by rule.

    `too_deep` are the files in which an expression is nested too deeply to follow; they are not among those read.
    """

    files: int
    findings: tuple[Finding, ...]
    silenced: Mapping[str, int]
    too_deep: tuple[str, ...] = ()


def run_rules(analysis: StaticAnalysis, rules: Sequence[Rule], *, shown: Set[str] | None = None) -> RuleReport:
    """Judge every readable file of a target by `rules`; report of the files `shown`, of all where that is None."""
    model_lines: dict[str, set[int]] = {}
    for item in analysis.models:
        model_lines.setdefault(item.path, set()).add(item.line)
    readable = {summary.path for summary in analysis.summaries}
    each: dict[str, FileFindings] = {}
    too_deep: list[str] = []
    for file in analysis.files:
        parsed = read(file) if file.relative in readable else None
        if parsed is None or isinstance(parsed, UnreadableFile):
            continue
        lines = frozenset(model_lines.get(file.relative, ()))
        try:
            each[file.relative] = judge_file(file.relative, parsed, rules, model_lines=lines)
        except RecursionError:
            too_deep.append(file.relative)
    if shown is not None:
        too_deep = [path for path in too_deep if path in shown]
    return replace(_joined(each, shown=shown), too_deep=tuple(too_deep))


def judge_file(path: str, parsed: ParsedFile, rules: Sequence[Rule], *, model_lines: frozenset[int]) -> FileFindings:
    """Return what `rules` find in one file; `model_lines` are the lines of its model classes."""
    active = [rule for rule in rules if not rule.words or any(word in parsed.text for word in rule.words)]
    context = FileContext(path, parsed.tree, model_lines=model_lines, text=parsed.text)
    comments = noqa_comments(parsed.text)
    lines = _LINE_END.split(parsed.text)
    findings: list[Finding] = []
    silenced: list[str] = []
    for rule in active:
        for spot in _spots(rule, context):
            found = _finding(rule, spot, context=context, lines=lines, digest=parsed.digest)
            if is_silenced(comments, (rule.id, *rule.also_silenced_by), first=found.line, last=found.end_line):
                silenced.append(rule.id)
            else:
                findings.append(found)
    if any(isinstance(rule, UnusedNoqa) for rule in rules):
        findings += _unused(comments, rules, path=path, digest=parsed.digest)
    return FileFindings(
        findings=tuple(sorted(set(findings))), silenced=tuple(silenced), attributes=_attributes_read(context)
    )


def _spots(rule: Rule, context: FileContext) -> Iterator[Spot]:
    for node in rule.candidates(context):
        yield from rule.judge(node, context)


def _finding(rule: Rule, spot: Spot, *, context: FileContext, lines: Sequence[str], digest: str) -> Finding:
    node = spot.node
    line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
    end_line = getattr(node, "end_lineno", None) or line
    end_column = getattr(node, "end_col_offset", None) or column
    if isinstance(node, _DEFINITIONS):  # the line that names it; its body is not what is shown or silenced
        end_line, end_column = line, len(_line(lines, line).rstrip().encode())
    return Finding(
        path=context.path,
        line=line,
        column=_characters(lines, line, column),
        rule=rule.id,
        end_line=end_line,
        end_column=_characters(lines, end_line, end_column),
        message=spot.message,
        fix=spot.fix or rule.fix,
        digest=digest,
        unless_attribute=spot.unless_attribute,
        qualname=_qualname(node, context),
    )


def _qualname(node: ast.AST, context: FileContext) -> str | None:
    """Return the dotted name of the class or function that `node` is or stands in; None at the top of the file."""
    around = [each for each in (node, *context.ancestors(node)) if isinstance(each, _DEFINITIONS)]
    return ".".join(each.name for each in reversed(around)) or None


def _line(lines: Sequence[str], line: int) -> str:
    return lines[line - 1] if line <= len(lines) else ""


def _characters(lines: Sequence[str], line: int, offset: int) -> int:
    """Return the column, counted in characters from 1, of a byte offset as `ast` gives it."""
    return len(_line(lines, line).encode()[:offset].decode(errors="ignore")) + 1


def _attributes_read(context: FileContext) -> frozenset[str]:
    nodes = context.index.by_type.get(ast.Attribute, ())
    return frozenset(node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load))


def _unused(comments: Sequence[Noqa], rules: Sequence[Rule], *, path: str, digest: str) -> Iterator[Finding]:
    """Yield a finding for each id of a rule that was run and had nothing to be silenced on its line."""
    run = {rule.id for rule in rules}
    for comment in comments:
        for name in comment.ids:
            if name in run and name not in comment.used and name in rules_by_id() and name != UnusedNoqa.id:
                yield Finding(
                    path=path,
                    line=comment.line,
                    column=comment.column,
                    rule=UnusedNoqa.id,
                    end_line=comment.line,
                    end_column=comment.end_column,
                    message=UnusedNoqa.message(name),
                    fix=UnusedNoqa.fix,
                    digest=digest,
                )


def _joined(files: Mapping[str, FileFindings], *, shown: Set[str] | None) -> RuleReport:
    """Join the files: a finding about an attribute that nobody reads falls where any file reads it, shown or not."""
    read_anywhere = frozenset().union(*(file.attributes for file in files.values()))
    each = [file for path, file in files.items() if shown is None or path in shown]
    silenced: dict[str, int] = {}
    for rule in (rule for file in each for rule in file.silenced):
        silenced[rule] = silenced.get(rule, 0) + 1
    findings = [
        found
        for file in each
        for found in file.findings
        if found.unless_attribute is None or found.unless_attribute not in read_anywhere
    ]
    return RuleReport(files=len(each), findings=tuple(sorted(findings)), silenced=dict(sorted(silenced.items())))
