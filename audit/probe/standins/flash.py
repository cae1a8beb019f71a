"""A stand-in for `flash_attn` 2.8: its functions on dense, packed and cached sequences.

Tensors are (B, L, H, D). Causal masks and windows are aligned with the last query and the last key, as since 2.1; a
query that sees nothing gives zeros. What the library leaves uninitialised is NaN. The library takes float16 and
bfloat16 only, and heads of at most 256; so does this, save that a `Record` may declare that float32 is accepted.
https://github.com/Dao-AILab/flash-attention/blob/main/flash_attn/flash_attn_interface.py, read for 2.8.3.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from . import flash_padding, paged
from .exact import Misused, alibi, attend, band, rotated
from .recorded import Record

VERSION = "2.8.3"
Window = tuple[int, int]
_UNLIMITED = (-1, -1)
_MOST_FEATURES = 256
Result = Tensor | tuple[Tensor, Tensor, Tensor | None]


@dataclass(frozen=True)
class Options:
    """What the functions have in common. A window holds the keys seen to the left and right, negative is unlimited."""

    dropout: float = 0.0
    scale: float | None = None
    causal: bool = False
    window: Window = _UNLIMITED
    softcap: float = 0.0
    slopes: Tensor | None = None


def dense(q: Tensor, k: Tensor, v: Tensor, options: Options) -> tuple[Tensor, Tensor]:
    """Return the output (B, Lq, H, Dv) and the log of the sums (B, H, Lq)."""
    queries, keys = q.shape[1], k.shape[1]
    left, right = options.window
    seen = band(queries, keys, left=left, right=0 if options.causal else right)
    bias = None if options.slopes is None else alibi(options.slopes, queries, keys)
    attended = attend(
        q, k, v, scale=options.scale, allowed=seen, bias=bias, softcap=options.softcap, dropout=options.dropout
    )
    return attended.out, attended.log_sums


def packed(
    q: Tensor, k: Tensor, v: Tensor, starts_q: Tensor, starts_k: Tensor, longest_q: int, options: Options
) -> tuple[Tensor, Tensor]:
    """Return the output (total, H, Dv) and the log of the sums (H, total) of sequences that lie behind one another.

    Args:
        q: (total_q, H, D).
        k: (total_k, G, D).
        v: (total_k, G, Dv).
        starts_q: (B + 1,), int32: where each sequence begins, and where the last one ends.
        starts_k: likewise of the keys.
        longest_q: what is behind it in a sequence is not computed.
        options: of each sequence.
    """
    out = torch.full((*q.shape[:2], v.shape[-1]), torch.nan, dtype=q.dtype)
    log_sums = torch.full((q.shape[1], q.shape[0]), torch.nan)
    parts: list[tuple[slice, Tensor]] = []
    for sample in range(len(starts_q) - 1):
        rows = slice(int(starts_q[sample]), int(starts_q[sample + 1]))
        keys = slice(int(starts_k[sample]), int(starts_k[sample + 1]))
        slopes = options.slopes
        own = options if slopes is None or slopes.dim() == 1 else _with_slopes(options, slopes[sample])
        result, sums = dense(q[rows][None], k[keys][None], v[keys][None], own)
        rows = slice(rows.start, min(rows.stop, rows.start + longest_q))
        parts.append((rows, result[0, : rows.stop - rows.start]))
        log_sums[:, rows] = sums[0, :, : rows.stop - rows.start]
    for rows, result in parts:
        out = out.index_put((torch.arange(rows.start, rows.stop),), result)  # not in place, to be differentiated
    return out, log_sums


def _with_slopes(options: Options, slopes: Tensor) -> Options:
    return Options(options.dropout, options.scale, options.causal, options.window, options.softcap, slopes)


def check(q: Tensor, k: Tensor, v: Tensor, record: Record, *, dropout: float = 0.0, softcap: float = 0.0) -> None:
    """Refuse what the library refuses, whether packed or not, in its words.

    Raises:
        RuntimeError: the tensors or the options are not what it takes.
    """
    taken = (torch.float16, torch.bfloat16, *((torch.float32, torch.float64) if record.accepts_float32 else ()))
    _require(q.dtype in taken, "FlashAttention only support fp16 and bf16 data type")
    _require(q.dtype == k.dtype, "query and key must have the same dtype")
    _require(q.dtype == v.dtype, "query and value must have the same dtype")
    _require(q.shape[-1] <= _MOST_FEATURES, "FlashAttention forward only supports head dimension at most 256")
    _require(
        k.shape[-2] > 0 and q.shape[-2] % k.shape[-2] == 0,
        "Number of heads in key/value must divide number of heads in query",
    )
    _require(not (softcap and dropout), "Softcapping does not support dropout for now")


def check_dense(q: Tensor, k: Tensor, v: Tensor) -> None:
    """Refuse tensors whose shapes do not fit one another."""
    _require(q.dim() == 4, f"q must be (batch_size, seqlen_q, num_heads, head_size), not of shape {tuple(q.shape)}")
    batch, _, _, size = q.shape
    _require(batch > 0, "batch size must be positive")
    _require(
        k.dim() == 4 and k.shape[0] == batch and k.shape[-1] == size,
        "k must have shape (batch_size, seqlen_k, num_heads_k, head_size_og)",
    )
    _require(
        v.dim() == 4 and v.shape[:3] == k.shape[:3], "v must have shape (batch_size, seqlen_k, num_heads_k, head_size)"
    )


def check_packed(q: Tensor, k: Tensor, v: Tensor, starts_q: Tensor, starts_k: Tensor) -> None:
    """Refuse packed sequences whose shapes, or whose beginnings, do not fit one another."""
    _require(q.dim() == 3 and k.dim() == 3 and v.dim() == 3, "q, k and v must be (total, num_heads, head_size)")
    _require(starts_q.dtype == torch.int32, "cu_seqlens_q must have dtype int32")
    _require(starts_k.dtype == torch.int32, "cu_seqlens_k must have dtype int32")
    _require(starts_q.dim() == 1 and starts_q.shape == starts_k.shape, "cu_seqlens must have shape (batch_size + 1)")
    _require(k.shape[-1] == q.shape[-1], "k must have shape (total_k, num_heads_k, head_size_og)")
    _require(v.shape[:2] == k.shape[:2], "v must have shape (total_k, num_heads_k, head_size)")
    # The kernel reads whatever lies behind; here that is told.
    for starts, tensor, name in ((starts_q, q, "cu_seqlens_q"), (starts_k, k, "cu_seqlens_k")):
        inside = bool((starts.diff() >= 0).all()) and int(starts[0]) >= 0 and int(starts[-1]) <= tensor.shape[0]
        if not inside:
            raise Misused(f"{name} {starts.tolist()} leaves the {tensor.shape[0]} rows of its tensor")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise RuntimeError(message)


def functions(record: Record) -> Mapping[str, Callable[..., object]]:
    """Return the functions of `flash_attn` by their names, each counted in `record`."""

    def flash_attn_func(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        dropout_p: float = 0.0,
        softmax_scale: float | None = None,
        causal: bool = False,
        window_size: Window = _UNLIMITED,
        softcap: float = 0.0,
        alibi_slopes: Tensor | None = None,
        deterministic: bool = False,
        return_attn_probs: bool = False,
    ) -> Result:
        check_dense(q, k, v)
        check(q, k, v, record, dropout=dropout_p, softcap=softcap)
        options = Options(dropout_p, softmax_scale, causal, window_size, softcap, alibi_slopes)
        return _answered(*dense(q, k, v, options), return_attn_probs)

    def flash_attn_qkvpacked_func(qkv: Tensor, *args: object, **kwargs: object) -> Result:
        return flash_attn_func(*qkv.unbind(dim=2), *args, **kwargs)  # type: ignore[arg-type]

    def flash_attn_kvpacked_func(q: Tensor, kv: Tensor, *args: object, **kwargs: object) -> Result:
        return flash_attn_func(q, *kv.unbind(dim=2), *args, **kwargs)  # type: ignore[arg-type]

    def flash_attn_varlen_func(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        cu_seqlens_q: Tensor,
        cu_seqlens_k: Tensor,
        max_seqlen_q: int,
        max_seqlen_k: int,
        dropout_p: float = 0.0,
        softmax_scale: float | None = None,
        causal: bool = False,
        window_size: Window = _UNLIMITED,
        softcap: float = 0.0,
        alibi_slopes: Tensor | None = None,
        deterministic: bool = False,
        return_attn_probs: bool = False,
        block_table: Tensor | None = None,
    ) -> Result:
        if block_table is not None:
            k, v = (paged.behind_one_another(each, block_table, cu_seqlens_k) for each in (k, v))
        check_packed(q, k, v, cu_seqlens_q, cu_seqlens_k)
        check(q, k, v, record, dropout=dropout_p, softcap=softcap)
        options = Options(dropout_p, softmax_scale, causal, window_size, softcap, alibi_slopes)
        return _answered(*packed(q, k, v, cu_seqlens_q, cu_seqlens_k, int(max_seqlen_q), options), return_attn_probs)

    def flash_attn_varlen_qkvpacked_func(
        qkv: Tensor, cu_seqlens: Tensor, max_seqlen: int, *args: object, **kwargs: object
    ) -> Result:
        q, k, v = qkv.unbind(dim=1)  # of (total, 3, H, D)
        return flash_attn_varlen_func(q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, *args, **kwargs)  # type: ignore[arg-type]

    def flash_attn_varlen_kvpacked_func(q: Tensor, kv: Tensor, *args: object, **kwargs: object) -> Result:
        k, v = kv.unbind(dim=1)  # of (total, 2, H, D)
        return flash_attn_varlen_func(q, k, v, *args, **kwargs)  # type: ignore[arg-type]

    def flash_attn_with_kvcache(
        q: Tensor,
        k_cache: Tensor,
        v_cache: Tensor,
        k: Tensor | None = None,
        v: Tensor | None = None,
        rotary_cos: Tensor | None = None,
        rotary_sin: Tensor | None = None,
        cache_seqlens: Tensor | int | None = None,
        cache_batch_idx: Tensor | None = None,
        cache_leftpad: Tensor | None = None,
        block_table: Tensor | None = None,
        softmax_scale: float | None = None,
        causal: bool = False,
        window_size: Window = _UNLIMITED,
        softcap: float = 0.0,
        rotary_interleaved: bool = True,
        alibi_slopes: Tensor | None = None,
        num_splits: int = 0,
        return_softmax_lse: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        check(q, k_cache, v_cache, record, softcap=softcap)
        options = Options(0.0, softmax_scale, causal, window_size, softcap, alibi_slopes)
        rotary = None if rotary_cos is None or rotary_sin is None else (rotary_cos, rotary_sin)
        cache = paged.Cache(k_cache, v_cache, block_table, cache_batch_idx)
        out, sums = cached(q, k, v, cache, cache_seqlens, cache_leftpad, rotary, rotary_interleaved, options)
        return (out, sums) if return_softmax_lse else out

    made = (
        flash_attn_func, flash_attn_qkvpacked_func, flash_attn_kvpacked_func, flash_attn_varlen_func,
        flash_attn_varlen_qkvpacked_func, flash_attn_varlen_kvpacked_func, flash_attn_with_kvcache,
    )  # fmt: skip
    return {each.__name__: record.counted(f"flash_attn.{each.__name__}", each) for each in made}


def _answered(out: Tensor, sums: Tensor, return_attn_probs: bool) -> Result:
    # The third is what dropout left of the weights, for tests, and nothing without dropout.
    return (out, sums, None) if return_attn_probs else out


def cached(
    q: Tensor,
    k: Tensor | None,
    v: Tensor | None,
    cache: paged.Cache,
    lengths: Tensor | int | None,
    leftpad: Tensor | None,
    rotary: tuple[Tensor, Tensor] | None,
    interleaved: bool,
    options: Options,
) -> tuple[Tensor, Tensor]:
    """Append keys and values to a cache, in place, and attend to what it holds.

    Queries are rotated to the positions behind what was cached, each to its own where the attention is causal or has a
    window, and all to the first of them otherwise; new keys always to their own.
    """
    batch = q.shape[0]
    if lengths is None:
        lengths = cache.capacity
    before = torch.full((batch,), lengths) if isinstance(lengths, int) else lengths.long()
    starts = torch.zeros_like(before) if leftpad is None else leftpad.long()
    if rotary is not None:
        _require(k is not None, "If rotary_cos/sin are provided, new key / value to be appended must also be provided")
    if k is not None and v is not None:
        if rotary is not None:
            k = rotated(k, *rotary, before, interleaved=interleaved)
            own = options.causal or options.window != _UNLIMITED
            places = before if own else before[:, None].expand(-1, q.shape[1])
            q = rotated(q, *rotary, places, interleaved=interleaved)
        cache.append(k, v, before)
    total = before + (0 if k is None else k.shape[1])
    results = []
    for sample in range(batch):
        keys, values = cache.of(sample, int(total[sample]))
        keys, values = keys[int(starts[sample]) :], values[int(starts[sample]) :]
        slopes = options.slopes
        own_options = options if slopes is None or slopes.dim() == 1 else _with_slopes(options, slopes[sample])
        results.append(dense(q[sample][None], keys[None], values[None], own_options))
    return torch.cat([out for out, _ in results]), torch.cat([sums for _, sums in results])


def modules(record: Record) -> dict[str, Mapping[str, object]]:
    """Return the names of the library's modules, and what each holds."""
    made = functions(record)
    return {
        "flash_attn": {"__version__": VERSION, **made},
        "flash_attn.flash_attn_interface": dict(made),
        "flash_attn.bert_padding": flash_padding.functions(record),
        "flash_attn.layers": {},
        "flash_attn.layers.rotary": flash_padding.rotary(record),
    }
