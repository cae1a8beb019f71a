"""The command line on small packages: clean ones pass, broken ones fail where they are broken and nowhere else."""

import ast
import difflib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.static.rules.rule import Rule, snippet

from .expected_outcomes import CASES, RULES, RULES_ON

ROOT = Path(__file__).parents[1]
FIXTURES = Path(__file__).with_name("fixtures")
COMMAND = Path(sys.executable).with_name("astrobio-audit")
UNJUDGED = ("error", "skipped")

# Every check is seen failing by tests of its own; here some packages are enough to see the command do it.
QUICK = {
    "attention": {"clean", "wrong_scale", "specs_fail", "undeclared"},
    "smoke": {"clean", "nonfinite_output", "stand_in", "import_fails"},
}
LONG = [pytest.mark.slow, pytest.mark.timeout(600)]


def _is_slow(area: str, folder: str, name: str) -> bool:
    return area in QUICK and name not in QUICK[area]


MARKED = [pytest.param(*case, marks=LONG if _is_slow(*case) else []) for case in CASES]


@pytest.mark.parametrize(("area", "folder", "name"), MARKED)
def test_the_command_fails_what_is_broken_and_nothing_else(area: str, folder: str, name: str) -> None:
    expected = CASES[area, folder, name]
    done = subprocess.run(
        [COMMAND, area, "--target", FIXTURES / folder / name, "--json", "--quiet"],
        capture_output=True, text=True, timeout=580, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},  # the tests run side by side, and threads would contend
    )  # fmt: skip
    assert done.returncode in (0, 1, 3), done.stderr
    results = json.loads(done.stdout)["results"]
    outcomes: dict[str, set[str]] = {}
    for result in results:
        outcomes.setdefault(result["outcome"], set()).add(result["check"])
    reasons = [(r["check"], r["outcome"], r["reason"]) for r in results if r["outcome"] != "passed"]
    assert outcomes.get("failed", set()) == expected.failed | expected.follows, reasons
    assert set().union(*(outcomes.get(each, set()) for each in UNJUDGED)) == expected.unjudged, reasons
    assert outcomes.get("not_applicable", set()) == expected.not_applicable, reasons
    assert done.returncode == expected.exit_code
    assert all("internal error" not in (r["reason"] or "") for r in results), reasons


def test_every_fixture_is_audited() -> None:
    found = {(path.parent.name, path.name) for path in FIXTURES.glob("*/*") if (path / "pyproject.toml").is_file()}
    assert found - {(folder, name) for _, folder, name in CASES} == set()


