"""The report as JUnit XML, in the form that Jenkins, GitLab and others read: a suite for each area, a case for each
result.
"""

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from audit.report.document import Report
from audit.report.places import message_of
from audit.report.text import one_line, plain, unheeded
from audit.report.verdicts import verdict_lines, verdict_text
from audit.results import Outcome, Result

_ILLEGAL = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2, without CR


def render_junit(report: Report) -> str:
    """Return the document. What is set apart or waived is a skipped case: it is failed, and it does not count."""
    suites = ElementTree.Element("testsuites", _counts(report.results) | {"name": _text(_name(report))})
    for area in report.areas:
        results = [result for result in report.results if result.check.partition(".")[0] == area.name]
        suite = ElementTree.SubElement(suites, "testsuite", _counts(results) | {"name": area.name})
        suite.set("timestamp", report.provenance.started_at.removesuffix("Z"))
        _add_properties(suite, report)
        for result in results:
            suite.append(_case(result))
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"


def _add_properties(suite: ElementTree.Element, report: Report) -> None:
    """Add what is said beside the verdict, and that, for which the form has no other place."""
    if beside := verdict_lines(report):
        properties = ElementTree.SubElement(suite, "properties")
        for line in (f"verdict: {verdict_text(report)}", *beside):
            value = _text(one_line(line, limit=None))
            ElementTree.SubElement(properties, "property", {"name": "beside the verdict", "value": value})


def _name(report: Report) -> str:
    partial = f" (partial run, no verdict: {report.partial_reason})" if report.partial else ""
    return one_line(f"{report.tool.name} {report.command}: {report.provenance.package}{partial}")


def _counts(results: Sequence[Result]) -> dict[str, str]:
    tags = [_tag(result) for result in results]
    return {
        "tests": str(len(tags)),
        "failures": str(tags.count("failure")),
        "errors": str(tags.count("error")),
        "skipped": str(tags.count("skipped")),
    }


def _tag(result: Result) -> str | None:
    """Return the element that says how a case ended; a case that passed has none."""
    if result.outcome is Outcome.PASSED:
        return None
    if result.outcome is Outcome.FAILED:
        return "skipped" if result.set_apart or result.waived else "failure"
    return "error" if result.outcome is Outcome.ERROR else "skipped"


def _case(result: Result) -> ElementTree.Element:
    place = result.location
    where = f" {place.path}:{place.line}" if place and place.line else ""
    name = result.subject.name if where.startswith(f" {result.subject.name}:") else result.subject.name + where
    case = ElementTree.Element("testcase", {"classname": result.check, "name": _text(one_line(where.strip() or name))})
    if place:
        case.set("file", _text(one_line(place.path, limit=None)))
        if place.line:
            case.set("line", str(place.line))
    tag = _tag(result)
    if tag:
        reason = ": ".join(filter(None, (result.set_apart, result.waived, result.reason)))
        kind = {"type": result.severity.value} if tag in ("failure", "error") else {}
        ending = ElementTree.SubElement(case, tag, {"message": _text(one_line(reason)), **kind})
        ending.text = unheeded(_text(message_of(result)))
    return case


def _text(text: str) -> str:
    """Return `text` without the characters that XML cannot hold even as references."""
    return _ILLEGAL.sub("", plain(text))
