"""Samples of different lengths, of which none fits the targets of another: the loss is not blamed for that."""

import pytest

from audit.results import Result

from .written import Model, results_of_models

pytestmark = pytest.mark.slow  # ten trainings; in test_behaviour_checks one loss of each kind is learned quickly

RAGGED = "[torch.randn(3 + k % 3, 6, generator=generator) for k in range(batch_size)]"
UNIQUE = "[torch.randn(3 + k, 6, generator=generator) for k in range(batch_size)]"
EACH = "lambda output, inputs: sum((a - b[:, :2]).square().mean() for a, b in zip(output, inputs['x'])) / len(output)"
# The same in tensors, of which a mask has the lengths.
PADDED = """dict(
    x=torch.randn(batch_size, 5, 6, generator=generator),
    mask=torch.arange(5) <= torch.arange(batch_size)[:, None] % 5,
)"""
OF_PADDED = EACH.replace("inputs['x']", "[a[m] for a, m in zip(inputs['x'], inputs['mask'])]")
BY_PLACE = EACH.replace("for a, b in zip(output, inputs['x'])", "* k for k, a, b in zip(range(9), output, inputs['x'])")
LAYERS = "return [self.layer(each) for each in x]"
REVERSED = "return [2 * y.detach() - y for y in map(self.layer, x)]"
ENTRY = ".update(inputs=lambda batch_size, generator: {}, loss={})"
# name: the model, and the outcome and words of smoke.overfits and smoke.sample_order
CASES = {
    "ragged": (
        Model(forward=LAYERS, entry=ENTRY.format(f"{{'x': {RAGGED}}}", EACH)),
        ("passed", "differ in length"), ("passed", "targets of other samples"),
    ),
    "ragged_and_learning_upwards": (
        Model(forward=REVERSED, entry=ENTRY.format(f"{{'x': {RAGGED}}}", EACH)),
        ("failed", "the loss does not fall"), ("passed", "targets of other samples"),
    ),
    "ragged_and_by_place": (
        Model(forward=LAYERS, entry=ENTRY.format(f"{{'x': {RAGGED}}}", BY_PLACE)),
        ("passed", "differ in length"), ("failed", "another order"),
    ),
    "all_of_different_lengths": (
        Model(forward=LAYERS, entry=ENTRY.format(f"{{'x': {UNIQUE}}}", EACH)),
        ("passed", "differ in length"), ("error", "they are all of different lengths"),
    ),
    "lengths_in_a_mask": (
        Model(
            forward="return [self.layer(a[m]) for a, m in zip(x, mask)]", entry=ENTRY.format(PADDED, OF_PADDED)
        ),
        ("passed", "differ in length"), ("error", "with these the loss raised RuntimeError"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Result]:
    """The results by the names of cases and of checks."""
    results = results_of_models(
        tmp_path_factory.mktemp("ragged"),
        {name: model for name, (model, *_) in CASES.items()},
        only=("smoke.overfits", "smoke.sample_order"),
        arguments="x, mask=None",
    )
    return {(name, each.check.removeprefix("smoke.")): each for name in CASES for each in results[name]}


@pytest.mark.parametrize("name", CASES)
def test_a_loss_is_not_blamed_for_targets_of_other_samples(found: dict[tuple[str, str], Result], name: str) -> None:
    _, *expected = CASES[name]
    for check, (outcome, words) in zip(("overfits", "sample_order"), expected, strict=True):
        result = found[name, check]
        said = " ".join(filter(None, (result.reason, result.evidence.bound_origin)))
        assert (result.outcome.value, words in said) == (outcome, True), (check, said)
