"""Keys of an entry that name what the model or its batch does not have: one line says what, where and what to do."""

from pathlib import Path

import pytest

from audit.results import Result

from .written import HEAD, SPECS, Model, by_spec, results_of_models, write

CASES = {
    "block": (
        "['residual'] = {'blok': ['up']}",
        "in 'residual', no part of the model is called 'blok' (did you mean 'block' or 'block.up'?)",
    ),
    "pattern": (
        "['residual'] = {'layer.*': ['up']}",
        "in 'residual', no part of the model is called 'layer.*' (did you mean 'layers.*' or 'layer' or 'layers'?)",
    ),
    "branch": (
        "['residual'] = {'block': ['upp']}",
        "in 'residual', 'block' has no part 'upp' (did you mean 'up'?)",
    ),
    "part_of_another_name": (
        "['residual'] = {'zzz': ['up']}",
        "in 'residual', no part of the model is called 'zzz'; there are 'layer', 'block', 'block.up', 'layers'",
    ),
    "content": (
        "['causal'] = {'content': ['tokens']}",
        "in 'causal', 'inputs' gives no argument 'tokens'; there are 'x'",
    ),
    "axis": (
        "['causal'] = {'content': ['x'], 'axis': 2}",
        "in 'causal', 'x' must be a tensor with positions on axis 2, not 2 axes",
    ),
    "tied": (
        "['tied'] = [('layer.weight', 'block.up.wait')]",
        "in 'tied', no parameter or buffer of the model is called 'block.up.wait' (did you mean 'block.up.weight'",
    ),
    "frozen": (
        "['frozen'] = ['layer.*', 'blocks.*']",
        "in 'frozen', no parameter of the model is called 'blocks.*' (did you mean 'block.*' or 'block.up.*'?)",
    ),
    "mask": (
        "['padding'] = {'mask': 'mask', 'content': ['x']}",
        "in 'padding', 'inputs' gives no argument 'mask'; there are 'x'",
    ),
}
KEYS = {
    "residual": "smoke.residual",
    "causal": "smoke.future_leaks",
    "padding": "smoke.padding_leaks",
    "tied": "smoke.tied_weights",
    "frozen": "smoke.declared_frozen",
}
BUILT = (
    "self.block = nn.ModuleDict({'up': nn.Linear(2, 2)})\n"
    "        self.layers = nn.ModuleList([nn.Linear(2, 2)])"
)  # fmt: skip


def key_of(name: str) -> str:
    return CASES[name][0].split("'")[1]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Result]]:
    """The results of each case."""
    models = {name: Model(built=BUILT, entry=entry) for name, (entry, _) in CASES.items()}
    return results_of_models(tmp_path_factory.mktemp("misdeclared"), models, only=tuple(KEYS.values()))


@pytest.mark.parametrize("name", CASES)
def test_a_name_of_nothing_is_told_in_one_line_with_its_place(found: dict[str, list[Result]], name: str) -> None:
    (result,) = (each for each in found[name] if each.check == KEYS[key_of(name)])
    assert result.outcome == "error"
    reason = result.reason or ""
    assert reason.startswith(f"MODELS[{name!r}] of zoo.specs: {CASES[name][1]}"), reason
    assert len(reason.splitlines()) == 1
    assert result.location is not None
    assert result.location.path == "zoo/specs.py"
    assert result.fix == f"correct {key_of(name)!r} of this entry in zoo/specs.py"


def test_the_line_is_that_of_the_key_in_its_entry(tmp_path: Path) -> None:
    more = "MODELS |= {\n    'other': entry_of('Right'),\n    'Right': {\n        'class': 'zoo.models:Right',\n"
    more += "        'build': models.Right,\n        'inputs': inputs,\n        'loss': loss,\n"
    more += "        'causal': {'content': ['y']},\n    },\n}\n"
    (result,) = of_one(tmp_path, more)
    assert result.location is not None
    specs = (tmp_path / "zoo" / "specs.py").read_text().splitlines()
    assert result.location.line == 1 + next(index for index, line in enumerate(specs) if "'causal'" in line)


def test_a_name_of_nothing_among_removable_padding_is_told_as_that(tmp_path: Path) -> None:
    """Whether it has one entry for each sample is no question where it is not there."""
    more = "MODELS['Right'] = entry_of('Right') | {'padding': [\n"
    more += "    {'lengths': 'sizes', 'content': ['x'], 'removable': True},\n]}\n"
    (result,) = of_one(tmp_path, more, check="smoke.padded_rows")
    assert (
        result.reason == "MODELS['Right'] of zoo.specs: in 'padding', 'inputs' gives no argument 'sizes'; there are 'x'"
    )


def of_one(root: Path, more: str, *, check: str = "smoke.future_leaks") -> list[Result]:
    target = write(root, {"zoo/models.py": HEAD, "zoo/specs.py": SPECS + more})
    results = by_spec(target, only=(check,))["Right"]
    return [each for each in results if each.check == check]
