"""The command line where there is a GPU: what a CPU cannot show."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

Run = Callable[..., subprocess.CompletedProcess[str]]

# `Left` makes its mask where no device is named: right on a CPU, and in the wrong place on a GPU.
LAYERS = """
import torch
from torch import nn


class Moved(nn.Module):
    def __init__(self, dim, num_heads=4):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def where(self, x):
        return x.device

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4)
        mask = torch.ones(n, n, dtype=torch.bool, device=self.where(x)).tril()
        scores = (q @ k.mT * q.shape[-1] ** -0.5).masked_fill(~mask, float("-inf"))
        return self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, n, c))


class Left(Moved):
    def where(self, x):
        return None
"""
BACKENDS = """
import torch
from torch.nn.functional import scaled_dot_product_attention


def right(query, key, value, is_causal, window):
    return scaled_dot_product_attention(query, key, value, is_causal=is_causal)


def late(query, key, value, is_causal, window):
    return right(query, key, value, False, window)


BENCHMARKS = {name: {"forward": globals()[name]} for name in ("right", "late")}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "zoo").mkdir(parents=True)
    (folder / "zoo" / "__init__.py").touch()
    (folder / "zoo" / "layers.py").write_text(LAYERS)
    (folder / "zoo" / "backends.py").write_text(BACKENDS)
    (folder / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.backends"\n')
    return folder


def judged(run: Run, project: Path, device: str) -> dict[str, set[str]]:
    """The outcomes of each class, on a device."""
    done = run(
        "attention",
        "zoo/layers.py::Moved",
        "zoo/layers.py::Left",
        "--device",
        device,
        "--json",
        "--no-cache",
        cwd=project,
    )
    assert done.stdout, done.stderr
    found: dict[str, set[str]] = {}
    for result in json.loads(done.stdout)["results"]:
        found.setdefault(result["subject"]["qualname"], set()).add(result["outcome"])
    return found


def test_a_tensor_left_on_the_cpu_fails_on_the_gpu_alone(run: Run, project: Path) -> None:
    on_cpu, on_gpu = (judged(run, project, device) for device in ("cpu", "cuda"))
    for found in (on_cpu["Moved"], on_cpu["Left"], on_gpu["Moved"]):
        assert "passed" in found
        assert not found & {"failed", "error"}
    assert on_gpu["Left"] & {"failed", "error"}


def measured(run: Run, folder: Path, *words: str) -> tuple[dict[str, Any], int]:
    case = ("--length", "512", "--head-dim", "64", "--dtype", "bfloat16", "--heads", "4", "--seconds", "0.2")
    done = run("bench", "--device", "cuda", "--output", str(folder / "out"), "--json", *case, *words, cwd=folder)
    assert done.stdout, done.stderr
    return json.loads(done.stdout), done.returncode


def test_backends_are_compared_and_timed_by_events(run: Run, project: Path) -> None:
    names = ("eager", "sdpa", "sdpa_flash", "sdpa_efficient", "flex_attention", "right")
    chosen = [word for name in (*names, "late") for word in ("--backend", name)]
    document, code = measured(run, project, "--no-models", *chosen)
    rows = {(row["backend"]["name"], row["case"]["mode"]): row for row in document["rows"]}
    for name in names:
        for mode in ("forward", "backward", "decode"):
            row = rows[name, mode]
            if mode == "decode" and name in ("sdpa_flash", "right"):  # the rule of one query is a mask, or is another
                continue
            assert row["outcome"] == "measured", (name, mode, row["reason"])
            assert row["timing"]["median_ns"] > 0
            assert row["memory"]["peak_bytes"] is not None
    assert {rows["late", mode]["outcome"] for mode in ("forward", "backward")} == {"wrong"}
    assert "CUDA events" in document["method"]["clock"]
    assert document["hardware"]["kind"] == "cuda"
    assert document["hardware"]["name"] == torch.cuda.get_device_name()
    assert code == 1


def test_a_graph_is_replayed_on_new_inputs(run: Run, project: Path) -> None:
    document, code = measured(run, project, "--graph", "--backend", "sdpa", "--mode", "forward", "--no-models")
    assert [row["outcome"] for row in document["rows"]] == ["measured"], document["rows"]
    assert "replay of a graph" in document["method"]["clock"]
    assert code == 0


def test_doctor_names_the_gpu(run: Run, project: Path) -> None:
    done = run("doctor", cwd=project)
    assert torch.cuda.get_device_name() in done.stdout.replace("\n", " ")
