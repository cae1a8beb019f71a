"""What a model offers beside forward: one subject passes, others differ by one edit and fail, or cannot be judged."""

from collections.abc import Callable, Mapping

import pytest

from audit.results import Result
from audit.session import Request, conduct
from audit.target import Target
from validation.smoke.plan import plan_smoke

MODEL = """
import torch
from torch import nn


class Decoder(nn.Module):
    \"\"\"The next token from the mean of all before it and from how many these are.\"\"\"

    def __init__(self):
        super().__init__()
        self.embed, self.places, self.head = nn.Embedding(11, 16), nn.Embedding(64, 16), nn.Linear(16, 11)
        self.register_buffer("count", torch.zeros(()))

    def forward(self, tokens, cache=None):
        begun = 0 if cache is None else cache["length"]
        places = torch.arange(begun, begun + tokens.shape[1])
        x = self.embed(tokens) + self.places(places)
        sums = x.cumsum(1) if cache is None else x.cumsum(1) + cache["sum"]
        if cache is not None:
            cache["length"], cache["sum"] = begun + tokens.shape[1], sums[:, -1:]
        return self.head(torch.tanh(sums / (places[:, None] + 1) * 3))

    @torch.no_grad()
    def generate(self, tokens, steps, generator=None):
        cache = {"length": 0, "sum": 0.0}
        new, ended = tokens, torch.zeros(len(tokens), dtype=torch.bool)
        for _ in range(steps):
            logits = self(new, cache)[:, -1]
            if generator is None:
                drawn = logits.argmax(-1)
            else:
                drawn = torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]
            new = drawn.masked_fill(ended, 0)[:, None]
            ended = ended | (drawn == 1)
            tokens = torch.cat((tokens, new), 1)
        return tokens
"""
SPECS = """
import torch
{imports}

def inputs(batch_size, generator):
    return {{"tokens": torch.randint(2, 11, (batch_size, 12), generator=generator)}}

def entry(module, **more):
    return {{
        "class": module.__name__ + ":Decoder", "build": module.Decoder, "inputs": inputs, "generate": GENERATE,
        "loss": lambda output, inputs: torch.nn.functional.cross_entropy(output[:, :-1].flatten(0, 1),
                                                                         inputs["tokens"][:, 1:].flatten()),
        "inference": {{"draw": lambda model, inputs, generator: model.generate(inputs["tokens"], 3, generator)}},
        "exports": False, "compiles": False, **more,
    }}

def run(model, inputs, steps):
    return model.generate(inputs["tokens"], steps)

def made_small(model):
    with torch.no_grad():
        for each in model.parameters():
            each.mul_(0.02)
    return model

def masked(batch_size, generator):
    return {{**inputs(batch_size, generator), "mask": torch.ones(batch_size, 12, dtype=torch.bool)}}

def with_mask(inputs, tokens):
    return {{"tokens": tokens, "mask": torch.ones_like(tokens, dtype=torch.bool)}}

def new_alone(model, inputs, steps):
    return run(model, inputs, steps)[:, inputs["tokens"].shape[1]:]

GENERATE = {{"run": run, "content": "tokens", "prompt": 4, "ends": 1, "pads": 0}}
NO_END = {{"run": new_alone, "content": "tokens"}}
MODELS = {{
{entries}
}}
"""
# name: (what is replaced in the model, by what, perhaps more of the entry, the check that fails)
WRONG: dict[str, tuple[str, ...]] = {
    "places_begin_anew": ("torch.arange(begun, begun + tokens.shape[1])", "torch.arange(tokens.shape[1])", "generates"),
    "forgets_what_it_read": ('x.cumsum(1) + cache["sum"]', "x.cumsum(1)", "generates"),
    "goes_on_behind_the_end": ("drawn.masked_fill(ended, 0)[:, None]", "drawn[:, None]", "generates"),
    "pads_from_the_first": ("masked_fill(ended, 0)", "masked_fill(~ended, 0)", "generates"),
    "forgets_where_little_depends_on_it": (
        'x.cumsum(1) + cache["sum"]',
        "x.cumsum(1)",
        "build=lambda: made_small(forgets_where_little_depends_on_it.Decoder())",
        "generates",
    ),
    "places_begin_anew_where_little_depends_on_it": (
        "torch.arange(begun, begun + tokens.shape[1])",
        "torch.arange(tokens.shape[1])",
        "build=lambda: made_small(places_begin_anew_where_little_depends_on_it.Decoder())",
        "generates",
    ),
    "one_that_ends_stops_all": ("ended = ended | (drawn == 1)", "ended = ended | (drawn == 1).any()", "generates"),
    "switches_to_eval": ("cache = {", "self.eval(); cache = {", "inference"),
    "seeds_the_global_one": ("cache = {", "torch.manual_seed(0); cache = {", "inference"),
    "freezes": ("cache = {", "self.requires_grad_(False); cache = {", "inference"),
    "keeps_graphs": ("    @torch.no_grad()\n", "", "inference"),
    "draws_from_the_global_one": ("1, generator=generator)", "1)", "inference"),
    "leaves_train_mode": (
        "",
        "",
        "inference={'draw': lambda model, inputs, generator: (model(**inputs), model.train())[0]}",
        "inference",
    ),
    "runs_on_in_train_mode": (
        "",
        "",
        "generate={**GENERATE, 'run': lambda model, inputs, steps: run(model.train(), inputs, steps)}",
        "generates",
    ),
    "counts": ("        new, ended", "        self.count += 1\n        new, ended", "inference"),
    "nan": ("        return tokens\n", "        return tokens + float('nan') if generator else tokens\n", "inference"),
}
# name: (what is replaced in the model, by what, more of the entry, the check, its outcome)
UNJUDGED = {
    "undeclared": ("", "", "generate=None, inference=None", "generates", "not_applicable"),
    "infers_nothing": ("", "", "generate=None, inference=None", "inference", "not_applicable"),
    "all_as_likely": ("return self.head(", "return (lambda y: y.mean(-1, keepdim=True).expand(-1, -1, 11))(", "",
                      "generates", "error"),
    "another_length": ("", "", "generate={**GENERATE, 'run': lambda model, inputs, steps: inputs['tokens']}",
                       "generates", "error"),
    "needs_a_mask_as_long": (
        "def forward(self, tokens, cache=None):",
        "def forward(self, tokens, cache=None, mask=None):\n        assert mask is None or mask.shape == tokens.shape",
        "inputs=masked", "generates", "error",
    ),
    "asks_no_model": ("", "", "inference={'draw': lambda model, inputs, generator: torch.zeros(2)}",
                      "inference", "error"),
    "says_nothing": ("", "", "inference={'draw': lambda model, inputs, generator: (model(**inputs), None)[1]}",
                     "inference", "error"),
}  # fmt: skip
# name: (what is replaced in the model, by what, more of the entry)
RIGHT = {
    "right": ("", "", ""),
    "small": ("", "", "build=lambda: made_small(small.Decoder())"),
    "keeps_what_it_makes_once": ("begun = 0 if", "self.count.fill_(1); begun = 0 if", ""),
    "takes_a_mask": (
        "def forward(self, tokens, cache=None):",
        "def forward(self, tokens, cache=None, mask=None):\n        assert mask is None or mask.shape == tokens.shape",
        "inputs=masked, generate={**GENERATE, 'inputs': with_mask}",
    ),
    "new_tokens_alone": ("ended = ended | (drawn == 1)", "pass", "generate=NO_END"),
}
EVERY: Mapping[str, tuple[str, ...]] = {**WRONG, **UNJUDGED, **RIGHT}
Of = Callable[[str], Mapping[str, Result]]


