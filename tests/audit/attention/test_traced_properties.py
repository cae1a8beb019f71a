"""What a trace shows: each property passes on the original, fails one edit away, and knows what it cannot judge."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.attention.traced import trace_of_model
from audit.execute import open_probe
from audit.plan import Run
from audit.target import Target

SOURCE = Path(__file__).parents[2] / "fixtures" / "attention" / "traced" / "zoo" / "attention.py"
Edit = tuple[str, str]

SCORES = "scores = (query @ key.transpose(-2, -1)) * self.head_dim**-0.5"
SOFTMAX = "torch.softmax(scores, dim=-1)"
CONTEXT = "context = weights @ value"
KEY = "self.heads(self.k_proj(x), self.num_kv_heads).repeat_interleave(groups, dim=1)"
VALUE = "self.heads(self.v_proj(x), self.num_kv_heads).repeat_interleave(groups, dim=1)"
SPLIT = "return x.view(*x.shape[:2], number, self.head_dim).transpose(1, 2)"
MERGE = "context.transpose(1, 2).flatten(2)"
MASK = "scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)"
DROPOUT = "training=self.training"

# Name of the mutant: the property that must fail, words of its reason, and the edits.
WRONG: dict[str, tuple[str, str, tuple[Edit, ...]]] = {
    "scale_by_embed_dim": ("scale", "1/sqrt(embed_dim)", ((SCORES, SCORES.replace("head_dim", "embed_dim")),)),
    "scale_by_num_heads": ("scale", "1/sqrt(num_heads)", ((SCORES, SCORES.replace("head_dim", "num_heads")),)),
    "scale_by_length": ("scale", "1/sqrt(length)", ((SCORES, SCORES.replace("self.head_dim", "x.shape[1]")),)),
    "scale_by_batch": ("scale", "1/sqrt(batch size)", ((SCORES, SCORES.replace("self.head_dim", "x.shape[0]")),)),
    "scale_inverted": ("scale", "the inverse", ((SCORES, SCORES.replace("-0.5", "0.5")),)),
    "scale_twice": ("scale", "scaled by 0.125 ", ((SCORES, SCORES.replace("-0.5", "-1")),)),
    "scale_left_out": ("scale", "scaled by 1 ", ((SCORES, SCORES.replace(" * self.head_dim**-0.5", "")),)),
    "scale_on_the_query_too": ("scale", "scaled by 0.125 ", ((SCORES, SCORES.replace("query", "query * 8**-0.5", 1)),)),
    "scale_in_baddbmm": (
        "scale",
        "1/sqrt(embed_dim)",
        (
            (
                SCORES,
                "scores = torch.baddbmm(query.new_zeros(1, 1, 1), query.flatten(0, 1), key.flatten(0, 1).mT, "
                "alpha=self.embed_dim**-0.5).unflatten(0, query.shape[:2])",
            ),
        ),
    ),
    "softmax_over_queries": ("softmax_axis", "over the queries", ((SOFTMAX, "torch.softmax(scores, dim=-2)"),)),
    "softmax_over_heads": ("softmax_axis", "over the heads", ((SOFTMAX, "torch.softmax(scores, dim=1)"),)),
    "softmax_over_batch": ("softmax_axis", "over the batch", ((SOFTMAX, "torch.softmax(scores, dim=0)"),)),
    "exponential_over_queries": (
        "softmax_axis",
        "over the queries",
        ((SOFTMAX, "scores.exp() / scores.exp().sum(dim=-2, keepdim=True)"),),
    ),
    "softmax_twice": ("softmax_once", "2 softmaxes in a row", ((SOFTMAX, f"{SOFTMAX}.softmax(dim=-1)"),)),
    "half_precision": (
        "logits_dtype",
        "called in float32, the logits are float16",
        ((SOFTMAX, "torch.softmax(scores.half(), dim=-1).to(scores.dtype)"),),
    ),
    "keys_and_values_tiled": (
        "head_grouping",
        "tiled, 0 1 0 1",
        (
            (KEY, KEY.replace("repeat_interleave(groups, dim=1)", "repeat(1, groups, 1, 1)")),
            (VALUE, VALUE.replace("repeat_interleave(groups, dim=1)", "repeat(1, groups, 1, 1)")),
        ),
    ),
    "values_tiled": (
        "head_grouping",
        "keys are grouped 0 0 1 1 and values 0 1 0 1",
        ((VALUE, VALUE.replace("repeat_interleave(groups, dim=1)", "repeat(1, groups, 1, 1)")),),
    ),
    "over_heads": (
        "attended_axis",
        "over the heads",
        (
            (SPLIT, "return x.view(*x.shape[:2], number, self.head_dim)"),
            (KEY, KEY.replace("dim=1", "dim=2")),
            (VALUE, VALUE.replace("dim=1", "dim=2")),
            (MASK, "pass"),
            (MERGE, "context.flatten(2)"),
        ),
    ),
    "over_batch": (
        "attended_axis",
        "over the samples",
        (
            (SPLIT, "return x.view(*x.shape[:2], number, self.head_dim).permute(1, 2, 0, 3)"),
            (MASK, "pass"),
            (MERGE, "context.permute(2, 0, 1, 3).flatten(2)"),
        ),
    ),
    "one_key": (
        "attended_axis",
        "meets one key",
        (
            (SPLIT, "return x.reshape(-1, 1, number, self.head_dim).transpose(1, 2)"),
            (MASK, "pass"),
            (MERGE, "context.transpose(1, 2).reshape(*x.shape[:2], -1)"),
        ),
    ),
    "dropout_always": ("dropout_in_eval", "on the attention weights at rate 0.25", ((DROPOUT, "training=True"),)),
    "dropout_in_torch": (
        "dropout_in_eval",
        "dropout acts in eval mode",
        (
            (
                CONTEXT,
                "context = nn.functional.scaled_dot_product_attention(query, key, value, dropout_p=self.dropout)",
            ),
        ),
    ),
    "window_without_the_query": (
        "window_width",
        "sees 7 keys with itself: 6 of them besides it",
        (("distance < WINDOW", "distance <= WINDOW"),),
    ),
    "window_left_out": (
        "window_width",
        "sees 11 keys",
        (("(distance >= 0) & (distance < WINDOW)", "distance >= 0"),),
    ),
}
UNUSUAL: dict[str, tuple[Edit, ...]] = {
    "original": (),
    "scaled_query": ((SCORES, "scores = (query * self.head_dim**-0.5) @ key.transpose(-2, -1)"),),
    "scaled_both": ((SCORES, "scores = (query * self.head_dim**-0.25) @ (key / self.head_dim**0.25).mT"),),
    "letters_in_any_order": (
        (SCORES, "scores = torch.einsum('zwyx,zwax->zwya', query, key) / torch.tensor(float(self.head_dim)).sqrt()"),
    ),
    "product_of_elements": (
        (SCORES, "scores = (query.unsqueeze(-2) * key.unsqueeze(-3)).sum(-1) / self.head_dim**0.5"),
    ),
    "exponential_by_hand": (
        (
            f"weights = {SOFTMAX}",
            "weights = (scores - scores.amax(dim=-1, keepdim=True)).exp()\n"
            "        weights = weights / weights.sum(dim=-1, keepdim=True)",
        ),
    ),
    "base_two": (
        (SCORES, SCORES + " * 1.4426950408889634"),
        (
            f"weights = {SOFTMAX}",
            "weights = torch.exp2(scores - scores.amax(dim=-1, keepdim=True))\n"
            "        weights = weights / weights.sum(dim=-1, keepdim=True)",
        ),
    ),
    "torch_attention": (
        (
            CONTEXT,
            "context = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed)",
        ),
    ),
    "grouped_einsum": (
        (KEY, KEY.partition(".repeat")[0]),
        (VALUE, VALUE.partition(".repeat")[0]),
        (SCORES, "scores = torch.einsum('bgrqd,bgkd->bgrqk', query.unflatten(1, (-1, groups)), key) / 8**0.5"),
        (CONTEXT, "context = torch.einsum('bgrqk,bgkd->bgrqd', weights, value).flatten(1, 2)"),
    ),
    "scores_overwritten": (
        (MASK, "scores.masked_fill_(~allowed, torch.finfo(scores.dtype).min)"),
    ),
    "written_into_a_buffer": (
        (f"weights = {SOFTMAX}", f"weights = torch.empty_like(scores)\n        weights[:] = {SOFTMAX}"),
    ),
}  # fmt: skip
LINEAR = (
    (CONTEXT, "context = nn.functional.elu(query).add(1) @ (nn.functional.elu(key).add(1).mT @ value)"),
)  # fmt: skip
UNKNOWN = ((SCORES, SCORES.replace("self.head_dim**-0.5", "torch.linspace(0.5, 1, x.shape[1])")),)
NORMALISED = (
    (SCORES, "scores = nn.functional.normalize(query, dim=-1) @ nn.functional.normalize(key, dim=-1).mT * 10"),
)
SLOTS = (
    (
        f"weights = {SOFTMAX}",
        "weights = torch.softmax(scores, dim=-2)\n        weights = weights / weights.sum(dim=-1, keepdim=True)",
    ),
)
LOOP = (
    (KEY, KEY.partition(".repeat")[0]),
    (VALUE, VALUE.partition(".repeat")[0]),
    (
        SCORES,
        "context = torch.stack([self.one(query[:, h], key[:, h % 2], value[:, h % 2], allowed) for h in range(4)], 1)\n"
        "        return self.out_proj(context.transpose(1, 2).flatten(2))\n\n"
        "    def one(self, query, key, value, allowed):\n"
        '        """One head."""\n'
        "        scores = query @ key.mT * self.head_dim**-0.5",
    ),
    (f"{CONTEXT}\n        return self.out_proj({MERGE})", "return weights @ value"),
)
CANNOT = {
    "slots": SLOTS,
    "loop_over_tiled_heads": LOOP,
    "linear": LINEAR,
    "scaled_by_many": UNKNOWN,
    "normalised": NORMALISED,
}

CONTRACT = {
    "embed_dim": 24, "num_heads": 4, "num_kv_heads": 2, "head_dim": 8, "is_causal": True, "window": 6,
    "projections": {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"},
}  # fmt: skip
NAMES = [*WRONG, *UNUSUAL, *CANNOT]
SPECS = f"""
import importlib

