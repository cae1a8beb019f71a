"""Batches whose samples are not on the first axis, in lists, or joined: a right model, and others by one edit."""

from typing import NamedTuple

import pytest

from audit.results import Result

from .written import Model, results_of_models

CHECKS = ("smoke.batch_rows", "smoke.accumulation", "smoke.sample_order", "smoke.overfits")
HELPERS = """
import numpy

class Graphs:
    def __init__(self, nodes):
        self.nodes = nodes
"""


class Case(NamedTuple):
    """What `inputs` returns, forward, the target of the loss, and the outcomes of the checks in their order."""

    inputs: str
    forward: str
    target: str
    outcomes: str


PASSED = "passed passed passed passed"
JOINED = "not_applicable not_applicable not_applicable passed"
TIME_MAJOR = "{'x': torch.randn(5, batch_size, 6, generator=generator)}"
STATES = (
    "{'x': {'steps': torch.randn(batch_size, 5, 6, generator=generator),"
    " 'state': torch.randn(1, batch_size, 2, generator=generator)}}"
)
RECURRENT = "return self.inner(x['steps'], x['state']{})[0][:, -1]"
NODES = (
    "{'x': {'nodes': torch.randn(4 * batch_size, 6, generator=generator),"
    " 'graph': torch.arange(batch_size).repeat_interleave(4)}}"
)
POOLED = (
    "n = int(x['graph'].max()) + 1; y = self.layer(x['nodes']);"
    " return torch.zeros(n, 2, dtype=y.dtype).index_add(0, x['graph'], y)"
)
OF_NODES = "inputs['x']['nodes'].view(-1, 4, 6).sum(1)[:, :2]"
IMAGES = "{'x': [torch.randn(6, generator=generator) for _ in range(batch_size)]}"
LENGTHS = (
    "(lambda n: {'x': {'y': torch.randn(batch_size, n, 6, generator=generator), 'at': torch.arange(n)}})"
    "(2 + batch_size % 3)"
)
PAIRS = "{'x': {'y': torch.randn(batch_size, 6, generator=generator), 'pairs': torch.eye(batch_size)}}"
CASES = {
    "time_major": Case(TIME_MAJOR, "return self.layer(x).mean(0)", "inputs['x'].mean(0)[:, :2]", PASSED),
    "time_major_mixed": Case(
        TIME_MAJOR, "y = self.layer(x).mean(0); return y + (y - y.mean(0)) / 9", "inputs['x'].mean(0)[:, :2]",
        "failed - passed passed",
    ),
    "time_major_of_another": Case(
        TIME_MAJOR, "return self.layer(x).mean(0)", "inputs['x'].mean(0)[:, :2].roll(1, 0)",
        "passed not_applicable failed passed",
    ),
    "first_state": Case(STATES, RECURRENT.format(""), "inputs['x']['state'][0]", PASSED),
    "first_state_mixed": Case(
        STATES, RECURRENT.format(" - x['state'].mean(1, keepdim=True) / 2"), "inputs['x']['state'][0]",
        "failed - passed passed",
    ),
    "joined_graphs": Case(NODES, POOLED, OF_NODES, JOINED),
    "number_of_samples": Case(
        "{'x': {'y': torch.randn(batch_size, 6, generator=generator), 'n': batch_size}}",
        "return self.layer(x['y'].view(x['n'], 6))", "inputs['x']['y'][:, :2]", PASSED,
    ),
    "number_of_samples_mixed": Case(
        "{'x': {'y': torch.randn(batch_size, 6, generator=generator), 'n': batch_size}}",
        "y = x['y'].view(x['n'], 6); return self.layer(y - y.mean(0) / 2)", "inputs['x']['y'][:, :2]",
        "failed - passed passed",
    ),
    "size_of_all_samples": Case(
        "{'x': {'y': torch.randn(batch_size, 6, generator=generator), 'shape': (6 * batch_size,)}}",
        "return self.layer(x['y'].reshape(x['shape']).view(-1, 6))", "inputs['x']['y'][:, :2]", JOINED,
    ),
    "number_in_a_tensor": Case(
        "{'x': {'y': torch.randn(batch_size, 6, generator=generator), 'n': torch.tensor(batch_size)}}",
        "return self.layer(x['y'].view(int(x['n']), 6))", "inputs['x']['y'][:, :2]", JOINED,
    ),
    "lengths_in_an_object": Case(
        "{'x': {'y': torch.randn(batch_size, 6, generator=generator), 'more': models.Graphs([6] * batch_size)}}",
        "return self.layer(torch.cat([each[:n] for each, n in zip(x['y'], x['more'].nodes, strict=True)]).view(-1, 6))",
        "inputs['x']['y'][:, :2]", JOINED,
    ),
    "array_of_lengths": Case(
        "{'x': {'y': torch.randn(batch_size, 6, generator=generator), 'n': models.numpy.full(batch_size, 6)}}",
        "return self.layer(torch.cat([each[:n] for each, n in zip(x['y'], x['n'], strict=True)]).view(-1, 6))",
        "inputs['x']['y'][:, :2]", JOINED,
    ),
    "pairs": Case(PAIRS, "return self.layer(x['pairs'] @ x['y'])", "inputs['x']['y'][:, :2]", JOINED),
    "in_an_object": Case(
        "{'x': models.Graphs(torch.randn(batch_size, 6, generator=generator))}", "return self.layer(x.nodes)",
        "inputs['x'].nodes[:, :2]", JOINED,
    ),
    "list_of_images": Case(IMAGES, "return self.layer(torch.stack(x))", "torch.stack(inputs['x'])[:, :2]", PASSED),
    "list_of_images_mixed": Case(
        IMAGES, "y = torch.stack(x); return self.layer(y - y.mean(0) / 2)", "torch.stack(inputs['x'])[:, :2]",
        "failed - passed passed",
    ),
    "length_of_the_batch": Case(
        LENGTHS, "return self.layer(x['y'] * (x['at'][:, None] + 1)).mean(1)", "inputs['x']['y'].mean(1)[:, :2]",
        PASSED,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Result]]:
    """The results of each case by their checks."""
    models = {
        name: Model(
            built="del self.layer; self.inner = nn.RNN(6, 2, batch_first=True)" if "state" in name else "pass",
            forward=case.forward,
            entry=f".update(inputs=lambda batch_size, generator: {case.inputs}, "
            f"loss=lambda output, inputs: (output - {case.target}).square().mean())",
        )
        for name, case in CASES.items()
    }
    results = results_of_models(tmp_path_factory.mktemp("axes"), models, only=CHECKS, helpers=HELPERS)
    return {name: {each.check: each for each in results[name]} for name in CASES}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_samples_are_found_where_they_are(found: dict[str, dict[str, Result]], name: str) -> None:
    outcomes = dict(zip(CHECKS, CASES[name].outcomes.split(), strict=True))
    told = {check: (found[name][check].outcome.value, found[name][check].reason) for check in CHECKS}
    assert {check: told[check][0] for check in CHECKS if outcomes[check] != "-"} == {
        check: outcome for check, outcome in outcomes.items() if outcome != "-"
    }, told


@pytest.mark.slow
def test_what_joins_the_samples_is_named(found: dict[str, dict[str, Result]]) -> None:
    said = {name: found[name]["smoke.batch_rows"].reason for name in CASES if CASES[name].outcomes == JOINED}
    why = {
        "joined_graphs": "inputs.x.nodes is (12, 6) for 3 samples",
        "size_of_all_samples": "inputs.x.shape.0 is 18 for 3 samples",
        "number_in_a_tensor": "inputs.x.n is 3 for 3 samples",
        "lengths_in_an_object": "inputs.x.more, of Graphs, holds what follows the number of samples",
        "array_of_lengths": "inputs.x.n, of ndarray, holds what follows the number of samples",
        "pairs": "inputs.x.pairs is (3, 3) for 3 samples",
        "in_an_object": "inputs.x, of Graphs, holds what follows the number of samples",
    }
    assert said == {name: f"the samples of a batch cannot be taken apart: {each}" for name, each in why.items()}
