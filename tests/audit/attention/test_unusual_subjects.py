"""Subjects that are correct though unusual, references that are no reference, and entries that cannot be used."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.attention.plan import plan_attention
from audit.results import Outcome
from audit.session import Request, conduct
from audit.target import Target

pytestmark = pytest.mark.slow  # the first test waits for a run over all of them

FIXTURES = Path(__file__).parents[2] / "fixtures" / "attention"
CLEAN = FIXTURES / "clean" / "zoo"
LAST_LAYER = "self.out_proj = nn.Linear(num_heads * head_dim, embed_dim)"
PROJECTIONS = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}
NAN = "float('nan')"
Entry = tuple[str, str, str]  # a statement at the end of __init__, a change of the entry, a change of the contract

# Each computes what its contract says.
CORRECT: dict[str, Entry] = {
    "frozen_projection": ("self.k_proj.requires_grad_(False)", "", ""),
    "frozen_wholly": ("self.requires_grad_(False)", "", ""),
    "tied_key_and_value": ("self.v_proj = self.k_proj", "", ""),
    "buffers": ("self.register_buffer('calls', torch.zeros(3, dtype=torch.long))", "", ""),
    "weights_in_float64": ("self.double()", "", ""),
    "two_layers_one_after_another": ("self.q_proj.weight.data *= 4", "", ""),
    "zero_biases": ("[nn.init.zeros_(m.bias) for m in self.children()]", "", ""),
}
# Whatever these compute, the oracle cannot tell right from wrong.
NO_REFERENCE: dict[str, Entry] = {
    "weights_nan": (f"nn.init.constant_(self.out_proj.weight, {NAN})", "", ""),
    "weights_infinite": ("nn.init.constant_(self.v_proj.weight, float('inf'))", "", ""),
    "output_constant": ("nn.init.zeros_(self.out_proj.weight)", "", ""),
    "values_constant": ("nn.init.zeros_(self.v_proj.weight)", "", ""),
    "float16_overflow": ("self.v_proj.weight.data *= 1e6", "", "'dtypes': ['float16']"),
    "scale_nan": ("", "", f"'scale': {NAN}"),
    "scale_infinite": ("", "", "'scale': float('inf')"),
    "rotary_base_negative": ("", "", "'rotary_base': -10000.0"),
    "rotary_base_zero": ("", "", "'rotary_base': 0.0"),
    # The contract is wrong about causality and positions, which a constant output hides.
    "constant_and_wrong": (
        "nn.init.zeros_(self.out_proj.weight)",
        "",
        "'is_causal': False, 'key_mask': False, 'rotary_base': None",
    ),
}
# Each promises what the module does not do, or cannot be called: failed or error, with a reason a reader understands.
UNUSABLE: dict[str, Entry] = {
    "weight_normalised": ("nn.utils.parametrizations.weight_norm(self.k_proj)", "", ""),
    "no_dict": ("", "= 3", ""),
    "empty": ("", "= {}", ""),
    "no_contract": ("", ".pop('contract')", ""),
    "no_build": ("", ".pop('build')", ""),
    "build_is_text": ("", "['build'] = 'Attention'", ""),
    "decode_is_text": ("", "['decode'] = 'decode'", ""),
    "class_is_a_class": ("", "['class'] = torch.nn.Linear", ""),
    "class_elsewhere": ("", "['class'] = 'zoo.elsewhere:Attention'", ""),
    "class_of_torch": ("", "['class'] = 'torch.nn:MultiheadAttention'", ""),
    "builds_a_stand_in": ("", "['build'] = lambda: torch.nn.Linear(24, 24)", ""),
    "builds_one_that_raises": ("", "['build'] = lambda: torch.nn.Bilinear(24, 24, 24)", ""),
    "builds_a_tensor": ("", "['build'] = lambda: torch.ones(2)", ""),
    "build_raises": ("", "['build'] = lambda: 1 / 0", ""),
    "forward_raises": ("", "['forward'] = lambda module, x, key_mask: 1 / 0", ""),
    "forward_takes_two": ("", "['forward'] = lambda module, x: module(x)", ""),
    "forward_gives_a_tuple": ("", "['forward'] = lambda module, x, key_mask: (module(x, key_mask), None)", ""),
    "forward_gives_integers": ("", "['forward'] = lambda module, x, key_mask: module(x, key_mask).long()", ""),
    "forward_gives_a_vector": ("", "['forward'] = lambda module, x, key_mask: module(x, key_mask).sum((1, 2))", ""),
    "forward_gives_a_number": ("", "['forward'] = lambda module, x, key_mask: module(x, key_mask).sum()", ""),
    "forward_gives_nothing": ("", "['forward'] = lambda module, x, key_mask: x[:0]", ""),
    "forward_drops_the_graph": ("", "['forward'] = lambda module, x, key_mask: module(x, key_mask).detach()", ""),
    "decode_gives_none": ("", "['decode'] = lambda module, chunks: None", ""),
    "decode_gives_the_last_chunk": ("", "['decode'] = lambda module, chunks: module(chunks[-1])", ""),
    "contract_holds_a_tensor": ("", "['contract']['num_heads'] = torch.tensor(4)", ""),
    "heads_not_a_multiple": ("", "", "'num_heads': 5"),
    "heads_zero": ("", "", "'num_heads': 0"),
    "heads_text": ("", "", "'num_heads': 'four'"),
    "key_unknown": ("", "", "'windows': 3"),
    "no_embed_dim": ("", "['contract'].pop('embed_dim')", ""),
    "no_dtypes": ("", "", "'dtypes': []"),
    "dtype_unknown": ("", "", "'dtypes': ['float8']"),
    "alignment_unknown": ("", "", "'causal_alignment': 'left'"),
    "projection_lacking": ("", "['contract']['projections'].pop('value')", ""),
    "projection_unknown": ("", "['contract']['projections']['value'] = 'values'", ""),
    "projection_not_linear": ("", "['contract']['projections']['value'] = ''", ""),
    "projections_mixed_up": ("", "['contract']['projections']['key'] = 'out_proj'", ""),
    "twice_the_heads": ("", "", "'num_heads': 8"),
    "key_heads_three": ("", "", "'num_heads': 6, 'num_kv_heads': 3"),
    "odd_head_dim": ("", "", "'head_dim': 7"),
    "half_the_head_dim": ("", "", "'head_dim': 4"),
    "wider_input": ("", "", "'embed_dim': 25"),
    "huge_input": ("", "", "'embed_dim': 10**12"),
    "causality_denied": ("", "", "'is_causal': False"),
}
SPECS = """
import copy
import importlib
import torch
from zoo.specs import ATTENTION as CLEAN

