"""A mask that is read the other way round is told as that."""

from collections.abc import Mapping

import pytest

from audit.results import Result

from .written import Model, results_of_models

LEAKS = "smoke.padding_leaks"
REVERSED, OTHER = "the mask is read the other way round", "pass the mask or lengths on"
ENTRY = """.update(
    {padding}
    inputs=lambda batch_size, generator: {{
        'x': torch.randn(batch_size, 6, generator=generator),
        '{mask}': (torch.arange(6) {shown} 4).expand(batch_size, -1).clone(),
    }},
    loss=lambda output, inputs: (output - 1).square().mean(),
)"""
DECLARED = "padding={{'mask': 'mask', 'content': ['x'], 'keeps': {keeps}}},"


def masked(returns: str, *, keeps: bool | None = True) -> Model:
    padding = "" if keeps is None else DECLARED.format(keeps=keeps)
    shown = ">=" if keeps is False else "<"
    entry = ENTRY.format(padding=padding, mask="attention_mask" if keeps is None else "mask", shown=shown)
    return Model(forward=f"return {returns}", entry=entry)


# What is written, the outcome, and what is to be done.
CASES = {
    "right": (masked("(x * mask).sum(1, keepdim=True)"), "passed", ""),
    "right_where_true_hides": (masked("(x * ~mask).sum(1, keepdim=True)", keeps=False), "passed", ""),
    "reversed": (masked("(x * ~mask).sum(1, keepdim=True)"), "failed", REVERSED),
    "reversed_where_true_hides": (masked("(x * mask).sum(1, keepdim=True)", keeps=False), "failed", REVERSED),
    "reversed_by_its_name": (masked("(x * ~attention_mask).sum(1, keepdim=True)", keeps=None), "failed", REVERSED),
    "reversed_and_leaking": (masked("(x * ~mask + x / 8).sum(1, keepdim=True)"), "failed", OTHER),
    "leaking": (masked("(x * mask + x / 8).sum(1, keepdim=True)"), "failed", OTHER),
}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Result]:
    """The results by the names of cases."""
    root = tmp_path_factory.mktemp("reversed")
    models = {name: model for name, (model, *_) in CASES.items()}
    found = results_of_models(root, models, only=(LEAKS,), arguments="x, mask=None, attention_mask=None")
    return {name: next(each for each in of_one if each.check == LEAKS) for name, of_one in found.items()}


@pytest.mark.parametrize("name", CASES)
def test_a_mask_that_is_read_the_other_way_round_is_told(judged: Mapping[str, Result], name: str) -> None:
    _, outcome, fix = CASES[name]
    assert judged[name].outcome == outcome, judged[name].reason
    assert (judged[name].fix or "").startswith(fix)
    assert bool(judged[name].fix) is bool(fix)
