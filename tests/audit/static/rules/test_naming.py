"""A rule is named in one way wherever a user names one."""

import pytest

from audit.errors import UsageError
from audit.static.rules.documentation import find_rule
from audit.static.rules.naming import active_rules, checks_named, rules_named
from audit.static.rules.registry import all_rules
from audit.target import Settings

ATTENTION = frozenset(rule.id for rule in all_rules() if rule.family == "ATT")


@pytest.mark.parametrize("name", ["ATT003", "att003", "rules.att003", "Rules.ATT003"])
def test_one_rule(name: str) -> None:
    assert rules_named(name) == {"ATT003"}
    assert find_rule(name).id == "ATT003"
    assert checks_named([name]) == ("rules.att003",)


@pytest.mark.parametrize("name", ["ATT", "att", "ATT*", "rules.att"])
def test_a_family(name: str) -> None:
    assert rules_named(name) == ATTENTION
    assert set(checks_named([name])) == {f"rules.{rule.lower()}" for rule in ATTENTION}


@pytest.mark.parametrize("name", ["", "*", "rules", "rules.", "AT", "ATT0", "attention", "attention.mask"])
def test_what_names_no_rule_stays_what_it_is(name: str) -> None:
    assert checks_named([name]) == (name,)
    with pytest.raises(UsageError, match="enable: no rule or family is called"):
        rules_named(name, where="enable")


def test_a_family_is_not_explained() -> None:
    with pytest.raises(UsageError, match=r"att is a family of \d+ rules; name one: ATT001, "):
        find_rule("att")


def test_what_is_disabled_is_off_unless_it_is_asked_for() -> None:
    settings = Settings(enable=("att",), disable=("ATT003", "trn"))
    on = {rule.id for rule in active_rules(settings)}
    assert on >= ATTENTION - {"ATT003"}
    assert not {rule for rule in on if rule.startswith("TRN")} | (on & {"ATT003"})
    assert "ATT003" in {rule.id for rule in active_rules(settings, named=["att003"])}
