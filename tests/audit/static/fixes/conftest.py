"""Fixes of one text, without a disk in between."""

from collections.abc import Callable, Collection

import pytest

from audit.static.fixes.judging import judge
from audit.static.fixes.rounds import Fixed, fix_text
from audit.static.reading import ParsedFile, parse_text
from audit.static.rules.registry import all_rules
from audit.static.rules.rule import FixSafety

FixOf = Callable[..., Fixed]
BOTH = frozenset({FixSafety.SAFE, FixSafety.UNSAFE})


@pytest.fixture(scope="session")
def fix_of() -> FixOf:
    """Fixes a text by the rules named, else by all that are on; `models` are the ranks of its model classes."""

    def fix(
        text: str, *ids: str, allowed: Collection[FixSafety] = BOTH, models: Collection[int] = (), path: str = "zoo.py"
    ) -> Fixed:
        rules = [rule for rule in all_rules() if (rule.id in ids if ids else rule.default_on)]
        parsed = parse_text(text, path=path)
        assert isinstance(parsed, ParsedFile)
        return fix_text(
            parsed,
            parse=lambda new: parse_text(new, path=path),
            judge=lambda current: judge(path, current, rules, model_ranks=frozenset(models)),
            allowed=allowed,
        )

    return fix