def _checks_in_the_code() -> Iterator[str]:
    for package in ("audit", "validation"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Check":
                    ids = [keyword.value for keyword in node.keywords if keyword.arg == "id"]
                    yield from (str(each.value) for each in ids if isinstance(each, ast.Constant))


CHECKS = sorted(set(_checks_in_the_code()))


def test_the_checks_are_found_in_the_code() -> None:
    assert {"attention.oracle", "smoke.build", "static.parses"} <= set(CHECKS)


# What cannot be built without specs is an error: a guess that fails says nothing of the mechanism. Both outcomes are
# tested in tests/cli/test_attention_named.py and in tests/validation/smoke/test_without_specs.py.
# Forms of masks and arguments are those of what was found: specs choose one. See
# tests/audit/attention/test_forms_of_calls.py.
# A stand-in is compared with its library on a GPU; tests/audit/attention/test_agreement.py has libraries of its own.
NEVER_FAILS = {
    "attention.built", "attention.mask_forms", "attention.arguments_used", "attention.standin_agreement",
    "smoke.guessed",
}  # fmt: skip
# These have packages of their own in the tests of each part of the validation, where each is seen with all outcomes.
SEEN_THERE = {
    "smoke": (
        "meta_build", "initialisation", "initial_loss", "registered", "strict_loading", "tied_weights", "copies",
        "safetensors", "memory", "device", "extensions", "standalone", "data_declared", "data_items", "data_workers",
        "data_order", "data_splits", "declared_frozen", "accumulation", "attention", "batch_rows", "checkpointing",
        "compile", "export", "frozen", "future_leaks", "generates", "global_state", "gradcheck", "inference",
        "input_gradients", "inputs_untouched", "low_precision", "next_token", "noncontiguous", "output_forms",
        "overfits", "padded_rows", "padding_leaks", "residual", "sample_order", "train_eval",
    ),
    "train": (
        "command_disk_full", "command_killed", "command_nan", "command_ranks", "command_repeats", "command_resumes",
        "declared", "gpus", "learns", "memory", "optimized", "ranks", "resume", "run", "speed", "trainer_declared",
        "twin",
    ),
    "documents": ("commands_parse", "commands_run", "figures_backed", "links_lead", "own_commands_parse"),
    "infrastructure": (
        "commands_exist", "container_builds", "container_files", "entry_points", "hooks_exist", "scripts_parse",
        "workflows_parse",
    ),
    "checkpoints": ("constant", "finite", "fits_model", "layout", "pickled_names", "whole"),
    "data": ("fetched", "well_formed"),
    "security": ("pinned", "rules_hold", "secrets"),
    "claims": ("accuracy", "memory_ratio", "metric", "speed_ratio"),
    "tests": ("mutation",),
    "selftest": ("mutation",),
    "attention": ("context_parallel", "kernel_memory"),  # in several processes; which needs Triton
}  # fmt: skip
# Checks that no test has seen fail.
UNPROVEN: set[str] = set()
SEEN_ELSEWHERE = {f"{area}.{name}" for area, names in SEEN_THERE.items() for name in names}


def test_what_is_seen_elsewhere_or_unproven_exists() -> None:
    assert (SEEN_ELSEWHERE | UNPROVEN) - set(CHECKS) == set()


@pytest.mark.parametrize("check", [check for check in CHECKS if check not in NEVER_FAILS | SEEN_ELSEWHERE | UNPROVEN])
def test_a_check_is_seen_passing_failing_and_unable_to_judge(check: str) -> None:
    # What each case expects is held against the command line by the test above.
    area = check.partition(".")[0]
    cases = [case for (of, _, _), case in CASES.items() if of == area]
    named = [case.failed | case.follows | case.unjudged | case.not_applicable for case in cases]
    assert any(check not in each for each in named)
    assert any(check in case.failed | case.follows for case in cases)
    assert any(check in case.unjudged for case in cases)


def _rule_package(root: Path, examples: dict[str, str]) -> Path:
    """Write a package with a folder for the example of each rule, in which every rule is on."""
    off = [rule.id for rule in RULES if not rule.default_on]
    root.joinpath("pyproject.toml").write_text(f'[tool.astrobio-audit]\npackage = "zoo"\nenable = {off}\n')
    for rule in (rule for rule in RULES if rule.id in examples):
        path = root / "zoo" / rule.id / rule.example_file
        path.parent.mkdir(parents=True)
        path.write_text(snippet(examples[rule.id]))
    root.joinpath("zoo", "__init__.py").touch()
    return root


def _rules_say(target: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        [COMMAND, "static", "--target", target, "--only", "rules", "--json", "--quiet"],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1, 3), done.stderr
    results: list[dict[str, Any]] = json.loads(done.stdout)["results"]
    assert not [each for each in results if "internal error" in (each["reason"] or "")]
    return results


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return _rules_say(_rule_package(tmp_path_factory.mktemp("wrong"), {rule.id: rule.INVALID[0] for rule in RULES}))


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    # SUP001's example holds a finding of another rule that a comment silences.
    found = set()
    for rules in ([rule for rule in RULES if rule.id == "MOD007"], [rule for rule in RULES if rule.id != "MOD007"]):
        package = _rule_package(tmp_path_factory.mktemp("right"), {rule.id: rule.VALID[0] for rule in rules})
        found |= {each["check"] for each in _rules_say(package) if each["outcome"] == "passed"}
    return found


@pytest.fixture(scope="module")
def unjudged() -> set[str]:
    results = _rules_say(FIXTURES / "models" / "no_files")
    return {each["check"] for each in results if each["outcome"] == "error"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_is_seen_passing_failing_and_unable_to_judge(
    rule: Rule, found: list[dict[str, Any]], passed: set[str], unjudged: set[str]
) -> None:
    own = [each for each in found if (each["location"] or {}).get("path") == f"zoo/{rule.id}/{rule.example_file}"]
    # MOD007 finds the names that examples leave unbound; other rules that are off are no part of a run.
    judging = (RULES_ON - {"rules.mod007"}) | {rule.check_id}
    assert {each["check"] for each in own if each["check"] in judging} == {rule.check_id}
    for result in own:
        place = result["location"]
        assert (place["line"], place["column"]) < (place["end_line"], place["end_column"])
        assert result["outcome"] == "failed"
        assert result["reason"]
        assert result["fix"]
    assert rule.check_id in passed
    assert rule.check_id in unjudged or not rule.default_on


def _lines(root: Path) -> dict[str, list[str]]:
    files = (path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(root).as_posix(): path.read_text().splitlines(keepends=True) for path in files}


# Packages of their own, and not one that was edited.
GOOD = {
    "clean", "function_alone", "unordered", "styles", "kinds", "windowed", "traced", "left_out", "model_core",
    "promised", "promises_broken",
}  # fmt: skip
BROKEN = sorted({(folder, name) for _, folder, name in CASES if name not in GOOD})


@pytest.mark.parametrize(("folder", "name"), BROKEN)
def test_a_broken_package_differs_from_its_clean_twin_in_one_hunk(folder: str, name: str) -> None:
    clean, broken = _lines(FIXTURES / folder / "clean"), _lines(FIXTURES / folder / name)
    assert clean.keys() == broken.keys()
    hunks = [
        line for path in clean for line in difflib.unified_diff(clean[path], broken[path]) if line.startswith("@@")
    ]
    assert len(hunks) == 1
