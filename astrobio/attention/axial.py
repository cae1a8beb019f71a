"""Attention along one axis of a datacube at a time (axial attention, Ho et al. 2019, arXiv:1912.12180)."""

from dataclasses import replace

from torch import Tensor, nn

from astrobio.attention.config import AttentionConfig
from astrobio.attention.multi_head import MultiHeadAttention

AXES = ("depth", "height", "width")
"""The three axes of a cube (B, C, D, H, W): depth is time or level, height latitude, width longitude."""


class AxialAttention3d(nn.Module):
    """Self-attention along the depth, height and width of a cube, one after another, each added to its input.

    A cell sees the D + H + W - 2 cells that share two of its coordinates, and through the three axes, one after
    another, the whole cube; the cost is O(DHW * (D + H + W)) where attention over all cells has O((DHW)^2).

    An axis with positions has the rotary embedding of `config`; one without treats its cells as a set, to which a
    cyclic shift means nothing, as is right for longitude, which has no beginning. No axis is causal.
    """

    def __init__(
        self,
        config: AttentionConfig,
        *,
        axes: tuple[str, ...] = AXES,
        axes_without_positions: tuple[str, ...] = ("width",),
    ) -> None:
        """Build one attention layer per axis.

        Args:
            config: settings of each layer; `embed_dim` is the number of channels.
            axes: the axes to attend along, in this order.
            axes_without_positions: those of them that get no rotary embedding.

        Raises:
            ValueError: an unknown or repeated axis, or a causal configuration, which would need to name its axis.
        """
        super().__init__()
        unknown = [axis for axis in (*axes, *axes_without_positions) if axis not in AXES]
        if unknown:
            raise ValueError(f"unknown axis {', '.join(unknown)}; choose from: {', '.join(AXES)}")
        if not axes or len(set(axes)) != len(axes):
            raise ValueError(f"axes must be different ones, at least one, got {axes}")
        config.refuse("AxialAttention3d", "is_causal")
        self.config = config
        without = replace(config, rotary_base=None, alibi=False)
        self.layers = nn.ModuleDict(
            {axis: MultiHeadAttention(without if axis in axes_without_positions else config) for axis in axes}
        )

    def forward(self, cube: Tensor, *, cell_mask: Tensor | None = None) -> Tensor:
        """Attend along each axis in turn.

        Args:
            cube: (B, C, D, H, W) with C = embed_dim.
            cell_mask: bool, (B, D, H, W), True where a cell may be attended to; None allows all.

        Returns:
            (B, C, D, H, W). Where a cell may attend to nothing along an axis, that axis adds the output projection of
            zeros.

        Raises:
            TypeError: the mask is not boolean.
            ValueError: the cube or the mask has another shape.
        """
        if cube.dim() != 5 or cube.shape[1] != self.config.embed_dim:
            raise ValueError(f"cube must be (B, C = {self.config.embed_dim}, D, H, W), got {tuple(cube.shape)}")
        cells = (cube.shape[0], *cube.shape[2:])
        if cell_mask is not None and cell_mask.shape != cells:
            raise ValueError(f"cell_mask must have shape (B, D, H, W) = {cells}, got {tuple(cell_mask.shape)}")
        states = cube.movedim(1, -1)  # (B, D, H, W, C)
        for axis, layer in self.layers.items():
            along = 1 + AXES.index(axis)
            lines = states.movedim(along, 3)  # the axis becomes a sequence, the others join the batch
            mask = None if cell_mask is None else cell_mask.movedim(along, 3).flatten(0, 2)
            attended = layer(lines.flatten(0, 2), key_mask=mask).view(lines.shape)
            states = states + attended.movedim(3, along)
        return states.movedim(-1, 1)

    def extra_repr(self) -> str:
        """The axes, shown when the module is printed."""
        return f"axes={tuple(self.layers)}"
