"""The backends of the flash attention libraries, with stand-ins that compute what the libraries document."""

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from astrobio.attention import BackendFailedWarning, attention, last_selection, select_backend
from astrobio.attention.backends import (
    flash_attention_2,
    flash_attention_3,
    flash_attention_4,
    libraries,
)
from astrobio.attention.backends import triton as triton_backend

MODULES = {
    backend.__name__.rsplit(".")[-1]: backend for backend in (flash_attention_2, flash_attention_3, flash_attention_4)
}
FUNCTION_OF = {"flash_attention_2": "flash_attn.flash_attn_interface", "flash_attention_3": "flash_attn_interface"}
FUNCTION_OF["flash_attention_4"] = "flash_attn.cute"
SLOPES = torch.tensor([0.5, 0.25, 0.0, 1.5])

each_library = pytest.mark.parametrize("name", FUNCTION_OF)


def documented(
    q: Tensor, k: Tensor, v: Tensor, *, softmax_scale: float, causal: bool, window_size: tuple[int | None, int | None],
    softcap: float, slopes: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """What the libraries say they compute: (B, L, H, D), everything aligned with the last query and the last key."""
    assert q.dtype in (torch.float16, torch.bfloat16)
    assert q.stride(-1) == 1
    group = q.shape[2] // k.shape[2]
    queries, keys, values = q.double(), k.double(), v.double()
    scores = torch.einsum("bihd,bjhd->bhij", queries, keys.repeat_interleave(group, dim=2)) * softmax_scale
    if softcap > 0:
        scores = softcap * torch.tanh(scores / softcap)
    row, column = torch.arange(q.shape[1])[:, None] + k.shape[1] - q.shape[1], torch.arange(k.shape[1])
    if slopes is not None:
        assert slopes.dtype == torch.float32
        scores = scores - slopes.double()[:, None, None] * (row - column).abs()
    left, right = (math.inf if side is None or side < 0 else side for side in window_size)
    closed = (column < row - left) | (column > row + (0 if causal else right))
    weights = scores.masked_fill(closed, -math.inf).softmax(dim=-1).nan_to_num(0.0)  # no key gives zeros
    return torch.einsum("bhij,bjhd->bihd", weights, values.repeat_interleave(group, dim=2)).to(q.dtype)


def flash_attn_2(
    q: Tensor, k: Tensor, v: Tensor, dropout_p: float = 0.0, softmax_scale: float | None = None, causal: bool = False,
    window_size: tuple[int, int] = (-1, -1), softcap: float = 0.0, alibi_slopes: Tensor | None = None,
    deterministic: bool = False, return_attn_probs: bool = False,
) -> Tensor:  # fmt: skip
    """The signature of flash_attn 2.8.3."""
    assert dropout_p == 0.0
    assert softmax_scale is not None
    return documented(
        q, k, v, softmax_scale=softmax_scale, causal=causal, window_size=window_size, softcap=softcap,
        slopes=alibi_slopes,
    )  # fmt: skip


def flash_attn_3(
    q: Tensor, k: Tensor, v: Tensor, softmax_scale: float | None = None, causal: bool = False, qv: Tensor | None = None,
    q_descale: Tensor | None = None, k_descale: Tensor | None = None, v_descale: Tensor | None = None,
    window_size: tuple[int, int] = (-1, -1), attention_chunk: int = 0, softcap: float = 0.0, num_splits: int = 1,
    pack_gqa: bool | None = None, deterministic: bool = False, sm_margin: int = 0, return_attn_probs: bool = False,
) -> Tensor:  # fmt: skip
    """The signature of hopper/flash_attn_interface.py; the betas before it returned the log-sums too."""
    assert softmax_scale is not None
    return documented(q, k, v, softmax_scale=softmax_scale, causal=causal, window_size=window_size, softcap=softcap)


def flash_attn_4(
    q: Tensor, k: Tensor, v: Tensor, qv: Tensor | None = None, gather_kv_indices: Tensor | None = None,
    softmax_scale: float | None = None, causal: bool = False,
    window_size: tuple[int | None, int | None] = (None, None), learnable_sink: Tensor | None = None,
    softcap: float = 0.0, num_splits: int = 1, pack_gqa: bool | None = None, deterministic: bool = False,
) -> tuple[Tensor, None]:  # fmt: skip
    """The first part of the signature of flash-attn-4 4.0.0b36, which returns the log-sums, or None, besides."""
    assert softmax_scale is not None
    assert window_size[0] is None or window_size[0] >= 0
    out = documented(q, k, v, softmax_scale=softmax_scale, causal=causal, window_size=window_size, softcap=softcap)
    return out, None


STAND_INS: dict[str, Callable[..., Any]] = {
    "flash_attention_2": flash_attn_2,
    "flash_attention_3": flash_attn_3,
    "flash_attention_4": flash_attn_4,
}


@pytest.fixture
def any_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU passes for a device that every library is built for."""
    monkeypatch.setattr(libraries, "device_reason", lambda call, capabilities: None)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, any_device: None) -> Callable[[str, Callable[..., Any]], None]:
    """Installs a function as a library's `flash_attn_func`."""

    def install(name: str, function: Callable[..., Any]) -> None:
        path = FUNCTION_OF[name]
        module = ModuleType(path)
        module.flash_attn_func = function  # type: ignore[attr-defined]
        if "." in path:
            package = ModuleType(path.split(".")[0])
            package.__path__ = []
            monkeypatch.setitem(sys.modules, package.__name__, package)
        monkeypatch.setitem(sys.modules, path, module)
        present = {module: module == path for module in FUNCTION_OF.values()}
        for backend in MODULES.values():
            monkeypatch.setattr(backend, "is_installed", present.__getitem__)

    return install


def random_inputs(query_length: int, key_length: int, dtype: torch.dtype = torch.bfloat16) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(2, 4, query_length, 8, generator=generator)
    key, value = torch.randn(2, 2, 2, key_length, 8, generator=generator)
    return [tensor.to(dtype) for tensor in (query, key, value)]


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "causal": {"is_causal": True},
    "window": {"window": 3},
    "causal window": {"is_causal": True, "window": 3},
    "wide window": {"window": 99, "scale": 0.7},
    "cap": {"soft_cap": 0.7, "scale": 1.5},
    "alibi": {"is_causal": True, "alibi_slopes": SLOPES},
}


