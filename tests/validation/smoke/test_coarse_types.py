"""Models that compute in a coarser type than their tensors are of: rounding is that of this type."""

from pathlib import Path

from .written import Model, results_of_models

CHECKS = ("smoke.accumulation", "smoke.batch_rows", "smoke.sample_order", "smoke.noncontiguous")
AUTOCAST = """
with torch.autocast("cpu", torch.bfloat16):
            y = {given}
        return y.float()
"""


OVER_THE_BATCH = AUTOCAST.format(given="self.layer(torch.tanh(x)) + x.mean(0)[:2]")
CASES = {
    "autocast": (AUTOCAST.format(given="self.layer(torch.tanh(x))"), set()),
    "autocast_over_the_batch": (OVER_THE_BATCH, {"smoke.batch_rows"}),
    "cut": ("return self.layer(x.half().float())", set()),
}


def test_the_unit_is_that_of_the_coarsest_type(tmp_path: Path) -> None:
    models = {name: Model(forward=forward.strip()) for name, (forward, _) in CASES.items()}
    results = results_of_models(tmp_path, models, only=CHECKS)
    for name, (_, failed) in CASES.items():
        found = {each.check: each for each in results[name] if each.check in CHECKS}
        wrong = {check for check, each in found.items() if each.outcome.value == "failed"}
        assert wrong == failed, (name, {check: each.reason for check, each in found.items()})
        others = {each.outcome.value for check, each in found.items() if check not in failed}
        assert others <= {"passed", "not_applicable"}, name
        assert found["smoke.accumulation"].outcome.value == ("not_applicable" if failed else "passed"), name
