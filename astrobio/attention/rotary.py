"""Rotary position embedding (RoFormer, Su et al. 2021, section 3.2.2), in the half-split layout of GPT-NeoX.

Dimension d of the first half of a head is paired with dimension d + head_dim / 2. The pair is rotated by the angle
position * base ** (-2 d / head_dim), so that the dot product of a rotated query and a rotated key depends on their
positions through the distance only.
"""

import torch
from torch import Tensor


def rotary_angles(positions: Tensor, *, head_dim: int, base: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """The rotation angles of every position, in radians.

    Args:
        positions: (..., L), integer or floating point.
        head_dim: size of the head, even; half as many angles come back.
        base: base of the geometric series of frequencies.
        dtype: dtype in which the angles are computed and returned.

    Returns:
        (..., L, head_dim / 2).

    Raises:
        ValueError: `head_dim` is odd.
    """
    if head_dim % 2:
        raise ValueError(f"rotary embedding pairs dimensions: head_dim must be even, got {head_dim}")
    exponents = torch.arange(0, head_dim, 2, dtype=dtype, device=positions.device) / head_dim
    return positions.to(dtype).unsqueeze(-1) * base**-exponents


def apply_rotary(x: Tensor, positions: Tensor, base: float) -> Tensor:
    """Rotate the head dimension of queries or keys by their positions.

    Angles, sines and the rotation are computed in float32 for half types and in the dtype of `x` otherwise, because
    a half type cannot hold the angle of a position in the hundreds. The result is rounded to the dtype of `x`.

    Args:
        x: (B, H, L, head_dim), floating point, head_dim even.
        positions: (L,) for all samples or (B, L), integer or floating point.
        base: base of the geometric series of frequencies.

    Returns:
        The shape and dtype of `x`.

    Raises:
        ValueError: `positions` has another shape, or head_dim is odd.
    """
    batch, _, length, head_dim = x.shape
    if tuple(positions.shape) not in ((length,), (batch, length)):
        raise ValueError(
            f"positions must have shape (L,) = {(length,)} or (B, L) = {(batch, length)}, got {tuple(positions.shape)}"
        )
    dtype = torch.promote_types(x.dtype, torch.float32)
    angles = rotary_angles(positions, head_dim=head_dim, base=base, dtype=dtype)
    if angles.dim() == 3:
        angles = angles.unsqueeze(1)  # (B, 1, L, head_dim / 2): the same for every head
    cos, sin = angles.cos(), angles.sin()
    first, second = x.to(dtype).chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1).to(x.dtype)