@pytest.fixture(scope="module")
def of(tmp_path_factory: pytest.TempPathFactory) -> Of:
    root = tmp_path_factory.mktemp("generation")
    (root / "zoo").mkdir()
    (root / "zoo" / "__init__.py").touch()
    edits = {name: (*edit[:2], edit[2] if len(edit) > 3 or name in RIGHT else "") for name, edit in EVERY.items()}
    for name, (old, new, _) in edits.items():
        assert old in MODEL, f"{name} edits nothing"
        (root / "zoo" / f"{name}.py").write_text(MODEL.replace(old, new) if old else MODEL)
    entries = [f"    {name!r}: entry({name}, {given})," for name, (_, _, given) in edits.items()]
    imports = "\n".join(f"from zoo import {name}" for name in edits)
    (root / "zoo" / "specs.py").write_text(SPECS.format(imports=imports, entries="\n".join(entries)))
    (root / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\nworkers = 2\n')
    request = Request(command="smoke", planners=[plan_smoke], only=["smoke.generates", "smoke.inference"])
    results = conduct(Target.load(root), request).results
    return lambda name: {each.check.partition(".")[2]: each for each in results if each.subject.spec == name}


@pytest.mark.parametrize("name", WRONG)
def test_one_edit_fails_the_check_that_is_about_it(of: Of, name: str) -> None:
    found = of(name)
    wanted = WRONG[name][-1]
    assert found[wanted].outcome == "failed", found[wanted].reason
    other = "inference" if wanted == "generates" else "generates"
    assert found[other].outcome == "passed", found[other].reason


@pytest.mark.parametrize("name", UNJUDGED)
def test_what_cannot_be_judged_is_not_passed(of: Of, name: str) -> None:
    *_, check, outcome = UNJUDGED[name]
    result = of(name)[check]
    assert (result.outcome.value, bool(result.reason)) == (outcome, True), result.reason


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_passes(of: Of, name: str) -> None:
    found = of(name)
    assert {each.outcome.value for check, each in found.items() if check in ("generates", "inference")} == {"passed"}


def test_it_is_said_whether_what_stands_behind_an_end_was_looked_at(of: Of) -> None:
    assert "made to end at its new token 2 holds padding" in (of("right")["generates"].evidence.bound_origin or "")
    assert "end" not in (of("new_tokens_alone")["generates"].evidence.bound_origin or "").partition(":")[0]


def test_the_first_wrong_token_is_named(of: Of) -> None:
    reason = of("pads_from_the_first")["generates"].reason or ""
    assert "row 0, new token 1 is 0, and forward says " in reason
