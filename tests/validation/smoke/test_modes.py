"""Train and eval mode of what torch computes in another way in each."""

from pathlib import Path

import pytest

from .written import Model, results_of_models

LAYER = "self.inner = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True, dropout=0.0)"
LOSSES = "return {'loss': self.layer(x).mean()} if self.training else {'boxes': self.layer(x)}"
FORWARD = "return self.layer(self.inner(x[:, None].cumsum(1).expand(-1, 5, -1))[:, 0]{})"


def test_the_fused_kernel_of_an_encoder_layer_is_no_difference_of_the_model(tmp_path: Path) -> None:
    models = {
        "right": Model(built=LAYER, forward=FORWARD.format("")),
        "scaled": Model(built=LAYER, forward=FORWARD.format(" * (1 if self.training else 2)")),
    }
    found = results_of_models(tmp_path, models, only=("smoke.train_eval",))
    outcomes = {
        name: result.outcome.value for name in models for result in found[name] if result.check == "smoke.train_eval"
    }
    assert outcomes == {"right": "passed", "scaled": "failed"}


@pytest.mark.parametrize(
    ("forward", "more", "outcome", "said"),
    [
        (LOSSES, "'differs_in_training': True", "passed", None),
        (LOSSES, "'differs_in_training': False", "failed", "train and eval give different outputs"),
        ("return self.layer(x)", "'differs_in_training': True", "failed", "the specs declare differs_in_training"),
        ("return self.layer(x)", "'differs_in_training': 'yes'", "skipped", None),
    ],
    ids=["losses", "undeclared", "declared_and_absent", "no_flag"],
)
def test_what_returns_something_else_in_training_says_so(
    tmp_path: Path, forward: str, more: str, outcome: str, said: str | None
) -> None:
    loss = "lambda output, inputs: output['loss'] if isinstance(output, dict) and 'loss' in output else output.mean()"
    models = {"chosen": Model(forward=forward, entry=f".update({{{more}, 'loss': {loss}}})")}
    (result,) = [
        each
        for each in results_of_models(tmp_path, models, only=("smoke.train_eval",))["chosen"]
        if each.check == "smoke.train_eval"
    ]
    assert result.outcome.value == outcome, result.reason
    assert said is None or said in (result.reason or "")
