"""The command line on small packages: clean ones pass, broken ones fail where they are broken and nowhere else."""

import ast
import difflib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from audit.static.rules.project_rule import ProjectRule
from audit.static.rules.registry import all_rules
from audit.static.rules.rule import Rule, snippet

ROOT = Path(__file__).parents[1]
FIXTURES = Path(__file__).with_name("fixtures")
COMMAND = Path(sys.executable).with_name("astrobio-audit")
UNJUDGED = ("error", "skipped")
FOLLOWING_BUILD = ("forward", "determinism", "backward", "optimizer_step", "save_load")


@dataclass(frozen=True)
class Expected:
    """What one command says about one fixture; every check that is not named must pass.

    `follows` are failures that the defect named in `failed` cannot but cause as well: gradients of another function
    are other gradients. `unjudged` are errors and skips.
    """

    failed: set[str] = field(default_factory=set)
    follows: set[str] = field(default_factory=set)
    unjudged: set[str] = field(default_factory=set)
    not_applicable: set[str] = field(default_factory=set)
    exit_code: int = 1


CLEAN = Expected(exit_code=0)
PROPERTIES = {
    f"attention.{name}"
    for name in (
        "oracle", "depends", "causality", "prefix", "mask", "noop_mask", "empty_rows", "batch_rows", "permutation",
        "large_logits", "kv_cache", "gradients", "repeatable", "train_eval", "noncontiguous", "low_precision",
        "inputs_untouched", "mask_forms", "arguments_used", "query_rows", "swallowed_errors", "long_sequences",
        "shifted_positions",
    )
}  # fmt: skip
TRACED = {
    f"attention.{name}"
    for name in (
        "scale", "softmax_axis", "softmax_once", "logits_dtype", "head_grouping", "attended_axis", "dropout_in_eval",
        "window_width",
    )
}  # fmt: skip
PROMISES = {f"attention.{name}" for name in ("row_sums", "every_key", "soft_cap", "alibi", "derivatives")}
PROPERTIES |= TRACED | PROMISES | {"attention.branches"}
NO_BUILD = {f"smoke.{name}" for name in FOLLOWING_BUILD}
OTHER_FUNCTION = {"attention.gradients"}
OTHER_KEYS = OTHER_FUNCTION | {"attention.oracle", "attention.large_logits"}

# None of these declares a window or another of the promises that few make, and each has one implementation; specs
# choose the form of a mask and the arguments, and modules take no queries alone.
NO_WINDOW = PROMISES | {
    f"attention.{name}" for name in ("window_width", "branches", "mask_forms", "arguments_used", "query_rows")
}
# The clean package declares rotary positions, with which the order of tokens matters.
ORDERED = {"attention.permutation"} | NO_WINDOW
# What is undeclared there, and is not finite in some.
EMPTY = ORDERED | {"attention.empty_rows"}
UNORDERED = {"attention.causality", "attention.prefix", "attention.kv_cache", "attention.shifted_positions"} | NO_WINDOW
# What the oracle says of short inputs in float32 is not said again of long ones.
SAID = ORDERED | {"attention.long_sequences"}

NO_PROJECTIONS = {"attention.oracle", "attention.large_logits"}
# What another entry carries out is judged there, and all of its own checks say so.
ALL_OF_ONE = PROPERTIES | {"attention.built"}

