"""Who does what the head of a printed specs module says, and no more, has specs that are carried out."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

LAYERS = """
import torch
from torch import nn


class CausalSelfAttention(nn.Module):
    def __init__(self, dim, num_heads=4):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4)
        y = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.proj(y.transpose(1, 2).reshape(b, n, c))
"""
PLACES = {"alone": "layers.py", "elsewhere": "lib/pkg/layers.py"}


def followed(text: str, root: Path) -> None:
    """Save the module where its head says, and write the pyproject.toml that it shows."""
    found = re.search(r"^# Save this as (\S+),", text, re.MULTILINE)
    assert found, text
    (root / found[1]).write_text(text)
    shown = re.findall(r"^#     (\[tool.*|package = .*|specs = .*|source = .*)$", text, re.MULTILINE)
    (root / "pyproject.toml").write_text("\n".join([*shown, ""]))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("place", PLACES)
def test_the_printed_module_is_carried_out_where_its_head_says(run: Run, tmp_path: Path, place: str) -> None:
    path = tmp_path / PLACES[place]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(LAYERS)
    (tmp_path / "pyproject.toml").write_text("[tool.astrobio-audit]\n")  # where the project begins
    folder = path.parent
    while folder.name == "pkg":
        (folder / "__init__.py").write_text("")
        folder = folder.parent
    printed = run("spec", f"{path}::CausalSelfAttention", cwd=tmp_path)
    assert printed.returncode == 0, printed.stderr
    followed(printed.stdout, tmp_path)
    only = ["--only", "attention.declared", "--only", "attention.causality"]
    done = run("attention", "--target", str(tmp_path), *only, "--format", "json", cwd=tmp_path)
    results = json.loads(done.stdout)["results"]
    outcomes = {result["check"]: result["outcome"] for result in results}
    assert outcomes == {"attention.declared": "passed", "attention.causality": "passed"}, results
