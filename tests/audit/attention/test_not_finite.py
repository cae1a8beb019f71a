"""An output that is no number is told once, with the place; whatever needs it waits, and what does not is judged."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.attention.plan import plan_attention
from audit.results import Outcome
from audit.session import Request, conduct
from audit.target import Target

_MODULE = """import torch
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    def __init__(self, dim: int = 24, num_heads: int = 4):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(dim, dim) for _ in range(4))
        {built}

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = (each(x).view(b, n, self.num_heads, -1).transpose(1, 2)
                   for each in (self.q_proj, self.k_proj, self.v_proj))
        {computed}
        out = F.scaled_dot_product_attention(q, k, v)
        return self.out_proj(out.transpose(1, 2).reshape(b, n, d))
"""
# What each is, and what is said of the place.
SUBJECTS = {
    "right": ("pass", "pass", ""),
    "logarithm": ("pass", "v = torch.log(v)", "NaN appears first in log at zoo/logarithm.py:17"),
    "some_rows": ("pass", "v = torch.cat((v[:, :1].sqrt(), v[:, 1:]), 1)", "NaN appears first in sqrt at zoo/some_row"),
    "last_row": ("pass", "q = torch.cat((q[:, :, :-1], q[:, :, -1:] * torch.inf), 2)", "NaN appears first in"),
    "overflow": ("pass", "v = v.exp() * 1e38 * 1e38", "infinity appears first in mul at zoo/overflow.py:17, then NaN"),
    "weight": ("self.v_proj.bias.data[0] = float('nan')", "pass", "the weight v_proj.bias holds NaN as it was built"),
}
_SPECS = """from zoo import {names}

NAMES = {{"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}}
CONTRACT = {{"embed_dim": 24, "num_heads": 4, "num_kv_heads": 4, "head_dim": 6, "is_causal": False}}


def declared(module, **more):
    return {{
        "class": f"{{module.__name__}}:Attention",
        "build": module.Attention,
        "forward": lambda built, x, key_mask: built(x),
        "contract": {{**CONTRACT, **more}},
    }}


ATTENTION = {{f"{{each.__name__[4:]}} without oracle": declared(each) for each in ({names},)}}
ATTENTION |= {{each.__name__[4:]: declared(each, projections=NAMES) for each in ({names},)}}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("not_finite")
    (root / "zoo").mkdir()
    (root / "zoo" / "__init__.py").touch()
    for name, (built, computed, _) in SUBJECTS.items():
        (root / "zoo" / f"{name}.py").write_text(_MODULE.format(built=built, computed=computed))
    (root / "zoo" / "specs.py").write_text(_SPECS.format(names=", ".join(SUBJECTS)))
    (root / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\n')
    return root


@pytest.fixture(scope="module")
def results(project: Path) -> Callable[[str], dict[str, Any]]:
    report = conduct(Target.load(project), Request(command="attention", planners=[plan_attention], explain=False))
    return lambda name: {each.check: each for each in report.results if each.subject.spec == name}


WRONG = [name for name in SUBJECTS if name != "right"]


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("how", ["", " without oracle"])
def test_one_result_says_where_and_the_others_wait(
    results: Callable[[str], dict[str, Any]], name: str, how: str
) -> None:
    found = results(name + how)
    told = {check: each for check, each in found.items() if SUBJECTS[name][2] in (each.reason or "")}
    first = next(iter(told))
    assert len(told) == 1
    # Where the weights are none, the oracle has no numbers either.
    assert told[first].outcome is (Outcome.ERROR if how or name == "weight" else Outcome.FAILED)
    waiting = [each for each in found.values() if (each.reason or "").startswith(f"waits on {first}")]
    assert len(waiting) >= 5
    assert {each.outcome for each in waiting} == {Outcome.SKIPPED}
    assert [check for check, each in found.items() if each.outcome is Outcome.ERROR and check != first] == []


@pytest.mark.parametrize("how", ["", " without oracle"])
def test_what_gives_numbers_is_judged_as_before(results: Callable[[str], dict[str, Any]], how: str) -> None:
    found = results(f"right{how}")
    assert [check for check, each in found.items() if each.outcome in (Outcome.ERROR, Outcome.FAILED)] == []
    assert not any("waits on" in (each.reason or "") for each in found.values())


def test_a_check_that_is_carried_out_alone_says_it_itself(project: Path) -> None:
    only = ["attention.repeatable"]
    report = conduct(
        Target.load(project),
        Request(command="attention", planners=[plan_attention], only=only, subjects=["logarithm"], explain=False),
    )
    (result,) = report.results
    assert result.outcome is Outcome.ERROR
    assert SUBJECTS["logarithm"][2] in (result.reason or "")


def test_positions_without_numbers_are_told_where_others_have_some(results: Callable[[str], dict[str, Any]]) -> None:
    where = "not finite at the last position, and is at the others"
    said = {
        name: any(where in (each.reason or "") for each in results(f"{name} without oracle").values()) for name in WRONG
    }
    assert said == {name: name == "last_row" for name in WRONG}
