"""A selective state-space layer (Mamba, Gu & Dao 2023, arXiv:2312.00752): a recurrence in place of attention.

For each channel and each of N states, h_t = exp(d_t A) h_{t-1} + d_t B_t x_t and y_t = C_t . h_t + D x_t, where step
size d, input B and output C depend on the token. Section 3.5 of the paper calls it the selective scan. The recurrence
is computed in chunks: all chunks take their steps side by side from a state of zero, then what each carries over is
added, so that a sequence of L takes about 2 sqrt(L) steps instead of L. Exponents never grow above zero on the way.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from astrobio.attention.masks import check_key_mask


@dataclass(frozen=True)
class StateSpaceConfig:
    """Settings of `SelectiveStateSpace`; the defaults are those of the paper.

    Attributes:
        embed_dim: size of the hidden states that go in and come out.
        state_dim: N, states per channel.
        expansion: channels inside, in units of `embed_dim`.
        conv_width: tokens that the causal convolution before the recurrence sees.
        step_rank: size from which step sizes are projected; None means ceil(embed_dim / 16).
        chunk_size: steps that are taken one after another; None means about the root of the length.

    Raises:
        ValueError: a size is below 1.
    """

    embed_dim: int
    state_dim: int = 16
    expansion: int = 2
    conv_width: int = 4
    step_rank: int | None = None
    chunk_size: int | None = None

    def __post_init__(self) -> None:
        """Refuse sizes that describe no layer."""
        for name in ("embed_dim", "state_dim", "expansion", "conv_width", "step_rank", "chunk_size"):
            size = getattr(self, name)
            if size is not None and size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")

    @property
    def num_channels(self) -> int:
        """Channels of the recurrence."""
        return self.expansion * self.embed_dim

    @property
    def rank(self) -> int:
        """`step_rank`, with the default filled in."""
        return math.ceil(self.embed_dim / 16) if self.step_rank is None else self.step_rank


class StateSpaceState:
    """What the layer keeps of earlier positions, of a size that does not grow. Gradients are kept as with `KVCache`."""

    def __init__(self) -> None:
        """Start with no positions."""
        self.hidden: Tensor | None = None  # (B, channels, N)
        self.inputs: Tensor | None = None  # (B, channels, conv_width - 1), the last inputs of the convolution
        self.length = 0


def selective_scan(
    x: Tensor,
    step: Tensor,
    decay: Tensor,
    input_weight: Tensor,
    output_weight: Tensor,
    *,
    hidden: Tensor | None = None,
    chunk_size: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The recurrence h_t = exp(d_t A) h_{t-1} + d_t B_t x_t, read out as y_t = C_t . h_t, in chunks.

    Args:
        x: (B, L, channels).
        step: d, (B, L, channels), not negative; a position with step 0 leaves the state as it is.
        decay: A, (channels, N), not positive.
        input_weight: B_t, (B, L, N).
        output_weight: C_t, (B, L, N).
        hidden: state before the first position, (B, channels, N); None is zero.
        chunk_size: steps one after another; None takes about sqrt(L).

    Returns:
        y, (B, L, channels), and the state after the last position, (B, channels, N).

    Raises:
        ValueError: `chunk_size` is below 1.
    """
    batch, length, channels = x.shape
    size = max(1, math.isqrt(length)) if chunk_size is None else chunk_size
    if size < 1:
        raise ValueError(f"chunk_size must be at least 1, got {size}")
    states = decay.shape[1]
    carried = x.new_zeros(batch, channels, states) if hidden is None else hidden
    if length == 0:
        return x, carried
    count = -(-length // size)
    exponent = step.unsqueeze(-1) * decay  # (B, L, channels, N), not positive
    driven = (step * x).unsqueeze(-1) * input_weight.unsqueeze(2)  # (B, L, channels, N)
    exponent, driven = (_in_chunks(tensor, count, size) for tensor in (exponent, driven))
    # Within each chunk from a state of zero, all chunks at once.
    factor = exponent.exp()
    local = [driven[:, :, 0]]
    for at in range(1, size):
        local.append(factor[:, :, at] * local[-1] + driven[:, :, at])
    # What reaches each position of what was there before its chunk.
    faded = exponent.cumsum(dim=2).exp()
    before = []
    for chunk in range(count):
        before.append(carried)
        carried = faded[:, chunk, -1] * carried + local[-1][:, chunk]
    whole = torch.stack(local, dim=2) + faded * torch.stack(before, dim=1).unsqueeze(2)
    found = whole.flatten(1, 2)[:, :length]
    return (found * output_weight.unsqueeze(2)).sum(dim=-1), carried


def sequential_scan(
    x: Tensor,
    step: Tensor,
    decay: Tensor,
    input_weight: Tensor,
    output_weight: Tensor,
    *,
    hidden: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`selective_scan` as it is defined, one position after another: what the chunks are compared with."""
    state = x.new_zeros(x.shape[0], x.shape[2], decay.shape[1]) if hidden is None else hidden
    outputs = []
    for at in range(x.shape[1]):
        driven = (step[:, at] * x[:, at]).unsqueeze(-1) * input_weight[:, at].unsqueeze(1)
        state = (step[:, at].unsqueeze(-1) * decay).exp() * state + driven
        outputs.append((state * output_weight[:, at].unsqueeze(1)).sum(dim=-1))
    return torch.stack(outputs, dim=1), state


def _in_chunks(tensor: Tensor, count: int, size: int) -> Tensor:
    """(B, L, channels, N) -> (B, chunks, size, channels, N), padded with positions that leave the state as it is."""
    batch, length, channels, states = tensor.shape
    padded = F.pad(tensor, (0, 0, 0, 0, 0, count * size - length))
    return padded.view(batch, count, size, channels, states)


class SelectiveStateSpace(nn.Module):
    """A Mamba block (Gu & Dao 2023, section 3.4): gated, with a short causal convolution before the selective scan.

    It is causal, knows the order of tokens without a position embedding, and decodes with a state of fixed size. The
    recurrence is computed in float32 at least, whose rounding it accumulates over the length.
    """

    def __init__(self, config: StateSpaceConfig) -> None:
        """Build the block, with decays 1 to N (S4D-real) and step sizes between 0.001 and 0.1, as in the paper."""
        super().__init__()
        self.config = config
        channels, states, rank = config.num_channels, config.state_dim, config.rank
        self.in_proj = nn.Linear(config.embed_dim, 2 * channels, bias=False)
        self.conv = nn.Conv1d(channels, channels, config.conv_width, groups=channels)
        self.x_proj = nn.Linear(channels, rank + 2 * states, bias=False)
        self.step_proj = nn.Linear(rank, channels)
        self.log_decay = nn.Parameter(torch.arange(1, states + 1).float().log().repeat(channels, 1))
        self.skip = nn.Parameter(torch.ones(channels))
        self.out_proj = nn.Linear(channels, config.embed_dim, bias=False)
        with torch.no_grad():
            steps = torch.exp(torch.empty(channels).uniform_(math.log(1e-3), math.log(1e-1)))
            self.step_proj.bias.copy_(steps + torch.log(-torch.expm1(-steps)))  # inverse of softplus

    def forward(
        self, hidden_states: Tensor, *, key_mask: Tensor | None = None, cache: StateSpaceState | None = None
    ) -> Tensor:
        """Read `hidden_states` from the first to the last position.

        Args:
            hidden_states: (B, L, embed_dim).
            key_mask: bool, (B, L), True where a position may be read; others leave no trace in later ones beyond zeros
                in the convolution.
            cache: the state after earlier positions, for decoding; it is brought up to date.

        Returns:
            (B, L, embed_dim).

        Raises:
            TypeError: the mask is not boolean.
            ValueError: wrong shapes.
        """
        config = self.config
        if hidden_states.dim() != 3 or hidden_states.shape[2] != config.embed_dim:
            raise ValueError(
                f"hidden_states must be (B, L, embed_dim = {config.embed_dim}), got {tuple(hidden_states.shape)}"
            )
        batch, length, _ = hidden_states.shape
        if key_mask is not None:
            check_key_mask(key_mask, batch=batch, key_length=length)
        x, gate = self.in_proj(hidden_states).chunk(2, dim=-1)  # each (B, L, channels)
        if key_mask is not None:
            x = x.masked_fill(~key_mask.unsqueeze(-1), 0.0)
        x = F.silu(self._convolved(x, cache))
        rank, input_weight, output_weight = self.x_proj(x).split(
            [config.rank, config.state_dim, config.state_dim], dim=-1
        )
        step = F.softplus(self.step_proj(rank))
        if key_mask is not None:
            step = step.masked_fill(~key_mask.unsqueeze(-1), 0.0)
        dtype = torch.promote_types(x.dtype, torch.float32)
        scanned, hidden = selective_scan(
            x.to(dtype),
            step.to(dtype),
            -self.log_decay.to(dtype).exp(),
            input_weight.to(dtype),
            output_weight.to(dtype),
            hidden=None if cache is None else cache.hidden,
            chunk_size=config.chunk_size,
        )
        if cache is not None:
            cache.hidden, cache.length = hidden, cache.length + length
        output: Tensor = self.out_proj((scanned.to(x.dtype) + self.skip * x) * F.silu(gate))
        return output

    def new_cache(self) -> StateSpaceState:
        """An empty cache that fits the layer."""
        return StateSpaceState()

    def extra_repr(self) -> str:
        """The settings, shown when the module is printed."""
        return str(self.config)

    def _convolved(self, x: Tensor, cache: StateSpaceState | None) -> Tensor:
        """The causal convolution over the inputs and those that `cache` keeps, (B, L, channels)."""
        earlier = self.config.conv_width - 1
        inputs = x.transpose(1, 2)
        if cache is not None and cache.inputs is not None:
            inputs = torch.cat((cache.inputs, inputs), dim=2)
        else:
            inputs = F.pad(inputs, (earlier, 0))
        if cache is not None:
            cache.inputs = inputs[:, :, inputs.shape[2] - earlier :]
        convolved: Tensor = self.conv(inputs)
        return convolved.transpose(1, 2)
