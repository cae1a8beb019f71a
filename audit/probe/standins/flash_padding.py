"""What `flash_attn.bert_padding` and `flash_attn.layers.rotary` offer: padding taken out and put back, rotary pairs."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from .exact import rotated
from .recorded import Record


def unpad_input(
    hidden_states: Tensor, attention_mask: Tensor, unused_mask: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor, int, Tensor]:
    """Return the kept rows of (B, L, ...), their places, where each sample begins, the longest, and what is used."""
    everything = attention_mask if unused_mask is None else attention_mask + unused_mask
    lengths = everything.sum(dim=-1, dtype=torch.int32)
    used = attention_mask.sum(dim=-1, dtype=torch.int32)
    places = torch.nonzero(everything.flatten(), as_tuple=False).flatten()
    starts = torch.nn.functional.pad(lengths.cumsum(0, dtype=torch.int32), (1, 0))
    return index_first_axis(hidden_states.flatten(0, 1), places), places, starts, int(lengths.max()), used


def index_first_axis(input: Tensor, indices: Tensor) -> Tensor:
    """Return the rows at these places."""
    return input[indices]


def index_put_first_axis(values: Tensor, indices: Tensor, first_axis_dim: int) -> Tensor:
    """Return as many rows, zeros save for the values at their places."""
    empty = values.new_zeros(first_axis_dim, *values.shape[1:])
    return empty.index_put((indices,), values)


def pad_input(hidden_states: Tensor, indices: Tensor, batch: int, seqlen: int) -> Tensor:
    """Return (B, L, ...) in which the rows are at their places and zeros elsewhere."""
    rows = index_put_first_axis(hidden_states, indices, batch * seqlen)
    return rows.view(batch, seqlen, *rows.shape[1:])


def functions(record: Record) -> Mapping[str, Callable[..., object]]:
    """Return the functions of `flash_attn.bert_padding` by their names; they are no attention, and not counted."""
    return {each.__name__: each for each in (unpad_input, pad_input, index_first_axis, index_put_first_axis)}


def rotary(record: Record) -> Mapping[str, Callable[..., object]]:
    """Return the functions of `flash_attn.layers.rotary` by their names."""

    def apply_rotary_emb(
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        interleaved: bool = False,
        inplace: bool = False,
        seqlen_offsets: int | Tensor = 0,
        cu_seqlens: Tensor | None = None,
        max_seqlen: int | None = None,
    ) -> Tensor:
        if cu_seqlens is None:
            offsets = torch.as_tensor(seqlen_offsets, device=x.device).expand(x.shape[0])
            turned = rotated(x, cos, sin, offsets, interleaved=interleaved)
        else:
            first = torch.as_tensor(seqlen_offsets).expand(len(cu_seqlens) - 1)
            lengths = cu_seqlens.diff().tolist()
            places = [
                torch.arange(length, device=x.device) + int(start) for length, start in zip(lengths, first, strict=True)
            ]
            turned = rotated(x[None], cos, sin, torch.cat(places)[None], interleaved=interleaved)[0]
        return x.copy_(turned) if inplace else turned

    return {"apply_rotary_emb": apply_rotary_emb, "apply_rotary_emb_func": apply_rotary_emb}
