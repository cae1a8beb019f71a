"""Wrong models and wrong entries, all in one package: each is judged by the check that is about its defect."""

import functools
from collections.abc import Callable
from typing import Any

import pytest

from audit.results import Result
from audit.session import Request, conduct
from audit.target import Target
from validation.smoke.plan import plan_smoke

from ...slow_cases import slow, slow_unless

pytestmark = pytest.mark.timeout(900)  # the first test waits for a run over all models

# What a class that holds one linear layer does more when it is built, its forward, and the check that must fail on it.
MODELS: dict[str, tuple[str, str, str]] = {
    "constructor_raises": ("1 / 0", "", "build"),
    "no_parameters": ("del self.layer", "return x * 2", "build"),
    "buffers_only": ("del self.layer; self.register_buffer('w', torch.randn(6, 2))", "return x @ self.w", "build"),
    "wholly_frozen": ("self.requires_grad_(False)", "", "build"),
    "forward_raises": ("", "return self.missing(x)", "forward"),
    "forward_exits": ("", "raise SystemExit(0)", "forward"),
    "forward_nan": ("", "return self.layer(x) + NAN", "forward"),
    "forward_infinite": ("", "return self.layer(x) / 0", "forward"),
    "nan_in_one_element": ("", "y = self.layer(x).clone(); y[0, 0] = NAN; return y", "forward"),
    "nan_in_a_dict": ("", "return {'a': self.layer(x), 'b': {'c': [self.layer(x) * NAN]}}", "forward"),
    "nan_in_an_object": ("", "return SimpleNamespace(a=self.layer(x), b=self.layer(x) * NAN)", "forward"),
    "nan_in_an_object_in_a_dict": ("", "return {'a': self.layer(x), 'b': SimpleNamespace(c=x * NAN)}", "forward"),
    "nan_in_an_object_in_an_object": (
        "", "return SimpleNamespace(a=self.layer(x), b=SimpleNamespace(c=x * NAN))", "forward",
    ),
    "nan_in_complex": ("", "y = self.layer(x); return torch.complex(y, y * NAN)", "forward"),
    "ignores_its_input": ("", "return self.layer(torch.ones_like(x))", "forward"),
    "constant": ("", "return self.layer(x * 0)", "forward"),
    "input_overwritten": ("", "y = self.layer(x.clone()); x.zero_(); return y", "forward"),
    "dropout_in_eval": ("", "return nn.functional.dropout(self.layer(x), 0.5)", "determinism"),
    "noise_in_eval": ("", "return self.layer(x) + torch.randn(2)", "determinism"),
    "noise_from_numpy": ("", "return self.layer(x) + float(numpy.random.rand())", "determinism"),
    "noise_from_python": ("", "return self.layer(x) + random.random()", "determinism"),
    "noise_of_the_process": ("", "return self.layer(x) + next(COUNTER)", "determinism"),
    "counts_its_calls": ("self.calls = 0", "self.calls += 1; return self.layer(x) + self.calls", "determinism"),
    "learns_in_eval": (
        "self.norm = nn.BatchNorm1d(2)",
        "self.norm.train(); return self.norm(self.layer(x)) + self.norm.running_mean",
        "determinism",
    ),
    "dead_parameter": ("self.dead = nn.Parameter(torch.ones(3))", "", "backward"),
    "dead_branch": (
        "self.other = nn.Linear(6, 2)", "return (self.layer if x.sum() < 1e9 else self.other)(x)", "backward",
    ),
    "parameter_times_zero": (
        "self.dead = nn.Parameter(torch.ones(2))", "return self.layer(x) + 0 * self.dead", "backward",
    ),
    "detached_output": ("", "return self.layer(x).detach()", "backward"),
    "detached_hidden": ("self.first = nn.Linear(6, 6)", "return self.layer(self.first(x).detach())", "backward"),
    "no_grad_inside": ("", "with torch.no_grad(): return self.layer(x)", "backward"),
    "integer_output": ("", "return self.layer(x * 1e6).long()", "backward"),
    "gradient_nan": ("", "y = self.layer(x); return y + (y - y).square().sum().sqrt()", "backward"),
    "train_mode_raises": ("", "assert not self.training; return self.layer(x)", "backward"),
    "in_place_breaks_backward": ("", "y = self.layer(x).exp(); y += 1; return y", "backward"),
    "weight_overwritten": ("", "self.layer.weight.data.fill_(0.5); return self.layer(x)", "optimizer_step"),
    "frozen_weight_moves": (
        "self.frozen = nn.Parameter(torch.ones(2), requires_grad=False)",
        "self.training and self.frozen.data.add_(1); return self.layer(x) * self.frozen",
        "optimizer_step",
    ),
    "nan_after_one_step": ("", "y = self.layer(x); return y if seen(self) < 3 else y * NAN", "optimizer_step"),
    "plain_attribute": ("self.shift = torch.randn(2)", "return self.layer(x) + self.shift", "save_load"),
    "buffer_not_persistent": (
        "self.register_buffer('shift', torch.randn(2), persistent=False)",
        "return self.layer(x) + self.shift",
        "save_load",
    ),
    "list_of_layers": ("self.more = [nn.Linear(2, 2)]", "return self.more[0](self.layer(x))", "save_load"),
    "number_not_saved": ("self.factor = random.random() + 1", "return self.layer(x) * self.factor", "save_load"),
    "hook_drops": ("self.register_state_dict_post_hook(lambda m, s, p, d: s.pop('layer.bias'))", "", "save_load"),
    "hook_rounds": (
        "self.register_state_dict_post_hook(lambda m, s, p, d: s.update({k: v.half() for k, v in s.items()}))",
        "", "save_load",
    ),
    "loads_nothing": ("self.load_state_dict = lambda state: None", "", "save_load"),
    "hook_adds_what_needs_pickle": (
        "self.register_state_dict_post_hook(lambda m, s, p, d: s.update(extra=slice(1)))", "", "save_load",
    ),
    "size_is_random": (
        "self.register_buffer('n', torch.zeros(int(torch.randint(1, 1000, ()))))", "", "save_load",
    ),
}  # fmt: skip

