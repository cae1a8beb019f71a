"""Train and eval mode of what torch computes in another way in each."""

from pathlib import Path

from .written import Model, results_of_models

LAYER = "self.inner = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True, dropout=0.0)"
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
