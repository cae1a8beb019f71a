import pytest
import torch
from torch import Tensor

from astrobio.attention import SelectiveStateSpace, StateSpaceConfig
from astrobio.attention.state_space import selective_scan, sequential_scan

BATCH, CHANNELS, STATES, EMBED_DIM = 2, 3, 4, 6
# States stay below 10 here: each sums up fewer than 100 terms, in two orders.
TOLERANCE = 2000 * torch.finfo(torch.float64).eps


def scan_inputs(length: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    x, step = normal(BATCH, length, CHANNELS), normal(BATCH, length, CHANNELS).exp() * 0.3
    return [x, step, -normal(CHANNELS, STATES).exp(), normal(BATCH, length, STATES), normal(BATCH, length, STATES)]


@pytest.mark.parametrize("length", [1, 2, 9, 10, 37])
@pytest.mark.parametrize("chunk_size", [None, 1, 4, 64])
@pytest.mark.parametrize("with_state", [False, True])
def test_the_chunked_scan_equals_the_recurrence(length: int, chunk_size: int | None, with_state: bool) -> None:
    inputs = scan_inputs(length)
    hidden = torch.ones(BATCH, CHANNELS, STATES, dtype=torch.float64) if with_state else None
    output, state = selective_scan(*inputs, hidden=hidden, chunk_size=chunk_size)
    expected, last = sequential_scan(*inputs, hidden=hidden)
    assert (output - expected).abs().max() <= TOLERANCE
    assert (state - last).abs().max() <= TOLERANCE


def test_gradients_of_the_scan_are_those_of_the_recurrence_and_of_finite_differences() -> None:
    leaves = [tensor.requires_grad_() for tensor in scan_inputs(7)]
    weights = torch.randn(BATCH, 7, CHANNELS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found, expected = (
        torch.autograd.grad((scan(*leaves)[0] * weights).sum(), leaves) for scan in (selective_scan, sequential_scan)
    )
    for gradient, reference in zip(found, expected, strict=True):
        assert (gradient - reference).abs().max() <= 10 * TOLERANCE
    small = [tensor.detach()[:1].requires_grad_() for tensor in scan_inputs(4)]
    small[2] = scan_inputs(4)[2].requires_grad_()
    assert torch.autograd.gradcheck(lambda *tensors: selective_scan(*tensors, chunk_size=2), small)


def test_a_fast_decay_over_a_long_chunk_stays_finite() -> None:
    x, step, decay, input_weight, output_weight = scan_inputs(400)
    output, _ = selective_scan(x, 50 * step, 50 * decay, input_weight, output_weight, chunk_size=400)
    expected, _ = sequential_scan(x, 50 * step, 50 * decay, input_weight, output_weight)
    assert output.isfinite().all()
    # Inputs are 50 times as large here, and so are the states.
    assert (output - expected).abs().max() <= 50 * TOLERANCE


def layer(**settings: int) -> SelectiveStateSpace:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SelectiveStateSpace(
            StateSpaceConfig(**{"embed_dim": EMBED_DIM, "state_dim": STATES, **settings})
        ).double()


def hidden_states(length: int = 11) -> Tensor:
    return torch.randn(BATCH, length, EMBED_DIM, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_steps_with_a_state_equal_the_full_forward(chunk: int) -> None:
    module, x = layer(), hidden_states()
    cache = module.new_cache()
    decoded = torch.cat([module(part, cache=cache) for part in x.split(chunk, dim=1)], dim=1)
    assert cache.length == 11
    assert (decoded - module(x)).abs().max() <= TOLERANCE


def test_later_tokens_reach_no_earlier_output_and_earlier_ones_reach_all() -> None:
    module, x = layer(), hidden_states()
    before = module(x)
    x[:, 4] += 1.0
    changed = (module(x) - before).abs().amax(dim=(0, 2)) > TOLERANCE
    assert changed.tolist() == [False] * 4 + [True] * 7


def test_left_padding_leaves_no_trace() -> None:
    module, x = layer(), hidden_states()
    padded = torch.cat((9 * hidden_states(3), x), dim=1)
    key_mask = torch.ones(BATCH, 14, dtype=torch.bool)
    key_mask[:, :3] = False
    assert (module(padded, key_mask=key_mask)[:, 3:] - module(x)).abs().max() <= TOLERANCE
    assert (module(padded)[:, 3:] - module(x)).abs().max() > 1e-6


def test_it_starts_with_the_decays_and_step_sizes_of_the_paper() -> None:
    module = layer(expansion=100)
    assert torch.allclose(module.log_decay.exp(), torch.arange(1.0, STATES + 1, dtype=torch.float64).expand(600, -1))
    steps = torch.nn.functional.softplus(module.step_proj.bias.detach())
    assert 1e-3 * 0.999 <= float(steps.min()) <= 2e-3
    assert 5e-2 <= float(steps.max()) <= 1e-1 * 1.001


def test_gradients_reach_every_parameter() -> None:
    module = layer()
    module(hidden_states()).square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad != 0).any(), name


@pytest.mark.parametrize("name", ["embed_dim", "state_dim", "expansion", "conv_width", "step_rank", "chunk_size"])
def test_a_size_below_one_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        StateSpaceConfig(**{"embed_dim": 8, name: 0})


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"hidden_states must be \(B, L, embed_dim = 6\)"):
        layer()(torch.ones(2, 3, 5, dtype=torch.float64))
    with pytest.raises(TypeError, match="key_mask must be bool"):
        layer()(hidden_states(), key_mask=torch.ones(BATCH, 11))
    with pytest.raises(ValueError, match="chunk_size must be at least 1, got 0"):
        selective_scan(*scan_inputs(3), chunk_size=0)
