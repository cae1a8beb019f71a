"""Which variables of the environment decide whether a kept result still holds."""

import pytest

from audit.variables import counted_variables


@pytest.mark.parametrize(
    "name", ["SSH_TTY", "VSCODE_PID", "TERM_PROGRAM", "GITHUB_RUN_ID", "ASTROBIO_AUDIT_SEED", "_", "MAKELEVEL"]
)
def test_what_a_login_or_terminal_sets_does_not_count(name: str) -> None:
    assert counted_variables({"HOME": "/h", name: "1"}) == counted_variables({"HOME": "/h"})


@pytest.mark.parametrize(
    "name",
    ["HOME", "LANG", "PATH", "CI", "GITHUB_ACTIONS", "GITHUB_EVENT_NAME", "OMP_NUM_THREADS", "SSH_", "SLURM_JOB_ID"],
)
def test_every_other_value_counts(name: str) -> None:
    found = {counted_variables({}), counted_variables({name: "1"}), counted_variables({name: "2"})}
    assert len(found) == 3


@pytest.mark.parametrize("name", ["DISPLAY", "GITHUB_TOKEN"])
def test_of_some_it_counts_whether_they_are_there(name: str) -> None:
    assert counted_variables({name: "1"}) == counted_variables({name: "2"}) != counted_variables({})