@each_library
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize(("query_length", "key_length"), [(6, 6), (3, 7), (7, 4), (1, 6)])
def test_a_library_is_called_so_that_it_computes_the_definition(
    name: str,
    options: dict[str, Any],
    query_length: int,
    key_length: int,
    installed: Callable[[str, Callable[..., Any]], None],
) -> None:
    installed(name, STAND_INS[name])
    tensors = random_inputs(query_length, key_length)
    reason = select_backend(*tensors, **options).not_used.get(name)
    empty_rows = query_length > key_length and options.keys() & {"is_causal", "window"} and options.get("window") != 99
    if name != "flash_attention_2" and "alibi_slopes" in options:
        assert reason == "it has no alibi_slopes"
    elif name == "flash_attention_4" and empty_rows:
        assert reason == "it does not say what a query gives that sees no key"
    else:
        leaves = [tensor.requires_grad_() for tensor in tensors]
        actual = attention(*leaves, backend=name, **options)
        expected = attention(*(leaf.detach().float() for leaf in leaves), backend="eager", **options)
        assert actual.dtype == torch.bfloat16
        # Both are rounded from more digits; outputs are averages of values below 4, where bfloat16 has steps of 2^-6.
        assert (actual.float() - expected).abs().max() <= 2**-7
        gradients = torch.autograd.grad(actual.float().sum(), leaves)
        assert all(gradient.isfinite().all() and (gradient != 0).any() for gradient in gradients)


@each_library
def test_a_library_comes_before_our_own_backends(
    name: str, installed: Callable[[str, Callable[..., Any]], None]
) -> None:
    installed(name, STAND_INS[name])
    tensors = random_inputs(4, 5)
    attention(*tensors)
    selection = last_selection()
    assert selection is not None
    assert selection.name == name
    assert selection.not_used["sdpa"] == f"{name} comes first"


def test_a_library_that_raises_is_told_of_and_the_next_backend_computes(
    installed: Callable[[str, Callable[..., Any]], None],
) -> None:
    def flash_attn_func(*args: object, **kwargs: object) -> Tensor:
        raise RuntimeError("no kernel image is available for execution on the device")

    installed("flash_attention_2", flash_attn_func)
    tensors = random_inputs(4, 5)
    with pytest.warns(BackendFailedWarning, match=r"'flash_attention_2' failed with RuntimeError: no kernel image .*"):
        output = attention(*tensors)
    assert torch.equal(output, attention(*tensors, backend="sdpa"))


@pytest.mark.parametrize("name", [*FUNCTION_OF, "triton"])
def test_no_backend_for_gpus_takes_tensors_of_the_cpu(name: str) -> None:
    assert select_backend(*random_inputs(4, 5)).not_used[name] == "it runs on CUDA devices, not on cpu"


CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "key mask": ({"key_mask": torch.ones(2, 5, dtype=torch.bool)}, "it has no key_mask"),
    "mask": ({"attention_mask": torch.ones(4, 5, dtype=torch.bool)}, "it has no allowed"),
    "bias": ({"attention_bias": torch.zeros(4, 5)}, "it has no allowed, bias"),
    "sinks": ({"sinks": torch.zeros(4)}, "it has no sinks"),
    "global tokens": ({"window": 2, "num_global_tokens": 1}, "it has no num_global_tokens"),
    "negative scale": ({"scale": -1.0}, "it takes scales above 0, not -1.0"),
}