ATTENTION = {
    "clean": Expected(not_applicable=ORDERED, exit_code=0),
    "unordered": Expected(  # it calls torch's fused attention, of which each kernel is a branch
        not_applicable=(UNORDERED | {"attention.head_grouping"}) - {"attention.branches"}, exit_code=0
    ),
    "function_alone": Expected(
        not_applicable=(UNORDERED - {"attention.query_rows"})
        | {
            f"attention.{name}"
            for name in (
                "mask",
                "noop_mask",
                "empty_rows",
                "low_precision",
                "long_sequences",
                "train_eval",
                "head_grouping",
                "dropout_in_eval",
            )
        },
        exit_code=0,
    ),
    # Functions and modules without a cache, or without causality, among those that have them.
    "styles": Expected(
        not_applicable=UNORDERED
        | EMPTY
        | {"attention.train_eval", "attention.head_grouping", "attention.dropout_in_eval"},
        exit_code=0,
    ),
    # Everything in it declares a window, which has neither a mask nor a cache.
    "windowed": Expected(
        not_applicable={
            f"attention.{name}"
            for name in (
                "empty_rows",
                "kv_cache",
                "low_precision",
                "mask",
                "noop_mask",
                "permutation",
                "mask_forms",
                "arguments_used",
                "query_rows",
                "long_sequences",
                "shifted_positions",
                "branches",
            )
        }
        | PROMISES,
        exit_code=0,
    ),
    # One entry for each property of a trace, and one without a mistake.
    "traced": Expected(
        TRACED,
        OTHER_KEYS
        | {"attention.depends", "attention.inputs_untouched", "attention.permutation", "attention.repeatable"}
        | {"attention.query_rows"},
        not_applicable=UNORDERED
        | {
            f"attention.{name}"
            for name in (
                "permutation",
                "empty_rows",
                "mask",
                "noop_mask",
                "low_precision",
                "long_sequences",
                "train_eval",
                "head_grouping",
                "dropout_in_eval",
            )
        },
    ),
    "wrong_scale": Expected({"attention.oracle", "attention.scale"}, OTHER_FUNCTION, not_applicable=SAID),
    # One entry for each promise; those that are modules have no projections to compare with the oracle.
    "promised": Expected(unjudged=NO_PROJECTIONS, not_applicable=ALL_OF_ONE, exit_code=3),
    "promises_broken": Expected(
        PROMISES,
        OTHER_FUNCTION | {"attention.oracle", "attention.scale", "attention.query_rows"},
        unjudged=NO_PROJECTIONS,
        not_applicable=ALL_OF_ONE,
    ),
    "leaks_future": Expected(
        {"attention.causality"},
        OTHER_KEYS | {"attention.kv_cache", "attention.prefix"},
        not_applicable=SAID,
    ),
    "ignores_mask": Expected({"attention.mask"}, OTHER_KEYS, not_applicable=ORDERED | {"attention.shifted_positions"}),
    "overflows": Expected({"attention.large_logits"}, not_applicable=EMPTY),
    "cache_off_by_one": Expected({"attention.kv_cache"}, not_applicable=ORDERED),
    "dead_parameter": Expected({"attention.gradients"}, not_applicable=ORDERED),
    "nan_gradient": Expected({"attention.gradients"}, not_applicable=EMPTY),
    "overwrites_mask": Expected({"attention.inputs_untouched"}, not_applicable=ORDERED),
    "mask_replaces_causal": Expected(
        {"attention.noop_mask"},
        OTHER_FUNCTION | {"attention.oracle", "attention.shifted_positions"},
        not_applicable=ORDERED,
    ),
    "mask_of_first_sample": Expected(
        {"attention.batch_rows"},
        OTHER_FUNCTION | {"attention.oracle", "attention.empty_rows"},
        not_applicable=ORDERED,
    ),
    "scale_by_length": Expected(
        {"attention.prefix"},
        OTHER_FUNCTION | {"attention.oracle", "attention.kv_cache", "attention.scale", "attention.shifted_positions"},
        not_applicable=SAID,
    ),
    "dropout_in_eval": Expected({"attention.repeatable", "attention.dropout_in_eval"}, not_applicable=ORDERED),
    "causal_in_eval_only": Expected({"attention.train_eval"}, not_applicable=ORDERED),
    # Chunks of an input are views into it.
    "strides_ignored": Expected({"attention.noncontiguous"}, {"attention.kv_cache"}, not_applicable=ORDERED),
    "sees_itself_only": Expected(
        {"attention.depends"},
        OTHER_KEYS,
        unjudged={"attention.mask", "attention.shifted_positions"},
        not_applicable=SAID | {"attention.attended_axis"},
    ),
    "positions_undeclared": Expected(
        {"attention.permutation"},
        OTHER_FUNCTION | {"attention.oracle"},
        not_applicable=UNORDERED | {"attention.long_sequences"},
    ),
    "empty_row_not_zero": Expected(
        {"attention.empty_rows"}, OTHER_FUNCTION | {"attention.oracle"}, not_applicable=ORDERED
    ),
    "angles_in_low_precision": Expected(
        {"attention.low_precision"}, {"attention.long_sequences"}, not_applicable=ORDERED
    ),
    "swallowed_error": Expected({"attention.swallowed_errors"}, not_applicable=ORDERED),
    # What the specs leave out is judged by what its source says, unless what they declare carries it out.
    "left_out": Expected(
        {"attention.softmax_axis"},
        OTHER_FUNCTION | {"attention.oracle", "attention.query_rows", "attention.row_sums"},
        not_applicable=ALL_OF_ONE,
    ),
    # Attention that is in no inventory: of three models one is right, one wrong, and one raises.
    "model_core": Expected(
        {"attention.model_cores"}, unjudged={"attention.model_cores"}, not_applicable={"attention.declared"}
    ),
    "sum_in_low_precision": Expected(
        {"attention.long_sequences"},
        not_applicable=ORDERED | {"attention.softmax_axis"},  # it is taken in parts, of which none is a softmax
    ),
    "positions_squared": Expected(
        {"attention.shifted_positions"}, OTHER_FUNCTION | {"attention.oracle"}, not_applicable=SAID
    ),
    "specs_fail": Expected({"attention.declared"}, unjudged=PROPERTIES),
    "undeclared": Expected(unjudged=PROPERTIES | {"attention.declared"}, exit_code=3),
    "branch_differs": Expected({"attention.branches"}, not_applicable=ORDERED - {"attention.branches"}),
    "build_raises": Expected(
        unjudged=(PROPERTIES - ORDERED) | {"attention.branches"},
        not_applicable=ORDERED - {"attention.branches"},
        exit_code=3,
    ),
}
SMOKE = {
    "clean": CLEAN,
    "kinds": CLEAN,
    "dead_parameter": Expected({"smoke.backward"}, unjudged={"smoke.optimizer_step"}),
    "nan_gradient": Expected({"smoke.backward"}, unjudged={"smoke.optimizer_step"}),
    "nonfinite_output": Expected({"smoke.forward"}, unjudged=NO_BUILD - {"smoke.forward"}),
    "nondeterministic_eval": Expected({"smoke.determinism"}, unjudged={"smoke.save_load"}),
    "weight_reset": Expected({"smoke.optimizer_step"}),
    "state_not_saved": Expected({"smoke.save_load"}),
    "stand_in": Expected({"smoke.build"}, unjudged=NO_BUILD | {"smoke.reached"}),
    "unreached_class": Expected({"smoke.reached"}),
    "no_models_declared": Expected({"smoke.declared"}, unjudged=NO_BUILD | {"smoke.build"}),
    "no_model_class": Expected({"smoke.build"}, unjudged=NO_BUILD),
    # The specs import the module that fails, so they cannot be read either.
    "import_fails": Expected({"smoke.import"}, {"smoke.declared"}, unjudged=NO_BUILD | {"smoke.build"}),
    "syntax_error": Expected({"smoke.import"}, {"smoke.declared"}, unjudged=NO_BUILD | {"smoke.build", "smoke.import"}),
    "undeclared": Expected(unjudged=NO_BUILD | {"smoke.build", "smoke.declared"}, exit_code=3),
    "entry_without_loss": Expected(unjudged=NO_BUILD | {"smoke.build"}, exit_code=3),
    # The class is not among the sources any more, so what is built may be a stand-in.
    "no_files": Expected({"smoke.build"}, unjudged=NO_BUILD),
}
RULES = tuple(rule for rule in all_rules() if not isinstance(rule, ProjectRule))
RULES_ON = {rule.check_id for rule in RULES if rule.default_on}
NO_DOCUMENTS_NO_DATA = {"rules.clm001", "rules.dat001", "rules.dat002", "rules.dat003"}
STATIC = dict.fromkeys(SMOKE, Expected(not_applicable=NO_DOCUMENTS_NO_DATA, exit_code=0)) | {
    "no_model_class": Expected({"static.models"}, {"static.bases_resolved"}, not_applicable=NO_DOCUMENTS_NO_DATA),
    "import_fails": Expected({"static.imports"}, not_applicable=NO_DOCUMENTS_NO_DATA),
    "nondeterministic_eval": Expected({"rules.att008"}, not_applicable=NO_DOCUMENTS_NO_DATA),
    # What rules find in the other files says nothing of the one that was not read.
    "syntax_error": Expected(
        {"static.parses", "static.imports"}, unjudged=RULES_ON, not_applicable=NO_DOCUMENTS_NO_DATA
    ),
    # Zero files: nothing is known, and above all nothing passes.
    "no_files": Expected(
        unjudged={"static.parses", "static.models", "static.bases_resolved", "static.imports"} | RULES_ON,
        not_applicable=NO_DOCUMENTS_NO_DATA,
        exit_code=3,
    ),
}
CASES = {
    (area, folder, name): expected
    for area, folder, table in (
        ("attention", "attention", ATTENTION),
        ("smoke", "models", SMOKE),
        ("static", "models", STATIC),
    )
    for name, expected in table.items()
}
# Every property is seen failing by tests of its own; here some packages are enough to see the command do it.
FAST = {
    "clean",
    "wrong_scale",
    "ignores_mask",
    "branch_differs",
    "model_core",
    "build_raises",
    "specs_fail",
    "undeclared",
}
LONG = [pytest.mark.slow, pytest.mark.timeout(600)]


def _is_slow(area: str, folder: str, name: str) -> bool:
    return name == "kinds" or (area == "attention" and name not in FAST)


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
# tested in tests/cli/test_attention_named.py.
# Forms of masks and arguments are those of what was found: specs choose one. See
# tests/audit/attention/test_forms_of_calls.py.
NEVER_FAILS = {"attention.built", "attention.mask_forms", "attention.arguments_used"}


@pytest.mark.parametrize("check", [check for check in CHECKS if check not in NEVER_FAILS])
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
