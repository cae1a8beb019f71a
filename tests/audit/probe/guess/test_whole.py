"""How a whole model is fed, where only its layers say what it takes."""

from pathlib import Path

import pytest

from audit.probe.guess.whole import find

MODEL = """
import torch
from torch import nn


class Series(nn.Module):
    def __init__(self, dim=32):
        super().__init__()
        self.embed, self.head = nn.Linear(IN, dim), nn.Linear(dim, 3)

    def forward(self, x):
        hidden = self.embed(x.unsqueeze(-1) if IN == 1 else x)
        batch, length, width = hidden.shape
        return self.head(hidden.mean(1))
"""


@pytest.mark.parametrize(("width", "fed"), [(1, "x=normal (B, 12)"), (5, "x=normal (B, 12, 5)")])
def test_what_takes_one_number_gets_more_than_one_position(tmp_path: Path, width: int, fed: str) -> None:
    path = tmp_path / f"series_{width}.py"
    path.write_text(MODEL.replace("IN", str(width)))
    found = find(str(path), None, "Series", 0)
    assert (found["problem"], found["fed"]) == (None, fed)
