"""Models of many kinds, all correct: no check may fail on one, under any seed."""

from pathlib import Path

import pytest

from audit.report.document import Report
from audit.results import Result
from audit.session import Request, conduct
from audit.target import Target
from validation.smoke.checks import MODEL_CHECKS
from validation.smoke.plan import plan_smoke

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # the first test waits for a run over all models
KINDS = Path(__file__).parents[2] / "fixtures" / "models" / "kinds"
NAMES = (
    "Bfloat16", "Classes", "Complex", "Dataclass", "Dict", "Embedded", "ExtraState", "Lazy", "Linear", "Nested",
    "Noisy", "Normalised", "ObjectInList", "PartlyFrozen", "Recurrent", "Renamed", "Slots", "SpectrallyNormalised",
    "Tied", "WithBuffers",
)  # fmt: skip


@pytest.fixture(scope="module", params=[0, 7])
def report(request: pytest.FixtureRequest) -> Report:
    return conduct(Target.load(KINDS, seed=request.param), Request(command="smoke", planners=[plan_smoke]))


def of(report: Report, name: str) -> list[Result]:
    return [result for result in report.results if result.subject.spec == name]


def test_every_kind_is_judged_here(report: Report) -> None:
    assert {result.subject.spec for result in report.results} - {None} == set(NAMES)


# What a check does not concern: these promise no loss, all but one tie nothing, and one saves a number that is no
# tensor, and reads it when it is built.
NOT_CONCERNED = {name: {"smoke.initial_loss", "smoke.tied_weights"} for name in NAMES} | {
    "Tied": {"smoke.initial_loss"},
    "ExtraState": {"smoke.initial_loss", "smoke.tied_weights", "smoke.safetensors", "smoke.meta_build"},
}


@pytest.mark.parametrize("name", NAMES)
def test_passes_every_check(report: Report, name: str) -> None:
    found = of(report, name)
    assert {result.check for result in found} == {each.check.id for each in MODEL_CHECKS} | {"smoke.meta_build"}
    others = {result.check: result for result in found if result.outcome != "passed"}
    assert others.keys() == NOT_CONCERNED[name], [(each.check, each.reason) for each in others.values()]
    assert {each.outcome.value for each in others.values()} == {"not_applicable"}


@pytest.mark.parametrize("name", NAMES)
def test_results_are_bound_to_the_class_its_source_and_its_size(report: Report, name: str) -> None:
    source = (KINDS / "zoo" / "models.py").read_text().splitlines()
    for result in of(report, name):
        subject = result.subject
        assert (subject.module, subject.qualname, subject.path) == ("zoo.models", name, "zoo/models.py")
        assert source[(subject.line or 0) - 1].startswith(f"class {name}(")
        assert subject.digest
        assert subject.parameters or result.outcome == "not_applicable"


def test_digests_differ_between_classes(report: Report) -> None:
    digests = {result.subject.digest for result in report.results if result.subject.spec}
    assert len(digests) == len(NAMES)


def test_the_parameter_count_is_that_of_distinct_parameters(report: Report) -> None:
    # One 6 x 6 weight in two places, two biases.
    assert {result.subject.parameters for result in of(report, "Tied")} == {6 * 6 + 6 + 6}
    assert {result.subject.parameters for result in of(report, "PartlyFrozen")} == {6 * 8 + 8 + 8 * 2 + 2}


def test_every_class_is_reached(report: Report) -> None:
    reached = {r.subject.qualname: r.outcome.value for r in report.results if r.check == "smoke.reached"}
    assert set(reached) == set(NAMES)
    assert set(reached.values()) == {"passed"}
