"""What the specs declare may take short inputs only: nobody declares how long one may be."""

from pathlib import Path

import pytest

from audit.attention.plan import plan_attention
from audit.results import Outcome, Result
from audit.session import Request, conduct
from audit.target import Target

SPECS = """import torch
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    def __init__(self, block_size):
        super().__init__()
        self.qkv = nn.Linear(24, 72)
        self.register_buffer("bias", torch.tril(torch.ones(block_size, block_size)).view(1, 1, block_size, block_size))

    def forward(self, x):
        q, k, v = (each.unflatten(-1, (4, 6)).transpose(1, 2) for each in self.qkv(x).chunk(3, dim=-1))
        length = x.shape[1]
        scores = q @ k.mT / SCALE**0.5
        scores = scores.masked_fill(self.bias[:, :, :length, :length] == 0, -torch.inf)
        return (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)


ATTENTION = {
    "attention": {
        "class": "zoo.specs:Attention",
        "build": lambda: Attention(SIZE),
        "forward": lambda module, x, key_mask: module(x),
        "contract": {"embed_dim": 24, "num_heads": 4, "num_kv_heads": 4, "head_dim": 6, "is_causal": True},
    }
}
"""


def prefix(folder: Path, *, block_size: int, scale: str) -> Result:
    (folder / "zoo").mkdir()
    (folder / "zoo" / "__init__.py").touch()
    (folder / "zoo" / "specs.py").write_text(SPECS.replace("SIZE", str(block_size)).replace("SCALE", scale))
    (folder / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\n')
    request = Request(
        command="attention", planners=[plan_attention], only=["attention.prefix"], subjects=["attention"], explain=False
    )
    (found,) = (each for each in conduct(Target.load(folder), request).results if each.check == "attention.prefix")
    return found


@pytest.mark.parametrize(
    ("block_size", "scale", "outcome"),
    [
        (64, "6", Outcome.PASSED),
        (11, "6", Outcome.PASSED),
        (11, "length", Outcome.FAILED),
        (8, "6", Outcome.FAILED),  # it cannot take what all other checks pass it either
    ],
)
def test_a_declared_class_is_judged_at_the_lengths_that_it_takes(
    tmp_path: Path, block_size: int, scale: str, outcome: Outcome
) -> None:
    found = prefix(tmp_path, block_size=block_size, scale=scale)
    assert found.outcome is outcome, found.reason
