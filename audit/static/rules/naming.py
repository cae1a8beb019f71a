"""How rules are named, wherever a user names them: by id, by family or as a check; small letters are as good.

`ATT003`, `att003` and `rules.att003` are one rule, `ATT`, `att` and `ATT*` all of a family.
"""

import difflib
from collections.abc import Iterable, Sequence

from audit.errors import UsageError
from audit.static.rules.registry import all_rules, rules_by_id
from audit.static.rules.rule import Rule
from audit.target import Settings

_AREA = "RULES."


def rules_named(name: str, *, where: str = "") -> frozenset[str]:
    """Return the ids of the rules that `name` means.

    Args:
        name: as the user wrote it.
        where: what names it, for the message.

    Raises:
        UsageError: there is no such rule or family; the message names the nearest.
    """
    if found := known_rules(name):
        return found
    near = _nearest(name.upper().removeprefix(_AREA))
    hint = f"did you mean {near}?" if near else "`astrobio-audit rules` lists them"
    raise UsageError(f"{where + ': ' if where else ''}no rule or family is called {name}; {hint}")


def _nearest(wanted: str) -> str | None:
    """Return the rule that is most alike, or the family where no number is given; None where none is."""
    if any(sign.isdigit() for sign in wanted):
        names, least = list(rules_by_id()), 0.4
    else:
        names, least = sorted({rule.family for rule in all_rules()}), 0.6
    likeness = {name: difflib.SequenceMatcher(None, name, wanted).ratio() for name in names}
    nearest = min(names, key=lambda name: (-likeness[name], name))  # of those equally near the first
    return nearest if likeness[nearest] >= least else None


def known_rules(name: str) -> frozenset[str]:
    """Return the ids of the rules that `name` means; none where it is no name of rules."""
    wanted = name.upper().removeprefix(_AREA)
    if wanted in rules_by_id():
        return frozenset({wanted})
    return frozenset(rule.id for rule in all_rules() if rule.family == wanted.removesuffix("*"))


def checks_named(only: Iterable[str]) -> tuple[str, ...]:
    """Return what the user limits a run to, with the checks of rules in the place of names of rules."""
    return tuple(check for name in only for check in _checks(name))


def _checks(name: str) -> tuple[str, ...]:
    ids = known_rules(name)
    return tuple(sorted(rules_by_id()[rule].check_id for rule in ids)) or (name,)


def active_rules(settings: Settings, *, named: Iterable[str] = ()) -> tuple[Rule, ...]:
    """Return the rules that are on by default, by the configuration or because the user names them, sorted by id.

    Raises:
        UsageError: the configuration or the user names a rule that does not exist.
    """
    enabled, disabled = _all(settings.enable, "enable"), _all(settings.disable, "disable")
    wanted = frozenset().union(*map(rules_named, named))
    return tuple(
        rule
        for rule in all_rules()
        if rule.id in wanted or ((rule.default_on or rule.id in enabled) and rule.id not in disabled)
    )


def _all(names: Sequence[str], where: str) -> frozenset[str]:
    return frozenset().union(*(rules_named(name, where=where) for name in names))
