"""Which files are mutated: what computes, and not what only specs or claims have a use for."""

from contextlib import closing
from pathlib import Path

import pytest

from audit.collected import Collected
from audit.target import Target
from validation.mutation.candidates import candidates

MODEL = "import torch\nfrom torch import nn\n\n\nclass Net(nn.Module):\n    def forward(self, x):\n        return x\n"
CLAIMS = f"{MODEL}\n\ndef plain(x):\n    return x\n\n\ndef inputs(generator):\n    return {{}}\n"
TABLE = """[tool.astrobio-audit]
package = "zoo"
[[tool.astrobio-audit.claims]]
id = "fast"
statement = "it is fast"
published = {file = "README.md", text = "fast"}
kind = "speed_ratio"
at_least = 2.0
baseline = "zoo.claims:plain"
candidate = "zoo.model:Net"
inputs = "zoo.claims:inputs"
"""


@pytest.mark.parametrize(
    ("table", "more", "expected"),
    [
        (TABLE, "", ["zoo/model.py"]),  # which a claim names too, and others import
        (TABLE.partition("[[")[0], "", ["zoo/claims.py", "zoo/model.py"]),
        (TABLE, "from zoo.claims import plain\n", ["zoo/claims.py", "zoo/model.py"]),
    ],
)
def test_what_only_claims_use_is_not_mutated(tmp_path: Path, table: str, more: str, expected: list[str]) -> None:
    (tmp_path / "zoo").mkdir()
    files = {"__init__": "from zoo.model import Net\n", "model": MODEL, "claims": CLAIMS, "more": more}
    for name, text in files.items():
        (tmp_path / "zoo" / f"{name}.py").write_text(text)
    (tmp_path / "pyproject.toml").write_text(table)
    with closing(Collected(Target.load(tmp_path))) as collected:
        assert sorted(each.path for each in candidates(collected, training=False)) == expected
