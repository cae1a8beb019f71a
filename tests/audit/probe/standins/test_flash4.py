"""The stand-in for the fourth version of flash attention, against torch's own attention."""

import importlib
import sys

import pytest
import torch

from audit.probe.specs import _described
from audit.probe.standins.exact import NotKnown
from audit.probe.standins.installing import installed
from audit.probe.standins.recorded import Record

QUERY, KEY, VALUE = torch.randn(3, 2, 5, 4, 16, generator=torch.Generator().manual_seed(0))  # (B, L, H, D) each


def record() -> Record:
    found = Record()
    found.accepts_float32 = True
    return found


def test_it_is_found_under_its_name_and_gone_afterwards() -> None:
    with installed("flash_attn.cute", record()):
        assert callable(importlib.import_module("flash_attn.cute").flash_attn_func)
    assert not [name for name in sys.modules if name.startswith("flash_attn")]


@pytest.mark.parametrize("window", [(None, None), (1, 0)])
def test_it_computes_attention_with_log_sums(window: tuple[int | None, int | None]) -> None:
    with installed("flash_attn.cute", record()):
        function = importlib.import_module("flash_attn.cute").flash_attn_func
        output, sums = function(QUERY, KEY, VALUE, softmax_scale=0.3, causal=True, window_size=window)
    distance = torch.arange(5)[:, None] - torch.arange(5)
    allowed = (distance >= 0) & (distance <= (4 if window[0] is None else window[0]))
    scores = torch.einsum("bqhd,bkhd->bhqk", QUERY, KEY) * 0.3
    scores = scores.masked_fill(~allowed, float("-inf"))
    expected = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(dim=-1), VALUE)
    # Float32 sums of 5 products of 16 terms: some tens of roundings of numbers of order 1.
    torch.testing.assert_close(output, expected, rtol=0.0, atol=50 * torch.finfo(torch.float32).eps)
    torch.testing.assert_close(sums.float(), scores.logsumexp(dim=-1), rtol=0.0, atol=50 * 2**-23)


def test_what_it_does_not_know_is_said() -> None:
    with installed("flash_attn.cute", record()):
        function = importlib.import_module("flash_attn.cute").flash_attn_func
        with pytest.raises(NotKnown, match="does not know learnable_sink"):
            function(QUERY, KEY, VALUE, learnable_sink=torch.zeros(4))


def test_specs_name_a_stand_in_that_there_is() -> None:
    entry = {"function": "zoo.kernels:attend", "forward": len, "contract": {}}
    assert _described("ATTENTION", {**entry, "stand_ins": "flash_attn.cute"})["stand_ins"] == "flash_attn.cute"
    assert _described("ATTENTION", entry)["stand_ins"] is None
    problem = str(_described("ATTENTION", {**entry, "stand_ins": "flash_attention"})["problem"])
    assert problem.startswith("'stand_ins' must be one of 'flash_attn', ")
