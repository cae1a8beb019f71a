import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import audit.report
from audit.report.document import SCHEMA_VERSION, Report
from audit.report.schema import schema_json
from audit.results import Evidence, Outcome, Result, Series

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]
PUBLISHED = Path(audit.report.__file__).with_name("schema.json")


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(PUBLISHED.read_text()))


@pytest.fixture
def document(make_report: MakeReport, make_result: MakeResult) -> dict[str, Any]:
    results = [make_result(outcome, f"area.{outcome.value}") for outcome in Outcome]
    read: dict[str, Any] = json.loads(make_report(results).model_dump_json())
    return read


def test_the_published_schema_is_the_one_that_the_models_give() -> None:
    assert PUBLISHED.read_text() == schema_json()


def test_the_published_schema_is_a_schema_and_names_its_version() -> None:
    schema = json.loads(PUBLISHED.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"] == f"astrobio-audit report {SCHEMA_VERSION}"


def test_reports_of_every_kind_validate(
    validator: jsonschema.Draft202012Validator, make_report: MakeReport, make_result: MakeResult
) -> None:
    kinds = [
        make_report([make_result(outcome) for outcome in Outcome]),
        make_report([]),
        make_report([make_result()], partial_reason="stopped", interrupted=True),
        make_report([make_result(Outcome.FAILED, evidence={"measured": float("nan"), "bound": float("inf")})]),
    ]
    for report in kinds:
        validator.validate(json.loads(report.model_dump_json()))


CORRUPTIONS: dict[str, Callable[[dict[str, Any]], object]] = {
    "an unknown key": lambda d: d.update(approved=True),
    "an unknown key in a result": lambda d: d["results"][0].update(waived=True),
    "an unknown outcome": lambda d: d["results"][0].update(outcome="waived"),
    "an unknown severity": lambda d: d["results"][0].update(severity="cosmetic"),
    "an unknown verdict": lambda d: d.update(verdict="mostly ready"),
    "an unknown kind of subject": lambda d: d["results"][0]["subject"].update(kind="toy"),
    "no results": lambda d: d.pop("results"),
    "no verdict": lambda d: d.pop("verdict"),
    "no score": lambda d: d.pop("score"),
    "no provenance": lambda d: d.pop("provenance"),
    "no commit": lambda d: d["provenance"].pop("commit"),
    "no schema version": lambda d: d.pop("schema_version"),
    "no tool": lambda d: d.pop("tool"),
    "no version of the tool": lambda d: d["tool"].pop("version"),
    "another schema version": lambda d: d.update(schema_version="0.9"),
    "a score as text": lambda d: d.update(score="100 %"),
    "results as an object": lambda d: d.update(results={}),
    "a check with a wrong id": lambda d: d["checks"][0].update(id="Not A Check"),
    "a line as text": lambda d: d["results"][0]["subject"].update(line="3"),
}


@pytest.mark.parametrize("corrupt", CORRUPTIONS.values(), ids=CORRUPTIONS.keys())
def test_a_corrupt_report_does_not_validate(
    validator: jsonschema.Draft202012Validator, document: dict[str, Any], corrupt: Callable[[dict[str, Any]], object]
) -> None:
    validator.validate(document)
    corrupted = copy.deepcopy(document)
    corrupt(corrupted)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(corrupted)


@pytest.mark.parametrize("missing", ["measured", "bound", "bound_origin"])
def test_a_pass_without_evidence_does_not_validate(
    validator: jsonschema.Draft202012Validator, document: dict[str, Any], missing: str
) -> None:
    passed = next(result for result in document["results"] if result["outcome"] == "passed")
    passed["evidence"][missing] = None
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(document)


@pytest.mark.parametrize("missing", ["measured", "bound", "bound_origin", "comparison"])
def test_a_pass_without_a_key_of_its_evidence_does_not_validate(
    validator: jsonschema.Draft202012Validator, document: dict[str, Any], missing: str
) -> None:
    passed = next(result for result in document["results"] if result["outcome"] == "passed")
    del passed["evidence"][missing]
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(document)
    del passed["evidence"]
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(document)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", ""])
@pytest.mark.parametrize("key", ["measured", "bound"])
def test_a_pass_without_a_finite_number_does_not_validate(
    validator: jsonschema.Draft202012Validator, document: dict[str, Any], key: str, number: str
) -> None:
    passed = next(result for result in document["results"] if result["outcome"] == "passed")
    passed["evidence"][key] = number
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(document)


@pytest.mark.parametrize("reason", [None, "", " \n"])
def test_an_outcome_without_its_reason_does_not_validate(
    validator: jsonschema.Draft202012Validator, document: dict[str, Any], reason: str | None
) -> None:
    failed = next(result for result in document["results"] if result["outcome"] == "failed")
    failed["reason"] = reason
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(document)


def test_a_curve_with_a_loss_that_is_not_finite_validates_and_comes_back(
    validator: jsonschema.Draft202012Validator, make_report: MakeReport, make_result: MakeResult
) -> None:
    curve = Series(name="loss", unit="nats", x_name="step", x=(1, 2), y=(0.5, float("nan")))
    failed = make_result(Outcome.FAILED, evidence=Evidence(series=(curve,)))
    text = make_report([failed]).model_dump_json()
    validator.validate(json.loads(text))
    assert Report.model_validate_json(text).results[0].evidence.series[0].y == (0.5, "NaN")
