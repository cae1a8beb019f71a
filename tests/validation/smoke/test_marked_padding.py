"""Padding that lengths or the number of a token mark, in the place of a mask."""

import functools
from collections.abc import Callable, Mapping

import pytest

from audit.results import Result

from ...slow_cases import slow_unless
from .written import Model, results_of_models

LEAKS, ROWS = "smoke.padding_leaks", "smoke.padded_rows"
PASSED, FAILED, ERROR, NONE = "passed", "failed", "error", "not_applicable"
HELPERS = """
from torch.nn.utils.rnn import pack_padded_sequence
def last_of(rnn, x, lengths):
    return rnn(pack_padded_sequence(x[..., None], lengths, batch_first=True))[1][0]
def shown(x, lengths):
    return x * (torch.arange(x.shape[1]) < lengths[:, None])
def attended(x, kept):
    return ((x @ x.mT).masked_fill(~kept[:, None, :], -torch.inf).softmax(-1) @ x).tanh()
"""
LOSS = "loss=lambda output, inputs: (output.float() - 1).square().mean()"
LENGTHS = """.update(
    padding={{'lengths': 'lengths', 'content': ['{content}'], {more}}},
    inputs=lambda batch_size, generator: {{
        'x': torch.randn(batch_size, 6, generator=generator), 'lengths': {lengths},
    }},
    {loss},
)"""
TOKENS = """.update(
    padding={{'tokens': 'tokens', 'pad_id': {pad_id}, {more}}},
    inputs=lambda batch_size, generator: {{
        'tokens': torch.randint(1, 9, (batch_size, 6), generator=generator)
        .masked_fill(torch.tensor([False] * 4 + [True] * {padded} + [False] * (2 - {padded})) , {pad_id}),
    }},
    {loss},
)"""
TABLE, ZEROS = "self.table = nn.Embedding(9, 4)", "self.table = nn.Embedding(9, 4, padding_idx=0)"
FULL = "torch.full((batch_size,), 6)"
UNUSED = "'tokens': torch.randn(batch_size, 6, generator=generator)"
KEPT = "(tokens != 0)"


def with_lengths(built: str, returns: str, lengths: str = FULL, *, removable: bool, content: str = "x") -> Model:
    more = f"'removable': {removable}"
    return Model(built, f"return {returns}", LENGTHS.format(content=content, lengths=lengths, more=more, loss=LOSS))


def with_tokens(
    built: str, returns: str, *, removable: bool, pad_id: int = 0, padded: int = 0, content: str = ""
) -> Model:
    more = f"'removable': {removable}, {content}"
    return Model(built, f"return {returns}", TOKENS.format(pad_id=pad_id, padded=padded, more=more, loss=LOSS))


