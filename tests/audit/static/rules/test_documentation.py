"""Every rule says what it does, why, what to do instead, and how often it is wrong."""

import re

import pytest

from audit.results import Severity
from audit.static.rules.checks import check_of
from audit.static.rules.registry import all_rules
from audit.static.rules.rule import Rule

RULES = all_rules()
MAX_FALSE = 0.05  # above this share of false alarms a rule is off by default


def test_ids_are_unique_and_sorted() -> None:
    ids = [rule.id for rule in RULES]
    assert ids == sorted(set(ids))
    assert len(ids) >= 50


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_is_documented(rule: Rule) -> None:
    module = type(rule).__module__.rpartition(".")[2]
    assert re.fullmatch(rf"{rule.id.lower()}_[a-z0-9_]+", module)
    for text in (rule.title, rule.what, rule.why, rule.fix):
        assert text.strip() == text
        assert text
    assert rule.VALID
    assert rule.INVALID
    assert bool(rule.off_because) is not rule.default_on
    assert check_of(rule).id == f"rules.{rule.id.lower()}"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_that_is_on_was_wrong_in_at_most_one_of_twenty(rule: Rule) -> None:
    measured = rule.precision
    assert 0 <= measured.false <= measured.sampled <= measured.findings
    assert not rule.default_on or measured.false <= MAX_FALSE * measured.sampled


def test_what_gates_a_release_is_no_matter_of_style() -> None:
    gating = {rule.family for rule in RULES if rule.severity is not Severity.MINOR}
    assert "SUP" not in gating
