"""Attention as a function of tensors, and the choice of the backend that computes it."""

import math
import threading
import warnings
from dataclasses import dataclass, field
from typing import TypedDict, Unpack

import torch
from torch import Tensor

from astrobio.attention.backends import (
    BACKENDS,
    AttentionBackend,
    AttentionCall,
    BackendFailedWarning,
    check_backend_name,
)
from astrobio.attention.backends.sdpa import SdpaBackend
from astrobio.attention.masks import (
    check_attention_bias,
    check_attention_mask,
    check_key_mask,
    check_window,
    combine_allowed,
    split_bias,
)


@dataclass(frozen=True)
class BackendSelection:
    """Which backend runs a call.

    Attributes:
        name: the backend that runs.
        not_used: for every other backend, why it does not.
        failed: the backends that support the call but raised when they ran it, with what they raised.
    """

    name: str
    not_used: dict[str, str]
    failed: dict[str, str] = field(default_factory=dict)


class AttentionOptions(TypedDict, total=False):
    """The keyword arguments of `attention`, which explains them."""

    is_causal: bool
    key_mask: Tensor | None
    attention_mask: Tensor | None
    attention_bias: Tensor | None
    window: int | None
    num_global_tokens: int
    soft_cap: float | None
    alibi_slopes: Tensor | None
    sinks: Tensor | None
    scale: float | None
    dropout_p: float


class _LastSelection(threading.local):
    selection: BackendSelection | None = None


_LAST = _LastSelection()
_SDPA = SdpaBackend()
# What has raised in this process, by backend and kind of call. A library that cannot be imported, or a kernel that the
# device does not have, takes seconds to fail, and would do so at every call.
_FAILED_BEFORE: dict[tuple[object, ...], str] = {}


def attention(
    query: Tensor, key: Tensor, value: Tensor, *, backend: str = "auto", **options: Unpack[AttentionOptions]
) -> Tensor:
    """Softmax attention with grouped-query heads: softmax(scale * Q K^T + bias) V.

    Query i of Lq stands at position i + Lk - Lq among the keys, so that the last query stands at the last key: causal
    rule, window and linear biases count from there.

    Args:
        query: (B, H, Lq, D), floating point.
        key: (B, Hkv, Lk, D), H a multiple of Hkv. Consecutive query heads share a key/value head: with H = 4 and
            Hkv = 2 the query heads read key/value heads 0, 0, 1, 1.
        value: (B, Hkv, Lk, D).
        backend: "auto" takes the first backend that supports the call; a name insists on that one.
        **options: all may be left out.

            - is_causal: query i sees keys j <= i + Lk - Lq only.
            - key_mask: bool, (B, Lk), True where a key may be attended to.
            - attention_mask: bool, broadcastable to (B, H, Lq, Lk), True where a query may attend. Whatever restricts
              is combined with "and".
            - attention_bias: floating point, broadcastable to (B, H, Lq, Lk), added to the scaled scores; -inf blocks.
            - window: query i sees keys with |i + Lk - Lq - j| < window only, its own position included; with
              `is_causal` these are the last `window` keys. None sees all.
            - num_global_tokens: first positions of the keys that every query sees and that see every key, whatever
              the window. Needs a window.
            - soft_cap: scaled scores s become soft_cap * tanh(s / soft_cap), before any bias.
            - alibi_slopes: floating point, (H,); slope * |i + Lk - Lq - j| is subtracted from the scores.
            - sinks: floating point, (H,); one more score in the softmax of each head, whose share goes to no value.
            - scale: factor on the dot products; None means 1 / sqrt(D).
            - dropout_p: probability with which an attention weight is dropped, whenever it is above 0. A function has
              no training mode; a module passes 0 in evaluation. Backends draw from the same distribution, not the
              same random numbers.

    Returns:
        (B, H, Lq, D) in the dtype of `query`. A query with nothing to attend to gives zeros.

    Raises:
        TypeError: wrong dtype of a tensor, mask or bias; an option that does not exist.
        ValueError: shapes that do not fit, settings out of range, an unknown backend, or one that does not support
            this call.
        Exception: what the backend raises that was asked for by name, or with "auto" the last one that could be tried.
            Running out of memory always raises: backends further down need more of it.

    Warns:
        BackendFailedWarning: with "auto", when a backend raises and the next one takes over. For calls of the same
            dtype, device, head_dim and options it is not tried again in this process.
    """
    call = _checked_call(query, key, value, options)
    candidates, not_used = _candidates(call, backend)
    output, selection = _run_first(call, candidates, not_used)
    if not torch.compiler.is_compiling():  # a trace has no calls to remember
        _LAST.selection = selection
    return output