# What else cannot but fail on some of them, for it is about the same state.
ALSO: dict[str, set[str]] = {
    "counts_its_calls": {"overfits"},  # its output grows with every call, whatever it has learned
    "noise_of_the_process": {"overfits"},
    "train_mode_raises": {"train_eval"},
    "frozen_weight_moves": {"train_eval"},  # which it does in training alone
    "plain_attribute": {"registered", "safetensors"},
    "list_of_layers": {"registered", "safetensors"},
    "buffer_not_persistent": {"safetensors"},
    "number_not_saved": {"safetensors"},
    "hook_drops": {"copies", "safetensors"},  # a lambda cannot be pickled
    "hook_rounds": {"copies", "safetensors"},
    "loads_nothing": {"copies", "safetensors", "strict_loading"},
    "hook_adds_what_needs_pickle": {"copies", "strict_loading"},
    "size_is_random": {"meta_build", "safetensors", "strict_loading"},
}

# A change of a correct entry, the check that says so, and how.
ENTRIES: dict[str, tuple[str, str, str]] = {
    "no_dict": ("= 3", "build", "error"),
    "empty": ("= {}", "build", "error"),
    "no_loss": (".pop('loss')", "build", "error"),
    "inputs_are_text": ("['inputs'] = 'inputs'", "build", "error"),
    "class_of_torch": ("['class'] = 'torch.nn.modules.linear:Linear'", "build", "failed"),
    "class_unknown": ("['class'] = 'zoo.models:Missing'", "build", "failed"),
    "class_is_a_number": ("['class'] = 3", "build", "error"),
    "stand_in": ("['build'] = lambda: torch.nn.Linear(6, 2)", "build", "failed"),
    "stand_in_that_is_declared": (
        "|= {'class': 'torch.nn.modules.linear:Linear', 'build': lambda: torch.nn.Linear(6, 2)}", "build", "failed",
    ),
    "stand_in_under_the_name": (
        "['build'] = type('Right', (torch.nn.Linear,), {'__module__': 'zoo.models', '__init__': "
        "lambda self: torch.nn.Linear.__init__(self, 6, 2)})",
        "build", "failed",
    ),
    "subclass_of_it": ("['build'] = type('Other', (models.Right,), {})", "build", "failed"),
    "class_with_a_dot": ("['class'] = 'zoo.models.Right'", "build", "error"),
    "builds_nothing_but_is_the_model": ("['build'] = models.Right()", "build", "error"),
    "inputs_ignore_the_generator": (
        "['inputs'] = lambda batch_size, generator: {'x': torch.randn(batch_size, 6)}", "determinism", "error",
    ),
    "builds_a_tensor": ("['build'] = lambda: torch.ones(2)", "build", "error"),
    "builds_none": ("['build'] = lambda: None", "build", "error"),
    "inputs_raise": ("['inputs'] = lambda batch_size, generator: 1 / 0", "forward", "error"),
    "inputs_are_a_tensor": ("['inputs'] = lambda batch_size, generator: torch.ones(3, 6)", "forward", "error"),
    "inputs_take_one": ("['inputs'] = lambda batch_size: {'x': torch.ones(3, 6)}", "forward", "error"),
    "output_without_tensor": ("|= entry_of('Textual')", "forward", "error"),
    "output_empty": ("['inputs'] = lambda batch_size, generator: {'x': torch.ones(0, 6)}", "forward", "error"),
    "loss_raises": ("['loss'] = lambda output, inputs: 1 / 0", "backward", "failed"),
    "loss_is_a_float": ("['loss'] = lambda output, inputs: 1.0", "backward", "error"),
    "loss_is_a_vector": ("['loss'] = lambda output, inputs: output.sum(dim=1)", "backward", "error"),
    "loss_nan": ("['loss'] = lambda output, inputs: output.sum() * float('nan')", "backward", "failed"),
    "loss_infinite": ("['loss'] = lambda output, inputs: output.sum() + float('inf')", "backward", "failed"),
    "loss_without_graph": ("['loss'] = lambda output, inputs: output.detach().sum()", "backward", "failed"),
}  # fmt: skip
HEAD = """
import itertools, random
from types import SimpleNamespace
import numpy
import torch
from torch import nn

NAN = float("nan")
COUNTER = itertools.count()

def seen(model):
    model.times = getattr(model, "times", 0) + model.training
    return model.times * 2 - 1

class Right(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 2)
    def forward(self, x):
        return self.layer(x)

class Textual(Right):
    def forward(self, x):
        return "no tensor"

class Nowhere(Right):
    pass

class Attends(Right):
    pass

class Scaling(nn.Module):
    def scaled(self, x):
        return x * 2

class Idle(Scaling):
    def halved(self, x):
        return x / 2

class Parted(Right):
    def __init__(self):
        super().__init__()
        self.scaling, self.idle = Scaling(), Idle()
    def forward(self, x):
        return self.layer(self.scaling.scaled(x))
"""
CLASS = """
class {name}(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 2)
        {built}
    def forward(self, x):
        {forward}
"""
SETTINGS = '[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\nworkers = 2\n'
SPECS = """
import torch
from zoo import models

def inputs(batch_size, generator):
    return {"x": torch.randn(batch_size, 6, generator=generator)}

def loss(output, inputs):
    output = output["a"] if isinstance(output, dict) else getattr(output, "a", output)
    return (output.float() - inputs["x"][:, :2]).square().mean()

def entry_of(name):
    return {"class": f"zoo.models:{name}", "build": getattr(models, name), "inputs": inputs, "loss": loss}

MODELS = {}
ATTENTION = {
    "attends": {
        "class": "zoo.models:Attends",
        "build": models.Attends,
        "forward": lambda module, hidden_states, key_mask: module(hidden_states),
        "contract": {"embed_dim": 6, "num_heads": 1, "is_causal": False},
    }
}
"""


