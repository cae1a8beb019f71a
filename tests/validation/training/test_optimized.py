"""Whether the optimizer has what learns: entries that are right, wrong by one edit, and that cannot be judged."""

import functools
from collections.abc import Callable, Mapping

import pytest

from audit.report.document import Report
from audit.results import Result

from ...slow_cases import slow_unless

CHECK = "train.optimized"
PASSED, FAILED, ERROR, SKIPPED = "passed", "failed", "error", "skipped"
HELPERS = """
def adam(*names):
    def optimizer(model):
        chosen = [p for name, p in model.named_parameters() if name.partition('.')[0] in names]
        return torch.optim.Adam(chosen, lr=0.01)
    return optimizer

class Grown(right_trainer.Net):
    def forward(self, *inputs):
        if not hasattr(self, 'late'):
            self.late = torch.nn.Linear(1, 1)
        return super().forward(*inputs) + 0 * self.late.weight.sum()

class Lazy(right_trainer.Net):
    def __init__(self):
        super().__init__()
        self.late = torch.nn.LazyLinear(1)
    def forward(self, *inputs):
        return super().forward(*inputs) + 0 * self.late(torch.ones(3)).sum()

def half():
    model = right_trainer.Net()
    model.first.requires_grad_(False)
    return model
"""
IN_NONE = "first.weight, first.bias learn and are in no group of the optimizer"
IN_ONE = "first.weight, first.bias are declared frozen, learn, and are in a group of the optimizer"
# What is changed in the entry, the outcome, and what the reason says.
CASES: dict[str, tuple[str, str, str]] = {
    "all": ("optimizer=adam('first', 'last')", PASSED, ""),
    "last_layer_alone": ("optimizer=adam('last')", FAILED, IN_NONE),
    "last_layer_and_frozen": ("optimizer=adam('last'), build=half", PASSED, ""),
    "last_layer_and_declared": ("optimizer=adam('last'), frozen=['first.*']", PASSED, ""),
    "frozen_and_declared": ("optimizer=adam('first', 'last'), build=half, frozen=['first.*']", PASSED, ""),
    "declared_and_trained": ("optimizer=adam('first', 'last'), frozen=['first.*']", FAILED, IN_ONE),
    "frozen_and_not_declared": (
        "build=half, frozen=[]", FAILED, "first.weight, first.bias are not declared frozen, and do not learn",
    ),
    "declares_nothing_that_is_there": (
        "frozen=['frist.weight']", ERROR,
        "TRAINING['declares_nothing_that_is_there'] of zoo.specs: in 'frozen', no parameter of the model is called "
        "'frist.weight'; did you mean first.weight",
    ),
    "grown_by_the_first_forward": (
        "optimizer=lambda model: torch.optim.Adam(model.parameters()), build=Grown", FAILED,
        "late.weight, late.bias learn and are in no group of the optimizer",
    ),
    "built_by_the_first_forward": (
        "optimizer=lambda model: torch.optim.Adam(model.parameters()), build=Lazy", PASSED, "",
    ),
    "of_another_form": ("frozen='first'", SKIPPED, "needs train.run to pass on this subject, and that was: error"),
    "without_batches": ("batches=lambda seed, start: iter([])", SKIPPED, "needs train.run to pass"),
}  # fmt: skip


# One of each outcome; a run over all takes a while.
QUICK = {"all", "last_layer_alone", "last_layer_and_declared", "declares_nothing_that_is_there"}
Found = Callable[[bool], Mapping[str, Result]]


@pytest.fixture(scope="module")
def found(trained: Callable[..., Report], usual_specs: str) -> Found:
    """The results by the names of entries, of those that are quick, or of the others and one without an optimizer."""

    @functools.cache
    def results(are_quick: bool) -> Mapping[str, Result]:
        chosen = {name: change for name, (change, *_) in CASES.items() if (name in QUICK) is are_quick}
        entries = "".join(f"    {name!r}: trained('right_trainer', {change}),\n" for name, change in chosen.items())
        specs = f"{usual_specs}{HELPERS}TRAINING = {{\n{entries}    'usual': trained('right_trainer'),\n}}\n"
        specs += "del TRAINING['usual']['optimizer']\n"
        report = trained(only=[CHECK], subjects=[*chosen, "usual"], specs=specs, steps=4)
        return {result.subject.name: result for result in report.results if result.check == CHECK}

    return results


@pytest.mark.parametrize("name", slow_unless(QUICK, CASES))
def test_an_entry_is_judged_by_what_its_optimizer_has(found: Found, name: str) -> None:
    _, outcome, said = CASES[name]
    result = found(name in QUICK)[name]
    assert result.outcome == outcome, result.reason
    assert said in (result.reason or "")


def test_a_pass_counts_what_is_in_the_groups(found: Found) -> None:
    assert "in its groups: 2 of 4 parameters" in str(found(True)["last_layer_and_declared"].evidence.bound_origin)


def test_an_entry_that_gives_no_optimizer_has_no_such_check(found: Found) -> None:
    assert found(True).keys() == QUICK
