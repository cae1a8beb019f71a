"""Construction, state and memory: each check has models that pass, that fail by one edit, and that it cannot judge."""

import re
from collections.abc import Callable
from functools import cache

import pytest

from audit.results import Result
from validation.smoke.checks import copies, memory

from ...slow_cases import slow_unless
from .stateful import CASES, ERROR, FAILED, HELPERS, PASSED, SKIPPED
from .written import results_of_models

pytestmark = pytest.mark.timeout(900)  # the first test waits for a run over all models

Results = Callable[[str], dict[str, Result]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Result]]:
    """The results of one check on the models that are about it, by their names."""

    @cache
    def of(check: str) -> dict[str, Result]:
        models = {name: model for name, model, _, _ in CASES[check]}
        assert len(models) == len(CASES[check])
        found = results_of_models(tmp_path_factory.mktemp("state"), models, only=(check,), helpers=HELPERS)
        return {name: each for name in models for each in found[name] if each.check == check}

    return of


# Each check has a run of its own over its models; all together take a minute.
QUICK = {"smoke.registered", "smoke.initialisation", "smoke.strict_loading"}


@pytest.mark.parametrize(
    ("check", "name", "outcome", "reason"),
    [
        pytest.param(check, name, outcome, reason, marks=[] if check in QUICK else pytest.mark.slow)
        for check, cases in CASES.items()
        for name, _, outcome, reason in cases
    ],
)
def test_a_model_is_judged_as_it_is(results: Results, check: str, name: str, outcome: str, reason: str) -> None:
    result = results(check)[name]
    assert result.outcome == outcome, result.reason
    assert re.search(reason, result.reason or "", re.DOTALL), result.reason
    assert "internal error" not in (result.reason or "")


@pytest.mark.parametrize("check", CASES)
def test_a_check_is_seen_passing_failing_and_unable_to_judge(check: str) -> None:
    # That each outcome is what comes is tested above.
    outcomes = {outcome for _, _, outcome, _ in CASES[check]}
    assert outcomes >= {PASSED, FAILED}
    assert outcomes & {ERROR, SKIPPED}


@pytest.mark.parametrize("check", slow_unless(QUICK, CASES))
def test_a_pass_says_where_its_bound_comes_from(results: Results, check: str) -> None:
    passes = [result for result in results(check).values() if result.outcome == PASSED]
    assert passes
    assert all(result.evidence.bound_origin and result.evidence.measured is not None for result in passes)


def test_how_memory_grew_is_kept_as_a_curve(results: Results) -> None:
    alive = results(memory.CHECK.id)["keeps_every_output"].evidence.series[0]
    assert len(alive.x) == len(alive.y) > 2
    assert list(alive.y) == sorted(set(alive.y))


@pytest.mark.slow
def test_a_deep_copy_alone_counts_of_what_torch_does_not_pickle(results: Results) -> None:
    result = results(copies.CHECK.id)["parametrized"]
    assert "torch pickles no parametrized modules" in (result.evidence.bound_origin or "")
