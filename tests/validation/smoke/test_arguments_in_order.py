"""A forward whose arguments have no names (`x, /` and `*features`) is judged as any other is."""

from pathlib import Path

import pytest

from audit.results import Outcome, Result
from audit.session import Request, conduct
from audit.target import Target
from validation.training.plan import planner_of
from validation.training.settings import TrainingSettings

from .written import Model, results_of_models

GIVEN = (
    ".update({}inputs=lambda batch_size, generator: "
    "{{'features': {}}}, loss=lambda output, inputs: (output - inputs['features'][0][:, :2]).square().mean())"
)
PAIR = "[torch.randn(batch_size, 6, generator=generator) for _ in range(2)]"
SUM = "return self.layer(features[0] + features[1])"


def judged(root: Path, arguments: str, models: dict[str, Model]) -> dict[str, list[Result]]:
    return results_of_models(root, models, only=(), arguments=arguments)


@pytest.fixture(scope="module")
def in_order(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Result]]:
    right = ".update(exports=True, compiles=True, dynamic_batch=True, dtypes=['bfloat16'])"
    root = tmp_path_factory.mktemp("positional_only")
    return judged(
        root,
        "x, /",
        {
            "right": Model(entry=right),
            "grows": Model(forward="x.mul_(2); return self.layer(x)"),
            "another_name": Model(
                entry=".update(inputs=lambda batch_size, generator: {'y': torch.ones(batch_size, 6)})"
            ),
        },
    )


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Result]]:
    root = tmp_path_factory.mktemp("collected")
    return judged(
        root,
        "*features",
        {
            "right": Model(forward=SUM, entry=GIVEN.format("exports=True, dynamic_batch=True, ", PAIR)),
            "in_a_tuple": Model(forward=SUM, entry=GIVEN.format("", f"tuple({PAIR})")),
            "mixes": Model(
                forward="return self.layer(features[0] + features[1].mean(0))", entry=GIVEN.format("", PAIR)
            ),
            "one_tensor": Model(forward=SUM, entry=GIVEN.format("", "torch.ones(batch_size, 6)")),
        },
    )


def not_passed(results: list[Result]) -> dict[str, str]:
    return {each.check: each.reason or "" for each in results if each.outcome in (Outcome.FAILED, Outcome.ERROR)}


def test_a_right_one_passes_whatever_the_arguments_are_called(
    in_order: dict[str, list[Result]], collected: dict[str, list[Result]]
) -> None:
    for results in (in_order["right"], collected["right"], collected["in_a_tuple"]):
        assert not_passed(results) == {}
        passed = {each.check for each in results if each.outcome is Outcome.PASSED}
        assert {"smoke.forward", "smoke.backward", "smoke.batch_rows"} <= passed
        assert {"smoke.overfits", "smoke.save_load", "smoke.input_gradients", "smoke.sample_order"} <= passed
    captured = {
        name: {each.check: each.outcome for each in results["right"] if each.check in ("smoke.compile", "smoke.export")}
        for name, results in (("in_order", in_order), ("collected", collected))
    }
    passed_both = {"smoke.compile": Outcome.PASSED, "smoke.export": Outcome.PASSED}
    assert captured["in_order"] == passed_both
    assert captured["collected"]["smoke.export"] is Outcome.PASSED


def test_a_wrong_one_fails_as_others_do(in_order: dict[str, list[Result]], collected: dict[str, list[Result]]) -> None:
    assert "smoke.forward" in not_passed(in_order["grows"])
    assert "smoke.batch_rows" in not_passed(collected["mixes"])


def test_a_batch_that_such_a_call_does_not_take_is_an_error_of_the_specs(
    in_order: dict[str, list[Result]], collected: dict[str, list[Result]]
) -> None:
    assert (
        "gives y by name, and forward(x, /) takes no such call" in not_passed(in_order["another_name"])["smoke.forward"]
    )
    assert "takes no such call" in not_passed(collected["one_tensor"])["smoke.forward"]
    for results in (in_order["another_name"], collected["one_tensor"]):
        assert [each.check for each in results if each.outcome is Outcome.FAILED] == []


def test_training_says_so_too_and_finds_nothing_wrong_with_the_model(
    in_order: dict[str, list[Result]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert in_order  # written by then
    root = tmp_path_factory.getbasetemp() / "positional_only0"
    planner = planner_of(TrainingSettings(steps=20))
    report = conduct(Target.load(root), Request(command="train", planners=[planner], only=()))
    found = {(each.subject.spec, each.check): each for each in report.results}
    assert found["right", "train.run"].outcome is Outcome.PASSED
    wrong = found["another_name", "train.run"]
    assert wrong.outcome is Outcome.ERROR
    assert "takes no such call" in (wrong.reason or "")
    assert [key for key, each in found.items() if key[0] != "grows" and each.outcome is Outcome.FAILED] == []
