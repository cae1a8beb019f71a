"""Ring attention on one process, and on several that talk through gloo, against full attention on one."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import Tensor

from astrobio.attention import AttentionConfig, MultiHeadAttention, RingAttention, attention, ring_attention

BATCH, HEADS, KV_HEADS, HEAD_DIM, SHARE = 2, 4, 2, 6, 3
# Outputs and gradients stay below 10: sums of fewer than 100 terms, merged in another order.
TOLERANCE = 2000 * torch.finfo(torch.float64).eps

each_causal = pytest.mark.parametrize("is_causal", [False, True], ids=["bidirectional", "causal"])


def random_inputs(length: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(BATCH, HEADS, length, HEAD_DIM, generator=generator, dtype=torch.float64)
    key, value = torch.randn(2, BATCH, KV_HEADS, length, HEAD_DIM, generator=generator, dtype=torch.float64)
    cotangent = torch.randn(query.shape, generator=generator, dtype=torch.float64)
    return [query, key, value, cotangent]


def padding(length: int) -> Tensor:
    """The first sample begins with padding, the second ends with it."""
    mask = torch.ones(BATCH, length, dtype=torch.bool)
    mask[0, :2], mask[1, -4:] = False, False
    return mask


@each_causal
def test_a_process_alone_computes_what_the_definition_does(
    is_causal: bool, rounding_bound: Callable[..., float]
) -> None:
    tensors, mask = random_inputs(7)[:3], padding(7)
    actual = ring_attention(*tensors, is_causal=is_causal, key_mask=mask)
    expected = attention(*tensors, is_causal=is_causal, key_mask=mask, backend="eager")
    assert (actual - expected).abs().max() <= 2 * rounding_bound(*tensors)


@each_causal
def test_gradients_are_those_of_finite_differences(is_causal: bool) -> None:
    leaves = [tensor[:1, :2, :, :2].clone().requires_grad_() for tensor in random_inputs(5)[:3]]
    mask = padding(5)[:1]
    assert torch.autograd.gradcheck(lambda *x: ring_attention(*x, is_causal=is_causal, key_mask=mask), leaves)


def test_the_layer_on_one_process_is_multi_head_attention() -> None:
    config = AttentionConfig(embed_dim=12, num_heads=4, num_kv_heads=2, head_dim=6, is_causal=True, rotary_base=9.0)
    ring, full = RingAttention(config).double(), MultiHeadAttention(config).double()
    full.load_state_dict(ring.state_dict())
    x = torch.randn(2, 7, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert (ring(x) - full(x)).abs().max() <= TOLERANCE


def test_what_does_not_fit_is_an_error() -> None:
    query, key, value, _ = random_inputs(5)
    with pytest.raises(ValueError, match="as many queries as keys under the causal rule, got 4 and 5"):
        ring_attention(query[:, :, :4], key, value, is_causal=True)
    with pytest.raises(TypeError, match="key_mask must be bool"):
        ring_attention(query, key, value, key_mask=torch.ones(BATCH, 5))
    with pytest.raises(ValueError, match="RingAttention has no use for window"):
        RingAttention(AttentionConfig(embed_dim=8, num_heads=2, window=3))


def run_share(rank: int, size: int, folder: str) -> None:
    """What each process computes: its share of outputs and gradients, causal or not, masked or not, and of a layer."""
    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/store", size)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size)
    own = slice(rank * SHARE, (rank + 1) * SHARE)
    found: dict[str, list[Tensor]] = {}
    for is_causal in (False, True):
        for is_masked in (False, True):
            query, key, value, cotangent = (tensor[:, :, own].clone() for tensor in random_inputs(size * SHARE))
            leaves = [tensor.requires_grad_() for tensor in (query, key, value)]
            mask = padding(size * SHARE)[:, own] if is_masked else None
            output = ring_attention(*leaves, is_causal=is_causal, key_mask=mask)
            gradients = torch.autograd.grad((output * cotangent).sum(), leaves)
            found[f"{is_causal} {is_masked}"] = [output.detach(), *gradients]
    layer, states = ring_layer(RingAttention), layer_inputs(size)
    output = layer(states[:, own])
    gradients = torch.autograd.grad(output.square().sum(), list(layer.parameters()))
    found["layer"] = [output.detach(), *gradients]
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def ring_layer(kind: type[RingAttention] | type[MultiHeadAttention]) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = AttentionConfig(embed_dim=12, num_heads=4, num_kv_heads=2, head_dim=6, is_causal=True, rotary_base=9.0)
        return kind(config).double()


def layer_inputs(size: int) -> Tensor:
    return torch.randn(BATCH, size * SHARE, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3, 4])
def test_several_processes_compute_what_one_does_forward_and_backward(size: int, tmp_path: Path) -> None:
    torch.multiprocessing.spawn(run_share, args=(size, str(tmp_path)), nprocs=size)
    shares = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(size)]
    for is_causal in (False, True):
        for is_masked in (False, True):
            *tensors, cotangent = random_inputs(size * SHARE)
            leaves = [tensor.requires_grad_() for tensor in tensors]
            mask = padding(size * SHARE) if is_masked else None
            output = attention(*leaves, is_causal=is_causal, key_mask=mask, backend="eager")
            expected = [output.detach(), *torch.autograd.grad((output * cotangent).sum(), leaves)]
            joined = zip(*(share[f"{is_causal} {is_masked}"] for share in shares), strict=True)
            for parts, reference in zip(joined, expected, strict=True):
                assert (torch.cat(parts, dim=2) - reference).abs().max() <= TOLERANCE
    whole = torch.cat([share["layer"][0] for share in shares], dim=1)
    layer = ring_layer(MultiHeadAttention)
    output = layer(layer_inputs(size))
    assert (whole - output).abs().max() <= TOLERANCE
    # Gradients of parameters are summed over the processes.
    expected_gradients = torch.autograd.grad(output.square().sum(), list(layer.parameters()))
    for index, reference in enumerate(expected_gradients, start=1):
        summed = sum(share["layer"][index] for share in shares)
        assert (summed - reference).abs().max() <= 10 * TOLERANCE


def test_queries_of_another_sequence_may_be_of_another_length() -> None:
    query, key, value, _ = random_inputs(7)
    actual = ring_attention(query[:, :, :3], key, value)
    assert (actual - attention(query[:, :, :3], key, value)).abs().max() <= TOLERANCE


def test_under_autocast_sums_are_still_those_of_float32() -> None:
    tensors = [tensor.bfloat16() for tensor in random_inputs(7)[:3]]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = ring_attention(*tensors)
    exact = attention(*(tensor.double() for tensor in tensors))
    # One rounding to bfloat16, and float32 sums of fewer than 100 terms below 10.
    bound = torch.finfo(torch.bfloat16).eps / 2 * exact.abs() + 1000 * torch.finfo(torch.float32).eps
    assert ((actual.double() - exact).abs() <= bound).all()
