"""Padding of models whose outputs have other positions than their content: frames, and rows one after another."""

from collections.abc import Mapping

import pytest

from audit.results import Result

from .written import Model, results_of_models

LEAKS, ROWS = "smoke.padding_leaks", "smoke.padded_rows"
PASSED, FAILED, ERROR, NONE = "passed", "failed", "error", "not_applicable"
HELPERS = """
def shown(x, lengths):
    return x * (torch.arange(x.shape[1]) < lengths[:, None])
def frames_of(lengths):
    return (lengths + 1) // 2
def attended(x, lengths):
    kept = torch.arange(x.shape[1]) < lengths[:, None]
    return ((x @ x.mT).masked_fill(~kept[:, None, :], -torch.inf).softmax(-1) @ x).tanh()
def joined(x, lengths):
    return torch.cat([row[:length] for row, length in zip(x, lengths.tolist())])
def refused_unless(multiples, of):
    if not multiples:
        raise ValueError(f"not a multiple of {of}")
def thirds(x, lengths):
    refused_unless(x.shape[1] % 3 == 0, 3)
    return shown(x, lengths).view(len(x), -1, 3).mean(-1)
def quarters(x, kept):
    refused_unless(x.shape[1] % 4 == 0, 4)
    return (x * kept).view(len(x), -1, 4).mean(-1)
def in_thirds(x, lengths):
    refused_unless((lengths % 3 == 0).all(), 3)
    return shown(x, lengths)[:, ::3]
def encoded(self, x, lengths):
    return attended(self.conv(shown(x, lengths)[:, None]).mT, frames_of(lengths))
"""
ENTRY = """.update(
    padding={{{key}: '{mask}', 'content': ['x'], 'removable': True, {outputs}}},
    inputs=lambda batch_size, generator: {{
        'x': torch.randn(batch_size, 12, generator=generator), '{mask}': {given},
    }},
    loss=lambda output, inputs: (output - 1).square().mean(),
)"""
CONV = "self.conv = nn.Conv1d(1, 4, 3, stride=2, padding=1)"
FULL = "torch.full((batch_size,), 12)"
OPEN = "torch.ones(batch_size, 12, dtype=torch.bool)"
# Even in the batch of the run's seed, and odd in a later one.
SOMETIMES_ODD = "torch.full((batch_size,), 7) + torch.randint(2, (1,), generator=generator)"
AT_THE_FRONT, BETWEEN = (
    "(torch.arange(12) >= 4).expand(batch_size, -1)",
    "(torch.arange(12) // 4 != 1).expand(batch_size, -1)",
)
OUTPUTS = "'outputs': {'output': 1}"


def with_lengths(returns: str, outputs: str = OUTPUTS, *, given: str = FULL) -> Model:
    return Model(CONV, f"return {returns}", ENTRY.format(key="'lengths'", mask="lengths", given=given, outputs=outputs))


def with_mask(returns: str, given: str, axis: int = 1) -> Model:
    outputs = f"{OUTPUTS}, 'axis': {axis}"
    entry = ENTRY.format(key="'mask'", mask="mask", given=f"{given}.clone()", outputs=outputs)
    return Model(forward=f"return {returns}", entry=entry)


