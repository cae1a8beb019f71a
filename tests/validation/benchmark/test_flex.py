"""flex_attention in the benchmark is compiled for each case, however many there are."""

import pytest
import torch

from audit.probe.benchmark import contenders
from audit.probe.benchmark.cases import Case


def _case(length: int) -> Case:
    return Case(
        batch=1, heads=1, kv_heads=1, length=length, head_dim=8, is_causal=True, window=None, dtype=torch.float32,
        mode="forward",
    )  # fmt: skip


def test_a_case_is_compiled_once_and_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[dict[str, object]] = []
    resets: list[int] = []

    def compile_(function: object, **settings: object) -> object:
        compiled.append(settings)
        return function

    monkeypatch.setattr(torch, "compile", compile_)
    monkeypatch.setattr(torch.compiler, "reset", lambda: resets.append(1))
    monkeypatch.setattr(contenders, "_flexes", {})
    first = contenders.BUILT_IN["flex_attention"](_case(128))
    assert contenders.BUILT_IN["flex_attention"](_case(128)) is first
    assert contenders.BUILT_IN["flex_attention"](_case(256)) is not first
    assert compiled == [{"dynamic": False}] * 2
    assert len(resets) == 2
