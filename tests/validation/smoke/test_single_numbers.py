"""A single number, such as a loss that forward returns, in low precision: it is rounded itself, and no more."""

from collections.abc import Mapping

import pytest

from audit.results import Result

from .written import Model, results_of_models

CHECK = "smoke.low_precision"
# float16 has steps of half between 512 and 1024; what the layer gives moves it by a thousandth.
LARGE = "return {{'loss': {error}700.2 + 0.01 * self.layer(x).square().mean(), 'output': self.layer(x)}}"
WRONG = "10.0 * (self.layer.weight.dtype == torch.float16) + "
LOSS = ".update(loss=lambda output, inputs: output['output'].square().mean(){})"


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Result]:
    models = {
        "right": Model(forward=LARGE.format(error=""), entry=LOSS.format("")),
        "wrong": Model(forward=LARGE.format(error=WRONG), entry=LOSS.format("")),
        "undeclared": Model(forward=LARGE.format(error=""), entry=LOSS.format(", dtypes=['float64']")),
    }
    found = results_of_models(tmp_path_factory.mktemp("numbers"), models, only=(CHECK,))
    return {name: next(each for each in found[name] if each.check == CHECK) for name in models}


@pytest.mark.parametrize(
    ("name", "outcome"), [("right", "passed"), ("wrong", "failed"), ("undeclared", "not_applicable")]
)
def test_a_single_number_may_err_by_its_own_rounding(judged: Mapping[str, Result], name: str, outcome: str) -> None:
    assert judged[name].outcome == outcome, judged[name].reason
    assert (outcome != "failed") or "output.loss in float16" in (judged[name].reason or "")


def test_the_rounding_of_the_number_is_more_than_the_layer_moves_it_by(judged: Mapping[str, Result]) -> None:
    evidence = judged["wrong"].evidence
    assert evidence.bound is not None
    assert 0.5 < evidence.bound < 10  # 8 / 2 operations x 2**-11 x 700 = 1.4, and what the layer moves
