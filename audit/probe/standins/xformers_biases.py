"""The attention biases of `xformers.ops.fmha.attn_bias`: which keys each query may see, said by a class.

`LowerTriangularMask` is aligned with the first query and the first key; those whose name says `FromBottomRight` with
the last of each. Blocks lie behind one another in a batch of one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from .exact import NotKnown, band


class AttentionBias:
    """What every bias can do: be written out as numbers that are added to the scores."""

    def seen(self, queries: int, keys: int) -> Tensor:
        """Return which keys each query may see, (Lq, Lk)."""
        raise NotKnown(f"the stand-in for xformers does not know {type(self).__name__}")

    def added(self) -> Tensor | None:
        """Return what is added to the scores besides."""
        return None

    def materialize(self, shape: Sequence[int], dtype: torch.dtype = torch.float32, device: object = "cpu") -> Tensor:
        """Return the bias as a tensor of this shape, (..., Lq, Lk)."""
        hidden = torch.zeros(shape[-2], shape[-1]).masked_fill(~self.seen(shape[-2], shape[-1]), -torch.inf)
        added = self.added()
        summed = hidden if added is None else hidden.to(added.device) + added.float()
        return summed.to(device=device, dtype=dtype).expand(*shape)  # type: ignore[call-overload,no-any-return]


class LowerTriangularMask(AttentionBias):
    """Causal, aligned with the first query and the first key."""

    def __init__(self, *tensor_args: object, **tensor_kwargs: object) -> None:
        """Take what a tensor would, such as its device."""

    def seen(self, queries: int, keys: int) -> Tensor:
        """Return which keys each query may see."""
        return band(queries, keys, right=0, shift=0)

    def add_bias(self, bias: Tensor) -> "LowerTriangularMaskWithTensorBias":
        """Return the mask with numbers that are added to the scores."""
        return LowerTriangularMaskWithTensorBias(bias)


class LowerTriangularMaskWithTensorBias(LowerTriangularMask):
    """Causal, with numbers that are added to the scores."""

    def __init__(self, bias: Tensor) -> None:
        self._bias = bias

    def added(self) -> Tensor | None:
        """Return what is added to the scores besides."""
        return self._bias


class LowerTriangularFromBottomRightMask(AttentionBias):
    """Causal, aligned with the last query and the last key."""

    def seen(self, queries: int, keys: int) -> Tensor:
        """Return which keys each query may see."""
        return band(queries, keys, right=0)

    def make_local_attention(self, window_size: int) -> "LowerTriangularFromBottomRightLocalAttentionMask":
        """Return the mask under which a query sees so many keys, its own included."""
        return LowerTriangularFromBottomRightLocalAttentionMask(window_size)


class LowerTriangularFromBottomRightLocalAttentionMask(LowerTriangularFromBottomRightMask):
    """Causal with a window, which counts the query's own key."""

    def __init__(self, _window_size: int) -> None:
        self._window_size = _window_size

    def seen(self, queries: int, keys: int) -> Tensor:
        """Return which keys each query may see."""
        return band(queries, keys, left=self._window_size - 1, right=0)


@dataclass
class LocalAttentionFromBottomRightMask(AttentionBias):
    """So many keys to the left and to the right, aligned with the last query and the last key."""

    window_left: int
    window_right: int

    def seen(self, queries: int, keys: int) -> Tensor:
        """Return which keys each query may see."""
        return band(queries, keys, left=self.window_left, right=self.window_right)


@dataclass
class _SeqLenInfo:
    """Where sequences begin that lie behind one another."""

    seqstart: Tensor
    max_seqlen: int
    min_seqlen: int
    seqstart_py: list[int]

    @classmethod
    def from_seqlens(cls, seqlens: Iterable[int], *, device: object = None) -> Self:
        lengths = list(seqlens)
        starts = [0]
        for length in lengths:
            starts.append(starts[-1] + length)
        return cls(torch.tensor(starts, dtype=torch.int32), max(lengths), min(lengths), starts)

    def intervals(self) -> Iterable[tuple[int, int]]:
        yield from zip(self.seqstart_py, self.seqstart_py[1:], strict=False)


