"""Calls on which a stand-in and its library are compared: the same lines call either, whose modules they are given.

The calls cover what stand-ins are trusted for: layout, default scale, where causal masks and windows meet, heads that
share keys, caps, linear biases, packed sequences, caches.
"""

import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from . import flex
from .installing import FLEX, modules_of
from .recorded import Record

Modules = Callable[[str], Any]  # the module of a name, of the library or of its stand-in
BATCH = 2
SLOPES = (0.5, 0.25, 0.125, 0.0625)
CAP, SCALE, WINDOW = 5.0, 0.3, 4  # a window counts the query's own key
_DENSE, _FEWER, _MORE = ((11, 11),) * BATCH, ((5, 11),) * BATCH, ((11, 5),) * BATCH
_CACHED = ((1, 8), (1, 5))  # keys with the new one
_PACKED = ((5, 11), (3, 7))
_CAPACITY = 16


@dataclass(frozen=True, kw_only=True)
class ArgumentSet:
    """One call, and in plain words what it must compute: softmax attention of each sample with these options.

    `sizes` are the queries and the keys of each sample.
    """

    library: str
    function: str
    name: str
    call: Callable[[Modules, "ArgumentSet", "Inputs"], Tensor]
    sizes: tuple[tuple[int, int], ...] = _DENSE
    heads: int = 4
    kv_heads: int = 4
    head_dim: int = 32
    dtype: Literal["bfloat16", "float16"] = "float16"  # whose bounds are tighter
    causal: bool = False
    top_left: bool = False
    window: int | None = None
    soft_cap: float | None = None
    slopes: tuple[float, ...] | None = None
    scale: float | None = None


@dataclass(frozen=True)
class Inputs:
    """Queries (total_q, H, D), keys and values (total_k, G, D) of all samples, one behind the other."""

    q: Tensor
    k: Tensor
    v: Tensor


def called(modules: Modules, each: ArgumentSet, inputs: Inputs) -> Tensor:
    """Return what a library or its stand-in answers, (total_q, H, D)."""
    with torch.no_grad():
        return each.call(modules, each, inputs)


def of_standin(library: str) -> Modules:
    """Return the modules of the stand-in for a library."""
    if library == FLEX:
        from torch.nn.attention import flex_attention

        held = {**vars(flex_attention), **flex.functions(Record())}
        module = types.SimpleNamespace(**held, compiled=lambda function: function)
        return lambda name: module
    made = modules_of(library, Record())
    return lambda name: made[name]


def _first(answer: Any) -> Tensor:
    found: Tensor = answer[0] if isinstance(answer, tuple) else answer
    return found


