"""`spec` of a whole model whose call is not found out prints an entry of MODELS, not an attention."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("astrobio-audit")
ATTENTION = """from torch import nn


class SelfAttention(nn.Module):
    def __init__(self, dim: int = 24, num_heads: int = 4):
        super().__init__()
        self.num_heads = num_heads
        self.q, self.k, self.v, self.out = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, x):
        q, k, v = (each(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for each in (self.q, self.k, self.v))
        return self.out(((q @ k.mT * q.shape[-1] ** -0.5).softmax(dim=-1) @ v).transpose(1, 2).flatten(2))
"""
MODEL = """from torch import nn

from .attention import SelfAttention


class Encoder(nn.Module):
    def __init__(self, features: int = 16, dim: int = 24):
        super().__init__()
        self.first, self.attention = nn.Linear(features, dim), SelfAttention(dim)

    def forward(self, frames, wanted):
        if wanted.names != "only its owner knows":
            raise TypeError("another is wanted")
        return self.attention(self.first(frames)).mean(1)
"""


def printed(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    (folder / "zoo").mkdir()
    for file, content in (("__init__", ""), ("attention", ATTENTION), ("model", MODEL)):
        (folder / "zoo" / f"{file}.py").write_text(content)
    command = [PROGRAM, "spec", name]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180, check=False)


@pytest.mark.slow
def test_a_model_in_which_other_classes_attend_stands_in_models(tmp_path: Path) -> None:
    done = printed(tmp_path, "zoo/model.py::Encoder")
    assert done.returncode == 1, done.stderr
    models, _, attention = done.stdout.partition("ATTENTION: dict[str, dict[str, object]] = {")
    assert '"class": "zoo.model:Encoder"' in models
    assert "# decide: fill in `build_model` and `inputs`." in models
    assert "import torch\n" in models
    assert "zoo.model" not in attention
    assert "# also: astrobio-audit spec zoo/attention.py::SelfAttention" in attention


@pytest.mark.slow
def test_attention_itself_does_not(tmp_path: Path) -> None:
    done = printed(tmp_path, "zoo/attention.py::SelfAttention")
    assert done.returncode == 0, done.stderr
    models, _, attention = done.stdout.partition("ATTENTION: dict[str, dict[str, object]] = {")
    assert '"class": "zoo.attention:SelfAttention"' in attention
    assert "with `import torch`" in models
