"""The backends that any machine may have: torch's own, written out, and the flash attention libraries.

A contender is prepared for a case before it is timed: what is made once, such as a mask, takes no time of a call. One
that cannot do what a case asks for raises `Unavailable`.
"""

import importlib
import importlib.util
import inspect
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import devices
from .. import specs as specs_
from ..phases import phase
from .cases import Case

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]  # (B, H, Lq, D), (B, Hkv, Lk, D) twice -> (B, H, Lq, D)
Prepare = Callable[[Case], Attend]
_MOST_TOLD = 500


class Unavailable(Exception):
    """The backend is not there, or does not do what the case asks for; `is_absent` tells which."""

    def __init__(self, reason: str, *, is_absent: bool) -> None:
        """Keep both."""
        super().__init__(reason)
        self.is_absent = is_absent


def prepared(backend: Mapping[str, object], case: Case) -> Attend:
    """Return what attends as the backend does.

    It is `{"kind": "built_in", "name"}`, `{"kind": "spec", "specs", "name"}`, or `{"kind": "plugin", "name", "path"}`
    with a file that defines `forward` and may define `unsupported`, as an entry of the specs does.

    Raises:
        Unavailable: the backend is absent or does not support the case.
    """
    if backend["kind"] == "built_in":
        return BUILT_IN[str(backend["name"])](case)
    if backend["kind"] == "plugin":
        return _of_spec(_defined_in(str(backend["path"])), case)
    return _of_spec(specs_.entry(str(backend["specs"]), "BENCHMARKS", str(backend["name"])), case)


def _of_spec(spec: Mapping[str, object], case: Case) -> Attend:
    """Attend through an entry of the specs' BENCHMARKS; the rules of the case go by keyword."""
    rules: dict[str, object] = {"is_causal": case.is_causal, "window": case.window}
    forward = specs_.function(spec, "forward")
    if "unsupported" in spec:
        shapes = ((case.heads, case.queries), (case.kv_heads, case.length), (case.kv_heads, case.length))
        with devices.own():
            like = [torch.zeros(case.batch, *shape, case.head_dim, dtype=case.dtype) for shape in shapes]
        with phase("unsupported"):
            reason = specs_.function(spec, "unsupported")(*like, **rules)
        if reason is not None:
            raise Unavailable(str(reason)[:_MOST_TOLD], is_absent=False)

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return cast(Tensor, forward(query, key, value, **rules))

    return attend


def _defined_in(path: str) -> Mapping[str, object]:
    """Return what a file defines, which is imported under a name of its own."""
    name = "astrobio_audit_backend_" + os.path.basename(path).removesuffix(".py")
    with phase("import"):
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return vars(module)


def _eager(case: Case) -> Attend:
    """Products, mask and softmax one after another."""
    allowed, scale, groups = case.allowed(), case.head_dim**-0.5, case.heads // case.kv_heads

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if groups > 1:
            key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
        scores = query @ key.mT * scale
        if allowed is not None:
            scores = scores.masked_fill(~allowed, -math.inf)
        return cast(Tensor, scores.softmax(dim=-1) @ value)

    return attend


