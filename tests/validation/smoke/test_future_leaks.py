"""Which outputs and axes are judged of a model that declares `causal`, where lengths alone do not tell."""

from typing import NamedTuple

import pytest

from audit.results import Result

from .written import Model, results_of_models

PASSED, FAILED, ERROR = "passed", "failed", "error"
# Six numbers of each sample are its positions: running sums see the earlier ones, and those from behind the later.
SUMS = "x.cumsum(1)"
LATER = "x.flip(1).cumsum(1).flip(1)"
POOLED = "x.sum(1, keepdim=True).expand(-1, 6)"  # as many numbers as positions, of the whole sequence
HALVED = "x.cumsum(1)[:, 1::2]"  # each of three sees the two of its own and those before
ONE_MORE = "torch.cat((x.cumsum(1)[:, 2::2], x.cumsum(1)[:, -1:]), 1)"  # each but the last sees one more
SQUARE = "x.cumsum(1)[:, :, None].expand(-1, -1, 6)"

TURNED = ", inputs=lambda batch_size, generator: {{'x': torch.randn({}, batch_size, 5, generator=generator)}}"


class Case(NamedTuple):
    """What forward returns, the outputs that are named, the outcome, and a part of its reason or of its bound."""

    returns: str
    outputs: str
    outcome: str
    said: str


CASES = {
    "no_name": Case(SUMS, "", PASSED, "judged: output (positions on axis 1)"),
    "pooled_as_long_by_chance": Case(
        f"{{'sums': {SUMS}, 'pooled': {POOLED}}}", "", FAILED, "on: output.pooled (positions on axis 1)"
    ),
    "pooled_and_not_named": Case(
        f"{{'sums': {SUMS}, 'pooled': {POOLED}}}", "'outputs': {'output.sums': 1}", PASSED,
        "judged: output.sums (positions on axis 1); not judged: output.pooled",
    ),
    "named_and_leaking": Case(
        f"{{'sums': {LATER}, 'pooled': {POOLED}}}", "'outputs': {'output.sums': 1}", FAILED,
        "on: output.sums (positions on axis 1)",
    ),
    "leaks_in_training": Case(
        f"{SUMS} + (x.mean(1, keepdim=True) if self.training else 0)", "", FAILED, "outputs in train mode change"
    ),
    "random_in_training": Case(
        f"nn.functional.dropout({SUMS}, 0.5, self.training)", "", PASSED, "in train mode from 3"
    ),
    "random_otherwise_in_training": Case(
        f"{SUMS} * (1 + self.training * torch.rand(1, generator=KEPT.append(torch.Generator()) or KEPT[0]))", "",
        PASSED, "train mode differs under the same seed",
    ),
    "refuses_in_training": Case(
        f"{SUMS} * (1 / (0 if self.training else 1))", "", PASSED, "forward raised ZeroDivisionError"
    ),
    "square": Case(SQUARE, "", ERROR, "no output has the 6 positions of x on exactly one axis behind the batch"),
    "square_and_named": Case(SQUARE, "'outputs': {'output': 1}", PASSED, "judged: output (positions on axis 1)"),
    "square_and_named_wrongly": Case(SQUARE, "'outputs': {'output': 2}", FAILED, "on: output (positions on axis 2)"),
    "another_name": Case(
        f"{{'sums': {SUMS}}}", "'outputs': {'output.sum': 1}", ERROR,
        "in 'causal', the model returns no tensor 'output.sum' (did you mean 'output.sums'?)",
    ),
    "another_length": Case(
        "x.cumsum(1)[:, 1:]", "'outputs': {'output': 1}", ERROR,
        "in 'causal', axis 1 of 'output' does not have the 6 positions of the content, nor one for each two or more",
    ),
    "subsampled": Case(
        HALVED, "'outputs': {'output': 1}", PASSED, "output (positions on axis 1, each of 2 of the content)"
    ),
    "subsampled_and_seeing_one_more": Case(
        ONE_MORE, "'outputs': {'output': 1}", FAILED, "on: output (positions on axis 1, each of 2 of the content)"
    ),
    "subsampled_and_not_named": Case(HALVED, "", ERROR, "no output has the 6 positions of x on exactly one axis"),
    "subsampled_to_no_divisor": Case(
        "x.cumsum(1)[:, 2:]", "'outputs': {'output': 1}", ERROR, "nor one for each two or more of them"
    ),
    "subsampled_to_one": Case(
        "x.sum(1, keepdim=True)", "'outputs': {'output': 1}", ERROR, "nor one for each two or more of them"
    ),
    "subsampled_and_leaking_in_training": Case(
        f"{HALVED} + (x[:, 2::2].sum(1, keepdim=True) if self.training else 0)", "'outputs': {'output': 1}", FAILED,
        "outputs in train mode change",
    ),
    "time_major": Case("x.cumsum(0)", "'axis': 0", PASSED, "judged: output (positions on axis 0)"),
    "time_major_and_leaking": Case(
        "x.flip(0).cumsum(0).flip(0)", "'axis': 0", FAILED, "on: output (positions on axis 0)"
    ),
    "time_major_and_batch_first": Case(
        "x.cumsum(0).transpose(0, 1)", "'axis': 0", PASSED, "judged: output (positions on axis 1)"
    ),
    "time_major_and_as_long_as_the_batch": Case("x.cumsum(0)", "'axis': 0", ERROR, "on exactly one axis"),
    "time_major_and_turned": Case(
        "x.cumsum(0).movedim(0, 2)", "'axis': 0, 'outputs': {'output': 2}", PASSED,
        "judged: output (positions on axis 2)",
    ),
    "no_such_axis": Case(SUMS, "'outputs': {'output': 2}", ERROR, "axis 2 of 'output' does not have the 6 positions"),
}  # fmt: skip


def turned(name: str) -> str:
    length = 3 if "as_long_as_the_batch" in name else 7
    return TURNED.format(length) if "time_major" in name else ""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """The one result of each case."""
    models = {
        name: Model(
            forward=f"return {case.returns}",
            entry=f".update(causal={{'content': ['x'], {case.outputs}}}{turned(name)})",
        )
        for name, case in CASES.items()
    }
    results = results_of_models(tmp_path_factory.mktemp("future"), models, only=("smoke.future_leaks",))
    return {name: each for name in CASES for each in results[name] if each.check == "smoke.future_leaks"}


@pytest.mark.parametrize("name", CASES)
def test_outputs_and_axes_are_judged_as_they_are_named(found: dict[str, Result], name: str) -> None:
    case, result = CASES[name], found[name]
    said = result.evidence.bound_origin if case.outcome == PASSED else result.reason
    assert (result.outcome.value, case.said in (said or "")) == (case.outcome, True), said


@pytest.mark.parametrize("name", ["pooled_as_long_by_chance", "square"])
def test_what_lengths_tell_wrongly_comes_with_the_key_that_settles_it(found: dict[str, Result], name: str) -> None:
    assert "'causal': {..., 'outputs': {NAME: AXIS}}" in (found[name].fix or "")