# One wrong model for each check and a few wrong entries; a run over all takes more than a minute.
QUICK = set({check: name for name, (*_, check) in reversed(MODELS.items())}.values()) | {
    "empty", "stand_in", "inputs_raise", "loss_nan",
}  # fmt: skip


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], list[Result]]:
    """Every result of one run over what is quick and the right ones, or over the others."""

    @functools.cache
    def results(are_quick: bool) -> list[Result]:
        root = tmp_path_factory.mktemp("wrong")
        sources, specs = HEAD, SPECS
        if are_quick:
            specs += "MODELS['right'] = entry_of('Right')\nMODELS['parted'] = entry_of('Parted')\n"
        for name, (built, forward, _) in MODELS.items():
            if (name in QUICK) is are_quick:
                sources += CLASS.format(name=name, built=built or "pass", forward=forward or "return self.layer(x)")
                specs += f"MODELS[{name!r}] = entry_of({name!r})\n"
        for name, (change, _, _) in ENTRIES.items():
            if (name in QUICK) is are_quick:
                specs += f"entry = entry_of('Right')\nentry{change}\nMODELS[{name!r}] = entry\n"
        (root / "zoo").mkdir()
        (root / "zoo" / "__init__.py").write_text("")
        (root / "zoo" / "models.py").write_text(sources)
        (root / "zoo" / "specs.py").write_text(specs)
        (root / "pyproject.toml").write_text(SETTINGS)
        return list(conduct(Target.load(root), Request(command="smoke", planners=[plan_smoke])).results)

    return results


