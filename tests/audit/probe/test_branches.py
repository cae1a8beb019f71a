"""Branches are forced for one procedure, and which one ran is counted."""

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from audit.probe import branches, branches_cuda, branches_survey
from audit.probe.callee import Callee


@pytest.fixture(autouse=True)
def _no_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(branches, "_records", {})


def called(forced: Mapping[str, object], function: Any, times: int = 1) -> dict[str, Any]:
    """The reply of a procedure that calls a function, under what is forced."""

    def procedure(subject: dict[str, object]) -> dict[str, object]:
        callee = branches.arranged(Callee(None, lambda leaves, call: function()), subject)
        return {"answers": [callee.call({}, {}) for _ in range(times)]}

    return branches.forcing(procedure)(subject={"forced": dict(forced)})


def flash() -> torch.Tensor:
    q = torch.randn(1, 3, 2, 8)
    return importlib.import_module("flash_attn").flash_attn_func(q, q, q)


def test_without_anything_forced_the_reply_is_that_of_the_procedure() -> None:
    assert branches.forcing(lambda subject: {"name": subject["name"]})(subject={"name": 1}) == {"name": 1}


def test_calls_of_a_stand_in_are_told_for_each_call_of_the_target() -> None:
    answers = iter([flash, lambda: None, flash])
    reply = called({"library": "flash_attn", "accepts_float32": True}, lambda: next(answers)(), times=3)
    assert reply["seen"] == [["flash_attn.flash_attn_func"], [], ["flash_attn.flash_attn_func"]]
    assert reply["seen_dtypes"] == ["float32"]
    assert "flash_attn" not in sys.modules


def test_float32_is_refused_unless_the_switch_is_declared() -> None:
    with pytest.raises(RuntimeError, match="only support fp16 and bf16"):
        called({"library": "flash_attn"}, flash)


def test_a_function_that_the_target_kept_is_counted_in_the_next_procedure() -> None:
    kept: list[Any] = []
    forced = {"library": "flash_attn", "accepts_float32": True}
    called(forced, lambda: kept.append(importlib.import_module("flash_attn").flash_attn_func))
    q = torch.randn(1, 3, 2, 8)
    assert called(forced, lambda: kept[0](q, q, q))["seen"] == [["flash_attn.flash_attn_func"]]


def test_several_libraries_may_be_there_at_once() -> None:
    reply = called(
        {"library": "flash_attn+xformers"},
        lambda: [importlib.import_module(name).__name__ for name in ("flash_attn", "xformers.ops")],
    )
    assert reply["answers"] == [["flash_attn", "xformers.ops"]]


def test_torch_may_be_without_fused_attention() -> None:
    assert called({"without_sdpa": True}, lambda: hasattr(F, "scaled_dot_product_attention"))["answers"] == [False]
    assert hasattr(F, "scaled_dot_product_attention")


@pytest.mark.parametrize(("kernel", "raises"), [("math", True), ("flash", False)])
def test_one_kernel_alone_answers(kernel: str, raises: bool) -> None:
    def both() -> object:
        q = torch.randn(1, 2, 3, 4)
        return F.scaled_dot_product_attention(q, q, q, attn_mask=torch.zeros(3, 3), is_causal=True)

    if raises:  # the kernels of a CPU disagree about a mask together with is_causal
        with pytest.raises(RuntimeError, match="attn_mask should not be set when is_causal"):
            called({"sdpa": kernel}, both)
    else:
        called({"sdpa": kernel}, both)


