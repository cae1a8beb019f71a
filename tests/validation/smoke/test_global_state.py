"""What forward leaves changed for the rest of the process: each setting, seed and mode fails by its name."""

import pytest

from audit.results import Result

from .written import Model, results_of_models

CHECK = "smoke.global_state"
CALL = "return self.layer(x)"
# name: (in __init__, forward, outcome, a part of what it says)
CASES = {
    "right": ("pass", CALL, "passed", ""),
    "under_context_managers": (
        "self.p = 0.1",
        "with torch.random.fork_rng():\n            torch.manual_seed(0)\n            noise = torch.randn(2)\n"
        "        with torch.autocast('cpu'), torch.no_grad():\n            gate = self.layer(x)\n"
        "        return nn.functional.dropout(self.layer(x), self.p, self.training) + 0 * gate.float() + 0 * noise",
        "passed", "",
    ),
    "frozen_part_in_eval_mode": (
        "self.frozen = nn.Linear(6, 2).requires_grad_(False)",
        "self.frozen.eval()\n        return self.layer(x) + 0 * self.frozen(x)", "passed", "",
    ),
    "raises_in_training": (
        "pass", "assert not self.training\n        return self.layer(x)", "passed", "raised AssertionError, which",
    ),
    "seeds": ("pass", f"torch.manual_seed(0)\n        {CALL}", "failed", "torch is seeded"),
    "seeds_random": ("import random", f"import random; random.seed(1)\n        {CALL}", "failed", "random is seeded"),
    "dtype": (
        "pass", "y = self.layer(x); torch.set_default_dtype(torch.float64); return y", "failed",
        "default dtype from torch.float32 to torch.float64, by forward in eval mode",
    ),
    "device": (
        "pass", f"torch.set_default_device('meta')\n        {CALL}", "failed",
        "default device from cpu to meta, by forward in eval mode",
    ),
    "gradients": (
        "pass", "y = self.layer(x); torch.set_grad_enabled(False); return y", "failed",
        "gradients enabled from True to False",
    ),
    "autocast": (
        "pass", f"torch.autocast('cpu', torch.bfloat16).__enter__()\n        {CALL}", "failed", "autocast on CPUs from",
    ),
    "threads": (
        "pass", f"torch.set_num_threads(3 if torch.get_num_threads() != 3 else 2)\n        {CALL}", "failed",
        "number of threads from",
    ),
    "deterministic_in_training": (
        "pass",
        f"if self.training:\n            torch.use_deterministic_algorithms(True)\n        {CALL}", "failed",
        "deterministic algorithms from 0 to 2, by forward in train mode",
    ),
    "eval_in_forward": (
        "pass", f"self.eval()\n        {CALL}", "failed", "mode of the model to eval, by forward in train mode",
    ),
    "train_in_forward": (
        "pass", f"self.train()\n        {CALL}", "failed", "mode of the model to train, by forward in eval mode",
    ),
    "precision_in_backward": (
        "pass",
        "y = self.layer(x)\n        if y.requires_grad:\n"
        "            y.register_hook(lambda g: torch.set_float32_matmul_precision('medium'))\n        return y",
        "failed", "precision of float32 products from highest to medium, by the loss or backward",
    ),
    "raises": ("pass", "raise RuntimeError('no')", "error", "raised RuntimeError: no"),
}  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Result]:
    models = {name: Model(built, forward) for name, (built, forward, *_) in CASES.items()}
    found = results_of_models(
        tmp_path_factory.mktemp("global"), models, only=(CHECK, "smoke.forward", "smoke.determinism", "smoke.backward")
    )
    return {(name, result.check): result for name, results in found.items() for result in results}


@pytest.mark.parametrize("name", CASES)
def test_what_is_left_changed_is_named(results: dict[tuple[str, str], Result], name: str) -> None:
    *_, outcome, said = CASES[name]
    found = results[name, CHECK]
    assert found.outcome == outcome, found.reason
    told = f"{found.reason or ''} {found.evidence.bound_origin if found.evidence else ''}"
    assert said in told
    if outcome == "failed":
        assert found.evidence is not None
        assert found.evidence.measured == 1, found.reason


def test_what_depends_on_it_waits_and_says_so(results: dict[tuple[str, str], Result]) -> None:
    for check in ("smoke.determinism", "smoke.backward"):
        found = results["autocast", check]
        assert (found.outcome, found.reason) == (
            "skipped",
            "needs smoke.global_state to pass on this subject, and that was: failed",
        )
        assert results["right", check].outcome == "passed"
    assert results["raises_in_training", "smoke.backward"].outcome == "failed"
