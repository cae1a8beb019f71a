"""What a rule says of itself, as text and as JSON."""

import json
import textwrap
from collections.abc import Sequence

from audit.errors import UsageError
from audit.static.rules.naming import rules_named
from audit.static.rules.registry import all_rules, rules_by_id
from audit.static.rules.rule import Family, FixSafety, Rule, snippet

_WIDTH = 100


def find_rule(name: str) -> Rule:
    """Return the rule called `name`.

    Raises:
        UsageError: there is none, or it is a family.
    """
    found = rules_named(name)
    if len(found) > 1:
        raise UsageError(f"{name} is a family of {len(found)} rules; name one: {', '.join(sorted(found))}")
    (rule,) = found
    return rules_by_id()[rule]


def list_text() -> str:
    """Return one line per rule."""
    lines = [f"{'id':7} {'severity':9} {'default':8} title"]
    for rule in all_rules():
        lines.append(f"{rule.id:7} {rule.severity.value:9} {_default(rule):8} {rule.title}")
    return "\n".join(lines) + "\n"


def list_json() -> str:
    """Return the list as JSON: an array sorted by id."""
    return json.dumps([_summary(rule) for rule in all_rules()], indent=2) + "\n"


def rule_json(rule: Rule) -> str:
    """Return a rule's whole documentation as JSON."""
    documentation = _summary(rule) | {
        "what": rule.what,
        "why": rule.why,
        "example": snippet(rule.INVALID[0]),
        "use_instead": snippet(rule.VALID[0]),
        "fix": rule.fix,
        "fix_safety": rule.fix_safety.value,
        "fix_is_automatic": bool(rule.FIXED),
        "fix_depends_on": rule.fix_depends_on or None,
        "fixed": [{"before": snippet(before), "after": snippet(after)} for before, after in rule.FIXED],
        "precision": str(rule.precision),
        "off_because": rule.off_because or None,
        "references": list(rule.references),
    }
    return json.dumps(documentation, indent=2) + "\n"


def rule_text(rule: Rule) -> str:
    """Return a rule's whole documentation as text."""
    state = "on by default" if rule.default_on else f"off by default: {rule.off_because}"
    parts = [
        f"{rule.id}: {rule.title}",
        f"family {_family(rule)}, severity {rule.severity.value}, {state}",
        _section("What it does", _wrapped(rule.what)),
        _section("Why it is bad", _wrapped(rule.why)),
        _section("Example", _code(rule.INVALID[0])),
        _section("Use instead", _code(rule.VALID[0])),
        _section(f"Fix ({rule.fix_safety.value}, {_by(rule)})", _wrapped(_fix(rule))),
        _section("False alarms", _wrapped(str(rule.precision))),
    ]
    if rule.references:
        parts.append(_section("References", _list(rule.references)))
    return "\n\n".join(parts) + "\n"


def _summary(rule: Rule) -> dict[str, object]:
    return {
        "id": rule.id,
        "check": rule.check_id,
        "title": rule.title,
        "family": rule.family,
        "severity": rule.severity.value,
        "default_on": rule.default_on,
    }


def _by(rule: Rule) -> str:
    """Return what makes the fix."""
    if not rule.FIXED:
        return "by hand"
    if rule.fix_safety is FixSafety.SUGGESTION:
        return "shown by `astrobio-audit fix`, made by hand"
    flags = "--fix" if rule.fix_safety is FixSafety.SAFE else "--fix --unsafe-fixes"
    return f"made by `astrobio-audit fix {flags}`"


def _fix(rule: Rule) -> str:
    return f"{rule.fix}. {_sentence(rule.fix_depends_on)}" if rule.fix_depends_on else rule.fix


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _default(rule: Rule) -> str:
    return "on" if rule.default_on else "off"


def _section(title: str, text: str) -> str:
    return f"{title}\n{'-' * len(title)}\n{text}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_long_words=False)


def _code(text: str) -> str:
    return textwrap.indent(snippet(text), "    ").rstrip()


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _family(rule: Rule) -> str:
    return Family(rule.family).name.lower() if rule.family in set(Family) else rule.family
