"""Where positions can be neither passed in nor padded, weights tell whether they are relative."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.results import Outcome

from .judged_sources import JudgedSources
from .rotary_text import ROTARY

_ROTATED = "q, k = apply_rotary(q, cos, sin), apply_rotary(k, cos, sin)"
_SCORES = "scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])"
_MASKED = "scores = scores.masked_fill(torch.ones(n, n, dtype=torch.bool).triu(1), -math.inf)"
_SPREAD = "angles = torch.cat((angles, angles), dim=-1)"
_WEIGHTED = "out = scores.softmax(dim=-1) @ v"
_OTHER_WAY = "q, k = apply_rotary(q, cos, -sin), apply_rotary(k, cos, -sin)"
_WINDOW = _MASKED.replace(".triu(1)", ".triu(1) | torch.ones(n, n, dtype=torch.bool).tril(-4)")
_INTERLEAVED = "torch.stack((-x[..., 1::2], x[..., 0::2]), dim=-1).flatten(-2)"
Edits = tuple[tuple[str, str], ...]
PASSED: dict[str, Edits] = {
    "as_usual": (),
    "all_seen": ((_MASKED, "pass"),),
    "window": ((_MASKED, _WINDOW),),
    "both_the_other_way": ((_ROTATED, _OTHER_WAY),),
    "neighbours": (
        (_SPREAD, "angles = angles.repeat_interleave(2, dim=-1)"),
        ("torch.cat((-second, first), dim=-1)", _INTERLEAVED),
    ),
    "part_of_the_features": (
        (_ROTATED, "cos, sin = cos.clone(), sin.clone(); cos[:, ::2], sin[:, ::2] = 1, 0; "
                   "cos[:, half:], sin[:, half:] = cos[:, :half], sin[:, :half]; " + _ROTATED),
    ),
    "sink": ((_WEIGHTED, "out = torch.cat((scores, 0 * scores[..., :1]), -1).softmax(dim=-1)[..., :-1] @ v"),),
    "of_neighbours_grouped": (
        (_SCORES, f"k = k[:, ::2].repeat_interleave(2, dim=1)\n        {_SCORES}"),
    ),
}  # fmt: skip
FAILED: dict[str, Edits] = {
    "angles_of_neighbours": ((_SPREAD, "angles = angles.repeat_interleave(2, dim=-1)"),),
    "keys_alone": ((_ROTATED, "k = apply_rotary(k, cos, sin)"),),
    "queries_alone": ((_ROTATED, "q = apply_rotary(q, cos, sin)"),),
    "one_the_other_way": ((_ROTATED, _ROTATED.replace("(k, cos, sin)", "(k, cos, -sin)")),),
    "sign_lost": (("torch.cat((-second, first), dim=-1)", "torch.cat((second, first), dim=-1)"),),
}
# With words of the reason.
UNTOLD: dict[str, tuple[str, Edits]] = {
    "scaled_by_position": (
        "scale depends on the position",
        ((_SCORES, f"{_SCORES} * torch.arange(2, n + 2).log()[:, None]"),),
    ),
    "angles_of_16_bits": (
        "in which precision",
        (("cos, sin = angles.cos().to(x)", "angles = angles.half()\n        cos, sin = angles.cos().to(x)"),),
    ),
    "convolved": (
        "could not be traced",
        (
            ("nn.Identity()", "nn.Conv1d(dim, dim, 3, padding=1)"),
            ("self.norm(x)", "self.norm(x.transpose(1, 2)).transpose(1, 2)"),
        ),
    ),
    "beside_a_convolution": (
        "Conv1d",
        (
            (_ROTATED, "k = apply_rotary(k, cos, sin)"),
            ("nn.Identity()", "nn.Conv1d(dim, dim, 1)"),
            ("x = self.norm(x)", "x = x + 0 * self.norm.bias"),
        ),
    ),
    "of_a_grid": (
        "along several axes",
        (
            ("torch.arange(n)[:, None]", "(torch.arange(n) // grid_width)[:, None]"),
            ("half = q", "grid_width = 4; half = q"),
        ),
    ),
    "not_rotated": ("nothing says", ((_ROTATED, "pass"), ("apply_rotary(x", "other(x"))),
}  # fmt: skip


def _edited(edits: Edits) -> tuple[str, str]:
    text = ROTARY
    for before, after in edits:
        assert text.count(before) == 1, f"{text.count(before)} x {before!r}"
        text = text.replace(before, after)
    return text, "Attention"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JudgedSources]:
    every = {**PASSED, **FAILED, **{name: edits for name, (_, edits) in UNTOLD.items()}}
    root: Path = tmp_path_factory.mktemp("shifted")
    written = JudgedSources(root, {name: _edited(edits) for name, edits in every.items()})
    yield written
    written.close()


def _judged(sources: JudgedSources, name: str) -> tuple[Outcome, str]:
    (judgement, *_) = sources.judge(name, "shifted_positions")["shifted_positions"]
    return judgement.outcome, f"{judgement.reason}; {judgement.measured}"


@pytest.mark.parametrize("name", PASSED)
def test_relative_positions_pass(sources: JudgedSources, name: str) -> None:
    outcome, said = _judged(sources, name)
    assert outcome is Outcome.PASSED, said


@pytest.mark.parametrize("name", FAILED)
def test_positions_that_are_not_relative_fail(sources: JudgedSources, name: str) -> None:
    outcome, said = _judged(sources, name)
    assert outcome is Outcome.FAILED, said
    assert "weights among the same tokens change" in said


@pytest.mark.parametrize("name", UNTOLD)
def test_what_weights_do_not_tell_is_not_judged(sources: JudgedSources, name: str) -> None:
    words, _ = UNTOLD[name]
    outcome, said = _judged(sources, name)
    assert outcome is Outcome.NOT_APPLICABLE, said
    assert words in said
