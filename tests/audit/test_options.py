from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from audit.options import Options, add_command
from validation.claims.command import ClaimsOptions

SET = {
    "ASTROBIO_AUDIT_CONFIG": "from_variable.toml",
    "ASTROBIO_AUDIT_PYTHON": "from_variable",
    "ASTROBIO_AUDIT_SEED": "1",
    "ASTROBIO_AUDIT_WORKERS": "2",
}
FROM_VARIABLES = {"config": Path("from_variable.toml"), "python": Path("from_variable"), "seed": 1, "workers": 2}
FLAGS = {"--config": "flag.toml", "--python": "flag", "--seed": "3", "--workers": "4"}
FROM_FLAGS = {"config": Path("flag.toml"), "python": Path("flag"), "seed": 3, "workers": 4}


def parsed(*arguments: str, options: type[Options] = Options, **variables: str) -> Options:
    """Return the options of a command line under these variables."""
    seen: list[Options] = []
    app = typer.Typer()
    add_command(app, options, name="area", summary="s", examples_of=["e"], run=seen.append)
    unset = dict.fromkeys(SET)
    done = CliRunner().invoke(app, arguments, env={**unset, **variables})
    assert done.exit_code == 0, done.output
    return seen[0]


def test_without_flags_and_variables_nothing_is_set() -> None:
    assert parsed() == Options()


def test_a_variable_stands_in_for_a_flag() -> None:
    assert parsed(**SET) == replace(Options(), **FROM_VARIABLES)  # type: ignore[arg-type]


def test_a_flag_wins_over_its_variable() -> None:
    words = [word for pair in FLAGS.items() for word in pair]
    assert parsed(*words, **SET) == replace(Options(), **FROM_FLAGS)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SET)
def test_an_empty_variable_is_none(name: str) -> None:
    assert parsed(**{name: ""}) == Options()


def test_claims_are_measured_one_by_one_whatever_the_variable_says() -> None:
    assert parsed(options=ClaimsOptions, **SET).workers is None
