"""Train and eval mode of what torch computes in another way in each."""

from pathlib import Path

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


LOSS = "lambda output, inputs: output['loss'] if isinstance(output, dict) and 'loss' in output else output.mean()"
# forward, what its entry declares, the outcome, and what is said of it
OTHERWISE = {
    "losses": (LOSSES, "True", "passed", ""),
    "undeclared": (LOSSES, "False", "failed", "train and eval give different outputs"),
    "declared_and_absent": ("return self.layer(x)", "True", "failed", "the specs declare differs_in_training"),
    "changes_what_it_was_given": (
        "y = self.layer(x); x.mul_(0.5 if self.training else 1); return y",
        "False",
        "passed",
        "",
    ),
    "no_flag": ("return self.layer(x)", "'yes'", "skipped", ""),
}


def test_what_returns_something_else_in_training_says_so(tmp_path: Path) -> None:
    models = {
        name: Model(forward=forward, entry=f".update({{'differs_in_training': {declared}, 'loss': {LOSS}}})")
        for name, (forward, declared, _, _) in OTHERWISE.items()
    }
    results = results_of_models(tmp_path, models, only=("smoke.train_eval",))
    found = {name: next(each for each in results[name] if each.check == "smoke.train_eval") for name in models}
    for name, (_, _, outcome, said) in OTHERWISE.items():
        assert (found[name].outcome.value, said in (found[name].reason or "")) == (outcome, True), found[name].reason
