"""Checks of what models do with inputs, gradients and numbers: one subject passes, one differs by one edit and fails.

All are models of one package, in `behaving.py`. Each entry says what the edit is, and which of these checks must fail
on it, alone.
"""

import functools
from collections.abc import Callable

import pytest

from audit.results import Result
from audit.session import Request, conduct
from audit.target import Target
from validation.smoke.beside_models import CHECKS
from validation.smoke.checks import overfits
from validation.smoke.plan import plan_smoke
from validation.smoke.registry import MODEL_CHECKS

from ...slow_cases import slow, slow_unless
from .behaving import CLASS, HEAD, RIGHT, SETTINGS, SPECS, UNJUDGED, WRONG

pytestmark = pytest.mark.timeout(900)  # the first test waits for a run over all models

OURS = (
    "output_forms", "train_eval", "batch_rows", "sample_order", "padding_leaks", "padded_rows", "future_leaks",
    "residual", "noncontiguous", "inputs_untouched", "input_gradients", "frozen", "gradcheck", "checkpointing",
    "accumulation", "low_precision", "overfits", "attention", "compile", "export",
)  # fmt: skip


EVERY = {**WRONG, **UNJUDGED, **RIGHT}
# One wrong model for each check, and one that is right; a run over all takes more than a minute.
QUICK = {"right", *{checks: name for name, (*_, checks) in reversed(WRONG.items())}.values()}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], list[Result]]:
    """Every result of one run over the models that are quick, or over the others."""

    @functools.cache
    def results(are_quick: bool) -> list[Result]:
        root = tmp_path_factory.mktemp("behaving")
        sources, specs = HEAD, SPECS
        for name in (name for name in EVERY if (name in QUICK) is are_quick or name == "right"):
            built, forward, more, *_ = EVERY[name]
            sources += CLASS.format(name=name, built=built or "pass", forward=forward)
            specs += f"MODELS[{name!r}] = entry_of({name!r}, **{{{more}}})\n"
        (root / "zoo").mkdir()
        (root / "zoo" / "__init__.py").write_text("")
        (root / "zoo" / "models.py").write_text(sources)
        (root / "zoo" / "specs.py").write_text(specs)
        (root / "pyproject.toml").write_text(SETTINGS)
        return list(conduct(Target.load(root), Request(command="smoke", planners=[plan_smoke])).results)

    return results


@pytest.fixture(scope="module")
def of(judged: Callable[[bool], list[Result]]) -> Callable[[str], dict[str, Result]]:
    """The results of one model by the last part of the check's id."""
    return lambda name: {r.check.partition(".")[2]: r for r in judged(name in QUICK) if r.subject.spec == name}


def test_every_check_is_tried_here() -> None:
    ids = {each.check.id.partition(".")[2] for each in MODEL_CHECKS} | {c.id.partition(".")[2] for c in CHECKS}
    assert set(OURS) <= ids
    failing = {check for *_, checks in WRONG.values() for check in checks.split()}
    assert failing == set(OURS) - {"attention"}
    assert {check for *_, check, _ in UNJUDGED.values()} == set(OURS) - {"attention"}


@pytest.mark.parametrize("name", slow_unless(QUICK, WRONG))
def test_a_wrong_model_fails_the_check_that_is_about_it(of: Callable[[str], dict[str, Result]], name: str) -> None:
    found = of(name)
    failing = {check for check, result in found.items() if result.outcome == "failed"}
    assert failing == set(WRONG[name][-1].split()), {check: found[check].reason for check in failing}


@pytest.mark.parametrize("name", slow_unless(QUICK, UNJUDGED))
def test_what_cannot_be_judged_is_not_passed(of: Callable[[str], dict[str, Result]], name: str) -> None:
    *_, check, outcome = UNJUDGED[name]
    result = of(name)[check]
    assert (result.outcome.value, bool(result.reason)) == (outcome, True), result.reason


@pytest.mark.parametrize("name", slow_unless(QUICK, RIGHT))
def test_a_right_model_passes(of: Callable[[str], dict[str, Result]], name: str) -> None:
    found = of(name)
    assert found[RIGHT[name][-1]].outcome == "passed", found[RIGHT[name][-1]].reason
    wrong = {check: result.reason for check, result in found.items() if result.outcome in ("failed", "error")}
    assert wrong == {}


def test_the_right_model_passes_all_that_concerns_it(of: Callable[[str], dict[str, Result]]) -> None:
    outcomes = {check: result.outcome.value for check, result in of("right").items() if check in OURS}
    assert outcomes.pop("checkpointing") == "not_applicable"
    assert outcomes.pop("attention") == "not_applicable"
    assert outcomes.pop("future_leaks") == "not_applicable"
    assert outcomes.pop("residual") == "not_applicable"
    assert outcomes.pop("padded_rows") == "not_applicable"
    assert set(outcomes.values()) == {"passed"}


def test_curves_are_kept(of: Callable[[str], dict[str, Result]]) -> None:
    series = {each.name: each for each in of("right")["overfits"].evidence.series}
    assert set(series) == {"loss", "gradient norm", "loss of the twin"}
    assert series["loss"].x == tuple(range(len(series["loss"].x)))


@pytest.mark.slow
def test_samples_are_told_apart_by_the_first_batch_whose_targets_differ(of: Callable[[str], dict[str, Result]]) -> None:
    assert "twin" in {each.name.rpartition(" ")[2] for each in of("rare_targets")["overfits"].evidence.series}


@pytest.mark.slow
def test_without_targets_learning_is_compared_with_steps_by_chance(of: Callable[[str], dict[str, Result]]) -> None:
    found = of("no_targets")["overfits"]
    assert {each.name for each in found.evidence.series} == {"loss", "gradient norm"}
    assert "in directions of chance" in (found.evidence.bound_origin or "")


def test_a_loss_that_falls_no_further_than_by_chance_is_not_learned() -> None:
    curve = {"losses": [1.0, 0.9], "norms": [1.0, 0.5], "twin": None, "ended": "steps"}
    assert overfits._judged(**curve, chance=[1.1, 0.95]).outcome == "passed"  # type: ignore[arg-type]
    by_chance = overfits._judged(**curve, chance=[1.1, 0.85])  # type: ignore[arg-type]
    assert (by_chance.outcome, "directions of chance: 0.85" in (by_chance.reason or "")) == ("failed", True)


@pytest.mark.parametrize("are_quick", [True, *slow(False)])
def test_nothing_is_called_a_defect_of_the_tool(judged: Callable[[bool], list[Result]], are_quick: bool) -> None:
    assert [r.reason for r in judged(are_quick) if "internal error" in (r.reason or "")] == []


def test_a_gradient_that_is_still_above_its_beginning_leaves_open_whether_the_model_settles() -> None:
    curve = {"losses": [1.0, 0.5], "norms": [0.1, 0.4], "twin": [1.0, 0.9], "chance": [], "ended": "steps"}
    found = overfits._judged(**curve)  # type: ignore[arg-type]
    assert (found.outcome, "whether it settles is not known" in (found.reason or "")) == ("error", True)