def entry(name):
    class_ = importlib.import_module(f"zoo.modules.{{name}}").Attention
    return {{
        "class": f"zoo.modules.{{name}}:Attention", "build": class_, "contract": {CONTRACT},
        "forward": lambda module, x, key_mask: module(x),
    }}

ATTENTION = {{name: entry(name) for name in {NAMES}}}
"""
TRACED = (
    "scale", "softmax_axis", "softmax_once", "logits_dtype", "head_grouping", "attended_axis", "dropout_in_eval",
    "window_width",
)  # fmt: skip


def edited(edits: tuple[Edit, ...]) -> str:
    source = SOURCE.read_text()
    for old, new in edits:
        assert source.count(old) == 1, f"{old!r} occurs {source.count(old)} times"
        source = source.replace(old, new)
    return source


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory, audit_of: Callable[[Path], Any]) -> Any:
    root = tmp_path_factory.mktemp("traced")
    modules = root / "zoo" / "modules"
    modules.mkdir(parents=True)
    edits = {name: each[2] for name, each in WRONG.items()} | UNUSUAL | CANNOT
    for name, each in edits.items():
        (modules / f"{name}.py").write_text(edited(each))
    for folder in (modules, modules.parent):
        (folder / "__init__.py").write_text("")
    (modules.parent / "specs.py").write_text(SPECS)
    (root / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\n')
    return audit_of(root)


def judgement(zoo: Any, name: str, prop: str) -> Any:
    return zoo.judge(name, only=f"attention.{prop}")[f"attention.{prop}"]


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_fails_its_own_property_with_its_name(zoo: Any, name: str) -> None:
    prop, words, _ = WRONG[name]
    found = judgement(zoo, name, prop)
    assert found.outcome == "failed", found
    assert words in found.reason


@pytest.mark.parametrize("prop", TRACED)
@pytest.mark.parametrize("name", UNUSUAL)
def test_every_way_to_compute_the_same_passes(zoo: Any, name: str, prop: str) -> None:
    found = judgement(zoo, name, prop)
    assert found.outcome == "passed", found


@pytest.mark.parametrize("prop", [prop for prop in TRACED if prop != "dropout_in_eval"])
def test_linear_attention_is_no_softmax_attention(zoo: Any, prop: str) -> None:
    found = judgement(zoo, "linear", prop)
    assert found.outcome == "not_applicable"
    assert "no softmax attention" in found.reason or "no group" in found.reason


@pytest.mark.parametrize(
    ("name", "words"), [("scaled_by_many", "multiplied by more than one number"), ("normalised", "normalised")]
)
def test_a_scale_that_is_no_number_is_not_judged(zoo: Any, name: str, words: str) -> None:
    found = judgement(zoo, name, "scale")
    assert found.outcome == "not_applicable"
    assert words in found.reason


def test_slots_that_compete_for_their_inputs_are_unusual_and_no_mistake(zoo: Any) -> None:
    found = judgement(zoo, "slots", "softmax_axis")
    assert found.outcome == "passed"
    assert "normalised anew" in found.reason


def test_heads_in_a_loop_are_grouped_as_a_whole(zoo: Any) -> None:
    found = judgement(zoo, "loop_over_tiled_heads", "head_grouping")
    assert found.outcome == "failed"
    assert "tiled, 0 1 0 1" in found.reason


@pytest.mark.parametrize("name", ["softmax_over_queries", "scale_by_embed_dim", "values_tiled"])
def test_a_failure_points_at_the_line_of_the_target(zoo: Any, name: str) -> None:
    found = judgement(zoo, name, WRONG[name][0])
    lines = (edited(WRONG[name][2])).splitlines()
    assert found.location.path == f"zoo/modules/{name}.py"
    assert "softmax" in lines[found.location.line - 1]


@pytest.mark.parametrize("name", ["softmax_over_queries", "scale_by_embed_dim", "half_precision", "values_tiled"])
def test_a_mistake_fails_no_property_but_its_own(zoo: Any, name: str) -> None:
    failed = [prop for prop in TRACED if judgement(zoo, name, prop).outcome == "failed"]
    assert failed == [WRONG[name][0]]


def test_a_model_shows_the_attention_of_every_layer(tmp_path: Path) -> None:
    package = tmp_path / "zoo"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "attention.py").write_text(SOURCE.read_text())
    (package / "specs.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "from zoo.attention import Attention\n"
        "MODELS = {'two': {'class': 'torch.nn:Sequential', 'build': lambda: nn.Sequential(Attention(), Attention()),\n"
        "    'inputs': lambda batch, generator: {'input': torch.randn(batch, 9, 24, generator=generator)},\n"
        "    'loss': lambda output, inputs: output.sum()}}\n"
    )
    (tmp_path / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\n')
    target = Target.load(tmp_path)
    with open_probe(target, side_by_side=1) as probe:
        found = trace_of_model(Run(target=target, probe=probe, seed=0), "zoo.specs", "two")
    assert [core.owner for core in found.cores] == ["0", "1"]
    assert [core.scale for core in found.cores] == [pytest.approx(8**-0.5)] * 2
    place = found.cores[0].location(target)
    assert place is not None
    assert place.path == "zoo/attention.py"
