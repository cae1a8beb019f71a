"""Exact attention over a sequence that is spread over processes (ring attention, Liu et al. 2023, arXiv:2310.01889).

Each process of a group of n holds an equal share of the sequence, in the order of the ranks. Keys and values travel
around the ring in n steps; each process attends to what passes by and merges the parts by the logarithms of their sums
of exponentials, so that the result is that of full attention up to rounding, and no process ever holds more than three
shares of keys. In the backward pass keys and values travel once more, and their gradients with them.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from astrobio.attention.config import AttentionConfig
from astrobio.attention.functional import check_tensors
from astrobio.attention.masks import causal_mask, check_key_mask
from astrobio.attention.projections import ProjectedAttention


def ring_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    is_causal: bool = False,
    key_mask: Tensor | None = None,
    scale: float | None = None,
    group: dist.ProcessGroup | None = None,
) -> Tensor:
    """`attention` over the shares of all processes of a group; each gets the output of its own queries.

    Every process of the group has to call it, with shares of the same shape. With the causal rule, shares that lie
    ahead are not computed, so that later ranks work longer. Gradients can be taken once, not twice.

    Args:
        query: (B, H, Lq, D), this process's share; Lq = L where `is_causal`.
        key: (B, Hkv, L, D), H a multiple of Hkv, shared as in `attention`.
        value: (B, Hkv, L, D).
        is_causal: a query sees its own position and earlier ones only, over the whole sequence.
        key_mask: bool, (B, L), True where a key of this share may be attended to, by whatever process. Given by all
            processes or by none.
        scale: factor on the dot products; None means 1 / sqrt(D).
        group: None means the default group; without any, this process is alone.

    Returns:
        (B, H, Lq, D) in the dtype of `query`. A query with nothing to attend to gives zeros.

    Raises:
        TypeError: wrong dtypes.
        ValueError: shapes that do not fit.
    """
    check_tensors(query, key, value)
    if is_causal and query.shape[2] != key.shape[2]:
        raise ValueError(
            f"a share has as many queries as keys under the causal rule, got {query.shape[2]} and {key.shape[2]}"
        )
    if key_mask is not None:
        check_key_mask(key_mask, batch=key.shape[0], key_length=key.shape[2])
    ring = _Ring.of(group)
    factor = 1.0 / math.sqrt(query.shape[3]) if scale is None else scale
    # What is merged in float32 must also be multiplied in it.
    with torch.autocast(query.device.type, enabled=False):
        output: Tensor = _RingAttention.apply(query, key, value, key_mask, ring, is_causal, factor)  # type: ignore[no-untyped-call]
    return output


@dataclass(frozen=True)
class _Ring:
    """This process's place: `rank` of `size`, with the global ranks of its neighbours."""

    group: dist.ProcessGroup | None
    rank: int
    size: int

    @classmethod
    def of(cls, group: dist.ProcessGroup | None) -> "_Ring":
        if not (dist.is_available() and dist.is_initialized()):
            return cls(None, 0, 1)
        return cls(group, dist.get_rank(group), dist.get_world_size(group))

    def passed_on(self, *tensors: Tensor) -> list[Tensor]:
        """What the process before this one held, after each has handed its tensors to the next."""
        if self.size == 1:
            return list(tensors)
        after, before = (self._global_rank((self.rank + step) % self.size) for step in (1, -1))
        received = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for tensor in tensors]
        operations = []
        for sent, found in zip(tensors, received, strict=True):
            operations.append(dist.P2POp(dist.isend, sent.contiguous(), after, self.group))
            operations.append(dist.P2POp(dist.irecv, found, before, self.group))
        for work in dist.batch_isend_irecv(operations):
            work.wait()
        return received

    def _global_rank(self, rank: int) -> int:
        return rank if self.group is None else dist.get_global_rank(self.group, rank)


@dataclass(frozen=True)
class _Part:
    """The queries of this process and one share of keys; all in the dtype of the computation, heads repeated."""

    scale: float
    allowed: Tensor | None

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        scores = query @ key.transpose(-2, -1) * self.scale  # no mutant: whoever calls it keeps no history of gradients
        return scores if self.allowed is None else scores.masked_fill(~self.allowed, -math.inf)


def _part(ring: _Ring, owner: int, length: int, is_causal: bool, mask: Tensor, scale: float) -> _Part | None:
    """What this process's queries see of the share of `owner`; None where they see nothing."""
    if is_causal and owner > ring.rank:
        return None
    allowed = mask.bool()[:, None, None, :]
    if is_causal and owner == ring.rank:
        allowed = allowed & causal_mask(length, length, device=mask.device)
    return _Part(scale, None if bool(allowed.all()) else allowed)


