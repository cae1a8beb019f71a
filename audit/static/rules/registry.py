"""All rules, found by their files: a rule is added by adding its file."""

import importlib
import pkgutil
import re
from functools import cache
from pathlib import Path

from audit.static.rules.rule import Rule

_RULE_FILE = re.compile(r"^([a-z]{3}\d{3})_\w+$")


@cache
def all_rules() -> tuple[Rule, ...]:
    """Return one instance of every rule, sorted by id."""
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