def select_backend(
    query: Tensor, key: Tensor, value: Tensor, *, backend: str = "auto", **options: Unpack[AttentionOptions]
) -> BackendSelection:
    """Which backend `attention` tries first for the same arguments, and why the others are not used.

    Raises:
        TypeError, ValueError: as `attention` does.
    """
    candidates, not_used = _candidates(_checked_call(query, key, value, options), backend)
    return _selection(candidates, 0, not_used, failed={})


def last_selection() -> BackendSelection | None:
    """Which backend ran the latest call of `attention` in this thread, what failed, and why others were not used.

    None before the first call. Calls inside `torch.compile` leave no record.
    """
    return _LAST.selection


def _run_first(
    call: AttentionCall, candidates: list[AttentionBackend], not_used: dict[str, str]
) -> tuple[Tensor, BackendSelection]:
    failed: dict[str, str] = {}
    for position, backend in enumerate(candidates):
        is_last = position == len(candidates) - 1
        try:
            return backend.run(call), _selection(candidates, position, not_used, failed)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # kernels and their compilers raise what they like; the warning says what it was
            if is_last:
                for name, text in failed.items():
                    error.add_note(f"before it, attention backend {name!r} raised {text}")
                raise
            failed[backend.name] = f"{type(error).__name__}: {error}"
            if not torch.compiler.is_compiling():
                _FAILED_BEFORE[_kind(backend, call)] = failed[backend.name]
        warnings.warn(
            f"attention backend {backend.name!r} failed with {failed[backend.name]}; "
            f"{candidates[position + 1].name!r} takes over",
            BackendFailedWarning,
            stacklevel=3,
        )
    raise AssertionError("there is always a candidate, and the last one returns or raises")


def _selection(
    candidates: list[AttentionBackend], position: int, not_used: dict[str, str], failed: dict[str, str]
) -> BackendSelection:
    chosen = candidates[position].name
    why_not = {
        **not_used,
        **{name: f"it failed with {text}" for name, text in failed.items()},
        **{backend.name: f"{chosen} comes first" for backend in candidates[position + 1 :]},
    }
    in_order = {name: why_not[name] for name in BACKENDS if name in why_not}
    return BackendSelection(name=chosen, not_used=in_order, failed=dict(failed))


def _candidates(call: AttentionCall, requested: str) -> tuple[list[AttentionBackend], dict[str, str]]:
    """The backends that may run the call, in order, and for the others why not."""
    check_backend_name(requested)
    if requested != "auto":
        reason = BACKENDS[requested].unsupported_reason(call)
        if reason is not None:
            raise ValueError(f"attention backend {requested!r} does not support this call: {reason}")
        return [BACKENDS[requested]], {name: f"{requested} was requested" for name in BACKENDS if name != requested}
    reasons = {name: BACKENDS[name].unsupported_reason(call) for name in _in_order(call)}
    candidates = [BACKENDS[name] for name, reason in reasons.items() if reason is None]
    if not candidates:
        raise ValueError(f"no attention backend supports this call: {reasons}")
    not_used = {name: reason for name, reason in reasons.items() if reason is not None}
    if not _FAILED_BEFORE or torch.compiler.is_compiling():
        return candidates, not_used
    failed = {each.name: text for each in candidates if (text := _FAILED_BEFORE.get(_kind(each, call))) is not None}
    if len(failed) == len(candidates):  # the last of them raises what it has to say
        return candidates, not_used
    not_used |= {name: f"it failed before with {text}" for name, text in failed.items()}
    return [each for each in candidates if each.name not in failed], not_used


def _in_order(call: AttentionCall) -> list[str]:
    """The names of the chain; torch's kernels come before ours where they are called without a mask.

    On an H100 those that torch takes in bfloat16 were 1.2 to 1.5 times as fast as ours forward and 1.1 times backward,
    see reports/benchmarks; in float32 2.8 times forward.
    """
    names = list(BACKENDS)
    if {"sdpa", "triton"} <= BACKENDS.keys() and not _SDPA.needs_mask(call):
        names.remove("triton")
        names.insert(names.index("sdpa") + 1, "triton")
    return names


