"""A causal mask that is turned round is named so, in whatever way it is written; what is near it keeps its own name."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from audit.attention.defects import conclude
from audit.attention.guessed import guessed_groups
from audit.attention.named import item_named
from audit.attention.plan import plan_attention
from audit.collected import Collected
from audit.execute import Execution
from audit.named import Named
from audit.results import Defect, Outcome, Result
from audit.target import Target

_HEAD = '''import math

import torch
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Causal multi-head self attention."""

    def __init__(self, dim: int, num_heads: int = 4):
        super().__init__()
        self.num_heads = num_heads
'''
_OWN = (
    _HEAD
    + """        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = (each(x).view(b, n, self.num_heads, -1).transpose(1, 2)
                   for each in (self.q_proj, self.k_proj, self.v_proj))
        square = torch.ones(n, n, dtype=torch.bool)
{computed}
        return self.out_proj(out.transpose(1, 2).reshape(b, n, d))
"""
)
_TORCHS = (
    _HEAD
    + """        self.inner = nn.MultiheadAttention(dim, num_heads, batch_first=True)

    def forward(self, x):
        hidden = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).{hidden}
        return self.inner(x, x, x, attn_mask=hidden, need_weights=False)[0]
"""
)


def kept(keys: str) -> str:
    return _OWN.format(computed=f"        out = F.scaled_dot_product_attention(q, k, v, attn_mask=square.{keys})")


def filled(hidden: str, value: str) -> str:
    return _OWN.format(
        computed="        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])\n"
        f"        out = scores.masked_fill(square.{hidden}, {value}).softmax(dim=-1) @ v"
    )


_INFINITE = 'float("-inf")'
RIGHT = {
    "kept": kept("tril()"),
    "torchs": _TORCHS.format(hidden="triu(1)"),
    "filled": filled("triu(1)", _INFINITE),
    "filled_finite": filled("triu(1)", "-1e9"),
}
WRONG: dict[str, tuple[str, str]] = {
    "kept_inverted": (kept("triu(1)"), "causal_inverted"),
    "kept_upper": (kept("triu()"), "causal_inverted"),
    "torchs_inverted": (_TORCHS.format(hidden="tril()"), "causal_inverted"),
    "torchs_upper": (_TORCHS.format(hidden="tril(-1)"), "causal_inverted"),
    "filled_inverted": (filled("tril()", _INFINITE), "causal_inverted"),
    "filled_finite_inverted": (filled("tril()", "-1e9"), "causal_inverted"),
    "kept_upper_window": (kept("triu().tril(3)"), "causal_inverted"),
    "filled_inverted_window": (filled("tril(-1) | square.triu(3)", "-1e9"), "causal_inverted"),
    "kept_next": (kept("tril(1)"), "later_tokens"),
    "filled_next": (filled("triu(2)", _INFINITE), "later_tokens"),
    "left_out": (kept("bool()"), "later_tokens"),
    "own_hidden": (filled("triu()", _INFINITE), "empty_rows"),
}
# Declared to be causal within a window: what each is named, and what is said of it.
_WINDOWED: dict[str, tuple[str, str, str]] = {
    "window_inverted": (kept("triu().tril(3)"), "causal_inverted", "the next 3, as its window lets it"),
    "window_of_two_inverted": (kept("triu().tril(1)"), "causal_inverted", "each token sees the next one and no"),
    "window_both_sides": (kept("triu(-3).tril(3)"), "later_tokens", ""),
    "window_with_gaps": (kept("triu(1).tril(4).logical_xor(square.triu(2).tril(2))"), "later_tokens", ""),
}
# Declared not to be causal: what each is named, and what is said of it.
_SAID_OTHERWISE: dict[str, tuple[str, str, str]] = {
    "causal": (filled("triu(1)", _INFINITE), "causality", "it is causal although declared not to be"),
    "inverted": (filled("tril()", "-1e9"), "causal_inverted", "it is declared not to be causal"),
    "inverted_without_last": (filled("tril()", _INFINITE), "causal_inverted", "it is declared not to be causal"),
}
_SPECS = """from zoo import {names}

NAMES = {{"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}}
CONTRACT = {{"embed_dim": 24, "num_heads": 4, "num_kv_heads": 4, "head_dim": 6, "projections": NAMES}}


def declared(module, **more):
    return {{
        "class": f"{{module.__name__}}:Attention",
        "build": lambda: module.Attention(24, 4),
        "forward": lambda built, x, key_mask: built(x),
        "contract": {{**CONTRACT, **more}},
    }}


ATTENTION = {{
{entries}
}}
"""


class Concluded:
    """What was found of each text, by its name."""

    def __init__(self, execution: Execution) -> None:
        execution.run()
        self._results, self._defects = execution.results, execution.defects

    def results(self, name: str) -> dict[str, Result]:
        return {
            result.check.removeprefix("attention."): result
            for result in self._results
            if name in (Path(str(result.subject.path)).stem, result.subject.name)
        }

    def defects(self, name: str) -> list[Defect]:
        return [each for each in self._defects if name in (Path(str(each.subject.path)).stem, each.subject.name)]


@pytest.fixture(scope="module", autouse=True)
def _without_scripts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        # Scripts have tests of their own, and take longer than all the rest.
        patch.setattr(conclude, "reproducer_of", lambda *args, **named: "left out")
        yield


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, _without_scripts: None) -> Concluded:
    root = tmp_path_factory.mktemp("direction")
    texts = RIGHT | {name: text for name, (text, _) in WRONG.items()}
    for name, text in texts.items():
        (root / f"{name}.py").write_text(text)
    target = Target.load_tree(root)
    collected = Collected(target)
    items = [item_named(collected, Named(root / f"{name}.py", "Attention")) for name in texts]
    execution = Execution(target, tuple(guessed_groups(collected, items)))
    collected.close()
    return Concluded(execution)


def specs_of(root: Path, texts: Mapping[str, str], *, is_causal: Mapping[str, bool], more: str = "") -> None:
    """Write a package with a module for each text, and specs that declare them, with `more` in each contract."""
    (root / "zoo").mkdir()
    for name, text in {"__init__": "", **texts}.items():
        (root / "zoo" / f"{name}.py").write_text(text)
    entries = "\n".join(f'    "{name}": declared({name}, is_causal={is_causal[name]}, {more}),' for name in texts)
    (root / "zoo" / "specs.py").write_text(_SPECS.format(names=", ".join(texts), entries=entries))
    (root / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\n')


def _declared(root: Path, texts: Mapping[str, str], *, is_causal: Mapping[str, bool], more: str = "") -> Concluded:
    specs_of(root, texts, is_causal=is_causal, more=more)
    target = Target.load(root)
    collected = Collected(target)
    execution = Execution(target, plan_attention(collected), probe=collected.probe)
    concluded = Concluded(execution)
    collected.close()
    return concluded


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory, _without_scripts: None) -> Concluded:
    otherwise = {name: text for name, (text, _, _) in _SAID_OTHERWISE.items()}
    wrong = {name: text for name, (text, _) in WRONG.items() if "nn.MultiheadAttention" not in text}
    is_causal = {name: name in wrong for name in otherwise | wrong}
    return _declared(tmp_path_factory.mktemp("declared"), otherwise | wrong, is_causal=is_causal)


@pytest.fixture(scope="module")
def windowed(tmp_path_factory: pytest.TempPathFactory, _without_scripts: None) -> Concluded:
    texts = {name: text for name, (text, _, _) in _WINDOWED.items()}
    return _declared(tmp_path_factory.mktemp("windowed"), texts, is_causal=dict.fromkeys(texts, True), more="window=4")


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_has_no_defect(found: Concluded, name: str) -> None:
    assert found.results(name)["causality"].outcome is Outcome.PASSED
    assert not found.defects(name)


@pytest.mark.parametrize("name", WRONG)
def test_each_way_to_write_it_is_one_defect_of_its_class(found: Concluded, name: str) -> None:
    assert found.results(name)["built"].outcome is Outcome.PASSED
    assert found.results(name)["causality"].outcome is Outcome.FAILED
    assert [defect.bug for defect in found.defects(name)] == [WRONG[name][1]]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, (text, _) in WRONG.items() if "nn.MultiheadAttention" not in text])
def test_specs_that_declare_it_give_the_same_class(declared: Concluded, name: str) -> None:
    assert [defect.bug for defect in declared.defects(name)] == [WRONG[name][1]]


@pytest.mark.slow
@pytest.mark.parametrize("name", _SAID_OTHERWISE)
def test_a_direction_that_is_declared_away_is_the_contradiction(declared: Concluded, name: str) -> None:
    (defect,) = declared.defects(name)
    assert defect.bug == _SAID_OTHERWISE[name][1]
    assert _SAID_OTHERWISE[name][2] in defect.explanation


@pytest.mark.parametrize("name", _WINDOWED)
def test_a_mask_that_is_turned_round_within_a_window_is_named_so(windowed: Concluded, name: str) -> None:
    assert windowed.results(name)["causality"].outcome is Outcome.FAILED
    (defect,) = [each for each in windowed.defects(name) if each.bug == _WINDOWED[name][1]]
    assert _WINDOWED[name][2] in defect.explanation
    assert {each.bug for each in windowed.defects(name)} & {"causal_inverted"} <= {_WINDOWED[name][1]}
