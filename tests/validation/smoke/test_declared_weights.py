"""Weights that are declared as one tensor or as frozen: as declared, apart by one edit, and not to be judged."""

import functools
import re
from collections.abc import Callable, Mapping

import pytest

from audit.results import Result
from validation.smoke.checks import declared_frozen, tied_weights

from .written import Model, results_of_models

PASSED, FAILED, ERROR, SKIPPED, NONE = "passed", "failed", "error", "skipped", "not_applicable"
OTHER = "self.other = nn.Linear(6, 2)"
TIED = f"{OTHER}; self.other.weight = self.layer.weight"
BOTH = "return self.layer(x) + self.other(x)"
DECLARED = "['tied'] = [('layer.weight', 'other.weight')]"
FROZEN = "['frozen'] = ['layer.*']"
BUFFERS = "self.register_buffer('n', torch.ones(2)); self.register_buffer('m', self.n)"
USED = "return self.layer(x) + self.n * self.m"
IN_BUILT = "^layer.weight and other.weight are two tensors when it is built$"

# By the check that it is about: name, what is written, outcome, what the reason says.
CASES: dict[str, list[tuple[str, Model, str, str]]] = {
    tied_weights.CHECK.id: [
        ("as_declared", Model(TIED, BOTH, DECLARED), PASSED, ""),
        ("not_tied", Model(OTHER, BOTH, DECLARED), FAILED, IN_BUILT),
        (
            "of_equal_numbers",
            Model(f"{OTHER}; self.other.load_state_dict(self.layer.state_dict())", BOTH, DECLARED),
            FAILED,
            IN_BUILT,
        ),
        (
            "two_parameters_in_one_memory",
            Model(f"{OTHER}; self.other.weight = nn.Parameter(self.layer.weight.data)", BOTH, DECLARED),
            FAILED,
            IN_BUILT,
        ),
        (
            "apart_after_loading",
            Model(f"{TIED}; self.load_state_dict = lambda state: nn.Module.load_state_dict(self, state, assign=True)",
                BOTH, DECLARED),
            FAILED,
            "^layer.weight and other.weight are apart after loading the state dict$",
        ),
        (
            "apart_after_a_step",
            Model(TIED, f"self.training and separate(self); {BOTH}", DECLARED),
            FAILED,
            "^layer.weight and other.weight are apart after an optimizer step$",
        ),
        (
            "apart_in_copies",
            Model(f"{TIED}; type(self).__setstate__ = separated", BOTH, DECLARED),
            FAILED,
            "apart after a deep copy; .* apart after pickle; .* apart after torch.save of the whole$",
        ),
        (
            "apart_in_another_dtype",
            Model(f"{TIED}; type(self)._apply = moved_apart", BOTH, DECLARED),
            FAILED,
            "^layer.weight and other.weight are apart after moving to another dtype$",
        ),
        ("pickles_nothing", Model(f"{TIED}; self.after = lambda y: y", BOTH, DECLARED), PASSED, ""),
        ("one_buffer", Model(BUFFERS, USED, "['tied'] = [('m', 'n')]"), PASSED, ""),
        (
            "two_buffers",
            Model(BUFFERS.replace("self.n)", "self.n.clone())"), USED, "['tied'] = [('m', 'n')]"),
            FAILED,
            "^m and n are two tensors when it is built$",
        ),
        ("takes_no_step", Model(TIED, f"assert not self.training; {BOTH}", DECLARED), ERROR, "^forward raised Asser"),
    ],
    declared_frozen.CHECK.id: [
        ("frozen", Model(f"{OTHER}; self.layer.requires_grad_(False)", BOTH, FROZEN), PASSED, ""),
        ("undeclared", Model(f"{OTHER}; self.layer.requires_grad_(False)", BOTH), NONE, "declare no `frozen`"),
        (
            "a_bracket_is_no_pattern",
            Model("self.parts = nn.ParameterDict({'w[0]': nn.Parameter(torch.ones(2), requires_grad=False)})",
                entry="['frozen'] = ['parts.w[0]']"),
            PASSED,
            "",
        ),
        ("a_question_mark_neither", Model(entry="['frozen'] = ['layer.bia?']"), ERROR, "is called 'layer.bia.'"),
        ("a_long_name", Model(entry="['frozen'] = ['x' * 500_000]"), ERROR, "is called 'x{60}.{3}x{60}'"),
        ("nothing_frozen", Model(OTHER, BOTH, "['frozen'] = []"), PASSED, ""),
        (
            "not_frozen",
            Model(OTHER, BOTH, FROZEN),
            FAILED,
            "^declared frozen, and learn: layer.weight, layer.bias$",
        ),
        (
            "frozen_in_part",
            Model(f"{OTHER}; self.layer.weight.requires_grad_(False)", BOTH, FROZEN),
            FAILED,
            "^declared frozen, and learn: layer.bias$",
        ),
        (
            "another_frozen",
            Model(f"{OTHER}; self.requires_grad_(False); self.other.bias.requires_grad_()", BOTH, FROZEN),
            FAILED,
            "^not declared frozen, and do not learn: other.weight$",
        ),
        (
            "thawed_by_train",
            Model(f"{OTHER}; self.layer.requires_grad_(False); type(self).train = thawing", BOTH, FROZEN),
            FAILED,
            "^declared frozen, and learn: layer.weight, layer.bias$",
        ),
        (
            "thawed_by_forward",
            Model(f"{OTHER}; self.layer.requires_grad_(False)", f"self.requires_grad_(); {BOTH}", FROZEN),
            FAILED,
            "^declared frozen, and learn once forward has run: layer.weight, layer.bias$",
        ),
        (
            "frozen_by_another_name",
            Model(f"{TIED}; self.layer.requires_grad_(False)", BOTH, "['frozen'] = ['layer.bias', 'other.weight']"),
            PASSED,
            "",
        ),
        (
            "whole_numbers",
            Model("self.n = nn.Parameter(torch.ones(2, dtype=torch.long), requires_grad=False)",
                entry="['frozen'] = []"),
            PASSED,
            "",
        ),
        (
            "runs_in_eval_alone",
            Model(f"{OTHER}; self.layer.requires_grad_(False)", f"assert not self.training; {BOTH}", FROZEN),
            ERROR,
            "^forward raised AssertionError",
        ),
        ("frozen_and_not_run", Model(forward="1 / 0", entry=FROZEN), SKIPPED, "needs smoke.forward"),
    ],
}  # fmt: skip
HELPERS = """
def thawing(model, mode=True):
    return nn.Module.train(model, mode).requires_grad_()
def separate(model):
    model.other.weight = nn.Parameter(model.other.weight.detach().clone())
def moved_apart(model, *args, **kwargs):
    nn.Module._apply(model, *args, **kwargs)
    separate(model)
    return model
def separated(model, state):
    nn.Module.__setstate__(model, state)
    separate(model)
"""


