"""Every rule that edits makes of its FIXED examples exactly what they say, in one go."""

import ast
import json
from pathlib import Path

import pytest

from audit.static.analysis import analyse
from audit.static.fixes.places import Tree
from audit.static.fixes.run import Choice, work_out
from audit.static.rules.documentation import rule_json, rule_text
from audit.static.rules.engine import run_rules
from audit.static.rules.registry import all_rules, rules_by_id
from audit.static.rules.rule import FixSafety, Rule, snippet

EDITING = [rule for rule in all_rules() if rule.FIXED]
PAIRS = [
    pytest.param(rule, before, after, id=f"{rule.id}-{n}")
    for rule in EDITING
    for n, (before, after) in enumerate(rule.FIXED)
]


def rules_for(rule: Rule) -> tuple[Rule, ...]:
    """Return what has to run for a rule to be judged: unused comments are those that no other rule needed."""
    return all_rules() if rule.id == "SUP001" else (rule,)


def fixed(folder: Path, rule: Rule, text: str) -> tuple[str, set[FixSafety]]:
    """Return the text with all fixes of a rule made, suggestions too, and how safe they were said to be."""
    path = folder / rule.example_file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    choice = Choice(rules=rules_for(rule), editing=frozenset({rule.id}))
    run = work_out([Tree(folder, folder)], choice, allowed=set(FixSafety), exclude=(), installed=())
    if not run.files:
        return text, set()
    (file,) = run.files
    assert file.fixed.rolled_back is None
    assert file.fixed.left == ()
    return file.fixed.text, {each.fix.safety for each in file.fixed.made if each.fix}


@pytest.mark.parametrize(("rule", "before", "after"), PAIRS)
def test_a_fix_gives_exactly_the_text_beside_it_and_a_second_one_changes_nothing(
    rule: Rule, before: str, after: str, tmp_path: Path
) -> None:
    text, safeties = fixed(tmp_path, rule, snippet(before))
    assert text == snippet(after)
    assert safeties
    ast.parse(text)
    assert fixed(tmp_path, rule, text) == (text, set())
    assert rule.id not in {found.rule for found in run_rules(analyse(tmp_path, tmp_path), rules_for(rule)).findings}


@pytest.mark.parametrize("rule", EDITING, ids=lambda rule: rule.id)
def test_the_documented_safety_is_that_of_an_example(rule: Rule, tmp_path: Path) -> None:
    said = {safety for before, _ in rule.FIXED for safety in fixed(tmp_path, rule, snippet(before))[1]}
    assert rule.fix_safety in said
    assert len(said) == 1 or rule.fix_depends_on


@pytest.mark.parametrize(
    ("name", "heading"),
    [
        ("API002", "Fix (safe, made by `astrobio-audit fix --fix`)"),
        ("SEC001", "Fix (unsafe, made by `astrobio-audit fix --fix --unsafe-fixes`)"),
        ("ATT002", "Fix (suggestion, shown by `astrobio-audit fix`, made by hand)"),
        ("TST001", "Fix (suggestion, by hand)"),
    ],
)
def test_explain_says_whether_a_fix_is_automatic_and_how_safe(name: str, heading: str) -> None:
    text = rule_text(rules_by_id()[name])
    assert f"\n{heading}\n{'-' * len(heading)}\n" in text
    said = json.loads(rule_json(rules_by_id()[name]))
    assert said["fix_is_automatic"] is bool(said["fixed"]) is (name != "TST001")
