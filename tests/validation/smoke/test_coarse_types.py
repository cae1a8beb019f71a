"""Models that compute in a coarser type than their tensors are of: rounding is that of this type."""

from pathlib import Path

import pytest

from .written import Model, results_of_models

CHECKS = ("smoke.accumulation", "smoke.batch_rows", "smoke.sample_order", "smoke.noncontiguous")
AUTOCAST = """
with torch.autocast("cpu", torch.bfloat16):
            y = {given}
        return y.float()
"""


@pytest.mark.parametrize(
    ("forward", "failed"),
    [
        (AUTOCAST.format(given="self.layer(torch.tanh(x))"), set()),
        (AUTOCAST.format(given="self.layer(torch.tanh(x)) + x.mean(0)[:2]"), {"smoke.batch_rows"}),
        ("return self.layer(x.half().float())", set()),
    ],
    ids=["autocast", "autocast_over_the_batch", "a_cut"],
)
def test_the_unit_is_that_of_the_coarsest_type(tmp_path: Path, forward: str, failed: set[str]) -> None:
    models = {"chosen": Model(forward=forward.strip())}
    found = {
        each.check: each for each in results_of_models(tmp_path, models, only=CHECKS)["chosen"] if each.check in CHECKS
    }
    wrong = {check for check, each in found.items() if each.outcome.value == "failed"}
    assert wrong == failed, {check: each.reason for check, each in found.items()}
    assert {each.outcome.value for check, each in found.items() if check not in failed} <= {"passed", "not_applicable"}
    assert found["smoke.accumulation"].outcome.value == ("passed" if not failed else "not_applicable")
