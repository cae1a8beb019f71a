"""What the documentation and the annotation of a mask claim."""

import pytest
import torch
from torch import Tensor

from audit.probe.guess.mask_claims import claims, shape_of
from audit.probe.guess.reading import read

CHOSEN = {"parameter": "mask", "convention": "additive", "shape": "B11L"}


def _with(documentation: str) -> object:
    def forward(x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x

    forward.__doc__ = (
        f"Attend.\n\nArgs:\n    x: (batch, seq, dim).\n    mask: {documentation}\n    other: True for one.\n"
    )
    return forward


@pytest.mark.parametrize(
    ("documentation", "expected"),
    [
        ("a mask.", []),
        ("bool, True for positions to attend to.", [("bool keep", "B11L")]),
        ("bool tensor, True where a position\n        is padding and is ignored.", [("bool drop", "B11L")]),
        ("a boolean mask.", [("bool", "B11L")]),
        ("1 for tokens to attend to, 0 for padding.", [("int keep", "B11L"), ("float keep", "B11L")]),
        ("int tensor, 1 for tokens to attend to, 0 for padding.", [("int keep", "B11L")]),
        ("float tensor that is added to the scores.", []),
        ("(batch, 1, seq, seq), added to the scores.", [("additive", "B1LL")]),
        ("(batch, seq), -inf where a key is masked.", [("additive", "BL")]),
    ],
)
def test_documentation_claims(documentation: str, expected: list[tuple[str, str]]) -> None:
    function = _with(documentation)
    found = claims(read(function), function, CHOSEN)  # type: ignore[arg-type]
    assert [(each["convention"], each["shape"]) for each in found] == expected


def test_an_annotation_claims() -> None:
    def forward(x: Tensor, mask: torch.BoolTensor | None = None) -> Tensor:
        return x

    (claim,) = claims(read(forward), forward, CHOSEN)
    assert (claim["convention"], claim["shape"]) == ("bool", "B11L")


def test_what_is_in_the_chosen_form_is_no_further_claim() -> None:
    function = _with("float tensor that is added to the scores.")
    assert claims(read(function), function, CHOSEN) == []  # type: ignore[arg-type]
    assert claims(read(function), function, None) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        (("batch", "seq"), "BL"),
        (("seq", "seq"), None),
        (("B", "1", "L"), "B1L"),
        (("B", "L", "L"), "BLL"),
        (("bsz", "1", "1", "src_len"), "B11L"),
        (("bsz", "1", "tgt_len", "src_len"), "B1LL"),
        (("B", "heads", "Lq", "Lk"), "BHLL"),
        (("B", "x", "Lq", "Lk"), None),
    ],
)
def test_axes_say_a_shape(axes: tuple[str, ...], shape: str | None) -> None:
    assert shape_of(axes) == shape
