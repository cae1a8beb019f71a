"""Models of many kinds, all correct: no check may fail on one, under any seed."""

from pathlib import Path

import pytest

from audit.report.document import Report
from audit.results import Result
from audit.session import Request, conduct
from audit.target import Target
from validation.smoke.plan import plan_smoke
from validation.smoke.registry import MODEL_CHECKS

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


# What a check does not concern: these promise no loss and make no targets from the inputs, have no attention, take no
# mask and offer no checkpointing, and all but one each tie and freeze nothing.
_OF_NONE = {
    "initial_loss", "attention", "padding_leaks", "padded_rows", "future_leaks", "residual", "inference", "generates",
    "next_token", "checkpointing", "sample_order",
}  # fmt: skip
_OF_SOME = {
    "Bfloat16": {"gradcheck", "input_gradients"},  # makes bfloat16 of everything, and has no float64
    "Dataclass": {"export"},  # torch.export does not know what it returns
    "Embedded": {"input_gradients"},  # rounds its input to whole numbers
    "ExtraState": {"safetensors", "meta_build"},  # saves a number that is no tensor, and reads it when it is built
    "Normalised": {"accumulation"},  # over statistics of the batch
    "ObjectInList": {"export"},
    "PartlyFrozen": {"input_gradients"},  # the input reaches the output by what is frozen alone
    "Recurrent": {"compile"},  # torch.compile leaves recurrent layers as they are
    "Slots": {"export"},
}
_TELLS = {"Tied": "tied_weights", "PartlyFrozen": "declared_frozen"}
NOT_CONCERNED = {
    name: {
        f"smoke.{check}"
        for check in _OF_NONE | _OF_SOME.get(name, set()) | ({"tied_weights", "declared_frozen"} - {_TELLS.get(name)})
    }
    for name in NAMES
}
BESIDE = {"smoke.meta_build", "smoke.compile", "smoke.export", "smoke.attention"}  # in groups of their own


@pytest.mark.parametrize("name", NAMES)
def test_passes_every_check(report: Report, name: str) -> None:
    found = of(report, name)
    assert {result.check for result in found} == {each.check.id for each in MODEL_CHECKS} | BESIDE
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