# One of each outcome of each check; a run over all takes a while.
QUICK = {
    "as_declared",
    "apart_after_a_step",
    "takes_no_step",
    "frozen",
    "not_frozen",
    "thawed_by_forward",
    "undeclared",
}
ALL = [(check, name, outcome, said) for check, cases in CASES.items() for name, _, outcome, said in cases]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], Mapping[str, Result]]:
    """The results by the names of models, of those that are quick, or of the others."""

    @functools.cache
    def results(are_quick: bool) -> Mapping[str, Result]:
        checks = {name: check for check, name, _, _ in ALL if (name in QUICK) is are_quick}
        models = {name: model for cases in CASES.values() for name, model, _, _ in cases if name in checks}
        found = results_of_models(tmp_path_factory.mktemp("weights"), models, only=tuple(CASES), helpers=HELPERS)
        return {name: next(each for each in found[name] if each.check == checks[name]) for name in checks}

    return results


@pytest.mark.parametrize(
    ("name", "outcome", "said"),
    [
        pytest.param(name, outcome, said, marks=[] if name in QUICK else pytest.mark.slow)
        for _, name, outcome, said in ALL
    ],
)
def test_a_model_is_judged_as_it_is_declared(
    judged: Callable[[bool], Mapping[str, Result]], name: str, outcome: str, said: str
) -> None:
    result = judged(name in QUICK)[name]
    assert result.outcome == outcome, result.reason
    assert re.search(said, result.reason or "", re.DOTALL), result.reason
    assert "internal error" not in (result.reason or "")


@pytest.mark.slow
def test_a_pass_says_which_copies_could_not_be_looked_at(judged: Callable[[bool], Mapping[str, Result]]) -> None:
    origin = str(judged(False)["pickles_nothing"].evidence.bound_origin)
    assert "not after pickle, torch.save of the whole, which raised: see smoke.copies" in origin
    assert "an optimizer step" in origin
    assert "not after" not in str(judged(True)["as_declared"].evidence.bound_origin)