class Switched(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.use_flash = False
        self.inner = nn.Linear(2, 2)
        self.inner.use_flash = False  # type: ignore[assignment]


def test_an_attribute_is_set_in_every_part_that_has_it() -> None:
    module = Switched()

    def procedure(subject: dict[str, object]) -> dict[str, object]:
        branches.arranged(Callee(module, lambda leaves, call: None), subject)
        return {}

    branches.forcing(procedure)(subject={"forced": {"attributes": {"use_flash": True, "absent": 1}}})
    assert module.use_flash is True
    assert module.inner.use_flash is True
    assert not hasattr(module, "absent")


def test_a_gpu_is_pretended_and_gone_afterwards() -> None:
    x = torch.randn(2, 3)
    with branches_cuda.pretended():
        assert torch.cuda.is_available()
        assert torch.cuda.get_device_capability() == (9, 0)
        assert torch.cuda.get_device_properties(0).major == 9
        assert x.is_cuda
        assert nn.Linear(3, 3).weight.is_cuda
        assert x.device.type == "cuda"
        assert torch.zeros(2, device=x.device).shape == (2,)
        assert x.to(x.device) is x
        assert x.cuda() is x
        assert nn.Linear(3, 3)(x).shape == (2, 3)
        assert x.device == torch.ones(1).device
    assert not x.is_cuda
    assert x.device == torch.device("cpu")
    assert "device" not in vars(torch.Tensor)


@pytest.mark.parametrize(
    ("name", "held", "texts", "others"),
    [
        ("use_flash_attn", False, (), [True]),
        ("fused_attn", True, (), [False]),
        ("flash", True, (), [False]),
        ("_use_memory_efficient_attention_xformers", False, (), [True]),
        ("fused_qkv", True, (), []),
        ("flash_pack_seq", False, (), []),
        ("use_fused_mlp", True, (), []),
        ("_flash_attn_uses_top_left_mask", True, (), []),
        ("causal", True, (), []),
        ("attn_implementation", "eager", ("eager", "sdpa", "linear"), ["sdpa"]),
        ("backend", "math", ("math", "flash"), ["flash"]),
        ("backend", "nccl", ("nccl", "flash"), []),
        ("attention_type", "softmax", ("softmax", "flash"), []),
    ],
)
def test_an_option_names_an_implementation_or_something_else(
    name: str, held: object, texts: tuple[str, ...], others: list[object]
) -> None:
    assert branches_survey._others(name, held, texts) == others


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("FUSED = hasattr(F, 'scaled_dot_product_attention')", "import"),
        ("def f():\n    return hasattr(F, 'scaled_dot_product_attention')", "call"),
        (
            "try:\n    from torch.nn.functional import scaled_dot_product_attention\nexcept ImportError:\n    pass",
            "import",
        ),
        ("F.scaled_dot_product_attention(q, k, v)", None),
        ("this is not Python", None),
    ],
)
def test_where_a_target_asks_for_fused_attention(text: str, where: str | None) -> None:
    assert branches_survey._guard([text]) == where


def test_libraries_are_told_apart_by_their_whole_names() -> None:
    def named(text: str) -> set[str]:
        return {name for name, pattern in branches_survey._MENTIONS.items() if pattern.search(text)}

    assert named("from flash_attn import flash_attn_func") == {"flash_attn"}
    assert named("from flash_attn.flash_attn_interface import flash_attn_func") == {"flash_attn"}
    assert named("import flash_attn_interface") == {"flash_attn_interface"}
    assert named("import xformers.ops as xops") == {"xformers"}
    assert named("    from torch.nn.attention import flex_attention") == {"flex_attention"}
    assert named("spec = importlib.util.find_spec('xformers')") == {"xformers"}
    assert named("def flash_attn(q): ...  # as xformers does") == set()
    assert named("import triton\nimport triton.language as tl") == {"triton"}
    assert named("# triton would be faster") == set()


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_kernels_of_triton_are_interpreted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kernel_under_test.py").write_text(
        "import torch, triton\nimport triton.language as tl\n"
        "@triton.jit\n"
        "def doubled(x, out, size, BLOCK: tl.constexpr):\n"
        "    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)\n"
        "    tl.store(out + at, 2 * tl.load(x + at, mask=at < size), mask=at < size)\n"
        "def run(x):\n    out = torch.empty_like(x)\n    doubled[(2,)](x, out, x.numel(), BLOCK=4)\n    return out\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    x = torch.arange(7.0)
    reply = called({"library": "triton"}, lambda: importlib.import_module("kernel_under_test").run(x))
    assert torch.equal(reply["answers"][0], 2 * x)
    assert reply["seen"] == [["triton kernel"]]
