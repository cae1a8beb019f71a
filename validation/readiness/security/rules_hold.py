"""The rules on security find nothing."""

from collections.abc import Iterator, Sequence

from audit.collected import Collected
from audit.judgement import Judgement, Measured, error, judged, not_applicable, skipped
from audit.plan import Run
from audit.results import Check, Comparison, Severity
from audit.static.ignores import PathIgnores
from audit.static.rules.engine import Finding, run_rules
from audit.static.rules.naming import active_rules
from audit.static.rules.project_checks import places, project_files
from audit.static.rules.project_rule import ProjectRule
from audit.static.rules.rule import Rule
from validation.readiness.listing import listed
from validation.readiness.project import Project

CHECK = Check(
    id="security.rules_hold",
    title="The rules on security find nothing",
    proves="No SEC rule that is on finds anything: no pickle is loaded without limits, no shell is given text that "
    "was put together. The area `rules` has a result for each place, with the severity of its rule.",
    defect="torch.load with weights_only=False",
    severity=Severity.MINOR,  # the rules that gate a release do so by themselves
)
_FAMILY = "SEC"


def judge(collected: Collected, project: Project, run: Run) -> Judgement:
    """Count what the rules find, which their own checks show in full."""
    rules = [rule for rule in active_rules(collected.target.settings) if rule.id.startswith(_FAMILY)]
    if not rules:
        return not_applicable("the configuration turns the rules on security off")
    shown = collected.shown
    if not shown.files:
        return error("there is no file to look at")
    report = run_rules(collected.analysis, [rule for rule in rules if not isinstance(rule, ProjectRule)])
    if report.too_deep:
        return error(f"an expression in {collected.rooted(report.too_deep[0])} is nested too deeply to follow")
    found = sorted({*_in_code(collected, rules, report.findings), *_around(collected, rules)})
    if not found and shown.unreadable:
        return skipped(f"{len(shown.unreadable)} of {len(shown.files)} files could not be read: see `static.parses`")
    return judged(
        Measured(
            value=len(found),
            bound=0,
            comparison=Comparison.EQUAL,
            origin=f"rules that are on: {', '.join(rule.id for rule in rules)}; files read: {report.files}",
            unit="findings",
        ),
        otherwise=f"found: {listed(found)}",
        fix="`astrobio-audit static --only SEC` shows each place with its fix",
    )


def _in_code(collected: Collected, rules: Sequence[Rule], findings: Sequence[Finding]) -> Iterator[str]:
    ignores = PathIgnores(collected.target.settings.per_path_ignores)
    ids = {rule.id for rule in rules}
    for finding in findings:
        path, rule = collected.rooted(finding.path), finding.rule
        if rule in ids and not ignores.ignores(path, rule):
            yield f"{rule} at {path}:{finding.line}"


def _around(collected: Collected, rules: Sequence[Rule]) -> Iterator[str]:
    ignores = PathIgnores(collected.target.settings.per_path_ignores)
    project = project_files(collected)
    for rule in rules:
        if isinstance(rule, ProjectRule):
            for place in places(rule, project)[0]:
                if not ignores.ignores(place.path, rule.id):
                    yield f"{rule.id} at {place.path}:{place.line}"
