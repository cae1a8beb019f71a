"""Losses that compare outputs with one another, as contrastive ones do: each sample with itself, or with another."""

from collections.abc import Mapping

import pytest

from audit.results import Result

from .written import Model, results_of_models

CHECK = "smoke.sample_order"
TOWERS = "return {'a': self.layer(x), 'b': self.other(x.flip(1))}"
LOGITS = (
    "a, b = self.layer(x), self.other(x.flip(1)); return {'a': a @ b.T, 'b': b @ a.T, 'scale': self.layer.bias.sum()}"
)
BUILT = "self.other = nn.Linear(6, 2)"
ENTROPY = "torch.nn.functional.cross_entropy"
CONTRASTIVE = (
    "['loss'] = lambda output, inputs: (lambda logits, at: "
    f"{ENTROPY}(logits, at) + {ENTROPY}(logits.T, at{{turned}}))"
    "(output['a'] @ output['b'].T, torch.arange(len(output['a'])))"
)
OF_LOGITS = (
    f"['loss'] = lambda output, inputs: {ENTROPY}(output['a'], torch.arange(len(output['a'])))"
    f" + {ENTROPY}(output['b'], torch.arange(len(output['b'])){{turned}})"
)
BY_PLACE = (
    "['loss'] = lambda output, inputs: sum((each[:, 0] - torch.arange(len(each))).square().mean() for each in {})"
)
SHIFTED = "y = self.layer(x); return {'a': y, 'b': self.other(x.roll(1, 0))}"
MARGIN = "['loss'] = lambda output, inputs: (output['a'] * output['b']).exp().mean()"
APART = (
    "['loss'] = lambda output, inputs: "
    "(1 - (output['a'] * (output['b'] - output['b'].roll(1, 0))).sum(1)).relu().mean()"
)
LABELLED = (
    "['loss'] = lambda output, inputs: "
    "(output['a'] - output['b'].roll({}, 0)).square().mean() + loss(output['a'], inputs)"
)
CASES = {
    "towers": (Model(BUILT, TOWERS, CONTRASTIVE.format(turned="")), "passed", ""),
    "towers_of_which_one_is_turned": (
        Model(BUILT, TOWERS, CONTRASTIVE.format(turned=".flip(0)")), "error", "it takes some sample by its place",
    ),
    "logits": (Model(BUILT, LOGITS, OF_LOGITS.format(turned="")), "passed", ""),
    "logits_of_which_some_are_turned": (
        Model(BUILT, LOGITS, OF_LOGITS.format(turned=".roll(1)")), "error", "it takes some sample by its place",
    ),
    # A negative from the next place in the batch, which is right.
    "told_from_the_next": (Model(BUILT, TOWERS, APART), "error", "it takes some sample by its place"),
    # Each output has targets for the places in a batch, and none is compared with the other.
    "by_place": (Model(BUILT, TOWERS, BY_PLACE.format("output.values()")), "not_applicable", "made from the inputs"),
    "by_place_alone": (Model(entry=BY_PLACE.format("[output]")), "not_applicable", "made from the inputs"),
    # It is the model that looks at the order, and the loss does not.
    "shifted_in_forward": (Model(BUILT, SHIFTED, MARGIN), "not_applicable", "made from the inputs"),
    "with_targets_too": (Model(BUILT, TOWERS, LABELLED.format(0)), "passed", ""),
    "with_targets_too_and_turned": (Model(BUILT, TOWERS, LABELLED.format(1)), "failed", "the same samples in another"),
}  # fmt: skip


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Result]:
    models = {name: model for name, (model, *_) in CASES.items()}
    found = results_of_models(tmp_path_factory.mktemp("towers"), models, only=(CHECK,))
    return {name: next(each for each in found[name] if each.check == CHECK) for name in CASES}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_loss_compares_each_sample_with_itself(judged: Mapping[str, Result], name: str) -> None:
    _, outcome, said = CASES[name]
    assert judged[name].outcome == outcome, judged[name].reason
    assert said in (judged[name].reason or "")


@pytest.mark.slow
def test_a_pass_says_what_the_loss_compares(judged: Mapping[str, Result]) -> None:
    evidence = judged["towers"].evidence
    assert "the loss compares outputs with one another" in (evidence.bound_origin or "")
    assert evidence.bound is not None
    assert 0 < evidence.bound < 1e-3
