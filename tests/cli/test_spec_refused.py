"""`astrobio-audit spec` of files whose names are no names, and of models whose attention stands elsewhere."""

import ast
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

ATTENTION = """
from torch import nn
from torch.nn.functional import scaled_dot_product_attention


class CausalAttention(nn.Module):
    def __init__(self, dim, num_heads=4):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4)
        y = scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.proj(y.transpose(1, 2).reshape(b, n, c))
"""
MODEL = """
from torch import nn

from .layers import CausalAttention


class Language(nn.Module):
    def __init__(self, vocab_size=50, dim=32):
        super().__init__()
        self.tokens, self.attention = nn.Embedding(vocab_size, dim), CausalAttention(dim)
        self.out = nn.Linear(dim, vocab_size)

    def forward(self, input_ids):
        return self.out(self.attention(self.tokens(input_ids)))
"""


@pytest.mark.parametrize("file", ["my-model.py", 'a"""\nimport os; os.system("touch INJ") #.py'])
def test_a_file_that_no_import_can_name_is_refused(run: Run, tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_text(ATTENTION)
    done = run("spec", f"{file}::CausalAttention", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "cannot be imported by name" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["spec", "attention"])
def test_a_file_whose_name_is_no_text_is_one_line_and_exit_code_2(run: Run, tmp_path: Path, command: str) -> None:
    file = "s\udcff.py"  # as the shell hands over the byte ff
    with open(os.path.join(tmp_path, file), "w") as stream:
        stream.write(ATTENTION)
    done = run(command, f"{file}::CausalAttention", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_attention_of_a_model_that_stands_in_another_file_is_named(run: Run, tmp_path: Path) -> None:
    package = tmp_path / "zoo"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "layers.py").write_text(ATTENTION)
    (package / "model.py").write_text(MODEL)
    done = run("spec", "zoo/model.py::Language", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    ast.parse(done.stdout)
    assert "# also: astrobio-audit spec zoo/layers.py::CausalAttention" in done.stdout


LIMITED = """
from torch import nn, ones, tril


class CausalLimited(nn.Module):
    def __init__(self, dim=32, heads=4, block_size: int = BLOCK):
        super().__init__()
        self.heads = heads
        self.c_attn, self.c_proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.register_buffer("bias", tril(ones(block_size, block_size)))

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = (t.view(b, n, self.heads, -1).transpose(1, 2) for t in self.c_attn(x).split(c, dim=2))
        att = (q @ k.mT * k.shape[-1] ** -0.5).masked_fill(self.bias[:n, :n] == 0, float("-inf")).softmax(-1)
        return self.c_proj((att @ v).transpose(1, 2).reshape(b, n, c))
"""


@pytest.mark.parametrize(("block", "is_written"), [(1024, False), (64, False), (12, True)])
def test_a_default_length_that_suffices_is_left_out(run: Run, tmp_path: Path, block: int, is_written: bool) -> None:
    (tmp_path / "limited.py").write_text(LIMITED.replace("BLOCK", str(block)))
    done = run("spec", "limited.py::CausalLimited", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ("block_size=64" in done.stdout) == is_written
    assert ("block_size" in done.stdout) == is_written