@dataclass
class BlockDiagonalMask(AttentionBias):
    """Each sequence sees itself alone."""

    q_seqinfo: _SeqLenInfo
    k_seqinfo: _SeqLenInfo
    _batch_sizes: Sequence[int] | None = None

    @classmethod
    def from_seqlens(
        cls, q_seqlen: Sequence[int], kv_seqlen: Sequence[int] | None = None, *, device: object = None
    ) -> Self:
        """Return the mask of sequences of these lengths."""
        q_info = _SeqLenInfo.from_seqlens(q_seqlen)
        if kv_seqlen is not None and len(kv_seqlen) != len(q_seqlen):
            raise ValueError("q_seqlen and kv_seqlen must have the same number of sequences")
        return cls(q_info, q_info if kv_seqlen is None else _SeqLenInfo.from_seqlens(kv_seqlen))

    @classmethod
    def from_tensor_list(cls, tensors: Sequence[Tensor]) -> tuple[Self, Tensor]:
        """Return the mask of these tensors (B, L, ...), and the tensors behind one another."""
        batch_sizes = [tensor.shape[0] for tensor in tensors]
        mask = cls.from_seqlens([tensor.shape[1] for tensor in tensors for _ in range(tensor.shape[0])])
        mask._batch_sizes = batch_sizes
        return mask, torch.cat([tensor.reshape(1, -1, *tensor.shape[2:]) for tensor in tensors], dim=1)

    def split(self, tensor: Tensor) -> Sequence[Tensor]:
        """Return the tensors that `from_tensor_list` put behind one another."""
        if tensor.shape[0] != 1:
            raise ValueError("the tensor must have a batch of one")
        parts = [tensor[:, start:end] for start, end in self.q_seqinfo.intervals()]
        if self._batch_sizes is None:
            return parts
        found = []
        for size in self._batch_sizes:
            found.append(torch.cat(parts[:size]))
            parts = parts[size:]
        return found

    def block(self, queries: int, keys: int) -> Tensor:
        """Return which keys of its own sequence each query may see."""
        return torch.ones(queries, keys, dtype=torch.bool)

    def seen(self, queries: int, keys: int) -> Tensor:
        """Return which keys each query may see."""
        found = torch.zeros(queries, keys, dtype=torch.bool)
        for (q0, q1), (k0, k1) in zip(self.q_seqinfo.intervals(), self.k_seqinfo.intervals(), strict=True):
            found[q0:q1, k0:k1] = self.block(q1 - q0, k1 - k0)
        return found

    def make_causal(self) -> "BlockDiagonalCausalMask":
        """Return the same sequences, causal from the first query and key of each."""
        return BlockDiagonalCausalMask(self.q_seqinfo, self.k_seqinfo, self._batch_sizes)

    def make_causal_from_bottomright(self) -> "BlockDiagonalCausalFromBottomRightMask":
        """Return the same sequences, causal up to the last query and key of each."""
        return BlockDiagonalCausalFromBottomRightMask(self.q_seqinfo, self.k_seqinfo, self._batch_sizes)

    def make_local_attention(self, window_size: int) -> "BlockDiagonalCausalLocalAttentionMask":
        """Return the same sequences, causal with a window, from the first query and key of each."""
        made = BlockDiagonalCausalLocalAttentionMask(self.q_seqinfo, self.k_seqinfo, self._batch_sizes)
        made.window = window_size
        return made

    def make_local_attention_from_bottomright(
        self, window_size: int
    ) -> "BlockDiagonalCausalLocalAttentionFromBottomRightMask":
        """Return the same sequences, causal with a window, up to the last query and key of each."""
        made = BlockDiagonalCausalLocalAttentionFromBottomRightMask(self.q_seqinfo, self.k_seqinfo, self._batch_sizes)
        made.window = window_size
        return made


class BlockDiagonalCausalMask(BlockDiagonalMask):
    """Each sequence sees its own past, aligned with its first query and key."""

    def block(self, queries: int, keys: int) -> Tensor:
        """Return which keys of its own sequence each query may see."""
        return band(queries, keys, right=0, shift=0)


class BlockDiagonalCausalFromBottomRightMask(BlockDiagonalMask):
    """Each sequence sees its own past, aligned with its last query and key."""

    def block(self, queries: int, keys: int) -> Tensor:
        """Return which keys of its own sequence each query may see."""
        return band(queries, keys, right=0)


class BlockDiagonalCausalLocalAttentionMask(BlockDiagonalMask):
    """Each sequence sees its own past in a window, which counts the query's own key, from the first query and key."""

    window = 0

    def block(self, queries: int, keys: int) -> Tensor:
        """Return which keys of its own sequence each query may see."""
        return band(queries, keys, left=self.window - 1, right=0, shift=0)


class BlockDiagonalCausalLocalAttentionFromBottomRightMask(BlockDiagonalMask):
    """Likewise, up to the last query and key."""

    window = 0

    def block(self, queries: int, keys: int) -> Tensor:
        """Return which keys of its own sequence each query may see."""
        return band(queries, keys, left=self.window - 1, right=0)


BIASES = (
    AttentionBias, LowerTriangularMask, LowerTriangularMaskWithTensorBias, LowerTriangularFromBottomRightMask,
    LowerTriangularFromBottomRightLocalAttentionMask, LocalAttentionFromBottomRightMask, BlockDiagonalMask,
    BlockDiagonalCausalMask, BlockDiagonalCausalFromBottomRightMask, BlockDiagonalCausalLocalAttentionMask,
    BlockDiagonalCausalLocalAttentionFromBottomRightMask,
)  # fmt: skip
