"""What the rules that are on find in one file and in all files of a target."""

import threading
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from audit.static.analysis import StaticAnalysis
from audit.static.conclusions import Form, concluded
from audit.static.encoding import Codec
from audit.static.findings import Judged, NoqaComment
from audit.static.rules.registry import rules_by_id
from audit.static.rules.rule import Rule
from audit.static.rules.sup001_unused_noqa import UnusedNoqa
from audit.static.rules.suppress import silencing


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
    """The findings of one file, and the ids that `# noqa` silenced, one each time."""

    findings: tuple[Finding, ...] = ()
    silenced: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleReport:
    """What the rules say of a target: the number of files read, the findings in order, and those silenced by rule.

    `too_deep` are the files in which an expression is nested too deeply to follow; they are not among those read.
    """

    files: int
    findings: tuple[Finding, ...]
    silenced: tuple[tuple[str, int], ...]
    too_deep: tuple[str, ...] = ()
    raised: tuple[tuple[str, str, str], ...] = ()  # rule, path and what it raised there


_CODEC = Codec[RuleReport](RuleReport)
_one_at_a_time = threading.Lock()  # two groups of a plan ask, and the files are walked for the first of them
_REPORT = Form("rules", _CODEC.encode, _CODEC.decode)


def run_rules(analysis: StaticAnalysis, rules: Sequence[Rule], *, shown: Set[str] | None = None) -> RuleReport:
    """Return what `rules` find in the files of a target, of those `shown` where that is not None.

    A finding about an attribute falls where any file reads it, shown or not.
    """
    models = [f"{item.path}:{item.line}" for item in analysis.models]  # which files outside of the target decide too
    limits = ["shown", *sorted(shown)] if shown is not None else []
    with _one_at_a_time:
        return concluded(
            _REPORT,
            lambda: (*analysis.given(), *models, *(rule.id for rule in rules), *limits),
            lambda: _joined(analysis, rules, shown),
            witnesses=lambda: (),
            store=analysis.store,
        )


def _joined(analysis: StaticAnalysis, rules: Sequence[Rule], shown: Set[str] | None) -> RuleReport:
    everything = analysis.judged
    judged = {path: found for path, found in everything.items() if shown is None or path in shown}
    each = [
        select(found, rules, path=path, digest=analysis.file_digests[path] or "")
        for path, found in judged.items()
        if found.findings or found.comments
    ]
    silenced: dict[str, int] = {}
    for rule in (rule for file in each for rule in file.silenced):
        silenced[rule] = silenced.get(rule, 0) + 1
    findings = [found for file in each for found in file.findings]
    unread = _unread({found.unless_attribute for found in findings} - {None}, list(everything.values()))
    kept = (found for found in findings if found.unless_attribute is None or found.unless_attribute in unread)
    return RuleReport(
        files=sum(not found.too_deep for found in judged.values()),
        findings=tuple(sorted(kept)),
        silenced=tuple(sorted(silenced.items())),
        too_deep=tuple(path for path, found in judged.items() if found.too_deep),
        raised=tuple(sorted((rule, path, said) for path, found in judged.items() for rule, said in found.raised)),
    )


def select(judged: Judged, rules: Sequence[Rule], *, path: str, digest: str) -> FileFindings:
    """Return of what was found in one file that of `rules`, without what comments silence."""
    by_id = {rule.id: rule for rule in rules}
    findings: list[Finding] = []
    silenced: list[str] = []
    used: set[tuple[NoqaComment, str]] = set()
    for raw in judged.findings:
        rule = by_id.get(raw.rule)
        if rule is None:
            continue
        names = (rule.id, *rule.also_silenced_by)
        comments = silencing(judged.comments, names, first=raw.line, last=raw.end_line)
        if comments:
            used.update(comments)
            silenced.append(rule.id)
            continue
        findings.append(
            Finding(
                path=path,
                line=raw.line,
                column=raw.column,
                rule=raw.rule,
                end_line=raw.end_line,
                end_column=raw.end_column,
                message=raw.message,
                fix=raw.fix or rule.fix,
                digest=digest,
                unless_attribute=raw.unless_attribute,
                qualname=raw.qualname,
            )
        )
    if UnusedNoqa.id in by_id:
        findings += _unused(judged.comments, used, set(by_id), path=path, digest=digest)
    return FileFindings(findings=tuple(sorted(findings)), silenced=tuple(silenced))


def _unused(
    comments: Sequence[NoqaComment], used: set[tuple[NoqaComment, str]], run: set[str], *, path: str, digest: str
) -> Iterator[Finding]:
    """Yield a finding for each id of a rule that was run and had nothing to be silenced on its line."""
    for comment in comments:
        for name in comment.ids:
            if name in run and (comment, name) not in used and name in rules_by_id() and name != UnusedNoqa.id:
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


def _unread(attributes: set[str | None], judged: Sequence[Judged]) -> set[str | None]:
    """Return those of `attributes` that no file reads."""
    left = set(attributes)
    for found in judged:
        left.difference_update(found.attributes.split("\n"))
    return left
