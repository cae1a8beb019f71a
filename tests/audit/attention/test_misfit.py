"""A guessed call that returns something of another shape is an error: the guess may be wrong, and not the subject."""

from pathlib import Path

import pytest

from audit.attention.plan import plan_named
from audit.collected import Collected
from audit.execute import open_probe
from audit.judgement import Judgement
from audit.named import Named
from audit.plan import Run
from audit.target import Target, available_cores

SOURCE = '''"""Self-attention that leaves samples out."""
from torch import nn


class Attention(nn.Module):
    def __init__(self, dim, num_heads):
        super().__init__()
        self.heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)

    def forward(self, x, mask=None):
        """`mask` (batch, length) is True where a key is kept."""
        query, key, value = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in self.qkv(x).chunk(3, dim=-1))
        scores = query @ key.mT * query.shape[-1] ** -0.5
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None, :], -1e4)
        output = (scores.softmax(dim=-1) @ value).transpose(1, 2).flatten(2)
        return output if mask is None else output[mask.any(dim=-1)]
'''
LEFT_OUT = "output if mask is None else output[mask.any(dim=-1)]"
SQUEEZED = "output.squeeze(0)"


@pytest.mark.parametrize(
    ("returned", "check", "outcome"),
    [
        (LEFT_OUT, "attention.empty_rows", "error"),
        (LEFT_OUT, "attention.batch_rows", "passed"),
        (SQUEEZED, "attention.batch_rows", "failed"),  # two samples have the right shape, and one alone has not
    ],
)
def test_an_output_of_another_shape(tmp_path: Path, returned: str, check: str, outcome: str) -> None:
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "__init__.py").touch()
    path = tmp_path / "zoo" / "attention.py"
    path.write_text(SOURCE.replace(LEFT_OUT, returned))
    (tmp_path / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\n')
    target = Target.load(tmp_path)
    collected = Collected(target)
    (group,) = plan_named([Named(path, "Attention")])(collected)
    collected.close()
    probe = open_probe(target, side_by_side=available_cores())
    run = Run(target=target, probe=probe, seed=0)
    try:
        built = next(planned for planned in group.planned if planned.check.id == "attention.built").judge(run)
        judged = next(planned for planned in group.planned if planned.check.id == check).judge(run)
    finally:
        probe.close()
    assert isinstance(built, Judgement)
    assert built.outcome == "passed", built.reason
    assert not isinstance(judged, Judgement)
    assert [each.outcome.value for each in judged] == [outcome], [each.reason for each in judged]
    assert outcome == "passed" or all("shape" in str(each.reason) for each in judged)
