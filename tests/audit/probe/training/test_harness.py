"""What is summed of the modules beside the parameters that are optimised."""

import copy

import pytest
import torch
from torch import nn

from audit.probe.training.harness import Modules


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(3, affine=False)
        self.register_buffer("scratch", torch.zeros(2), persistent=False)
        self.scratch: torch.Tensor


def of(*modules: nn.Module) -> Modules:
    known = Modules()
    known._looked = True  # what else is alive is of other tests
    for module in modules:
        for part in module.modules():
            known._noted(part)
    return known


def test_what_a_module_saves_beside_its_optimised_parameters_is_summed() -> None:
    net = Net()
    optimised = {id(each) for each in net.parameters()}
    known = of(net)
    before = known.summed(optimised)
    net.scratch += 1  # is not saved
    assert known.summed(optimised) == before
    assert net.norm.running_mean is not None
    net.norm.running_mean += 1
    assert known.summed(optimised)[0] != before[0]
    assert before[1] == known.summed(optimised)[1] == 0


@pytest.mark.parametrize(("other", "counts"), [("copy", True), ("another", False)])
def test_a_copy_counts_in_the_steps_behind_which_it_has_changed(other: str, counts: bool) -> None:
    net = Net()
    beside = copy.deepcopy(net) if other == "copy" else nn.Linear(5, 5)
    optimised = {id(each) for each in net.parameters()}
    known = of(net, beside)
    sums = []
    for change in (0.0, 0.0, 1.0, 0.0):
        with torch.no_grad():
            next(beside.parameters()).add_(change)
        sums.append(known.summed(optimised)[1])
    assert [each != 0 for each in sums] == [False, False, counts, False]
