"""The rules as checks: one check per rule, one failed result per finding."""

from collections.abc import Sequence
from dataclasses import replace

from audit.collected import Collected
from audit.judgement import Judgement, Measured, error, failed, judged, skipped
from audit.plan import Group, Plan, PlannedCheck
from audit.plugin_checks import plugin_checks
from audit.report.text import counted
from audit.results import Check, Comparison, Location, Subject, SubjectKind
from audit.static.ignores import PathIgnores
from audit.static.notebooks import SUFFIX as NOTEBOOK
from audit.static.rules.engine import Finding, RuleReport, run_rules
from audit.static.rules.naming import active_rules
from audit.static.rules.project_checks import judge_project, project_files
from audit.static.rules.project_files import ProjectFiles
from audit.static.rules.project_rule import ProjectRule
from audit.static.rules.registry import plugged_rules
from audit.static.rules.rule import Rule
from audit.static.rules.sec006_committed_secret import CommittedSecret
from audit.subjects import package_subject


def check_of(rule: Rule) -> Check:
    """Return the check that a rule becomes."""
    return Check(
        id=rule.check_id,
        title=f"{rule.id}: {rule.title}",
        proves=f"In no file that was read {rule.id} finds anything. {rule.what}",
        defect=rule.title,
        severity=rule.severity,
    )


def plan_rules(collected: Collected) -> Plan:
    """Plan every rule that is on, in the order of the ids.

    Raises:
        UsageError: the configuration names a rule that does not exist, or a pattern that matches nothing.
    """
    rules = selected_rules(collected)
    package = package_subject(collected)
    ignores = PathIgnores(collected.target.settings.per_path_ignores)
    reports: list[RuleReport] = []  # the files are walked once, when the first rule is judged
    projects: list[ProjectFiles] = []

    def judge(rule: Rule) -> Sequence[Judgement]:
        if isinstance(rule, ProjectRule):
            if not projects:
                projects.append(project_files(collected, judged_notebooks=_notebooks(collected, rules, ignores)))
            return judge_project(rule, projects[0], ignores, limited=bool(collected.target.paths))
        if not reports:
            shown = collected.tree.shown if collected.tree else None
            reports.append(run_rules(collected.analysis, rules, shown=shown))
        return _judged(rule, reports[0], collected, ignores)

    planned = tuple(
        PlannedCheck(check=check_of(rule), subject=package, judge=lambda run, rule=rule: judge(rule))  # type: ignore[misc]
        for rule in rules
    )
    planned = (*plugin_checks("rules", plugged_rules()), *planned)
    return (Group(subject=package, planned=planned),) if planned else ()


def _notebooks(collected: Collected, rules: Sequence[Rule], ignores: PathIgnores) -> frozenset[str]:
    """Return the notebooks in whose code secrets are looked for."""
    if not any(isinstance(rule, CommittedSecret) for rule in rules):
        return frozenset()
    paths = (collected.rooted(file.relative) for file in collected.shown.files if file.relative.endswith(NOTEBOOK))
    return frozenset(path for path in paths if not ignores.ignores(path, CommittedSecret.id))


def selected_rules(collected: Collected) -> tuple[Rule, ...]:
    """Return the rules that are on by default, by the configuration or because the user names them, sorted by id."""
    named = [name for name in collected.only if name.lower().startswith("rules.")]
    return active_rules(collected.target.settings, named=named)


def _judged(rule: Rule, report: RuleReport, collected: Collected, ignores: PathIgnores) -> Sequence[Judgement]:
    if report.too_deep:
        return [error(f"an expression in {collected.rooted(report.too_deep[0])} is nested too deeply to follow")]
    raised = [(path, said) for name, path, said in report.raised if name == rule.id]
    if raised:
        where = f"{counted(len(raised), 'file')}, such as {collected.rooted(raised[0][0])}"
        return [error(f"the rule, which is a plug-in's, raised something on {where}: {raised[0][1]}")]
    found = [finding for finding in report.findings if finding.rule == rule.id]
    left = [finding for finding in found if not ignores.ignores(collected.rooted(finding.path), rule.id)]
    if left:
        return [_failed(finding, collected) for finding in left]
    files, unread = len(collected.shown.files), len(collected.shown.unreadable)
    if not files:
        return [error("there is no file to look at")]
    if unread:  # nothing found in the others says nothing of these
        return [skipped(f"{unread} of {files} files could not be read: see `static.parses`")]
    silenced, ignored = dict(report.silenced).get(rule.id, 0), len(found)
    aside = f"; {silenced} silenced by `# noqa`" if silenced else ""
    aside += f"; {ignored} ignored by `per_path_ignores`" if ignored else ""
    return [
        judged(
            Measured(
                value=0,
                bound=0,
                comparison=Comparison.EQUAL,
                origin=f"{rule.id} may find nothing in the {report.files} files read{aside}",
                unit="findings",
            ),
            otherwise="",
        )
    ]


def _failed(finding: Finding, collected: Collected) -> Judgement:
    path = collected.rooted(finding.path)
    place = Location(
        path=path,
        line=finding.line,
        column=finding.column,
        end_line=finding.end_line,
        end_column=finding.end_column,
        qualname=finding.qualname,
    )
    subject = Subject(kind=SubjectKind.FILE, path=path, line=finding.line, digest=finding.digest)
    return replace(failed(finding.message, location=place, fix=finding.fix), subject=subject)
