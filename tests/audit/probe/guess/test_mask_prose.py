"""What prose about a mask says, and what is too unclear to say anything."""

import pytest

from audit.probe.guess.mask_prose import meaning, stated
from audit.probe.guess.reading import Source

_BOOL_KEEP = ("bool keep", "int keep", "float keep")
_BOOL_DROP = ("bool drop", "int drop", "float drop")
_INT_KEEP = ("int keep", "bool keep", "float keep")


def _said(documentation: str, *, name: str = "mask", others: tuple[str, ...] = (), text: str = "") -> tuple[str, ...]:
    return stated(Source(text, documentation, None), name, others)


@pytest.mark.parametrize(
    ("documentation", "expected"),
    [
        ("Causal self-attention; `mask` is bool (B, L), True for tokens that may be attended to.", _BOOL_KEEP),
        ("Attention.\n\nThe mask is a bool tensor (B, L); True means the token takes part in attention.", _BOOL_KEEP),
        ("Attends everywhere. The key mask is True where a key can be attended.", _BOOL_KEEP),
        ("Takes a `mask` in which True marks visible positions and False marks padding.", _BOOL_KEEP),
        ("`mask` (B, L): True = real token, False = padding.", _BOOL_KEEP),
        ("The mask (batch, 1, 1, length) has 1 for real tokens.", _INT_KEEP),
        ("`mask` holds 0 where a token is padding.", _INT_KEEP),
        ("The padding mask is True for tokens that may not be attended to.", _BOOL_DROP),
        ("`mask` is bool. True means that the key is masked out.", _BOOL_DROP),
        ("`mask` is a bool tensor; True where a position is ignored.", _BOOL_DROP),
        ("With `mask`, False means the key is hidden.", _BOOL_KEEP),
        ("`mask`: True for tokens that are not padding.", _BOOL_KEEP),
        ("If given, the mask is True where a query may attend to a key.", _BOOL_KEEP),
        ("True in `mask` means padding.", _BOOL_DROP),
        ("mask: True to keep, False to drop.", _BOOL_KEEP),
        ("The optional mask (1 = keep, 0 = ignore).", _INT_KEEP),
    ],
)
def test_usual_wordings_are_read(documentation: str, expected: tuple[str, ...]) -> None:
    assert _said(documentation) == expected


@pytest.mark.parametrize(
    "documentation",
    [
        "Attention with a mask.",
        "`mask` is a bool tensor (B, L).",
        "`mask` is True for masked positions.",  # masked to be kept out, or to be predicted
        "`mask` is True for real tokens or for padding, depending on the caller.",
        "`mask` is True for tokens to keep unless `invert` is set.",
        "`mask` is True for real tokens. The mask is False for real tokens.",
        "Padding is True in `mask`, real tokens False.",
        "`dropout` is on; True for real tokens.",
        "The causal mask is True where a key may be attended to.",
        "The mask is True for later positions that are hidden.",
        "`mask` is added to the scores: 0 for real tokens.",
        "Returns outputs; the mask is 1 where outputs are kept.",
        "`is_causal`: True hides what comes later.",
        "If `strict`, the mask is True for real tokens.",
        "When `invert` is set, `mask` is True for padding.",
        "The mask, `strict` = True means padding raises.",
        "With the mask at layer 0 for real tokens it is cheap.",
        "The mask has one for each real token.",
        "`mask` is True for real tokens that have to be predicted.",
        "`mask` is not True for padding.",
        "Where a mask is needed, True is taken to mean what it means elsewhere.",
    ],
)
def test_what_is_unclear_says_nothing(documentation: str) -> None:
    assert _said(documentation) == ()


def test_beside_another_mask_only_the_name_counts() -> None:
    text = "The mask is True for real tokens."
    assert _said(text) == _BOOL_KEEP
    assert _said(text, others=("attn_mask",)) == ()
    both = "`mask` is True for real tokens, `attn_mask` is True for pairs that are hidden."
    assert _said(both, others=("attn_mask",)) == ()
    apart = "`mask` is True for real tokens. `attn_mask` is True for pairs that are ignored."
    assert _said(apart, others=("attn_mask",)) == _BOOL_KEEP
    assert _said(apart, name="attn_mask", others=("mask",)) == _BOOL_DROP


def test_a_comment_beside_the_parameter_is_read() -> None:
    text = "def forward(\n    self,\n    mask: Tensor | None = None,  # (B, L), True = may be attended to\n):"
    assert _said("", text=text) == _BOOL_KEEP
    assert _said("", text=text, name="other") == ()


def test_both_truth_values_have_to_agree() -> None:
    assert meaning("`mask` is True for real tokens, False for padding") == "keep"
    assert meaning("`mask` is True for real tokens, False for tokens to keep") is None
