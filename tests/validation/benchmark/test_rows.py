"""What a row and a document may say: no time without checks that passed, nothing that does not follow."""

import json
import math
from collections.abc import Callable

import jsonschema
import pytest
import typer
from pydantic import ValidationError
from typer.testing import CliRunner

from validation.benchmark.document import BenchmarkDocument, schema_json
from validation.benchmark.pytest_form import benchmark_entries
from validation.benchmark.rows import Correctness, Rates, Row, RowOutcome, Timing, Verified

from .making import BAD, CASE, GOOD, document, measured_row, timing

ROUNDS = ([2_000_000] * 6, [2_100_000] * 6, [1_900_000] * 6)


def changed(row: Row, **changes: object) -> Row:
    return Row.model_validate({**{name: getattr(row, name) for name in Row.model_fields}, **changes})


def test_a_right_row_with_times_is_accepted() -> None:
    row = measured_row(*ROUNDS)
    assert row.timing.n == 18
    assert row.timing.median_ns == 2_000_000


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda row: {"correctness": None}, "a time needs checks that passed"),
        (lambda row: {"correctness": Correctness(before=GOOD)}, "a time needs checks that passed"),
        (lambda row: {"correctness": Correctness(before=BAD, after=GOOD)}, "a time needs checks that passed"),
        (lambda row: {"correctness": Correctness(before=GOOD, after=BAD)}, "a time needs checks that passed"),
        (lambda row: {"outcome": RowOutcome.WRONG, "reason": "wrong"}, "times belong to what was measured"),
        (lambda row: {"timing": None}, "times belong to what was measured"),
        (lambda row: {"outcome": RowOutcome.RAISED, "timing": None}, "needs a reason"),
        (lambda row: {"outcome": RowOutcome.WRONG, "reason": "wrong", "timing": None}, "the check that it failed"),
    ],
)
def test_a_row_that_is_not_honest_does_not_construct(change: Callable[[Row], dict[str, object]], said: str) -> None:
    row = measured_row(*ROUNDS)
    with pytest.raises(ValidationError, match=said):
        changed(row, **change(row))


def test_few_samples_have_no_percentiles() -> None:
    assert (timing([1, 2, 3, 4]).p20_ns, timing([1, 2, 3, 4]).p80_ns) == (None, None)
    assert timing([1, 2, 3, 4, 5]).p80_ns == pytest.approx(4.2)


def test_a_deviation_without_a_finite_bound_has_not_passed() -> None:
    assert not Verified(of="x", measured=0, bound=math.inf, bound_origin="none", seed=0).passed
    assert not Verified(of="x", measured=math.nan, bound=1, bound_origin="one", seed=0).passed


@pytest.mark.parametrize("share", ["of_roofline", "of_datasheet", "of_datasheet_bandwidth"])
def test_a_share_above_one_hundred_percent_is_no_result(share: str) -> None:
    assert getattr(Rates(**{share: 1.0}), share) == 1.0
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        Rates(**{share: 1.01})


def test_a_median_that_its_samples_do_not_have_is_refused() -> None:
    found = timing([1, 2, 3]).model_dump()
    with pytest.raises(ValidationError, match="do not follow from the samples"):
        Timing.model_validate(found | {"median_ns": 1.0})
    with pytest.raises(ValidationError, match="needs a note"):
        Timing.model_validate(found | {"stop_rule_met": False})


def test_a_document_survives_its_json_and_satisfies_its_schema() -> None:
    absent = Row(case=CASE, backend=measured_row([1]).backend.model_copy(update={"name": "other"}),
                 outcome=RowOutcome.ABSENT, reason="not installed")  # fmt: skip
    made = document(measured_row(*ROUNDS), absent)
    assert BenchmarkDocument.model_validate_json(made.as_json()) == made
    jsonschema.validate(json.loads(made.as_json()), json.loads(schema_json()))


@pytest.mark.parametrize(
    "edit",
    [
        lambda row: row.update(correctness=None),
        lambda row: row["correctness"].update(after=None),
        lambda row: row.update(outcome="wrong", reason="wrong"),
        lambda row: row.update(timing=None),
        lambda row: row["rates"].update(of_roofline=1.5),
    ],
)
def test_the_schema_alone_refuses_times_without_checks(edit: Callable[[dict], None]) -> None:
    told = json.loads(document(measured_row(*ROUNDS)).as_json())
    edit(told["rows"][0])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(told, json.loads(schema_json()))


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda told: told.update(exit_code=3), "exit code does not follow"),
        (lambda told: told["benchmarks"][0]["stats"].update(median=1e-9), "pytest-benchmark reads does not follow"),
        (lambda told: told["benchmarks"].clear(), "pytest-benchmark reads does not follow"),
        (lambda told: told.update(rows=told["rows"] * 2, benchmarks=told["benchmarks"] * 2), "two rows of one case"),
    ],
)
def test_an_edited_document_does_not_validate(edit: Callable[[dict], None], said: str) -> None:
    told = json.loads(document(measured_row(*ROUNDS)).as_json())
    edit(told)
    with pytest.raises(ValidationError, match=said):
        BenchmarkDocument.model_validate(told)


def test_the_schema_is_printed(bench_app: typer.Typer) -> None:
    done = CliRunner().invoke(bench_app, ["bench", "--schema"])
    assert done.exit_code == 0
    assert done.stdout == schema_json()
    jsonschema.Draft202012Validator.check_schema(json.loads(done.stdout))


def test_what_one_python_has_written_every_other_reads() -> None:
    samples = [100_000_000, 100_000_001, 3, 7] * 9  # a plain sum of their seconds rounds otherwise than an exact one
    (entry,) = benchmark_entries([measured_row(samples)])
    assert isinstance(entry["stats"], dict)
    assert entry["stats"]["total"] == math.fsum(sample * 1e-9 for sample in samples)
