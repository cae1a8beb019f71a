"""The script that times attention kernels: what it does without a GPU, and that it knows right from wrong."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "attention_kernels.py"


@pytest.fixture(scope="module")
def benchmark_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("attention_kernels", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, and this is about having none")
def test_without_a_gpu_it_says_so_and_writes_nothing(tmp_path: Path) -> None:
    report = tmp_path / "reports" / "table.md"
    found = subprocess.run([sys.executable, str(SCRIPT), str(report)], capture_output=True, text=True)
    assert found.returncode == 3
    assert found.stderr == "no CUDA device: nothing was measured and nothing is written\n"
    assert not report.parent.exists()


def tiny(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> tuple[object, list[Tensor], Tensor]:
    monkeypatch.setattr(script, "TOKENS", 48)
    monkeypatch.setattr(script, "HIDDEN", 32)
    case = script.Case(head_dim=16, is_causal=True, length=24)
    generator = torch.Generator().manual_seed(0)
    *inputs, weights = torch.randn(4, *case.shape, generator=generator).bfloat16()
    return case, [tensor.requires_grad_() for tensor in inputs], weights


def test_attention_that_is_right_passes_its_check(
    benchmark_script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, inputs, weights = tiny(benchmark_script, monkeypatch)
    assert case.shape == (2, 2, 24, 16)

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(query, key, value, is_causal=True)

    assert benchmark_script.checked(attend, case, inputs, weights) is None


def test_attention_that_is_wrong_in_one_head_or_raises_gets_no_time(
    benchmark_script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, inputs, weights = tiny(benchmark_script, monkeypatch)

    def wrong_in_the_last_head(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        right = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return torch.cat((right[:, :-1], F.scaled_dot_product_attention(query, key, value)[:, -1:]), dim=1)

    def raising(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        raise RuntimeError("no kernel image\nand more")

    found = benchmark_script.checked(wrong_in_the_last_head, case, inputs, weights)
    assert found.startswith("wrong: output is off by ")
    assert found.endswith("(sample 1, head 1)")
    assert benchmark_script.checked(raising, case, inputs, weights) == "raised RuntimeError: no kernel image"


def test_the_table_has_times_ratios_and_reasons(benchmark_script: ModuleType) -> None:
    case = benchmark_script.Case(head_dim=64, is_causal=True, length=16_384)
    times = {benchmark_script.BASELINE: [2.0, 2.2, 1.8], "triton": [1.0, 2.2, 0.9]}
    no_time = dict.fromkeys(benchmark_script.LIBRARIES, "not installed")
    row = benchmark_script.Row(case, False, times, no_time)
    line = benchmark_script.table([row], header="today").splitlines()[-1]
    # 4 * 1 sample * 32 heads * 16384^2 * 64 / 2 operations in 2 ms and in 1 ms
    assert line == (
        "| 64 | yes | 16384 | forward | 2.000 ms, 550 TFLOP/s | 1.000 ms, 1100 TFLOP/s, 2.00x "
        "| not installed | not installed | not installed |"
    )