def _kind(backend: AttentionBackend, call: AttentionCall) -> tuple[object, ...]:
    return backend, call.query.device, call.query.dtype, call.query.shape[3], call.options


def _checked_call(query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions) -> AttentionCall:
    unknown = sorted(options.keys() - AttentionOptions.__annotations__.keys())
    if unknown:
        raise TypeError(f"attention has no option {', '.join(unknown)}")
    check_tensors(query, key, value)
    _check_numbers(options)
    batch, num_heads, query_length, head_dim = query.shape
    scores_shape = (batch, num_heads, query_length, key.shape[2])
    key_mask, attention_mask = options.get("key_mask"), options.get("attention_mask")
    if key_mask is not None:
        check_key_mask(key_mask, batch=batch, key_length=key.shape[2])
    if attention_mask is not None:
        check_attention_mask(attention_mask, scores_shape)
    bias, bias_allowed = options.get("attention_bias"), None
    if bias is not None:
        check_attention_bias(bias, scores_shape)
        bias, bias_allowed = split_bias(bias)
    for name, per_head in (("alibi_slopes", options.get("alibi_slopes")), ("sinks", options.get("sinks"))):
        _check_per_head(name, per_head, num_heads)
    scale = options.get("scale")
    return AttentionCall(
        query=query,
        key=key,
        value=value,
        scale=1.0 / math.sqrt(head_dim) if scale is None else scale,
        is_causal=options.get("is_causal", False),
        key_mask=key_mask,
        allowed=combine_allowed(attention_mask, bias_allowed),
        bias=bias,
        dropout_p=options.get("dropout_p", 0.0),
        window=options.get("window"),
        num_global_tokens=options.get("num_global_tokens", 0),
        soft_cap=options.get("soft_cap"),
        alibi_slopes=options.get("alibi_slopes"),
        sinks=options.get("sinks"),
    )


def check_soft_cap(soft_cap: float | None) -> None:
    """Accept None and positive finite numbers.

    Raises:
        ValueError: otherwise.
    """
    if soft_cap is not None and not (math.isfinite(soft_cap) and soft_cap > 0):
        raise ValueError(f"soft_cap must be positive and finite, got {soft_cap}")


def _check_numbers(options: AttentionOptions) -> None:
    dropout_p, scale = options.get("dropout_p", 0.0), options.get("scale")
    if not 0.0 <= dropout_p < 1.0:
        raise ValueError(f"dropout_p must be in [0, 1), got {dropout_p}")
    if scale is not None and not math.isfinite(scale):
        raise ValueError(f"scale must be finite, got {scale}")
    check_soft_cap(options.get("soft_cap"))
    check_window(options.get("window"), options.get("num_global_tokens", 0))


def _check_per_head(name: str, tensor: Tensor | None, num_heads: int) -> None:
    if tensor is None:
        return
    if not tensor.is_floating_point():
        raise TypeError(f"{name} must be floating point, got {tensor.dtype}")
    if tensor.shape != (num_heads,):
        raise ValueError(f"{name} must have one number for each of the {num_heads} heads, got {tuple(tensor.shape)}")


def check_tensors(query: Tensor, key: Tensor, value: Tensor) -> None:
    """Accept (B, H, Lq, D) and twice (B, Hkv, Lk, D), H a multiple of Hkv, of one floating-point dtype.

    Raises:
        TypeError: wrong dtypes.
        ValueError: wrong shapes.
    """
    if not query.is_floating_point():
        raise TypeError(f"query must be floating point, got {query.dtype}")
    if not (query.dtype == key.dtype == value.dtype):
        raise TypeError(f"query, key and value must share one dtype, got {query.dtype}, {key.dtype}, {value.dtype}")
    if query.dim() != 4 or key.dim() != 4:
        raise ValueError(
            f"query must be (B, H, Lq, D) and key (B, Hkv, Lk, D), got {tuple(query.shape)} and {tuple(key.shape)}"
        )
    if key.shape != value.shape:
        raise ValueError(f"key and value must have one shape, got {tuple(key.shape)} and {tuple(value.shape)}")
    if query.shape[0] != key.shape[0] or query.shape[3] != key.shape[3]:
        raise ValueError(
            f"query and key must agree in batch and head size, got {tuple(query.shape)} and {tuple(key.shape)}"
        )
    if key.shape[1] == 0 or query.shape[1] % key.shape[1]:
        raise ValueError(f"{query.shape[1]} query heads cannot share {key.shape[1]} key/value heads evenly")
