"""Outputs whose hidden positions are left out: on whichever axis they stand, and where that is not told, no verdict."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from audit.results import Result

from ...slow_cases import slow_unless
from .written import Model, results_of_models

PASSED, FAILED, ERROR = "passed", "failed", "error"
# Six numbers of each sample are its positions, of which the mask hides some.
INPUTS = """.update(
    padding={'mask': 'key_mask', 'content': ['x'], 'removable': True},
    inputs=lambda batch_size, generator: {
        'x': torch.randn(batch_size, 6, generator=generator),
        'key_mask': torch.tensor([True] * 6 + [True] * 4 + [False] * 2 + [True] * 6 * 7)
        .view(-1, 6)[:batch_size],
    },
)"""
SUM = "(x * key_mask).sum(1, keepdim=True)"


class Case(NamedTuple):
    """What forward returns, and of two checks the outcome and a part of its reason: leaks, and rows without padding."""

    returns: str
    leaks: tuple[str, str] = (PASSED, "")
    rows: tuple[str, str] = (PASSED, "")


TWO_AXES = (ERROR, "which of their axes has positions is not told: output with x behind key_mask")
NOT_TOLD = (ERROR, "has another shape in output, and which of their axes has the positions of key_mask is not told")
CASES = {
    "cache_of_heads": Case(f"({SUM}, [(x[:, None, :, None].expand(-1, 2, -1, 4).clone(),)])"),
    "cache_of_heads_and_leak": Case(
        "(x.sum(1, keepdim=True), [(x[:, None, :, None].expand(-1, 2, -1, 4).clone(),)])",
        (FAILED, "output.0 with x behind key_mask"), (FAILED, "output.0"),
    ),
    "leak_within_a_cache": Case(
        f"({SUM}, [((x + x.sum(1, keepdim=True))[:, None, :, None].expand(-1, 2, -1, 4).clone(),)])",
        (FAILED, "output.1.0.0 with x"), (FAILED, "output.1.0.0"),
    ),
    "as_many_heads_as_positions": Case("x[:, None, :, None].expand(-1, 6, -1, 4).clone()"),
    "positions_before_samples": Case("x.T.clone()"),
    "two_axes_of_positions": Case("x[:, :, None] + x[:, None, :]"),
    "as_many_channels_and_no_positions": Case("(x.sum(1, keepdim=True).expand(-1, 6) * torch.ones(6)).clone()",
                                              (FAILED, "output with x"), (FAILED, "output")),
    "a_token_more": Case(f"torch.cat(({SUM}, x), 1)", TWO_AXES, NOT_TOLD),
    "a_token_more_and_leak": Case("torch.cat((x.sum(1, keepdim=True), x), 1)", (FAILED, "output with x"), NOT_TOLD),
    "samples_in_one_row": Case("x.flatten()[:, None].clone()", TWO_AXES, NOT_TOLD),
    # What belongs to no row is left out of the rows: a number of the batch, and what compares each with each.
    "number_of_the_batch": Case(f"({SUM}, (x * key_mask).sum())"),
    "each_with_each": Case(f"({SUM}, {SUM} @ {SUM}.T)"),
    "means_over_padding": Case(
        f"({SUM}, {SUM} / x.shape[1], (x * key_mask).mean(), (x * key_mask).mean(1, keepdim=True))",
        rows=(FAILED, "without its padding: output. & output.1 & output.3"),
    ),
    "of_no_row_alone": Case("(x * key_mask).sum()", rows=(ERROR, "no output has an axis of samples")),
    # What takes no other length and no other batch is judged by the lengths of axes.
    "of_one_length": Case("six(x)[:, None, :, None].expand(-1, 2, -1, 4).clone()", rows=(FAILED, "forward raised")),
    "of_one_length_and_as_many_heads": Case(
        "six(x)[:, None, :, None].expand(-1, 6, -1, 4).clone()", TWO_AXES, (FAILED, "forward raised")
    ),
}  # fmt: skip


# One that passes, one that fails and one that is not told; a run over all takes a while.
QUICK = {
    "number_of_the_batch",
    "means_over_padding",
    "of_no_row_alone",
    "cache_of_heads",
    "leak_within_a_cache",
    "a_token_more",
}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], dict[str, list[Result]]]:
    """The results by the names of cases, of those that are quick, or of the others."""

    @functools.cache
    def results(are_quick: bool) -> dict[str, list[Result]]:
        chosen = {name: case for name, case in CASES.items() if (name in QUICK) is are_quick}
        return results_of_models(
            tmp_path_factory.mktemp("hidden"),
            {name: Model(forward=f"return {case.returns}", entry=INPUTS) for name, case in chosen.items()},
            only=("smoke.padding_leaks", "smoke.padded_rows"),
            helpers="def six(x):\n    assert x.shape == (len(x), 6) and len(x) < 4\n    return x\n",
            arguments="x, key_mask",
        )

    return results


@pytest.mark.parametrize("name", slow_unless(QUICK, CASES))
def test_hidden_positions_are_left_out_on_every_axis_of_an_output(
    judged: Callable[[bool], dict[str, list[Result]]], name: str
) -> None:
    found = {each.check: each for each in judged(name in QUICK)[name]}
    for check, (outcome, said) in (("padding_leaks", CASES[name].leaks), ("padded_rows", CASES[name].rows)):
        result = found[f"smoke.{check}"]
        parts = said.split(" & ")  # which of several outputs is the furthest is not the same everywhere
        are_said = all(part in (result.reason or "") for part in parts)
        assert (result.outcome.value, are_said) == (outcome, True), (check, result.reason)


# The nodes of a graph: the mask hides them on one axis of their features, and on two of what joins them.
GRAPHS = """.update(
    padding=[
        {'mask': 'key_mask', 'content': ['x', 'joined'], 'axis': 1, 'removable': True},
        {'mask': 'key_mask', 'content': ['joined'], 'axis': 2, 'removable': True},
    ],
    inputs=lambda batch_size, generator: {
        'x': torch.randn(batch_size, 6, generator=generator),
        'joined': torch.randn(batch_size, 6, 6, generator=generator),
        'key_mask': torch.tensor([True] * 6 + [True] * 4 + [False] * 2 + [True] * 6 * 7)
        .view(-1, 6)[:batch_size],
    },
)"""
MEAN = """keep = key_mask.to(x.dtype)
        sums = ((joined @ (x * keep)[..., None])[..., 0] * keep).sum(1, keepdim=True)
        return sums / {count}"""


@pytest.mark.slow
def test_content_that_a_mask_hides_on_two_axes_is_cut_on_both(tmp_path: Path) -> None:
    counts = {"nodes_that_count": "keep.sum(1, keepdim=True)", "nodes_and_padding": "x.shape[1]"}
    found = results_of_models(
        tmp_path,
        {name: Model(forward=MEAN.format(count=count), entry=GRAPHS) for name, count in counts.items()},
        only=("smoke.padded_rows",),
        arguments="x, joined, key_mask",
    )
    outcomes = {
        name: {each.check: each.outcome.value for each in results}["smoke.padded_rows"]
        for name, results in found.items()
    }
    assert outcomes == {"nodes_that_count": PASSED, "nodes_and_padding": FAILED}
