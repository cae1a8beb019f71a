import pytest

from audit.errors import UsageError
from audit.static.ignores import PathIgnores
from audit.static.rules.registry import all_rules


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("tests/**", "tests/deep/test_a.py", True),
        ("tests/", "tests/test_a.py", True),
        ("tests/", "zoo/tests/test_a.py", True),
        ("/tests/", "zoo/tests/test_a.py", False),
        ("test_*.py", "zoo/test_a.py", True),
        ("test_*.py", "zoo/a_test.py", False),
        ("zoo/a.py", "zoo/a.py", True),
        ("zoo/a.py", "src/zoo/a.py", False),
        ("**/generated", "zoo/generated/a.py", True),
        ("*", "a.py", True),
    ],
)
def test_patterns_are_those_of_gitignore(pattern: str, path: str, expected: bool) -> None:
    assert PathIgnores({pattern: ["SEC001"]}).ignores(path, "SEC001") is expected


def test_only_the_rules_that_are_named_are_ignored() -> None:
    ignores = PathIgnores({"tests/": ["SEC001"]})
    assert not ignores.ignores("tests/a.py", "SEC003")


def test_all_patterns_that_match_count() -> None:
    ignores = PathIgnores({"tests/": ["SEC001"], "test_*.py": ["ATT017"]})
    assert [ignores.ignores("tests/test_a.py", rule) for rule in ("SEC001", "ATT017", "SEC003")] == [True, True, False]


@pytest.mark.parametrize("name", ["SEC", "SEC*"])
def test_a_family_is_all_its_rules(name: str) -> None:
    ignores = PathIgnores({"tests/": [name]})
    family = {rule.id for rule in all_rules() if rule.id.startswith("SEC")}
    assert {rule.id for rule in all_rules() if ignores.ignores("tests/a.py", rule.id)} == family
    assert len(family) > 1


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("SEC01", "did you mean SEC001?"),
        ("SECC", "did you mean SEC?"),
        ("nothing", "`astrobio-audit rules` lists them"),
    ],
)
def test_an_unknown_rule_is_named_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        PathIgnores({"tests/**": [name]})
    assert str(raised.value) == (
        f"[tool.astrobio-audit] per_path_ignores: 'tests/**': no rule or family is called {name}; {hint}"
    )


@pytest.mark.parametrize("pattern", ["", "# a comment", "!tests/"])
def test_a_pattern_that_cannot_match_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match="matches nothing"):
        PathIgnores({pattern: ["SEC001"]})