def _sdpa(kernel: str | None) -> Prepare:
    """torch's `scaled_dot_product_attention`, with one kernel or with the one that it chooses."""

    def prepare(case: Case) -> Attend:
        from torch.nn.attention import SDPBackend, sdpa_kernel

        by_flag = case.is_causal and case.is_square and (case.window is None or case.window >= case.length)
        rules: dict[str, Any] = {"is_causal": by_flag, "enable_gqa": case.heads != case.kv_heads}
        if not by_flag:
            rules["attn_mask"] = case.allowed()

        def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(query, key, value, **rules)

        if kernel is None:
            return attend
        chosen = getattr(SDPBackend, kernel, None)
        if chosen is None:
            raise Unavailable(f"torch {torch.__version__} has no kernel {kernel}", is_absent=True)

        def attend_by(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            with sdpa_kernel(chosen):
                return attend(query, key, value)

        return attend_by

    return prepare


_flexes: dict[Case, Attend] = {}


def _flex(case: Case) -> Attend:
    """`flex_attention`, compiled for the case, with a block mask made once.

    torch compiles for sizes that vary once it has met two, which makes slower kernels, and after eight it compiles no
    more: what it remembers of other cases is dropped.
    """
    if case not in _flexes:
        _flexes.clear()
        torch.compiler.reset()
        _flexes[case] = _compiled_flex(case)
    return _flexes[case]


def _compiled_flex(case: Case) -> Attend:
    try:
        flex: Any = importlib.import_module("torch.nn.attention.flex_attention")
    except ImportError as missing:
        raise Unavailable(f"torch {torch.__version__}: {missing}", is_absent=True) from missing
    mask = None if case.keeps_all else _block_mask(flex, case)
    compiled: Any = torch.compile(flex.flex_attention, dynamic=False)
    is_grouped = case.heads != case.kv_heads

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return cast(Tensor, compiled(query, key, value, block_mask=mask, enable_gqa=is_grouped))

    return attend


def _block_mask(flex: Any, case: Case) -> object:
    offset, window, is_causal = case.length - case.queries, case.window, case.is_causal

    def sees(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        ahead = query + offset - key
        allowed = ahead >= 0 if is_causal else ahead == ahead
        return allowed if window is None else allowed & (ahead.abs() < window)

    return flex.create_block_mask(sees, None, None, case.queries, case.length, device=devices.current())


def _library(module: str, function: str) -> Prepare:
    """A version of the flash attention library, whose tensors are (B, L, H, D); it is handed views of ours."""

    def prepare(case: Case) -> Attend:
        called = getattr(_imported(module), function)
        if not devices.on_gpu():
            raise Unavailable("it runs on CUDA devices, not on cpu", is_absent=False)
        if case.dtype not in (torch.float16, torch.bfloat16):
            raise Unavailable(f"it takes float16 and bfloat16, not {case.dtype}", is_absent=False)
        rules: dict[str, object] = {"causal": case.is_causal}
        if case.window is not None and case.window < case.length:
            if "window_size" not in inspect.signature(called).parameters:
                raise Unavailable("this version has no windows", is_absent=False)
            rules["window_size"] = (case.window - 1, 0 if case.is_causal else case.window - 1)

        def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            output = called(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), **rules)
            output = output[0] if isinstance(output, tuple) else output  # some versions add the logarithm of the sums
            return cast(Tensor, output.transpose(1, 2))

        return attend

    return prepare


def _imported(module: str) -> object:
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as missing:
        is_found = importlib.util.find_spec(package) is not None
        why = f"cannot be imported: {missing}" if is_found else "is not installed"
        raise Unavailable(f"{package} {why}"[:_MOST_TOLD], is_absent=True) from missing


BUILT_IN: Mapping[str, Prepare] = {
    "eager": _eager,
    "sdpa": _sdpa(None),
    "sdpa_flash": _sdpa("FLASH_ATTENTION"),
    "sdpa_efficient": _sdpa("EFFICIENT_ATTENTION"),
    "sdpa_cudnn": _sdpa("CUDNN_ATTENTION"),
    "sdpa_math": _sdpa("MATH"),
    "flex_attention": _flex,
    "flash_attn_2": _library("flash_attn.flash_attn_interface", "flash_attn_func"),  # `flash_attn` may be of the 4th
    "flash_attn_3": _library("flash_attn_interface", "flash_attn_func"),
    "flash_attn_4": _library("flash_attn.cute", "flash_attn_func"),
}


# What torch raises when the only kernel that it may use does not take a call: on a GPU, and on a CPU.
_NO_KERNEL = ("No available kernel", "No viable backend")


@contextmanager
def refusals() -> Iterator[None]:
    """Have what is raised where a call is not supported raise `Unavailable`, with the reasons that torch warns of."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            yield
        except RuntimeError as error:
            if not isinstance(error, NotImplementedError) and not any(text in str(error) for text in _NO_KERNEL):
                raise
            told = [" ".join(str(each.message).split()).partition(" (Triggered internally")[0] for each in warned]
            reasons = [text for text in dict.fromkeys(told) if text]
            raise Unavailable("; ".join([*reasons] or [str(error)])[:_MOST_TOLD], is_absent=False) from error
