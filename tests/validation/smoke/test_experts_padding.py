"""Padding that shares a product with what counts, as the tokens of an expert do, and so the rounding of it."""

from collections.abc import Mapping

import pytest

from audit.results import Result

from .written import Model, results_of_models

CHECK = "smoke.padding_leaks"
INPUTS = """.update(
    padding={'mask': 'key_mask', 'content': ['x']},
    inputs=lambda batch_size, generator: {
        'x': torch.randn(batch_size, 6, generator=generator),
        'key_mask': torch.arange(6)[None] < torch.arange(3, 3 + batch_size)[:, None],
    },
    loss=lambda output, inputs: (output - inputs['x'][:, :1]).square().mean(),
)"""
# A mixture of experts, each of which multiplies the tokens that choose it in one product, padded ones among them.
HELPERS = """
class Experts(nn.Module):
    def __init__(self, capacity):
        super().__init__()
        self.capacity = capacity
        self.up, self.router = nn.Linear(1, 32), nn.Linear(32, 4)
        self.experts = nn.ModuleList(nn.Linear(32, 32) for _ in range(4))
    def forward(self, x, mask):
        tokens = self.up(x[..., None]).flatten(0, 1)
        weight, chosen = self.router(tokens).softmax(-1).max(-1)
        mixed = torch.zeros_like(tokens)
        for index, expert in enumerate(self.experts):
            found = torch.where(chosen == index)[0].flip(0)[:self.capacity]
            mixed = mixed.index_add(0, found, weight[found, None] * expert(tokens[found]))
        return (mixed.view(*x.shape, -1) * mask[..., None]).sum(1)
"""
EXPERTS = "return self.experts(x, key_mask)"
# The same factor before and behind, by the hidden content: another rounding of the same number on any machine.
FACTOR = "y, c = self.layer(x * key_mask), 1 + (x * ~key_mask).abs().sum(); return {}"
CASES = {
    "experts": (Model("self.experts = Experts(capacity=None)", EXPERTS), "passed", ""),
    "experts_with_room_for_two": (
        Model("self.experts = Experts(capacity=2)", EXPERTS), "failed", "output: output with x behind key_mask",
    ),
    "rounded_otherwise": (Model(forward=FACTOR.format("y * c / c")), "passed", ""),
    "divided_by_more": (Model(forward=FACTOR.format("y * c / (c + 1e-4)")), "failed", "output with x"),
    "two_divided_by_more": (
        Model(forward=FACTOR.format("(y, y * c / (c + 1e-4), y * c / (c + 1e-3))")),
        "failed", "output.2 with x behind key_mask, output.1 with x behind key_mask",
    ),
    "rounded_to_nothing": (
        Model(
            "self.register_buffer('far', torch.tensor(1e7))",
            FACTOR.format("((4 * y + self.far) * c - self.far * c) / c"),
        ),
        "error", "nothing can be told apart",
    ),
    "exact": (Model(forward="return self.layer(x * key_mask)"), "passed", ""),
}  # fmt: skip


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Result]:
    models = {name: model._replace(entry=INPUTS) for name, (model, *_) in CASES.items()}
    root = tmp_path_factory.mktemp("experts")
    found = results_of_models(root, models, only=(CHECK,), helpers=HELPERS, arguments="x, key_mask")
    return {name: next(each for each in found[name] if each.check == CHECK) for name in CASES}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_what_is_hidden_may_change_the_rounding_of_what_is_shown_and_nothing_more(
    judged: Mapping[str, Result], name: str
) -> None:
    _, outcome, said = CASES[name]
    assert judged[name].outcome == outcome, judged[name].reason
    assert said in (judged[name].reason or "")


@pytest.mark.slow
def test_equal_bits_are_told_as_such(judged: Mapping[str, Result]) -> None:
    exact, rounded = judged["exact"].evidence, judged["rounded_otherwise"].evidence
    assert (exact.measured, exact.bound, exact.comparison) == (0, 0, "==")
    assert rounded.measured
    assert rounded.bound
    assert rounded.measured <= rounded.bound < 1e-4
