"""A generator among the inputs draws the same in every run, and is no mistake of the model."""

from pathlib import Path

from audit.results import Outcome

from .written import Model, results_of_models

INPUTS = (
    "lambda batch_size, generator: {'x': {'y': torch.randn(batch_size, 6, generator=generator),"
    " 'by': torch.Generator().manual_seed(3)}}"
)
DRAWS = "self.layer(x['y'] + 0.1 * torch.randn(x['y'].shape, generator=x['by']))"
TARGET = "lambda output, inputs: (output - inputs['x']['y'][:, :2]).square().mean()"
CHECKS = (
    "determinism", "train_eval", "batch_rows", "padded_rows", "noncontiguous", "compile", "gradcheck", "accumulation",
)  # fmt: skip


def test_a_model_that_draws_from_it_is_judged(tmp_path: Path) -> None:
    entry = f".update({{'inputs': {INPUTS}, 'loss': {TARGET}}})"
    models = {
        "right": Model(forward=f"return {DRAWS}", entry=entry),
        "otherwise": Model(forward=f"return {DRAWS} + 0.1 * torch.randn(2)", entry=entry),
    }
    results = results_of_models(tmp_path, models, only=tuple(f"smoke.{each}" for each in CHECKS))
    found = {
        name: {each.check.partition(".")[2]: each for each in results[name] if each.check.startswith("smoke.")}
        for name in models
    }
    said = {check: (each.outcome.value, each.reason) for check, each in found["right"].items()}
    outcomes = {outcome for outcome, _ in said.values()}
    assert outcomes <= {"passed", "not_applicable"}, said
    assert "inputs.x.by draws for all samples together" in (found["right"]["batch_rows"].reason or "")
    assert found["right"]["padded_rows"].outcome is Outcome.NOT_APPLICABLE
    assert found["otherwise"]["determinism"].outcome is Outcome.FAILED
