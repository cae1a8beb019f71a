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
NETWORK = """from torch import nn

from .parts import Norm


class {name}(nn.Module):
    def __init__(self, block, layers):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3), Norm(8)
        self.layers = nn.Sequential(*[block(8) for _ in range(sum(layers))])

    def forward(self, image):
        return self.layers(self.norm(self.stem(image))).mean((2, 3))
"""
PARTS = "from torch import nn\n\n\nclass Norm(nn.BatchNorm2d):\n    pass\n"


def printed(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    (folder / "zoo").mkdir()
    files = {"__init__": "", "attention": ATTENTION, "model": MODEL, "parts": PARTS}
    files["network"] = "\n\n".join(NETWORK.format(name=name) for name in ("Residual", "AttentionPool"))
    for file, content in files.items():
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


@pytest.mark.slow
@pytest.mark.parametrize(("name", "section"), [("Residual", "MODELS"), ("AttentionPool", "ATTENTION")])
def test_a_module_that_is_not_found_out_stands_where_its_name_says(tmp_path: Path, name: str, section: str) -> None:
    done = printed(tmp_path, f"zoo/network.py::{name}")
    assert done.returncode == 1, done.stderr
    assert "# Not found out:" in done.stdout
    models, _, attention = done.stdout.partition("ATTENTION: dict[str, dict[str, object]] = {")
    holder, other = (models, attention) if section == "MODELS" else (attention, models)
    assert f'": "zoo.network:{name}"' in holder
    assert f'": "zoo.network:{name}"' not in other