class _RingAttention(torch.autograd.Function):
    """The forward and backward passes around the ring."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_mask: Tensor | None,
        ring: _Ring,
        is_causal: bool,
        scale: float,
    ) -> Tensor:
        dtype = torch.promote_types(query.dtype, torch.float32)
        group_size, length = query.shape[1] // key.shape[1], key.shape[2]
        # A mask travels as bytes, which every backend of torch.distributed can send.
        mask = key.new_ones(key.shape[0], length) if key_mask is None else key_mask
        mask = mask.to(torch.uint8)
        wide = query.to(dtype)
        output = torch.zeros_like(wide)
        log_sum = wide.new_full((*wide.shape[:3], 1), -math.inf)
        held = [key, value, mask]
        for step in range(ring.size):
            part = _part(ring, (ring.rank - step) % ring.size, length, is_causal, held[2], scale)
            if part is not None:
                keys, values = (tensor.to(dtype).repeat_interleave(group_size, dim=1) for tensor in held[:2])
                output, log_sum = _merged(output, log_sum, part.scores(wide, keys), values)
            if step + 1 < ring.size:
                held = ring.passed_on(*held)
        ctx.save_for_backward(query, key, value, mask, output, log_sum)
        ctx.ring, ctx.is_causal, ctx.scale = ring, is_causal, scale
        return output.to(query.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        with torch.autocast(gradient.device.type, enabled=False):
            return *_gradients(ctx, gradient), None, None, None, None


def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of query, key and value, around the ring once more."""
    query, key, value, mask, output, log_sum = ctx.saved_tensors
    ring, group_size = ctx.ring, query.shape[1] // key.shape[1]
    wide, gradient = query.to(output.dtype), gradient.to(output.dtype)
    of_output = (gradient * output).sum(dim=-1, keepdim=True)
    query_gradient = torch.zeros_like(wide)
    held = [key, value, mask, *(torch.zeros_like(tensor, dtype=output.dtype) for tensor in (key, value))]
    for step in range(ring.size):
        part = _part(ring, (ring.rank - step) % ring.size, key.shape[2], ctx.is_causal, held[2], ctx.scale)
        if part is not None:
            keys, values = (tensor.to(output.dtype).repeat_interleave(group_size, dim=1) for tensor in held[:2])
            weights = (part.scores(wide, keys) - log_sum.masked_fill(log_sum == -math.inf, 0.0)).exp()
            of_scores = weights * (gradient @ values.transpose(-2, -1) - of_output) * ctx.scale
            query_gradient += of_scores @ keys
            held[3] = held[3] + _of_shared(of_scores.transpose(-2, -1) @ wide, group_size)
            held[4] = held[4] + _of_shared(weights.transpose(-2, -1) @ gradient, group_size)
        # Once more than in the forward pass: after n steps each share and its gradients are home again.
        held = ring.passed_on(*held)
    key_gradient, value_gradient = held[3].to(key.dtype), held[4].to(value.dtype)
    return query_gradient.to(query.dtype), key_gradient, value_gradient


def _merged(output: Tensor, log_sum: Tensor, scores: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """The output over the keys so far and those of `scores`, with the logarithm of its sum of exponentials."""
    part_log_sum = scores.logsumexp(dim=-1, keepdim=True)
    total = torch.logaddexp(log_sum, part_log_sum)
    finite = total.masked_fill(total == -math.inf, 0.0)  # a row without any key so far keeps weights of zero
    return (log_sum - finite).exp() * output + (scores - finite).exp() @ values, total


def _of_shared(gradient: Tensor, group_size: int) -> Tensor:
    """The gradient of heads that were repeated, (B, H, L, D) -> (B, Hkv, L, D)."""
    batch, heads, length, features = gradient.shape
    return gradient.view(batch, heads // group_size, group_size, length, features).sum(dim=2)


class RingAttention(ProjectedAttention):
    """Self-attention over a sequence whose shares lie on the processes of a group.

    Parameters are those of `MultiHeadAttention` and must be equal on all processes; their gradients are of this
    process's outputs and shares, and have to be summed over the group, as for any data that is spread.
    """

    def __init__(self, config: AttentionConfig, *, group: dist.ProcessGroup | None = None) -> None:
        """Build the projections.

        Raises:
            ValueError: `config` has settings that ring attention has no use for.
        """
        config.refuse(
            "RingAttention",
            *("alibi", "window", "num_global_tokens", "soft_cap", "sinks", "context_dim", "feature_map", "block_size"),
            *("dropout_p", "backend"),
        )
        super().__init__(config)
        self.group = group

    def forward(self, hidden_states: Tensor, *, key_mask: Tensor | None = None) -> Tensor:
        """Attend over the shares of all processes, each of which has to call this.

        Args:
            hidden_states: (B, L, embed_dim), this process's share; the same length on all.
            key_mask: bool, (B, L), True where a position of this share may be attended to.

        Returns:
            (B, L, embed_dim). A position with nothing to attend to gives the output projection of zeros.

        Raises:
            TypeError: the mask is not boolean.
            ValueError: wrong shapes.
        """
        self.check_states(hidden_states)
        past_length = _Ring.of(self.group).rank * hidden_states.shape[1]
        query, key, value = self.projected(hidden_states, past_length=past_length)
        attended = ring_attention(
            query, key, value, is_causal=self.config.is_causal, key_mask=key_mask, group=self.group
        )
        return self.output(attended)
