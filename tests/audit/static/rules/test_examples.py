"""Every rule finds each of its INVALID examples, at one place or more, and none of its VALID ones."""

from pathlib import Path

import pytest

from audit.static.analysis import analyse
from audit.static.rules.engine import run_rules
from audit.static.rules.project_rule import ProjectRule
from audit.static.rules.registry import all_rules
from audit.static.rules.rule import Rule, snippet

RULES = tuple(rule for rule in all_rules() if not isinstance(rule, ProjectRule))
VALID = [pytest.param(rule, text, id=f"{rule.id}-{n}") for rule in RULES for n, text in enumerate(rule.VALID)]
INVALID = [pytest.param(rule, text, id=f"{rule.id}-{n}") for rule in RULES for n, text in enumerate(rule.INVALID)]


def found_in(folder: Path, rule: Rule, text: str) -> set[str]:
    path = folder / rule.example_file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(snippet(text))
    analysis = analyse(folder, folder)
    assert not analysis.unreadable
    # Unused comments are judged against the rules that ran.
    rules = RULES if rule.id == "SUP001" else [rule]
    return {found.rule for found in run_rules(analysis, rules).findings}


@pytest.mark.parametrize(("rule", "text"), VALID)
def test_a_rule_finds_nothing_in_what_is_right(rule: Rule, text: str, tmp_path: Path) -> None:
    assert rule.id not in found_in(tmp_path, rule, text)


@pytest.mark.parametrize(("rule", "text"), INVALID)
def test_a_rule_finds_what_is_wrong(rule: Rule, text: str, tmp_path: Path) -> None:
    assert rule.id in found_in(tmp_path, rule, text)
