"""Steps, gradients and state: what a right model may do, and what one edit of it makes wrong."""

import pytest

from audit.results import Result

from .written import Model, results_of_models

CHECKS = (
    "smoke.forward", "smoke.determinism", "smoke.backward", "smoke.optimizer_step", "smoke.inputs_untouched",
    "smoke.accumulation",
)  # fmt: skip
TEACHER = "self.teacher = nn.Linear(6, 2).requires_grad_(False); self.teacher.load_state_dict(self.layer.state_dict())"
UPDATE = (
    "with torch.no_grad():\n"
    "            for p, q in zip(self.teacher.parameters(), self.layer.parameters()):\n"
    "                {update}\n"
    "        return self.layer(x) + 0 * self.teacher(x)"
)
EXPERTS = "self.experts = nn.ModuleList(nn.Linear(6, 2) for _ in range(40))"
CHOSEN = (
    "y = self.layer(x); at = (x.sum(1).abs() * 7).long() % 40;"
    " return torch.stack([z + self.experts[int(i)](row) for z, row, i in zip(y, x, at)])"
)
COLUMN = "loss=lambda output, inputs: nn.functional.mse_loss(output[:, {}], {})"
GIVEN = "inputs=lambda batch_size, generator: {{'x': {}}}"
COUNTER = "self.register_buffer('seen', torch.zeros(1){})"
# name: (in __init__, forward, a change of the entry, the check that tells, its outcome, a part of what it says)
CASES = {
    "right": ("pass", "return self.layer(x)", "", "smoke.optimizer_step", "passed", ""),
    "mean_teacher": (
        TEACHER, UPDATE.format(update="p.lerp_(q, 0.1)"), "", "smoke.optimizer_step", "passed",
        "moving averages of trainable ones: teacher.bias, teacher.weight",
    ),
    "teacher_that_runs_away": (
        TEACHER, UPDATE.format(update="p.lerp_(q, -0.5)"), "", "smoke.optimizer_step", "failed",
        "teacher.bias is frozen and changed",
    ),
    "teacher_with_noise": (
        TEACHER, UPDATE.format(update="p.lerp_(q, 0.1).add_(torch.rand_like(p), alpha=1e-3)"), "",
        "smoke.optimizer_step", "failed", "teacher.bias is frozen and changed",
    ),
    "experts": (EXPERTS, CHOSEN, "", "smoke.backward", "error", "differs from batch to batch"),
    "last_layer_left_out": (
        "self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(3))",
        "for each in self.layers[:-1]:\n            x = each(x)\n        return self.layer(x)", "",
        "smoke.backward", "failed", "layers.2.bias: none",
    ),
    "broadcast_loss": (
        "pass", "return self.layer(x)", COLUMN.format(":1", "inputs['x'].sum(1)"), "smoke.backward", "failed",
        "each prediction meets every target",
    ),
    "loss_of_one_shape": (
        "pass", "return self.layer(x)",
        "loss=lambda output, inputs: nn.functional.mse_loss(output, inputs['x'].sum(1, keepdim=True).expand(-1, 2))",
        "smoke.backward", "passed", "",
    ),
    "one_target_for_all": (  # as of a discriminator, whose real samples all have the target one
        "pass", "return self.layer(x)", COLUMN.format(":1", "torch.tensor([1.0])"), "smoke.backward", "passed", "",
    ),
    "counts_in_eval": (
        COUNTER.format(""), "self.seen += len(x); return self.layer(x)", "", "smoke.determinism", "failed",
        "each forward in eval mode changes what is saved: seen",
    ),
    "counts_in_training": (
        COUNTER.format(""), "self.seen += len(x) * self.training; return self.layer(x)", "", "smoke.determinism",
        "passed", "",
    ),
    "counts_what_is_not_saved": (
        COUNTER.format(", persistent=False"), "self.seen += len(x); return self.layer(x)", "", "smoke.determinism",
        "passed", "",
    ),
    "counts_calls": (
        "self.register_buffer('calls', torch.zeros((), dtype=torch.long))", "self.calls += 1; return self.layer(x)", "",
        "smoke.determinism", "passed", "",
    ),
    "sets_up_once": (
        COUNTER.format(""), "self.seen.fill_(1); return self.layer(x)", "", "smoke.determinism", "passed", "",
    ),
    "scale_moved_in_eval": (
        COUNTER.format(""), "self.seen += x.abs().mean(); return self.layer(x) * self.seen", "", "smoke.determinism",
        "failed", "in eval mode each forward changes seen, and the next pass over the same batch gives another output",
    ),
    "scale_moved_in_eval_and_gradients_of_parts": (
        COUNTER.format(""), "self.seen += x.abs().mean(); return self.layer(x) * self.seen", "", "smoke.accumulation",
        "skipped", "needs smoke.determinism to pass",
    ),
    "scale_moved_in_training": (
        COUNTER.format(""), "self.seen += x.abs().mean() * self.training; return self.layer(x) * (1 + self.seen)", "",
        "smoke.determinism", "passed", "",
    ),
    "random_in_eval": (
        COUNTER.format(""), "self.seen += len(x); return self.layer(x) + torch.randn(2)", "", "smoke.determinism",
        "failed", "eval passes over the same batch differ",
    ),
    "one_batch_for_all": (
        "pass", "return self.layer(x)", GIVEN.format("torch.ones(batch_size, 6)"), "smoke.forward", "error",
        "'inputs' gives the same batch for two generators",
    ),
    "batch_of_nan": (
        "pass", "return self.layer(x)", GIVEN.format("torch.full((batch_size, 6), float('nan'))"), "smoke.forward",
        "error", "'inputs' gives NaN or infinite numbers in inputs.x",
    ),
    "batch_of_nan_that_stand_for_nothing": (
        "pass", "return self.layer(x.nan_to_num())",
        GIVEN.format("torch.randn(batch_size, 6, generator=generator).sqrt()"), "smoke.forward", "passed", "",
    ),
    "mask_of_infinities_that_is_added": (
        "pass", "return self.layer(x) / 0",
        GIVEN.format("torch.randn(batch_size, 6, generator=generator).clamp(min=1).log() - 1 / torch.zeros(1)"),
        "smoke.forward", "failed", "elements of the output are not finite",
    ),
    "factor_that_begins_as_zero": (
        "self.factor = nn.Parameter(torch.zeros(2))", "return self.layer(9 * x) * self.factor", "", "smoke.forward",
        "passed", "",
    ),
    "zeros_of_either_sign": (
        "pass", "return self.layer(9 * x) * 0", "", "smoke.forward", "failed", "the model ignores its input",
    ),
    "multiplies_its_input_in_place": (
        "pass", "x *= torch.ones(6); return self.layer(x)", "", "smoke.inputs_untouched", "failed",
        "inputs.x, in place, by the numbers that it had",
    ),
    "multiplies_a_copy": (
        "pass", "x = x * torch.ones(6); return self.layer(x)", "", "smoke.inputs_untouched", "passed", "",
    ),
    "keeps_the_first_mask": (
        "self.open = None",
        "self.open = x[:, :2] > 0 if self.open is None else self.open; return self.layer(x) * self.open", "",
        "smoke.determinism", "failed", "the output depends on calls before",
    ),
    "keeps_a_mask_that_fits": (
        "self.open = None",
        "self.open = torch.ones(len(x), 1) if self.open is None else self.open; return self.layer(x) * self.open", "",
        "smoke.determinism", "passed", "",
    ),
    "sets_up_by_the_first_batch": (
        COUNTER.format(""), "self.seen += (x[0, 0] if self.seen == 0 else 0); return self.layer(x) * self.seen", "",
        "smoke.determinism", "passed", "",
    ),
    "casts_itself": (
        "pass", "return self.layer.to(torch.bfloat16)(x.bfloat16()).float()", "", "smoke.determinism", "failed",
        "leaves parameters in another dtype: layer.weight, layer.bias",
    ),
    "casts_what_it_computes": (
        "pass", "return nn.functional.linear(x.bfloat16(), *(p.bfloat16() for p in self.layer.parameters())).float()",
        "", "smoke.determinism", "passed", "",
    ),
    "arguments_by_position": (
        "self.forward = lambda *each: self.layer(each[0])", "return self.layer(x)", "", "smoke.forward", "error",
        "'inputs' gives x by name, and forward(*each) takes no such call",
    ),
    "arguments_without_a_name": (
        "pass", "return self.layer(x)", "inputs=lambda batch_size, generator: {0: torch.ones(batch_size, 6)}",
        "smoke.forward", "error", "'inputs' returned a dict with the key 0, of int",
    ),
    "no_argument": (
        "pass", "return self.layer(x)", "inputs=lambda batch_size, generator: {}", "smoke.forward", "error",
        "'inputs' gives no argument, and forward(x) takes no such call",
    ),
    "loss_that_is_no_tensor": (
        "pass", "return self.layer(x)", "loss=lambda output, inputs: {'loss': output.sum()}", "smoke.backward",
        "error", "'loss' must return a tensor with one element",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Result]]:
    """The results of each case by their checks."""
    models = {
        name: Model(built, forward, f".update({entry.replace('nn.', 'torch.nn.')})" if entry else "")
        for name, (built, forward, entry, *_) in CASES.items()
    }
    results = results_of_models(tmp_path_factory.mktemp("training"), models, only=CHECKS)
    return {name: {each.check: each for each in results[name]} for name in CASES}


@pytest.mark.parametrize("name", CASES)
def test_the_check_tells_what_the_edit_did(found: dict[str, dict[str, Result]], name: str) -> None:
    *_, check, outcome, said = CASES[name]
    result = found[name][check]
    assert result.outcome.value == outcome, result.reason
    assert said in f"{result.reason} {result.evidence}", result
