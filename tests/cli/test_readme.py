import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
IN_CODE = re.findall(r"`(astrobio-audit[^`\n]*)`|^(?:\$ )?(astrobio-audit .*)$", README, flags=re.MULTILINE)
COMMANDS = sorted({" ".join(filter(None, each)) for each in IN_CODE} - {"astrobio-audit"})
LINKS = sorted({link for link in re.findall(r"\]\(([^)#\s]+)", README) if "://" not in link})
OPTIONS = sorted(set(re.findall(r"`(--[a-z]+)(?: [A-Z]+)?`", README)))
TARGETS = sorted(set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)))


def test_the_readme_shows_commands_links_and_options() -> None:
    assert len(COMMANDS) >= 6
    assert LINKS
    assert len(OPTIONS) >= 8


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_line_of_the_readme_is_one_that_exists(run: Run, command: str) -> None:
    arguments = shlex.split(command)[1:]
    # Options come first, so that each is parsed before `--help` ends the command line.
    done = run(*arguments, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage: " in done.stdout
    named = [word for word in arguments if not word.startswith("-")][:1]
    assert all(f"astrobio-audit {name}" in done.stdout for name in named)


@pytest.mark.parametrize("command", [command for command in COMMANDS if "tests/fixtures" in command])
def test_paths_in_command_lines_exist(command: str) -> None:
    assert all((ROOT / word).exists() for word in shlex.split(command) if word.startswith("tests/"))


@pytest.mark.parametrize("link", LINKS)
def test_every_link_of_the_readme_leads_to_a_file(link: str) -> None:
    assert (ROOT / link).exists()


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:audit|tests|reports|astrobio|validation)/[^`\s]*)`", README)))
)
def test_every_path_of_the_readme_exists_or_is_written_by_a_command(path: str) -> None:
    assert (ROOT / path).exists() or path.startswith("reports/latest")


def test_every_option_of_the_readme_belongs_to_a_command(run: Run) -> None:
    commands = ("readiness", "doctor", "static", "fix", "train", "bench", "claims", "mutate")
    known = "".join(run(command, "--help").stdout for command in commands)
    assert [option for option in OPTIONS if option not in known and option != "--editable"] == []


def test_every_make_target_of_the_readme_exists() -> None:
    assert TARGETS
    mentioned = set(re.findall(r"(?:`|^)make ([a-z-]+)", README, flags=re.MULTILINE))
    assert mentioned
    assert mentioned - set(TARGETS) == set()


@pytest.mark.slow
def test_the_example_of_a_summary_is_what_the_command_prints(run: Run) -> None:
    block = re.search(r"```\n(defect .*?\nattention: zoo\n.*?)```", README, flags=re.DOTALL)
    assert block is not None
    shown = [line.split() for line in block[1].splitlines() if line.startswith(("│", "verdict:", "defect"))]
    printed = run("attention", "--target", "tests/fixtures/attention/wrong_scale")
    assert printed.returncode == 1
    lines = [line.split() for line in printed.stdout.splitlines()]
    assert [line for line in shown if line not in lines] == []


def test_the_pre_commit_hook_starts_a_command_that_needs_no_files(run: Run) -> None:
    lines = [line.strip() for line in (ROOT / ".pre-commit-hooks.yaml").read_text().splitlines()]
    (entry,) = [line.removeprefix("entry: ").split() for line in lines if line.startswith("entry: ")]
    assert entry[0] == "astrobio-audit"
    assert run(*entry[1:], "--help").returncode == 0
    assert "pass_filenames: false" in lines
    assert f"- id: {entry[0]}" in README
