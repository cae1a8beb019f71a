"""The stand-in for flex attention, against torch's own on a CPU and against masks written out."""

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention import flex_attention as real

from audit.probe.standins import flex
from audit.probe.standins.recorded import Record

from .references import close, numbers, reference, written_out

attention: Any = flex.functions(Record())["flex_attention"]


def causal(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
    return query >= key


def qkv(heads: int = 2, groups: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    return numbers(2, heads, 5, 4, seed=1), numbers(2, groups, 7, 4, seed=2), numbers(2, groups, 7, 4, seed=3)


def across(tensor: Tensor) -> Tensor:
    return tensor.transpose(1, 2)


def test_without_anything_it_is_attention_with_the_scale_of_the_head() -> None:
    q, k, v = qkv()
    close(across(attention(q, k, v)), reference(*map(across, (q, k, v))))
    close(across(attention(q, k, v, scale=0.3)), reference(*map(across, (q, k, v)), scale=0.3))


def test_a_mask_of_blocks_is_that_of_its_function() -> None:
    q, k, v = qkv()
    mask = real.create_block_mask(causal, None, None, 5, 7, device="cpu")
    expected = reference(*map(across, (q, k, v)), mask=written_out(5, 7, lambda place, key: key <= place, shift=0))
    close(across(attention(q, k, v, block_mask=mask)), expected)
    with pytest.raises(ValueError, match="block_mask was created for"):
        attention(q[:, :, :3], k, v, block_mask=mask)


def test_a_score_is_changed_after_the_scale() -> None:
    q, k, v = qkv()
    slopes = numbers(2, seed=5)

    def sloped(score: Tensor, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return score + slopes[head] * (key - query) + batch

    distance = torch.arange(7)[None, :] - torch.arange(5)[:, None]
    bias = slopes[None, :, None, None] * distance + torch.arange(2)[:, None, None, None]
    close(across(attention(q, k, v, score_mod=sloped)), reference(*map(across, (q, k, v)), mask=bias))


def test_heads_share_keys_only_where_that_is_said() -> None:
    q, k, v = qkv(4, 2)
    close(across(attention(q, k, v, enable_gqa=True)), reference(*map(across, (q, k, v))))
    with pytest.raises(ValueError, match="same number of heads"):
        attention(q, k, v)


@pytest.mark.slow
def test_it_agrees_with_torch_on_a_cpu() -> None:
    q, k, v = (tensor.float() for tensor in qkv(4, 2))

    def capped(score: Tensor, *_: Tensor) -> Tensor:
        return 2 * torch.tanh(score / 2)

    mask = real.create_block_mask(causal, None, None, 5, 7, device="cpu")
    arguments: dict[str, Any] = {"score_mod": capped, "block_mask": mask, "enable_gqa": True}
    arguments["return_aux"] = real.AuxRequest(lse=True)
    out, aux = attention(q, k, v, **arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it is slow where it is not compiled
        expected, expected_aux = real.flex_attention(q, k, v, **arguments)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(aux.lse, expected_aux.lse)