def _dense(each: ArgumentSet, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = (tensor.reshape(len(each.sizes), -1, *tensor.shape[1:]) for tensor in (inputs.q, inputs.k, inputs.v))
    return q, k, v


def _starts(lengths: Sequence[int], like: Tensor) -> Tensor:
    sums = [sum(lengths[:count]) for count in range(len(lengths) + 1)]
    return torch.tensor(sums, dtype=torch.int32, device=like.device)


def _options(each: ArgumentSet, like: Tensor) -> dict[str, object]:
    found: dict[str, object] = {"causal": each.causal}
    if each.window is not None:
        found["window_size"] = (each.window - 1, 0 if each.causal else each.window - 1)
    if each.soft_cap is not None:
        found["softcap"] = each.soft_cap
    if each.slopes is not None:
        found["alibi_slopes"] = torch.tensor(each.slopes, device=like.device)
    if each.scale is not None:
        found["softmax_scale"] = each.scale
    return found


def _flash(modules: Modules, each: ArgumentSet, inputs: Inputs) -> Tensor:
    library, options = modules(each.library), _options(each, inputs.q)
    q, k, v = _dense(each, inputs)
    if each.function == "flash_attn_qkvpacked_func":
        given = (torch.stack((q, k, v), dim=2),)
    elif each.function == "flash_attn_kvpacked_func":
        given = (q, torch.stack((k, v), dim=2))  # type: ignore[assignment]
    else:
        given = (q, k, v)  # type: ignore[assignment]
    return _first(getattr(library, each.function)(*given, **options)).flatten(0, 1)


def _flash_packed(modules: Modules, each: ArgumentSet, inputs: Inputs) -> Tensor:
    queries, keys = zip(*each.sizes, strict=True)
    answer = modules(each.library).flash_attn_varlen_func(
        inputs.q, inputs.k, inputs.v,
        cu_seqlens_q=_starts(queries, inputs.q), cu_seqlens_k=_starts(keys, inputs.k),
        max_seqlen_q=max(queries), max_seqlen_k=max(keys), **_options(each, inputs.q),
    )  # fmt: skip
    return _first(answer)


def _flash_cached(modules: Modules, each: ArgumentSet, inputs: Inputs) -> Tensor:
    """Append the last key of each sample to a cache of the others, which holds NaN behind them."""
    lengths = [keys for _, keys in each.sizes]
    caches, new = [], []
    for tensor in (inputs.k, inputs.v):
        cache = torch.full((len(lengths), _CAPACITY, *tensor.shape[1:]), torch.nan, dtype=tensor.dtype)
        cache = cache.to(tensor.device)
        for sample, rows in enumerate(torch.split(tensor, lengths)):
            cache[sample, : len(rows) - 1] = rows[:-1]
        caches.append(cache)
        new.append(torch.stack([rows[-1:] for rows in torch.split(tensor, lengths)]))
    before = torch.tensor([length - 1 for length in lengths], dtype=torch.int32, device=inputs.q.device)
    q = inputs.q.reshape(len(lengths), -1, *inputs.q.shape[1:])
    answer = modules(each.library).flash_attn_with_kvcache(
        q, *caches, *new, cache_seqlens=before, **_options(each, inputs.q)
    )
    return _first(answer).flatten(0, 1)


def _xformers(bias: str | None) -> Callable[[Modules, ArgumentSet, Inputs], Tensor]:
    def call(modules: Modules, each: ArgumentSet, inputs: Inputs) -> Tensor:
        made = modules("xformers.ops.fmha.attn_bias")
        given = None
        q, k, v = inputs.q[None], inputs.k[None], inputs.v[None]
        if bias and bias.startswith("Block"):
            queries, keys = (list(lengths) for lengths in zip(*each.sizes, strict=True))
            given = getattr(made, bias).from_seqlens(queries, keys)
        else:
            q, k, v = _dense(each, inputs)
            given = None if bias is None else getattr(made, bias)()
        answer: Tensor = modules("xformers.ops").memory_efficient_attention(q, k, v, attn_bias=given, scale=each.scale)
        return answer.flatten(0, 1)

    return call


def _flex(modules: Modules, each: ArgumentSet, inputs: Inputs) -> Tensor:
    module = modules("torch.nn.attention.flex_attention")
    q, k, v = (tensor.transpose(1, 2) for tensor in _dense(each, inputs))
    slopes = None if each.slopes is None else torch.tensor(each.slopes, device=q.device)

    def capped(score: Tensor, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return score if each.soft_cap is None else each.soft_cap * torch.tanh(score / each.soft_cap)

    def sloped(score: Tensor, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        assert slopes is not None
        return score - slopes[head] * (query - key).abs()

    def before(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return query >= key

    options: dict[str, object] = {"scale": each.scale, "enable_gqa": each.heads != each.kv_heads}
    if each.causal:
        sizes = (None, None, q.shape[2], k.shape[2])
        options["block_mask"] = module.create_block_mask(before, *sizes, device=str(q.device))
    if each.soft_cap is not None or slopes is not None:
        options["score_mod"] = capped if slopes is None else sloped
    answer: Tensor = module.compiled(module.flex_attention)(q, k, v, **options)
    return answer.transpose(1, 2).flatten(0, 1)


# A row is read best as one; the formatter would put each part on a line of its own.
# fmt: off
def _flash_sets(library: str) -> list[ArgumentSet]:
    def given(function: str, name: str, call: Any = _flash, **options: Any) -> ArgumentSet:
        return ArgumentSet(library=library, function=function, name=name, call=call, **options)

    dense, packed, cached = "flash_attn_func", "flash_attn_varlen_func", "flash_attn_with_kvcache"
    return [
        given(dense, "default scale"),
        given(dense, "default scale, bfloat16", dtype="bfloat16"),
        given(dense, "scale 0.3", scale=SCALE),
        given(dense, "causal", causal=True),
        given(dense, "causal, fewer queries than keys", causal=True, sizes=_FEWER),
        given(dense, "causal, more queries than keys", causal=True, sizes=_MORE),
        given(dense, "causal window", causal=True, window=WINDOW, sizes=_FEWER),
        given(dense, "window to both sides", window=WINDOW),
        given(dense, "two heads share a key head", kv_heads=2),
        given(dense, "soft cap", soft_cap=CAP),
        given(dense, "head_dim 40", head_dim=40),
        given(dense, "head_dim 256", head_dim=256),
        given(packed, "sequences of different lengths", _flash_packed, sizes=_PACKED),
        given(packed, "causal, sequences of different lengths", _flash_packed, sizes=_PACKED, causal=True),
        given(cached, "a token behind the cached ones", _flash_cached, sizes=_CACHED, causal=True),
        given("flash_attn_qkvpacked_func", "causal", causal=True),
    ]


def _sets() -> tuple[ArgumentSet, ...]:
    def flash(function: str, name: str, **options: Any) -> ArgumentSet:
        return ArgumentSet(library="flash_attn", function=function, name=name, call=_flash, **options)

    def xformers(name: str, bias: str | None = None, **options: Any) -> ArgumentSet:
        function = "memory_efficient_attention"
        return ArgumentSet(library="xformers", function=function, name=name, call=_xformers(bias), **options)

    def flex_of(name: str, **options: Any) -> ArgumentSet:
        return ArgumentSet(library=FLEX, function="flex_attention", name=name, call=_flex, **options)

    return (
        *_flash_sets("flash_attn"),
        flash("flash_attn_func", "linear biases", slopes=SLOPES, sizes=_FEWER, causal=True),
        flash("flash_attn_kvpacked_func", "fewer queries than keys", sizes=_FEWER),
        *_flash_sets("flash_attn_interface"),
        xformers("default scale"),
        xformers("default scale, bfloat16", dtype="bfloat16"),
        xformers("scale 0.3", scale=SCALE),
        xformers("LowerTriangularMask", "LowerTriangularMask", causal=True, top_left=True),
        xformers("LowerTriangularMask, fewer queries than keys", "LowerTriangularMask",
                 causal=True, top_left=True, sizes=_FEWER),
        xformers("LowerTriangularFromBottomRightMask", "LowerTriangularFromBottomRightMask",
                 causal=True, sizes=_FEWER),
        xformers("BlockDiagonalMask", "BlockDiagonalMask", sizes=_PACKED),
        xformers("BlockDiagonalCausalFromBottomRightMask", "BlockDiagonalCausalFromBottomRightMask",
                 sizes=_PACKED, causal=True),
        flex_of("default scale"),
        flex_of("scale 0.3", scale=SCALE),
        flex_of("a mask of blocks, causal", causal=True),
        flex_of("two heads share a key head", kv_heads=2),
        flex_of("soft cap", soft_cap=CAP),
        flex_of("linear biases", slopes=SLOPES),
    )
# fmt: on


SETS = _sets()