@each_library
@pytest.mark.parametrize(("options", "reason"), CALLS.values(), ids=CALLS.keys())
def test_a_library_declines_what_it_does_not_compute(
    name: str, options: dict[str, Any], reason: str, any_device: None
) -> None:
    assert select_backend(*random_inputs(4, 5), **options).not_used[name].startswith(reason)


@each_library
def test_a_library_declines_tensors_it_does_not_take(name: str, any_device: None) -> None:
    wide = [torch.zeros(1, 1, 2, 264, dtype=torch.bfloat16)] * 3
    in_float32 = [tensor.float() for tensor in random_inputs(4, 5)]
    assert "takes float16 and bfloat16, not torch.float32" in select_backend(*in_float32).not_used[name]
    assert "takes heads of at most" in select_backend(*wide).not_used[name]
    assert "to nothing" in select_backend(*random_inputs(4, 0)).not_used[name]


def test_only_the_second_version_has_dropout_and_not_with_a_cap(any_device: None) -> None:
    not_used = select_backend(*random_inputs(4, 5), dropout_p=0.1, soft_cap=1.0).not_used
    assert not_used["flash_attention_2"] == "it has no dropout together with a soft cap"
    assert not_used["flash_attention_3"] == not_used["flash_attention_4"] == "it has no dropout_p"


def test_slopes_that_are_trained_are_declined(any_device: None) -> None:
    slopes = SLOPES.clone().requires_grad_()
    not_used = select_backend(*random_inputs(4, 5), alibi_slopes=slopes).not_used
    assert not_used["flash_attention_2"] == "it gives the linear biases no gradient"


@pytest.fixture
def as_if_interpreting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_backend, "is_interpreting", lambda: True)
    monkeypatch.setattr(triton_backend, "is_installed", lambda module: True)


TRITON_CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "dropout": ({"dropout_p": 0.1}, "it has no dropout"),
    "sinks": ({"sinks": torch.zeros(4)}, "it has no sinks"),
    "global tokens": ({"window": 2, "num_global_tokens": 1}, "it has no global tokens"),
    "trained bias": ({"attention_bias": torch.zeros(4, 5, requires_grad=True)}, "it gives the bias no gradient"),
    "float64 bias": ({"attention_bias": torch.zeros(4, 5).double()}, "it computes in float32, and the bias is float64"),
    "trained slopes": ({"alibi_slopes": torch.zeros(4, requires_grad=True)}, "it gives the linear biases no gradient"),
}


@pytest.mark.parametrize(("options", "reason"), TRITON_CALLS.values(), ids=TRITON_CALLS.keys())
def test_our_kernels_decline_what_they_do_not_compute(
    options: dict[str, Any], reason: str, as_if_interpreting: None
) -> None:
    tensors = random_inputs(4, 5)
    with pytest.raises(ValueError, match=f"'triton' does not support this call: {reason}"):
        attention(*tensors, backend="triton", **options)


def test_our_kernels_decline_tensors_they_do_not_take(
    as_if_interpreting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reason(tensors: list[Tensor]) -> str:
        return select_backend(*tensors, backend="auto").not_used["triton"]

    assert reason(random_inputs(4, 5, torch.float64)) == "it takes float16, bfloat16 and float32, not torch.float64"
    wide = [torch.zeros(1, 1, 2, 257)] * 3
    assert reason(wide) == "it takes heads of 1 to 128 features in torch.float32, not 257"
    half = [tensor.half() for tensor in wide]
    assert reason(half) == "it takes heads of 1 to 256 features in torch.float16, not 257"
    monkeypatch.setattr(triton_backend, "is_installed", lambda module: False)
    assert reason(random_inputs(4, 5)) == "triton is not installed; the extra `kernels` brings it"


def test_optional_libraries_are_not_imported_with_attention() -> None:
    code = (
        "import sys, astrobio.attention as a, torch; t = torch.zeros(1, 1, 2, 4); a.attention(t, t, t);"
        "print([m for m in ('triton', 'flash_attn', 'flash_attn_interface') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_module_is_found_without_importing_the_package_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "breaks_when_imported"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('undefined symbol')")
    (package / "part.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert libraries.is_installed("breaks_when_imported.part")
    assert not libraries.is_installed("breaks_when_imported.other")
    assert not libraries.is_installed("breaks_when_imported.part.of_it")
    assert not libraries.is_installed("no_such_package.part")
    assert not libraries.is_installed("no_such_package")
    assert libraries.is_installed("torch.nn.functional")
