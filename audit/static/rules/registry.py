"""All rules, found by their files: a rule is added by adding its file. Those of plug-ins come behind them."""

import importlib
import pkgutil
import re
from functools import cache
from pathlib import Path

from audit.plugins import RULES, Loaded, loaded, values
from audit.static.rules.rule import Rule

_ID = re.compile(r"^[A-Z]{3}\d{3}$")
_WRITTEN = ("id", "title", "what", "why", "fix", "nodes", "VALID", "INVALID")
_RULE_FILE = re.compile(r"^([a-z]{3}\d{3})_\w+$")


@cache
def all_rules() -> tuple[Rule, ...]:
    """Return one instance of every rule, those of plug-ins too, sorted by id."""
    return tuple(sorted((*own_rules(), *values(plugged_rules())), key=lambda rule: rule.id))


@cache
def plugged_rules() -> tuple[Loaded[Rule], ...]:
    """Return the rules of plug-ins, and why some could not be loaded."""
    taken = {rule.id for rule in own_rules()}

    def read(found: object) -> Rule:
        if not isinstance(found, type) or not issubclass(found, Rule):
            raise ValueError("it must name a subclass of audit.static.rules.rule.Rule")
        missing = [name for name in _WRITTEN if not getattr(found, name, None)]
        if missing:
            raise ValueError(f"the rule lacks {', '.join(missing)}")
        if not _ID.match(found.id):
            raise ValueError(f"its id {found.id} must be three capital letters and three digits")
        if found.id in taken:
            raise ValueError(f"there is a rule {found.id} already")
        rule = found()
        taken.add(rule.id)
        return rule

    return loaded(RULES, read)


@cache
def own_rules() -> tuple[Rule, ...]:
    """Return the toolkit's own rules, sorted by id."""
    names = [found.name for found in pkgutil.iter_modules([str(Path(__file__).parent)])]
    rules = []
    for name in names:
        if _RULE_FILE.match(name):
            module = importlib.import_module(f"{__package__}.{name}")
            rules += [found() for found in vars(module).values() if _is_rule(found, module.__name__)]
    return tuple(sorted(rules, key=lambda rule: rule.id))


def _is_rule(found: object, module: str) -> bool:
    return isinstance(found, type) and issubclass(found, Rule) and found.__module__ == module


@cache
def rules_by_id() -> dict[str, Rule]:
    """Return the rules by id."""
    return {rule.id: rule for rule in all_rules()}
