"""What the keys of `[tool.astrobio-audit]` are told beside what `test_target` and `test_places_of_a_target` try."""

from pathlib import Path

import pytest

from audit.errors import UsageError
from audit.target import Target

TABLE = "[tool.astrobio-audit]\npackage = 'zoo'\n"


def loaded(project: Path, keys: str) -> Target:
    (project / "pyproject.toml").write_text(TABLE + keys)
    return Target.load(project)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("'' = 1", ' "": unknown key; known keys: baseline,'),
        ("gates.'' = 1", ' gates."": unknown key; known keys: '),
        ("timeout_s = nan", " timeout_s: should be a number, got nan"),
        ("gates = {min_score = nan}", " gates.min_score: should be a number, got nan"),
        ("checkpoints = ['a.pt']", " checkpoints, entry 1: input should be a table, got 'a.pt'"),
        ("gates = 3", " gates: input should be a table, got 3"),
        ("gates = {areas = 3}", " gates.areas: input should be a table, got 3"),
        ("claims = [3]", " claims, entry 1: input should be a table, got 3"),
        ('tests = "\'unclosed"', " tests: cannot be split into words as a shell does: no closing quotation; close or"),
        ("specs = 'os'", " specs: os: that is in Python's standard library; name a module of your own"),
        ("specs = 'os.path'", " specs: os.path: that is in Python's standard library; name a module of your own"),
    ],
)
def test_a_wrong_key_is_told_in_the_words_of_the_file(project: Path, keys: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        loaded(project, keys)
    assert message in str(refused.value)


@pytest.mark.parametrize("name", ["token.py", "token/__init__.py"])
def test_specs_of_the_target_may_be_called_as_a_module_of_the_standard_library(project: Path, name: str) -> None:
    # Whether they can be imported under that name is what an import tells.
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).touch()
    assert loaded(project, "specs = 'token'").settings.specs == "token"