RNN = "self.rnn = nn.GRU(1, 4, batch_first=True)"
IN_TURN = "torch.arange(6, 6 - batch_size, -1).clamp(min=1)"
ONE_HOT = "self.rows = nn.Parameter(torch.randn(9, 4))"
# What is written, and of both checks the outcome and a part of its reason.
CASES: dict[str, tuple[Model, tuple[str, str], tuple[str, str]]] = {
    "packed": (with_lengths(RNN, "last_of(self.rnn, x, lengths)", removable=True), (PASSED, ""), (PASSED, "")),
    "packed_and_sorted": (
        with_lengths(RNN, "last_of(self.rnn, x, lengths)", IN_TURN, removable=True), (PASSED, ""), (PASSED, ""),
    ),
    "not_packed": (
        with_lengths(RNN, "self.rnn(x[..., None])[1][0] + 0 * lengths[:, None]", removable=True),
        (FAILED, "output with x behind lengths"), (FAILED, "output"),
    ),
    "mean_of_what_is_shown": (
        with_lengths("pass", "shown(x, lengths).sum(1, keepdim=True) / lengths[:, None]", removable=True),
        (PASSED, ""), (PASSED, ""),
    ),
    "mean_over_padding": (
        with_lengths("pass", "shown(x, lengths).mean(1, keepdim=True)", removable=True), (PASSED, ""), (FAILED, ""),
    ),
    "shown_in_place": (
        with_lengths("pass", "x + shown(x, lengths).sum(1, keepdim=True)", removable=True), (PASSED, ""), (PASSED, ""),
    ),
    "of_32_bits": (
        with_lengths("pass", "shown(x, lengths).sum(1, keepdim=True)", "torch.full((batch_size,), 6).int()",
                     removable=False),
        (PASSED, ""), (NONE, "no padding that is `removable`"),
    ),
    "unused": (
        with_lengths("pass", "shown(x, lengths)", f"{IN_TURN}, {UNUSED}", content="tokens", removable=False),
        (ERROR, "with lengths open the output does not depend on tokens"), (NONE, ""),
    ),
    "no_whole_numbers": (
        with_lengths("pass", "shown(x, lengths)", "torch.full((batch_size,), 6.0)", removable=False),
        (ERROR, "in 'padding', 'lengths' must be a tensor (B,) of whole numbers, not 1 axes of float32"),
        (NONE, ""),
    ),
    "longer_than_the_content": (
        with_lengths("pass", "shown(x, lengths)", "torch.full((batch_size,), 7)", removable=False),
        (ERROR, "in 'padding', 'lengths' must be lengths of up to 6, the positions of the content, not from 7 to 7"),
        (NONE, ""),
    ),
    "of_no_length": (
        with_lengths("pass", "x + 0 * lengths[:, None]", "torch.full((batch_size,), 0)", removable=False),
        (ERROR, "in 'padding', 'lengths' hides every position of the batch"), (NONE, ""),
    ),
    "beyond_the_table": (
        with_tokens(TABLE, f"(self.table(tokens) * {KEPT}[..., None]).sum(1)", pad_id=99, removable=False),
        (ERROR, "in 'padding', with 'pad_id', 99, among the tokens forward raises IndexError"), (NONE, ""),
    ),
    "masked_table": (
        with_tokens(TABLE, f"(self.table(tokens) * {KEPT}[..., None]).sum(1)", removable=True),
        (PASSED, ""), (PASSED, ""),
    ),
    "masked_attention": (
        with_tokens(TABLE, f"attended(self.table(tokens), {KEPT})", padded=2, removable=True),
        (PASSED, ""), (PASSED, ""),
    ),
    "unmasked_attention": (
        with_tokens(TABLE, f"attended(self.table(tokens), {KEPT} | True)", padded=2, removable=True),
        (FAILED, "output with what tokens looks up behind tokens"), (FAILED, ""),
    ),
    "unmasked_sum": (
        with_tokens(TABLE, "self.table(tokens).sum(1)", removable=False),
        (FAILED, "output with what tokens looks up behind tokens"), (NONE, ""),
    ),
    "unmasked_rows": (
        with_tokens(ONE_HOT, "self.rows[tokens].sum(1)", removable=False),
        (FAILED, "output with what tokens looks up"), (NONE, ""),
    ),
    "padding_below_zero": (
        with_tokens(TABLE, "(self.table(tokens.clamp(min=0)) * (tokens >= 0)[..., None]).sum(1)",
                    pad_id=-1, padded=1, removable=True),
        (PASSED, ""), (PASSED, ""),
    ),
    "zeros_summed": (
        with_tokens(ZEROS, "self.table(tokens).sum(1)", removable=True),
        (NONE, "is what smoke.padded_rows judges"), (PASSED, ""),
    ),
    "zeros_averaged": (
        with_tokens(ZEROS, "self.table(tokens).mean(1)", removable=True),
        (NONE, "is what smoke.padded_rows judges"), (FAILED, ""),
    ),
    "zeros_attended_to": (
        with_tokens(ZEROS, f"attended(self.table(tokens), {KEPT} | True)", removable=True),
        (NONE, "is what smoke.padded_rows judges"), (FAILED, ""),
    ),
    "zeros_and_no_rows": (
        with_tokens(ZEROS, "self.table(tokens).sum(1)", removable=False),
        (ERROR, "whether padding reaches the output is not told"), (NONE, ""),
    ),
    "one_hot": (
        with_tokens(ONE_HOT, "(nn.functional.one_hot(tokens, 9).float() @ self.rows).sum(1)", removable=False),
        (ERROR, "tokens is looked up in no table whose rows could be replaced: whether padding"), (NONE, ""),
    ),
    "one_hot_and_rows": (
        with_tokens(ONE_HOT, "(nn.functional.one_hot(tokens, 9).float() @ self.rows)[:, :, 1:].sum(1)", removable=True),
        (NONE, "tokens is looked up in no table whose rows could be replaced"), (FAILED, ""),
    ),
}  # fmt: skip


# One of each outcome; a run over all takes a while.
QUICK = {"packed", "not_packed", "mean_over_padding", "masked_table", "unmasked_rows", "zeros_averaged", "unused"}
Judged = Callable[[bool], Mapping[str, Mapping[str, Result]]]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """The results by the names of cases, of those that are quick, or of the others."""

    @functools.cache
    def results(are_quick: bool) -> Mapping[str, Mapping[str, Result]]:
        models = {name: model for name, (model, *_) in CASES.items() if (name in QUICK) is are_quick}
        root = tmp_path_factory.mktemp("marked")
        arguments = "x=None, lengths=None, tokens=None"
        found = results_of_models(root, models, only=(LEAKS, ROWS), helpers=HELPERS, arguments=arguments)
        return {name: {each.check: each for each in of_one} for name, of_one in found.items()}

    return results


@pytest.mark.parametrize("name", slow_unless(QUICK, CASES))
def test_padding_that_is_marked_otherwise_is_judged_as_that_of_a_mask(judged: Judged, name: str) -> None:
    _, *expected = CASES[name]
    for check, (outcome, said) in zip((LEAKS, ROWS), expected, strict=True):
        result = judged(name in QUICK)[name][check]
        assert result.outcome == outcome, (check, result.reason)
        assert said in (result.reason or ""), (check, result.reason)


def test_a_pass_names_what_marks_the_padding(judged: Judged) -> None:
    for name, argument in (("packed", "lengths"), ("masked_table", "tokens")):
        evidence = judged(True)[name][LEAKS].evidence
        assert (evidence.measured, evidence.bound) == (0, 0)
        assert f"{argument}, declared" in str(evidence.bound_origin)
