import pytest
import torch
from torch import Tensor

from astrobio.attention import AttentionConfig, AxialAttention3d

CONFIG = AttentionConfig(embed_dim=8, num_heads=2, num_kv_heads=1, rotary_base=20.0)
SHAPE = (2, 8, 3, 4, 5)
# Outputs are below 10 here; two orders of summation over fewer than 100 terms for each of three axes.
TOLERANCE = 3 * 2000 * torch.finfo(torch.float64).eps


def layer(**settings: object) -> AxialAttention3d:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AxialAttention3d(CONFIG, **settings).double()


def cube() -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize(("axis", "dim"), [("depth", 2), ("height", 3), ("width", 4)])
def test_an_axis_is_the_attention_layer_along_every_line(axis: str, dim: int) -> None:
    module, x = layer(axes=(axis,)), cube()
    expected = x.clone()
    lines = x.movedim(dim, -1)  # (B, C, ., ., L)
    for first in range(lines.shape[2]):
        for second in range(lines.shape[3]):
            line = lines[:, :, first, second].transpose(1, 2)
            attended = module.layers[axis](line).transpose(1, 2)
            expected.movedim(dim, -1)[:, :, first, second] += attended
    assert (module(x) - expected).abs().max() <= TOLERANCE


def changed_cells(module: AxialAttention3d) -> Tensor:
    """Which cells of the output depend on one cell of the input, (D, H, W)."""
    x = cube()
    before = module(x)
    x[:, :, 1, 2, 3] += 1.0
    return (module(x) != before).any(dim=1).any(dim=0)


def test_one_axis_reaches_along_its_line_and_all_three_reach_every_cell() -> None:
    line = torch.zeros(SHAPE[2:], dtype=torch.bool)
    line[1, :, 3] = True
    assert torch.equal(changed_cells(layer(axes=("height",))), line)
    assert changed_cells(layer()).all()


def test_a_shift_in_longitude_shifts_the_output_and_one_in_latitude_does_not() -> None:
    module, x = layer(), cube()
    assert (module(x.roll(2, dims=4)) - module(x).roll(2, dims=4)).abs().max() <= TOLERANCE
    assert (module(x.roll(2, dims=3)) - module(x).roll(2, dims=3)).abs().max() > 1e-3


def test_masked_cells_reach_no_other_cell() -> None:
    module, x = layer(), cube()
    mask = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(2)) < 0.7
    before = module(x, cell_mask=mask)
    after = module(x.masked_fill(~mask[:, None], 9.0), cell_mask=mask)
    open_cells = mask[:, None].expand_as(x)
    assert torch.equal(after[open_cells], before[open_cells])
    assert not torch.allclose(module(x)[open_cells], before[open_cells])


def test_gradients_reach_every_parameter_and_the_input() -> None:
    module, x = layer(), cube().requires_grad_()
    module(x).square().sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).all()
    assert all((parameter.grad != 0).any() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"axes": ("time",)}, "unknown axis time; choose from: depth, height, width"),
        ({"axes_without_positions": ("lon",)}, "unknown axis lon"),
        ({"axes": ()}, "axes must be different ones, at least one"),
        ({"axes": ("depth", "depth")}, "axes must be different ones"),
    ],
)
def test_axes_that_do_not_exist_are_an_error(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AxialAttention3d(CONFIG, **settings)


def test_a_causal_configuration_is_refused() -> None:
    with pytest.raises(ValueError, match="AxialAttention3d has no use for is_causal, which is True"):
        AxialAttention3d(AttentionConfig(embed_dim=8, num_heads=2, is_causal=True))


def test_inputs_of_another_shape_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"cube must be \(B, C = 8, D, H, W\), got \(2, 7, 3, 4, 5\)"):
        layer()(torch.ones(2, 7, 3, 4, 5))
    with pytest.raises(ValueError, match=r"cell_mask must have shape \(B, D, H, W\) = \(2, 3, 4, 5\)"):
        layer()(cube(), cell_mask=torch.ones(2, 3, 4, dtype=torch.bool))
    with pytest.raises(TypeError, match="key_mask must be bool"):
        layer()(cube(), cell_mask=torch.ones(2, 3, 4, 5))
