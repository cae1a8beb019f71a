"""The kernels are compiled for Hopper, which needs no GPU: what the interpreter accepts the compiler may not."""

import importlib.util
from typing import Any

import pytest
import torch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("triton") is None, reason="triton is not installed; the extra `kernels` brings it"
    ),
]

SHARED_MEMORY = 227 * 1024  # bytes that a block may use on compute capability 9.0
POINTERS = {
    torch.bfloat16: "*bf16",
    torch.float16: "*fp16",
    torch.float32: "*fp32",
    torch.uint8: "*u8",
    torch.int32: "*i32",
}
KERNELS = ("forward_kernel", "key_value_kernel", "query_kernel")
LENGTH = 4096
SPLITS = 12


def kernels() -> dict[str, Any]:
    from astrobio.attention.triton_kernels import backward, forward

    return {name: getattr(forward, name, None) or getattr(backward, name) for name in KERNELS}


def arguments(
    dtype: torch.dtype, head_dim: int, options: dict[str, Any], *, batch: int = 2, heads: int = 8, kv_heads: int = 2,
    lengths: tuple[int, int] = (LENGTH, LENGTH),
) -> dict[str, Any]:  # fmt: skip
    """Every argument of every kernel; tensors without memory."""
    from astrobio.attention.triton_kernels.launch import named_strides, shared_arguments
    from astrobio.attention.triton_kernels.problem import Problem

    tensor = torch.empty(batch, heads, lengths[0], head_dim, dtype=dtype, device="meta")
    key = torch.empty(batch, kv_heads, lengths[1], head_dim, dtype=dtype, device="meta")
    problem = Problem(scale=0.1, is_half=dtype != torch.float32, **options)
    if problem.is_packed:
        tensor, key = (each.flatten(0, 1).transpose(0, 1) for each in (tensor, key))
    numbers = problem.row_numbers(tensor)
    sums_batch, sums_head = problem.row_strides(numbers)
    named: dict[str, Any] = shared_arguments(tensor, key, key, problem)
    for prefix in ("o", "g", "dq", "dk", "dv"):
        named.update(named_strides(prefix, problem.strides(tensor)))
    results = ("output", "gradient", "query_gradient", "key_gradient", "value_gradient")
    named.update(dict.fromkeys(results, tensor), log_sums=numbers, delta=numbers)
    named.update(sums_batch=sums_batch, sums_head=sums_head, scale_is_folded=problem.is_scale_alone)
    named.update(num_splits=SPLITS, o_split=tensor.numel(), sums_split=numbers.numel())
    return named


def compiled(kernel: Any, named: dict[str, Any], config: Any) -> Any:
    """Compile as a launch with these arguments would, integers divided by 16 known to be so."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from astrobio.attention.triton_kernels.launch import COMPILED_WITH

    named = {**named, **config.kwargs}
    function = kernel if isinstance(kernel, triton.JITFunction) else kernel.fn
    signature, constants, attributes = {}, {}, {}
    for position, parameter in enumerate(function.params):
        given = named[parameter.name]
        if parameter.is_constexpr or given is None or (isinstance(given, int) and given == 1):
            signature[parameter.name], constants[(position,)] = "constexpr", given
        elif isinstance(given, float):
            signature[parameter.name] = "fp32"
        else:
            is_tensor = isinstance(given, torch.Tensor)
            signature[parameter.name] = POINTERS[given.dtype] if is_tensor else "i32"
            if is_tensor or given % 16 == 0:
                attributes[(position,)] = [["tt.divisibility", 16]]
    source = ASTSource(fn=function, signature=signature, constexprs=constants, attrs=attributes)
    options = {"num_warps": config.num_warps, "num_stages": config.num_stages, **COMPILED_WITH}
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)


def on_meta(*shape: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.empty(*shape, dtype=dtype, device="meta")


MASKED = {
    "key_mask": on_meta(2, LENGTH, dtype=torch.bool),
    "allowed": on_meta(1, 1, LENGTH, LENGTH, dtype=torch.bool).expand(2, 8, -1, -1),
}
OPTIONS = {
    "plain": {},
    "causal": {"is_causal": True},
    "window": {"window": 256},
    "cap and slopes": {"is_causal": True, "soft_cap": 30.0, "slopes": on_meta(8, dtype=torch.float32)},
    "masks": MASKED,
    "bias": {"bias": on_meta(1, 8, LENGTH, LENGTH, dtype=torch.bfloat16).expand(2, -1, -1, -1)},
    "packed": {
        "is_causal": True,
        "starts_q": on_meta(3, dtype=torch.int32),
        "starts_k": on_meta(3, dtype=torch.int32),
        "longest_q": LENGTH,
        "longest_k": LENGTH,
    },
}


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_every_option_compiles_to_tensor_core_instructions(name: str, options: dict[str, Any]) -> None:
    kernel = kernels()[name]
    config = next(c for c in kernel.configs if c.kwargs == {"block_q": 64, "block_k": 64} and c.num_stages == 2)
    found = compiled(kernel, arguments(torch.bfloat16, 64, options), config)
    assert "wgmma" in found.asm["ptx"]
    assert found.metadata.shared <= SHARED_MEMORY


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize(
    ("dtype", "head_dim"), [(torch.float16, 16), (torch.bfloat16, 128), (torch.bfloat16, 256), (torch.float32, 128)]
)
def test_the_smallest_choice_that_is_left_fits(name: str, dtype: torch.dtype, head_dim: int) -> None:
    from astrobio.attention.triton_kernels.configs import that_fit

    kernel, named = kernels()[name], arguments(dtype, head_dim, {"is_causal": True})
    left = that_fit(kernel.configs, {}, block_d=named["block_d"], is_half=named["is_half"], q_len=LENGTH)
    smallest = min(left, key=lambda config: config.kwargs["block_q"] * config.kwargs["block_k"])
    assert compiled(kernel, named, smallest).metadata.shared <= SHARED_MEMORY


SIZES = {
    "one of everything": {"batch": 1, "heads": 1, "kv_heads": 1, "lengths": (1, 1)},
    "one query": {"heads": 8, "kv_heads": 1, "lengths": (1, LENGTH)},
    "one key": {"heads": 3, "kv_heads": 3, "lengths": (77, 1)},
}


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize("options", [{}, {"is_causal": True, "window": 1}], ids=["plain", "window of one"])
def test_sizes_of_one_compile_though_triton_makes_constants_of_them(
    name: str, sizes: dict[str, Any], options: dict[str, Any]
) -> None:
    kernel = kernels()[name]
    smallest = kernel.configs[-1]
    compiled(kernel, arguments(torch.bfloat16, 64, options, **sizes), smallest)


@pytest.mark.parametrize("num_splits", [2, 64])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_kernel_that_weighs_parts_compiles(dtype: torch.dtype, num_splits: int) -> None:
    import triton

    from astrobio.attention.triton_kernels.splits import merge_kernel

    outputs = on_meta(num_splits, 2, 8, 1, 256, dtype=torch.float32)
    named = {
        "outputs": outputs, "log_sums": outputs[..., 0], "output": on_meta(2, 8, 1, 256, dtype=dtype),
        "log_sum": outputs[0, ..., 0], "num_rows": 16, "num_heads": 8, "q_len": 1, "num_splits": num_splits,
        "o_batch": 2048, "o_head": 256, "o_row": 256, "head_dim": 256, "block_d": 256, "block_s": num_splits,
    }  # fmt: skip
    assert compiled(merge_kernel, named, triton.Config({}, num_warps=4)).asm["ptx"]
