"""What the tracer reports of small attentions whose properties are known by construction."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import elu, normalize, scaled_dot_product_attention

from audit.probe.tracing.recording import Capturing, Recording
from audit.probe.tracing.trace import runner_of, traced

BATCH, LENGTH, HEADS, SIZE, WIDTH = 3, 7, 4, 6, 20
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


class Module(nn.Module):
    """Projects, attends as it is told, and projects again."""

    def __init__(self, attend: Attend) -> None:
        super().__init__()
        self.attend = attend
        self.qkv = nn.Linear(WIDTH, 3 * HEADS * SIZE)
        self.out = nn.Linear(HEADS * SIZE, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).view(*x.shape[:2], 3, HEADS, SIZE).permute(2, 0, 3, 1, 4)
        return self.out(self.attend(query, key, value).transpose(1, 2).flatten(2))


def trace(module: nn.Module, call: Callable[..., object] | None = None, **leaves: Tensor) -> Any:
    torch.manual_seed(0)
    given: dict[str, Tensor | None] = dict(leaves) or {"hidden_states": torch.randn(BATCH, LENGTH, WIDTH)}
    run = runner_of(lambda inputs: call(**inputs) if call else module(inputs["hidden_states"]), 0)
    return traced(run, given, module, owners=True, seed=0)


def core(attend: Attend) -> Any:
    cores = trace(Module(attend).eval())["cores"]
    assert len(cores) == 1
    return cores[0]


def plain(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return (query @ key.mT / SIZE**0.5).softmax(dim=-1) @ value


def halves(x: Tensor) -> Tensor:
    angles = torch.outer(torch.arange(x.shape[-2]).float(), 0.1 ** torch.arange(SIZE // 2)).repeat(1, 2)
    turned = torch.cat((-x[..., SIZE // 2 :], x[..., : SIZE // 2]), dim=-1)
    return x * angles.cos() + turned * angles.sin()


def neighbours(x: Tensor) -> Tensor:
    angles = torch.outer(torch.arange(x.shape[-2]).float(), 0.1 ** torch.arange(SIZE // 2))
    even, odd = x[..., 0::2], x[..., 1::2]
    pairs = (even * angles.cos() - odd * angles.sin(), even * angles.sin() + odd * angles.cos())
    return torch.stack(pairs, dim=-1).flatten(-2)


def complex_pairs(x: Tensor) -> Tensor:
    angles = torch.outer(torch.arange(x.shape[-2]).float(), 0.1 ** torch.arange(SIZE // 2))
    turned = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous()) * torch.polar(torch.ones_like(angles), angles)
    return torch.view_as_real(turned).flatten(-2)


def online(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    high = query.new_full((*query.shape[:-1], 1), -1e30)
    total, context = torch.zeros_like(high), torch.zeros_like(query)
    for start in range(0, LENGTH, 3):
        scores = query @ key[:, :, start : start + 3].mT / SIZE**0.5
        higher = torch.maximum(high, scores.amax(dim=-1, keepdim=True))
        weights, shrink = (scores - higher).exp(), (high - higher).exp()
        total = total * shrink + weights.sum(dim=-1, keepdim=True)
        context, high = context * shrink + weights @ value[:, :, start : start + 3], higher
    return context / total


def test_a_plain_attention_is_described_completely() -> None:
    found = core(plain)
    expected = {
        "backend": "written out", "head_dim": SIZE, "softmax_axis": "keys", "softmaxes": 1, "heads": HEADS,
        "kv_heads": HEADS, "keys": LENGTH, "attended": "positions", "dropout": 0.0, "logits_dtype": "float32",
        "softmax_dtype": "float32", "normalised": False, "rotated": False, "biased": False, "owner": "",
    }  # fmt: skip
    assert {key: found[key] for key in expected} == expected
    assert found["scale_ratio"] == pytest.approx(1.0)
    assert found["scale_residual"] < 1e-5
    assert [left for left, _ in found["met"]] == list(range(HEADS))
    assert found["frames"][0][0] == __file__


def test_the_weights_are_those_of_the_first_sample_by_position() -> None:
    module = Module(plain).eval()
    torch.manual_seed(0)
    x = torch.randn(BATCH, LENGTH, WIDTH)
    with torch.no_grad():
        query, key, _ = module.qkv(x).view(BATCH, LENGTH, 3, HEADS, SIZE).permute(2, 0, 3, 1, 4)
        expected = (query @ key.mT / SIZE**0.5).softmax(dim=-1)[0]
    found = torch.tensor(trace(module, hidden_states=x)["cores"][0]["weights"], dtype=torch.float32)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("rotate", [halves, neighbours, complex_pairs])
def test_a_scale_before_or_after_a_rotation_is_found(rotate: Callable[[Tensor], Tensor]) -> None:
    before = core(lambda q, k, v: (rotate(q * 0.3) @ rotate(k).mT).softmax(dim=-1) @ v)
    after = core(lambda q, k, v: (rotate(q) * 0.3 @ rotate(k).mT).softmax(dim=-1) @ v)
    assert before["rotated"]
    assert before["scale"] == pytest.approx(0.3)
    assert after["scale"] == pytest.approx(0.3)


def test_a_rotation_that_lengthens_counts_as_scale() -> None:
    found = core(lambda q, k, v: ((halves(q) * 1.0) @ (halves(k) * 1.0).mT / 2).softmax(dim=-1) @ v)
    longer = core(lambda q, k, v: ((halves(2 * q)) @ halves(k).mT / 2).softmax(dim=-1) @ v)
    assert found["scale"] == pytest.approx(0.5)
    assert longer["scale"] == pytest.approx(1.0)


def test_a_soft_cap_is_read_and_leaves_the_scale() -> None:
    found = core(lambda q, k, v: (torch.tanh(q @ k.mT / SIZE**0.5 / 30) * 30).softmax(dim=-1) @ v)
    assert found["soft_cap"] == 30
    assert found["scale_ratio"] == pytest.approx(1.0)


def test_a_bias_leaves_the_scale_and_is_reported() -> None:
    bias = torch.randn(HEADS, LENGTH, LENGTH)
    found = core(lambda q, k, v: (q @ k.mT / SIZE**0.5 + bias).softmax(dim=-1) @ v)
    assert found["biased"]
    assert found["scale_ratio"] == pytest.approx(1.0)


def test_a_learned_scale_is_not_a_number() -> None:
    factor = nn.Parameter(torch.rand(HEADS, 1, 1))
    found = core(lambda q, k, v: (q @ k.mT * factor).softmax(dim=-1) @ v)
    assert found["scale"] is None
    assert found["learned_scale"]


def test_queries_of_length_one_are_reported() -> None:
    found = core(lambda q, k, v: (normalize(q, dim=-1) @ normalize(k, dim=-1).mT * 9).softmax(dim=-1) @ v)
    assert found["normalised"]
    assert found["scale"] == pytest.approx(9.0)


def test_heads_that_talk_do_not_have_one_scale_and_keep_their_axes() -> None:
    mixing = nn.Parameter(torch.eye(HEADS) + 0.1 * torch.rand(HEADS, HEADS))

    def talk(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        scores = torch.einsum("gh,bhqk->bgqk", mixing, query @ key.mT / SIZE**0.5)
        return torch.einsum("gh,bhqk->bgqk", mixing, scores.softmax(dim=-1)) @ value

    found = core(talk)
    assert found["scale"] is None
    assert (found["softmax_axis"], found["attended"], found["heads"]) == ("keys", "positions", HEADS)


def test_a_softmax_over_blocks_is_found_in_every_block() -> None:
    cores = trace(Module(online).eval())["cores"]
    assert [each["keys"] for each in cores] == [3, 3, 1]
    assert [each["softmax_axis"] for each in cores[:2]] == ["keys", "keys"]
    assert all(each["scale_ratio"] == pytest.approx(1.0) for each in cores)


def test_windows_that_lie_in_the_batch_are_positions() -> None:
    def windows(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        parts = [x[:, :, :6].unflatten(2, (2, 3)).transpose(1, 2).flatten(0, 1) for x in (query, key, value)]
        context = plain(*parts).unflatten(0, (-1, 2)).transpose(1, 2).flatten(2, 3)
        return torch.cat((context, value[:, :, 6:]), dim=2)

    found = core(windows)
    assert (found["attended"], found["keys"], found["heads"]) == ("positions", 3, HEADS)


@pytest.mark.parametrize(
    ("backend", "name"),
    [(SDPBackend.MATH, "scaled_dot_product_attention (math)"), (SDPBackend.FLASH_ATTENTION, "(fused)")],
)
def test_the_backend_of_torch_attention_is_named(backend: SDPBackend, name: str) -> None:
    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        with sdpa_kernel([backend]):
            return scaled_dot_product_attention(query, key, value, is_causal=True, scale=0.3)

    found = core(attend)
    assert found["backend"].endswith(name)
    assert found["scale"] == pytest.approx(0.3)
    seen = torch.tensor(found["weights"]) > 0
    assert torch.equal(seen, torch.ones_like(seen).tril())


@pytest.mark.parametrize(
    ("kwargs", "backend"),
    [
        ({"need_weights": False}, "torch.nn.MultiheadAttention (fast path)"),
        ({}, "torch.nn.MultiheadAttention (fast path)"),
    ],
)
def test_the_fast_path_of_torch_is_seen(kwargs: dict[str, bool], backend: str) -> None:
    module = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).eval()
    found = trace(module, lambda hidden_states: module(hidden_states, hidden_states, hidden_states, **kwargs))
    assert found["cores"][0]["backend"] == backend
    assert (found["cores"][0]["heads"], found["cores"][0]["attended"]) == (HEADS, "positions")


def test_an_input_whose_batch_comes_first_is_attended_to_over_the_batch_by_a_module_that_takes_it_second() -> None:
    module = nn.MultiheadAttention(WIDTH, HEADS).eval()
    found = trace(module, lambda hidden_states: module(hidden_states, hidden_states, hidden_states))
    assert found["cores"][0]["attended"] == "batch"


def test_cross_attention_belongs_to_the_positions_of_the_context() -> None:
    module = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).eval()
    context = torch.randn(BATCH, 5, WIDTH)
    found = trace(
        module,
        lambda hidden_states, context: module(hidden_states, context, context),
        hidden_states=torch.randn(BATCH, LENGTH, WIDTH),
        context=context,
    )["cores"][0]
    assert (found["attended"], found["keys"]) == ("positions", 5)
    assert torch.tensor(found["weights"]).shape == (HEADS, LENGTH, 5)


def test_linear_attention_has_no_core() -> None:
    found = trace(Module(lambda q, k, v: (elu(q) + 1) @ ((elu(k) + 1).mT @ v)).eval())
    assert found["cores"] == []


def test_a_softmax_of_a_linear_layer_is_no_attention() -> None:
    router = nn.Linear(SIZE, 5)
    found = trace(Module(lambda q, k, v: router(q).softmax(dim=-1) @ torch.ones(5, SIZE)).eval())
    assert found["cores"] == []
    assert found["other_softmaxes"] == 1


def test_what_is_overwritten_later_is_seen_as_it_was() -> None:
    def overwriting(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        scores = query @ key.mT
        scores *= SIZE**-0.5
        scores.masked_fill_(torch.ones(LENGTH, LENGTH).triu(1).bool(), -math.inf)
        return scores.softmax(dim=-1) @ value

    found = core(overwriting)
    assert found["scale_ratio"] == pytest.approx(1.0)
    seen = torch.tensor(found["weights"]) > 0
    assert torch.equal(seen, torch.ones_like(seen).tril())


def test_recording_and_capturing_number_operations_alike() -> None:
    module = Module(lambda q, k, v: plain(q, k + torch.ones(LENGTH, 1).tril(), v)).eval()
    x = torch.randn(BATCH, LENGTH, WIDTH)
    recording = Recording({})
    recording.begin([x])
    with torch.no_grad():
        with recording:
            module(x)
        wanted = [node.index for node in recording.nodes if node.name == "bmm"]
        capturing = Capturing(wanted)
        with capturing:
            module(x)
    assert recording.count == capturing.count
    assert len(wanted) == 2
    for node in recording.nodes:
        if node.name == "bmm":
            for value, captured in zip(node.inputs, capturing.found[node.index], strict=True):
                assert torch.equal(value.data, captured)


def test_composite_operations_are_followed_in_inference_mode() -> None:
    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        with torch.inference_mode():
            return plain(query * 1, key * 1, value * 1)

    assert core(attend)["scale_ratio"] == pytest.approx(1.0)


def test_a_model_shows_every_core_with_its_module() -> None:
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 8, batch_first=True)
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)).train()
    run = runner_of(lambda inputs: model(inputs["x"]), 0)
    found = traced(run, {"x": torch.randn(2, LENGTH, WIDTH)}, model, owners=False, seed=0)
    assert [each["owner"] for each in found["cores"]] == ["1.layers.0.self_attn", "1.layers.1.self_attn"]
    assert all(each["dropout"] == pytest.approx(0.1) for each in found["cores"])


def test_flex_attention_shows_its_scale_and_its_pattern() -> None:
    from torch.nn.attention.flex_attention import flex_attention

    def past(score: Tensor, _: Tensor, __: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return torch.where(query >= key, score, -math.inf)

    found = core(lambda q, k, v: flex_attention(q, k, v, score_mod=past, scale=0.3))  # type: ignore[arg-type, return-value]
    assert (found["backend"], found["attended"], found["heads"]) == ("flex_attention", "positions", HEADS)
    assert found["scale"] == pytest.approx(0.3)
    seen = torch.tensor(found["weights"]) > 0
    assert torch.equal(seen, torch.ones_like(seen).tril())


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # torch's compiler, of itself
def test_a_compiled_function_is_followed_as_it_was_written() -> None:
    assert core(torch.compile(plain))["scale_ratio"] == pytest.approx(1.0)


@pytest.mark.parametrize("norm_first", [False, True])
def test_the_fast_path_of_an_encoder_layer_is_seen(norm_first: bool) -> None:
    module = nn.TransformerEncoderLayer(WIDTH, HEADS, 8, batch_first=True, norm_first=norm_first).eval()
    found = trace(module)["cores"]
    assert [each["backend"] for each in found] == ["torch.nn.TransformerEncoderLayer (fast path)"]
    assert (found[0]["heads"], found[0]["attended"], found[0]["head_dim"]) == (HEADS, "positions", WIDTH // HEADS)
    assert found[0]["scale_ratio"] == pytest.approx(1.0)