PAIRS = "(x * mask).view(len(x), -1, 2).mean(-1)"
# What is written, and of both checks the outcome and a part of its reason.
CASES: dict[str, tuple[Model, tuple[str, str], tuple[str, str]]] = {
    "encoder": (with_lengths("encoded(self, x, lengths)"), (PASSED, ""), (PASSED, "")),
    "encoder_of_what_it_is_not_told_of": (
        with_lengths("encoded(self, x, lengths)", ""),
        (PASSED, ""), (ERROR, "has another shape in output"),
    ),
    # Only where a length is odd does a frame that is shown see what is hidden.
    "convolution_over_the_edge": (
        with_lengths("attended(self.conv(x[:, None]).mT, frames_of(lengths))"),
        (FAILED, "output with x behind lengths"), (FAILED, "output"),
    ),
    "convolution_over_the_edge_of_some_batches": (
        with_lengths("attended(self.conv(x[:, None]).mT, frames_of(lengths))", given=SOMETIMES_ODD),
        (FAILED, "output with x behind lengths"), (FAILED, "output of a row of 7"),
    ),
    "attention_to_padding": (
        with_lengths("attended(self.conv(shown(x, lengths)[:, None]).mT, frames_of(lengths) * 0 + 6)"),
        (PASSED, ""), (FAILED, "output"),
    ),
    "frames_one_after_another": (
        with_lengths("joined(encoded(self, x, lengths), frames_of(lengths))", "'outputs': {'output': 0}"),
        (PASSED, ""), (PASSED, ""),
    ),
    "leak_into_frames_one_after_another": (
        with_lengths("joined(encoded(self, x, lengths), frames_of(lengths)) + x.sum()", "'outputs': {'output': 0}"),
        (FAILED, "output with x behind lengths"), (FAILED, "output"),
    ),
    "frames_of_padding_one_after_another": (
        with_lengths("joined(encoded(self, x, lengths), frames_of(lengths) * 0 + 6)", "'outputs': {'output': 0}"),
        (ERROR, "in 'padding', 'outputs': output has"), (ERROR, "in 'padding', 'outputs': output has"),
    ),
    "another_axis": (
        with_lengths("encoded(self, x, lengths)", "'outputs': {'output': 2}"),
        (ERROR, "not axis 2, but 1 follows it"), (ERROR, "not axis 2, but 1 follows it"),
    ),
    "no_such_axis": (
        with_lengths("encoded(self, x, lengths)", "'outputs': {'output': 3}"),
        (ERROR, "'output' has no axis 3: its shape is"), (ERROR, "'output' has no axis 3"),
    ),
    "no_such_output": (
        with_lengths("encoded(self, x, lengths)", "'outputs': {'logits': 1}"),
        (ERROR, "the model returns no tensor 'logits'; there are 'output'"), (ERROR, "no tensor 'logits'"),
    ),
    "padding_at_the_front": (with_mask(PAIRS, AT_THE_FRONT), (PASSED, ""), (PASSED, "")),
    "padding_at_the_front_that_counts": (
        with_mask(f"{PAIRS} + x.sum()", AT_THE_FRONT), (FAILED, "output with x behind mask"), (FAILED, "output"),
    ),
    # Of 12 positions 9 are shown, of which no frame of three sees what is hidden, and then 8.
    "pooling_over_the_edge": (
        with_mask("nn.functional.avg_pool1d(x[:, None], 3, ceil_mode=True)[:, 0]", OPEN),
        (FAILED, "output with x behind mask"), (FAILED, "output"),
    ),
    "pooling_of_what_is_shown": (
        with_mask("nn.functional.max_pool1d(x.where(mask, -9)[:, None], 3, ceil_mode=True)[:, 0]", OPEN),
        (PASSED, ""), (PASSED, ""),
    ),
    # Of 12 positions rows of 9 and 8 are tried, and rows of 9 where 8 are refused.
    "lengths_that_are_refused_alone": (with_lengths("thirds(x, lengths)"), (PASSED, ""), (PASSED, "")),
    "lengths_that_are_refused": (with_lengths("in_thirds(x, lengths)"), (PASSED, ""), (PASSED, "")),
    "leak_where_lengths_are_refused": (
        with_lengths("thirds(x, lengths) + x.sum()"),
        (FAILED, "output with x behind lengths"), (FAILED, "output"),
    ),
    "all_lengths_are_refused_alone": (
        with_lengths("quarters(x, torch.arange(12)[:x.shape[1]] < lengths[:, None])"),
        (ERROR, "row 1 alone, with 9 of 12 positions, is refused by forward, ValueError: not a multiple of 4"),
        (ERROR, "row 1 alone, with 9 of 12 positions, is refused by forward"),
    ),
    "mask_that_hides_nothing_and_is_refused_alone": (
        with_mask("quarters(x, mask)", OPEN),
        (ERROR, "row 0 alone, with 9 of 12 positions"), (ERROR, "row 0 alone, with 9 of 12 positions"),
    ),
    # What the specs themselves hide, and call removable, the model has to take.
    "mask_that_is_refused_alone": (
        with_mask("quarters(x, mask)", "(torch.arange(12) < 10).expand(batch_size, -1)"),
        (ERROR, "row 0 alone, with 10 of 12 positions"), (FAILED, "forward raised ValueError: not a multiple of 4"),
    ),
    # (B, 12) content, which is said to have its positions on the axis of samples.
    "content_of_other_positions": (
        with_mask(PAIRS, AT_THE_FRONT, axis=0), (ERROR, "padding is marked at"), (ERROR, "padding is marked at 12"),
    ),
    "padding_between": (
        with_mask(PAIRS, BETWEEN), (ERROR, "stands between what counts"), (ERROR, "stands between what counts"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, Result]]:
    """The results by the names of cases and checks."""
    models = {name: model for name, (model, *_) in CASES.items()}
    root = tmp_path_factory.mktemp("named")
    found = results_of_models(root, models, only=(LEAKS, ROWS), helpers=HELPERS, arguments="x, lengths=None, mask=None")
    return {name: {each.check: each for each in of_one} for name, of_one in found.items()}


@pytest.mark.parametrize("name", CASES)
def test_outputs_of_other_positions_are_judged_where_they_are_named(
    judged: Mapping[str, Mapping[str, Result]], name: str
) -> None:
    _, *expected = CASES[name]
    for check, (outcome, said) in zip((LEAKS, ROWS), expected, strict=True):
        result = judged[name][check]
        assert result.outcome == outcome, (check, result.reason)
        assert said in (result.reason or ""), (check, result.reason)
