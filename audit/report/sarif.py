"""The report as SARIF 2.1.0 (OASIS, 27 March 2020), the form in which code hosts and editors take findings.

Failures are results. What could not be judged is a notification of the run: it is no finding, and it is not silence.
Where the run was compared with a baseline or a revision, each result says whether it was there before. What is gone
since is no failure, and has no result.
"""

import json
import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from audit.report.document import Report
from audit.report.places import fingerprint_of, message_of, numbered_failures, path_in_repository
from audit.report.text import plain
from audit.report.verdicts import verdict_lines
from audit.results import Check, Location, Outcome, Result, Severity

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {Severity.CRITICAL: "error", Severity.MAJOR: "error", Severity.MINOR: "warning"}
_NOTIFIED = {Outcome.ERROR: "error", Outcome.SKIPPED: "warning"}
_FINGERPRINTS = ("astrobioAudit/v1", "primaryLocationLineHash")  # the second is the one that GitHub compares
_LINK = re.compile(r"\[(?=[^\]]*\]\()")
Json = dict[str, object]


def render_sarif(report: Report) -> str:
    """Return the report as a SARIF log with one run."""
    index = {check.id: position for position, check in enumerate(report.checks)}
    provenance = report.provenance
    run: Json = {
        "tool": {
            "driver": {
                "name": report.tool.name,
                "version": report.tool.version,
                "rules": [_rule(check) for check in report.checks],
            }
        },
        "automationDetails": {"id": f"{report.tool.name}/{report.command}/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": report.exit_code != 3,
                "exitCode": report.exit_code,
                "commandLine": plain(provenance.command),
                "startTimeUtc": provenance.started_at,
                "endTimeUtc": provenance.finished_at,
                "toolExecutionNotifications": [
                    _notification(report, result, index) for result in report.results if result.outcome in _NOTIFIED
                ],
            }
        ],
        "results": [_result(report, result, number, index) for result, number in numbered_failures(report)],
        "properties": {
            "verdict": report.verdict,
            "profile": report.profile,
            "partial": report.partial,
            "partialReason": report.partial_reason and plain(report.partial_reason),
            "score": report.score,
            "coverage": report.coverage,
            "besideVerdict": [plain(line) for line in verdict_lines(report)],
            "commit": provenance.commit,
            "package": plain(provenance.package),
            "packageDigest": provenance.package_digest,
        },
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rule(check: Check) -> Json:
    found: Json = {
        "id": check.id,
        "shortDescription": {"text": _text(check.title)},
        "fullDescription": {"text": _text(check.proves)},
        "help": {"text": _text(f"{check.proves}\nFound, for instance: {check.defect}")},
        "defaultConfiguration": {"level": _LEVELS[check.severity]},
        "properties": {"severity": check.severity, "tags": [check.area]},
    }
    return found | _documentation(check)


def _documentation(check: Check) -> Json:
    """Return what the documentation of a rule adds, if this version of the tool has the rule."""
    area, _, name = check.id.partition(".")
    if area != "rules":
        return {}
    from audit.static.rules.registry import rules_by_id

    rule = rules_by_id().get(name.upper())
    if rule is None:
        return {}
    help_text = f"{rule.what}\n\nWhy it is bad: {rule.why}\n\nFix: {rule.fix}"
    uri: Json = {"helpUri": rule.references[0]} if rule.references else {}
    return {"help": {"text": _text(help_text)}, **uri}


def _result(report: Report, result: Result, number: int, index: Mapping[str, int]) -> Json:
    found: Json = {
        "ruleId": result.check,
        "ruleIndex": index[result.check],
        "kind": "fail",
        "level": _LEVELS[result.severity],
        "message": {"text": _text(message_of(result))},
        "locations": _locations(report, result.location),
    }
    found["partialFingerprints"] = dict.fromkeys(_FINGERPRINTS, f"{fingerprint_of(result)}:{number}")
    if report.baselines:
        found["baselineState"] = "unchanged" if result.set_apart else "new"
    if apart := [_text(why) for why in (result.set_apart, result.waived) if why]:
        found["suppressions"] = [{"kind": "external", "status": "accepted", "justification": why} for why in apart]
    return found


def _notification(report: Report, result: Result, index: Mapping[str, int]) -> Json:
    return {
        "descriptor": {"id": result.outcome.value},
        "associatedRule": {"id": result.check, "index": index[result.check]},
        "level": _NOTIFIED[result.outcome],
        "message": {"text": _text(f"{result.outcome.value}: {result.check} on {result.subject.name}: {result.reason}")},
        "locations": _locations(report, result.location),
    }


def _locations(report: Report, place: Location | None) -> Sequence[Json]:
    if place is None:
        return []
    uri = quote(plain(path_in_repository(report, place.path)), safe="/")
    if uri.startswith("/"):  # a reference that begins so names the root, or with two of them another host
        uri = f"./{uri}"
    physical: Json = {"artifactLocation": {"uri": uri}}
    if region := _region(place):
        physical["region"] = region
    found: Json = {"physicalLocation": physical}
    if place.qualname:
        found["logicalLocations"] = [{"fullyQualifiedName": plain(place.qualname)}]
    if place.cell is not None:
        found["properties"] = {"cell": place.cell, "cellLine": place.cell_line}
    return [found]


def _region(place: Location) -> Json:
    """Return the part of the place that is a region: it has a line, and what is given of it does not run backwards."""
    if place.line is None or place.line < 1:
        return {}
    region: Json = {"startLine": place.line}
    if place.column is not None and place.column >= 1:
        region["startColumn"] = place.column
    if place.end_line is not None and place.end_line >= place.line:
        region["endLine"] = place.end_line
        after = place.end_line > place.line or (place.end_column or 0) >= (place.column or 1)
        if place.end_column is not None and place.end_column >= 1 and after:
            region["endColumn"] = place.end_column
    return region


def _text(text: str) -> str:
    """Return `text` as a message: without control characters, and with no link, which plain messages can hold."""
    return _LINK.sub(r"\\[", plain(text)) or "-"
