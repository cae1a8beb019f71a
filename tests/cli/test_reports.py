"""Whole runs on small packages: their reports validate, repeat, and name commands that work."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from audit.report.document import Report

from ..slow_cases import slow

Run = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[2]
TIMES = re.compile(r'"(duration_s|started_at|finished_at)": [^\n]*')
RUNS = {
    "static clean": ("static", "models/clean", 0),
    "static broken": ("static", "models/syntax_error", 1),
    "smoke clean": ("smoke", "models/clean", 0),
    "attention failing": ("attention", "attention/wrong_scale", 1),
    "attention filtered": ("attention --only attention.declared", "attention/clean", 0),
}
SLOW = pytest.param("attention failing", marks=pytest.mark.slow)
EVERY = [SLOW if name == "attention failing" else name for name in RUNS]


@pytest.fixture(scope="module")
def reports(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, str]]:
    """Carries out one of `RUNS` in a copy of its fixture, once, and returns the copy and the JSON."""
    made: dict[str, tuple[Path, str]] = {}

    def get(name: str) -> tuple[Path, str]:
        if name not in made:
            command, fixture, code = RUNS[name]
            root = tmp_path_factory.mktemp("target") / "project"
            shutil.copytree(ROOT / "tests" / "fixtures" / fixture, root, ignore=shutil.ignore_patterns("__pycache__"))
            done = run(*command.split(), "--json", "--quiet", cwd=root)
            assert (done.returncode, done.stderr) == (code, "")
            made[name] = (root, done.stdout)
        return made[name]

    return get


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads((ROOT / "audit" / "report" / "schema.json").read_text()))


@pytest.mark.parametrize("name", EVERY)
def test_a_real_report_validates_against_the_published_schema(
    reports: Callable[[str], tuple[Path, str]], validator: jsonschema.Draft202012Validator, name: str
) -> None:
    _, text = reports(name)
    document = json.loads(text)
    validator.validate(document)
    report = Report.model_validate_json(text)
    assert report.results
    assert report.exit_code == RUNS[name][2]
    assert report.partial is ("--only" in RUNS[name][0])


@pytest.mark.parametrize("name", ["static broken", SLOW])
def test_a_real_report_that_was_edited_does_not_read(reports: Callable[[str], tuple[Path, str]], name: str) -> None:
    document = json.loads(reports(name)[1])
    failed: list[dict[str, Any]] = [each for each in document["results"] if each["outcome"] == "failed"]
    document["results"] = [each for each in document["results"] if each not in failed]
    document["verdict"] = "clean"
    with pytest.raises(ValueError, match="do not follow from the results"):
        Report.model_validate_json(json.dumps(document))


@pytest.mark.parametrize("name", ["static broken", *slow("smoke clean"), SLOW])
def test_another_run_gives_the_same_report_apart_from_times(
    reports: Callable[[str], tuple[Path, str]], run: Run, tmp_path: Path, name: str
) -> None:
    root, text = reports(name)
    anew = {"ASTROBIO_AUDIT_CACHE": str(tmp_path / "cache")}  # what is taken over says when it was measured
    again = run(*RUNS[name][0].split(), "--json", "--quiet", cwd=root, env=anew).stdout
    assert TIMES.sub("", again) == TIMES.sub("", text)


@pytest.mark.parametrize("name", ["static broken", "smoke clean", SLOW])
def test_a_report_does_not_depend_on_where_the_target_lies(
    reports: Callable[[str], tuple[Path, str]], name: str
) -> None:
    root, text = reports(name)
    assert str(root) not in text
    assert str(ROOT) not in text


@pytest.mark.parametrize("name", EVERY)
def test_every_result_is_bound_to_its_source(reports: Callable[[str], tuple[Path, str]], name: str) -> None:
    report = Report.model_validate_json(reports(name)[1])
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", result.subject.digest or "") for result in report.results)
    assert report.provenance.package_digest is not None


@pytest.mark.parametrize("name", ["static broken", SLOW])
def test_the_command_of_a_failure_measures_it_again(
    reports: Callable[[str], tuple[Path, str]], run: Run, name: str
) -> None:
    root, text = reports(name)
    failure = next(each for each in Report.model_validate_json(text).results if each.outcome == "failed")
    assert failure.evidence.reproduce is not None
    words = shlex.split(failure.evidence.reproduce)
    assert words[0] == "astrobio-audit"
    done = run(*words[1:], "--json", "--quiet", cwd=root)
    assert (done.returncode, done.stderr) == (1, "")
    again = next(
        each
        for each in Report.model_validate_json(done.stdout).results
        if (each.check, each.subject) == (failure.check, failure.subject)
    )
    # What a failure comes from is told from all that fail, and this command carries out one check.
    untimed = {"evidence": {"duration_s"}, "defect": True}
    assert again.model_dump(exclude=untimed) == failure.model_dump(exclude=untimed)