@pytest.fixture(scope="module")
def of(judged: Callable[[bool], list[Result]]) -> Callable[[str], dict[str, Any]]:
    """The results of one model by the last part of the check's id."""

    def found(name: str) -> dict[str, Any]:
        results = judged(name in QUICK or name == "right")
        return {r.check.partition(".")[2]: r for r in results if r.subject.spec == name}

    return found


@pytest.fixture
def results(judged: Callable[[bool], list[Result]]) -> list[Result]:
    """What was found of the quick ones and the right ones."""
    return judged(True)


@pytest.mark.parametrize("name", slow_unless(QUICK, MODELS))
def test_a_wrong_model_fails_the_check_that_is_about_it(of: Callable[[str], dict[str, Any]], name: str) -> None:
    found = of(name)
    outcomes = {check: result.outcome.value for check, result in found.items()}
    failed = {check for check, outcome in outcomes.items() if outcome == "failed"}
    assert failed == {MODELS[name][-1]} | ALSO.get(name, set()), outcomes
    assert found[MODELS[name][-1]].severity.gates_release


@pytest.mark.parametrize("name", slow_unless(QUICK, ENTRIES))
def test_a_wrong_entry_is_not_passed(of: Callable[[str], dict[str, Any]], name: str) -> None:
    _, check, outcome = ENTRIES[name]
    found = of(name)
    assert (found[check].outcome, bool(found[check].reason)) == (outcome, True), found[check].reason
    assert "internal error" not in found[check].reason


def test_the_right_model_passes(of: Callable[[str], dict[str, Any]]) -> None:
    outcomes = {check: result.outcome.value for check, result in of("right").items()}
    # It promises no loss, ties and freezes nothing, takes no mask, has no attention and offers no checkpointing; the
    # loss of its specs computes in float32.
    silent = {
        "initial_loss", "tied_weights", "declared_frozen", "padding_leaks", "padded_rows", "future_leaks", "residual",
        "inference", "generates", "next_token", "attention", "checkpointing", "gradcheck",
    }  # fmt: skip
    assert outcomes == {check: "not_applicable" if check in silent else "passed" for check in outcomes}


def test_a_class_that_no_model_runs_is_told(results: list[Result]) -> None:
    reached = {r.subject.qualname: r for r in results if r.check == "smoke.reached"}
    assert reached["Right"].outcome == "passed"
    # Some models could not be run, and one of these might have used it.
    assert reached["Nowhere"].outcome == "error"


def test_a_class_without_a_forward_is_reached_by_its_other_methods(results: list[Result]) -> None:
    reached = {r.subject.qualname: r for r in results if r.check == "smoke.reached"}
    assert reached["Scaling"].outcome == "passed"
    assert reached["Idle"].outcome == "error"  # held by a model, and nothing of it ran


def test_a_class_that_is_declared_as_an_attention_is_left_to_the_attention_audit(results: list[Result]) -> None:
    declared = next(r for r in results if (r.check, r.subject.qualname) == ("smoke.reached", "Attends"))
    assert declared.outcome == "not_applicable"
    assert "ATTENTION['attends']" in (declared.reason or "")


@pytest.mark.parametrize("are_quick", [True, *slow(False)])
def test_nothing_is_called_a_defect_of_the_tool(judged: Callable[[bool], list[Result]], are_quick: bool) -> None:
    assert [r.reason for r in judged(are_quick) if "internal error" in (r.reason or "")] == []