def entry(name):
    attention = copy.deepcopy(CLEAN["attention"])
    attention["class"] = f"zoo.{name}:Attention"
    attention["build"] = importlib.import_module(f"zoo.{name}").Attention
    return attention

ATTENTION = {}
"""
# Not causal and without a mask, so that the oracle is the only check of outputs; its values leave float16's range.
OVERFLOWING = """
from zoo import modules

class Overflowing(modules.Bidirectional):
    def __init__(self):
        super().__init__()
        self.v.weight.data *= 1e6

    def forward(self, x, key_mask):
        return super().forward(x, key_mask) * (float("nan") if x.dtype.itemsize == 2 else 1)
"""
OVERFLOWING_ENTRY = """
from zoo.overflowing import Overflowing

ATTENTION["overflowing"] = {
    "class": "zoo.overflowing:Overflowing",
    "build": Overflowing,
    "forward": lambda module, x, key_mask: module(x, None),
    "contract": {
        "embed_dim": 20, "num_heads": 4, "num_kv_heads": 2, "head_dim": 6, "is_causal": False, "dtypes": ["float16"],
        "projections": {"query": "q", "key": "k", "value": "v", "output": "out"},
    },
}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One package with a module for every entry."""
    root = tmp_path_factory.mktemp("unusual")
    (root / "zoo").mkdir()
    for name in ("__init__.py", "specs.py", "attention.py"):
        (root / "zoo" / name).write_text((CLEAN / name).read_text())
    specs = SPECS
    for name, (statement, change, promises) in (CORRECT | NO_REFERENCE | UNUSABLE).items():
        source = (CLEAN / "attention.py").read_text()
        assert source.count(LAST_LAYER) == 1
        (root / "zoo" / f"{name}.py").write_text(source.replace(LAST_LAYER, f"{LAST_LAYER}\n        {statement}"))
        specs += f"ATTENTION[{name!r}] = entry({name!r})\n"
        specs += f"ATTENTION[{name!r}]{change}\n" if change else ""
        specs += f"ATTENTION[{name!r}]['contract'].update({{{promises}}})\n" if promises else ""
    (root / "zoo" / "modules.py").write_text((FIXTURES / "styles" / "zoo" / "modules.py").read_text())
    (root / "zoo" / "overflowing.py").write_text(OVERFLOWING)
    (root / "zoo" / "unusual.py").write_text(specs + OVERFLOWING_ENTRY)
    (root / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.unusual"\nworkers = 2\n')
    return root


@pytest.fixture(scope="module")
def results(project: Path) -> Callable[[str], dict[str, Any]]:
    """Every result of one subject by its check."""
    report = conduct(Target.load(project), Request(command="attention", planners=[plan_attention]))
    return lambda name: {result.check: result for result in report.results if result.subject.spec == name}


def reasons(of: dict[str, Any], *outcomes: str) -> list[str]:
    return [f"{check}: {result.outcome}: {result.reason}" for check, result in of.items() if result.outcome in outcomes]


@pytest.mark.parametrize("name", CORRECT)
def test_no_false_alarm_on(results: Callable[[str], dict[str, Any]], name: str) -> None:
    found = results(name)
    assert found
    assert reasons(found, "failed", "error") == []


@pytest.mark.parametrize("name", NO_REFERENCE)
def test_the_oracle_passes_nothing_without_a_reference(results: Callable[[str], dict[str, Any]], name: str) -> None:
    found = results(name)
    assert found["attention.oracle"].outcome is not Outcome.PASSED, found["attention.oracle"].evidence


@pytest.mark.parametrize("name", NO_REFERENCE)
def test_what_has_no_reference_does_not_come_out_clean(results: Callable[[str], dict[str, Any]], name: str) -> None:
    assert reasons(results(name), "failed", "error", "skipped")


def test_outputs_that_are_nan_everywhere_do_not_come_out_clean(results: Callable[[str], dict[str, Any]]) -> None:
    assert reasons(results("overflowing"), "failed", "error", "skipped")


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_entry_is_told_and_not_passed(results: Callable[[str], dict[str, Any]], name: str) -> None:
    found = results(name)
    assert found
    assert reasons(found, "failed", "error")


@pytest.mark.parametrize("name", ["builds_a_stand_in", "builds_one_that_raises"])
def test_no_check_of_a_stand_in_says_more_than_that_it_is_one(
    results: Callable[[str], dict[str, Any]], name: str
) -> None:
    judged = {check: result for check, result in results(name).items() if result.outcome is not Outcome.NOT_APPLICABLE}
    assert {"attention.branches", "attention.oracle", "attention.scale"} <= judged.keys()
    assert {check for check, result in judged.items() if result.outcome is not Outcome.ERROR} == set()
    assert all("a stand-in is not judged" in result.reason for result in judged.values())


@pytest.mark.parametrize("name", [*NO_REFERENCE, *UNUSABLE])
def test_no_entry_is_called_a_defect_of_the_tool(results: Callable[[str], dict[str, Any]], name: str) -> None:
    assert [text for text in reasons(results(name), "error") if "internal error" in text] == []
