"""A stand-in for `flash_attn_interface`, the third version of flash attention: what it shares with the second.

https://github.com/Dao-AILab/flash-attention/blob/main/hopper/flash_attn_interface.py: values may
have another width than keys; there is no dropout and no ALiBi. Eight-bit tensors, `qv` and `attention_chunk` are not
known here.
"""

from collections.abc import Callable, Mapping

from torch import Tensor

from . import paged
from .exact import NotKnown
from .flash import Options, Window, cached, check, check_dense, check_packed, dense, packed
from .recorded import Record

VERSION = "3.0.0b1"
_UNLIMITED = (-1, -1)
_UNKNOWN = (
    "qv",
    "q_descale",
    "k_descale",
    "v_descale",
    "attention_chunk",
    "seqused_q",
    "cu_seqlens_k_new",
    "cu_seqlens_q",
)
_WITHOUT_EFFECT = (
    "num_splits", "pack_gqa", "deterministic", "sm_margin", "scheduler_metadata", "max_seqlen_q", "rotary_seqlens",
)  # fmt: skip


def _refuse_unknown(others: Mapping[str, object]) -> None:
    for name, value in others.items():
        if name in _UNKNOWN:
            if value is not None and value != 0:
                raise NotKnown(f"the stand-in for flash_attn_interface does not know {name}")
        elif name not in _WITHOUT_EFFECT:
            raise TypeError(f"got an unexpected keyword argument {name!r}")


def functions(record: Record) -> Mapping[str, Callable[..., object]]:
    """Return the functions of `flash_attn_interface` by their names, each counted in `record`."""

    def flash_attn_func(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        softmax_scale: float | None = None,
        causal: bool = False,
        *,
        window_size: Window = _UNLIMITED,
        softcap: float = 0.0,
        return_attn_probs: bool = False,
        **others: object,
    ) -> Tensor | tuple[Tensor, Tensor]:
        _refuse_unknown(others)
        check_dense(q, k, v)
        check(q, k, v, record)
        out, sums = dense(q, k, v, Options(0.0, softmax_scale, causal, window_size, softcap))
        return (out, sums) if return_attn_probs else out

    def flash_attn_qkvpacked_func(qkv: Tensor, *args: object, **kwargs: object) -> object:
        return flash_attn_func(*qkv.unbind(dim=2), *args, **kwargs)  # type: ignore[arg-type]

    def flash_attn_varlen_func(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        cu_seqlens_q: Tensor,
        cu_seqlens_k: Tensor,
        max_seqlen_q: int,
        max_seqlen_k: int,
        seqused_q: Tensor | None = None,
        seqused_k: Tensor | None = None,
        softmax_scale: float | None = None,
        causal: bool = False,
        *,
        window_size: Window = _UNLIMITED,
        softcap: float = 0.0,
        return_attn_probs: bool = False,
        **others: object,
    ) -> Tensor | tuple[Tensor, Tensor]:
        _refuse_unknown(others)
        if seqused_q is not None or seqused_k is not None:
            raise NotKnown("the stand-in for flash_attn_interface does not know seqused_q and seqused_k")
        check_packed(q, k, v, cu_seqlens_q, cu_seqlens_k)
        check(q, k, v, record)
        options = Options(0.0, softmax_scale, causal, window_size, softcap)
        out, sums = packed(q, k, v, cu_seqlens_q, cu_seqlens_k, int(max_seqlen_q), options)
        return (out, sums) if return_attn_probs else out

    def flash_attn_with_kvcache(
        q: Tensor,
        k_cache: Tensor,
        v_cache: Tensor,
        k: Tensor | None = None,
        v: Tensor | None = None,
        qv: Tensor | None = None,
        rotary_cos: Tensor | None = None,
        rotary_sin: Tensor | None = None,
        cache_seqlens: Tensor | int | None = None,
        cache_batch_idx: Tensor | None = None,
        cache_leftpad: Tensor | None = None,
        page_table: Tensor | None = None,
        *,
        softmax_scale: float | None = None,
        causal: bool = False,
        window_size: Window = _UNLIMITED,
        softcap: float = 0.0,
        rotary_interleaved: bool = True,
        return_softmax_lse: bool = False,
        **others: object,
    ) -> Tensor | tuple[Tensor, Tensor]:
        _refuse_unknown({"qv": qv, **others})
        check(q, k_cache, v_cache, record)
        options = Options(0.0, softmax_scale, causal, window_size, softcap)
        rotary = None if rotary_cos is None or rotary_sin is None else (rotary_cos, rotary_sin)
        cache = paged.Cache(k_cache, v_cache, page_table, cache_batch_idx)
        out, sums = cached(q, k, v, cache, cache_seqlens, cache_leftpad, rotary, rotary_interleaved, options)
        return (out, sums) if return_softmax_lse else out

    made = (flash_attn_func, flash_attn_qkvpacked_func, flash_attn_varlen_func, flash_attn_with_kvcache)
    return {each.__name__: record.counted(f"flash_attn_interface.{each.__name__}", each) for each in made}


def modules(record: Record) -> dict[str, Mapping[str, object]]:
    """Return the names of the library's modules, and what each holds."""
    return {"flash_attn_interface": {"__version__": VERSION, **functions(record)}}
