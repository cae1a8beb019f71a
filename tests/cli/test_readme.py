"""README.md and the pages of docs: their commands, options, links, paths and figures are those of the tool."""

import importlib
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.attention.contract import Contract
from audit.claims import Accuracy, MemoryRatio, Metric, Needs, Published, SpeedRatio
from audit.probe import spec_keys
from audit.probe.training import entries
from audit.target import Settings

Run = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = {path: path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]}
TEXT = "\n".join(PAGES.values())
IN_CODE = re.findall(r"`(astrobio-audit[^`\n]*)`|^(?:\$ |\.venv/bin/)?(astrobio-audit .*)$", TEXT, flags=re.MULTILINE)
COMMANDS = sorted({" ".join(filter(None, each)) for each in IN_CODE} - {"astrobio-audit"})
LINKS = sorted(
    (path.relative_to(ROOT).as_posix(), link)
    for path, text in PAGES.items()
    for link in set(re.findall(r"\]\(([^)#\s]+)", text))
    if "://" not in link
)
OPTIONS = sorted(set(re.findall(r"`(--[a-z][a-z-]*)(?: [A-Z]+)?`", TEXT)))
TARGETS = sorted(set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)))
BOUNDS = ROOT / "docs" / "how-bounds-are-derived.md"
CONSTANTS = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| `([\w/]+)\.py` \|$", PAGES[BOUNDS], flags=re.MULTILINE)


def test_the_pages_show_commands_links_options_and_figures() -> None:
    assert len(COMMANDS) >= 40
    assert len(LINKS) >= 30
    assert len(OPTIONS) >= 20
    assert len(CONSTANTS) >= 20


def test_the_readme_is_read_in_minutes_and_begins_with_two_commands() -> None:
    assert len(README.splitlines()) <= 200
    commands = re.findall(r"^(make [a-z]+)", README, flags=re.MULTILINE)
    assert commands[:2] == ["make audit", "make test"]
    assert README.index("## Two commands") == README.index("## ")


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {link for path, link in LINKS if path == "README.md"}
    assert {path.relative_to(ROOT).as_posix() for path in PAGES} - {"README.md"} - linked == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_line_of_the_pages_is_one_that_exists(run: Run, command: str) -> None:
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


@pytest.mark.parametrize(("page", "link"), LINKS)
def test_every_link_of_a_page_leads_to_a_file(page: str, link: str) -> None:
    assert ((ROOT / page).parent / link).exists()


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:audit|tests|reports|astrobio|validation|docs)/[^`\s]*)`", TEXT)))
)
def test_every_path_of_the_pages_exists_or_is_written_by_a_command(path: str) -> None:
    assert (ROOT / path).exists() or path.startswith("reports/latest")


def test_every_option_of_the_pages_belongs_to_a_command(run: Run) -> None:
    areas = ("readiness", "static", "attention", "smoke", "train", "bench", "claims", "mutate", "selftest")
    others = ("init", "doctor", "fix", "spec", "plan", "run")
    reports = (("report", "render"), ("report", "diff"), ("report", "merge"), ("report", "publish"))
    lines = [(), *((name,) for name in (*areas, *others)), *reports]
    known = "".join(run(*line, "--help").stdout for line in lines)
    foreign = {"--editable", "--resume"}  # pip's, and what a training command takes
    assert [option for option in OPTIONS if option not in known and option not in foreign] == []


def test_every_make_target_of_the_pages_exists() -> None:
    assert TARGETS
    mentioned = set(re.findall(r"(?:`|^)make ([a-z-]+)", TEXT, flags=re.MULTILINE))
    assert mentioned
    assert mentioned - set(TARGETS) == set()


@pytest.mark.parametrize(("name", "value", "file"), CONSTANTS)
def test_a_constant_on_the_page_of_bounds_is_that_of_the_code(name: str, value: str, file: str) -> None:
    assert getattr(importlib.import_module(file.replace("/", ".")), name) == float(value)


@pytest.mark.parametrize(
    ("page", "keys"),
    [
        ("quick-start", set(Settings.model_fields)),
        ("writing-specs", set(Contract.model_fields)),
        ("writing-specs", {"class", "build", "inputs", "loss", *spec_keys.MODEL_KEYS}),
        ("writing-specs", {*spec_keys.DATA_KEYS, *entries.KNOWN}),
        ("validation", {key for kind in (SpeedRatio, MemoryRatio, Accuracy, Metric) for key in kind.model_fields}),
        ("validation", {*Needs.model_fields, *Published.model_fields}),
    ],
)
def test_every_key_that_can_be_written_is_on_its_page(page: str, keys: set[str]) -> None:
    named = set(re.findall(r"`(\w+)(?:\([\w, ]*\))?`", PAGES[ROOT / "docs" / f"{page}.md"]))
    assert keys - named == set()


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
    assert f"- id: {entry[0]}" in (ROOT / "docs" / "ci.md").read_text()
