import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from audit.results import Outcome

Ready = Callable[..., Any]
AREAS = [
    "attention", "checkpoints", "claims", "data", "documents", "infrastructure", "rules", "security", "smoke", "static",
    "tests", "train",
]  # fmt: skip
TIMES = re.compile(r'"(duration_s|started_at|finished_at)": [^\n]*|- started, finished: [^\n]*')
OF_THE_MACHINE = ("train.run", "train.memory")  # say how long steps take, and how large the process is


def _apart_from_times(text: str) -> str:
    document = json.loads(text)
    for result in document["results"]:
        if result["check"] in OF_THE_MACHINE:
            del result["evidence"]
    return TIMES.sub("", json.dumps(document, indent=2))


def _apart_from_measured_rows(text: str) -> str:
    rows = tuple(f"| {check} " for check in OF_THE_MACHINE)
    lines = (line for line in text.splitlines() if not line.startswith(rows) and "`step time`" not in line)
    return TIMES.sub("", "\n".join(lines))


def test_a_clean_model_is_ready(ready: Ready) -> None:
    run = ready("models/clean")
    assert run.code == 0, run.stdout + run.stderr
    # Of all that concerns it, one thing is not judged here: whether two GPUs learn what one learns.
    assert run.stdout.splitlines()[-2] == "verdict: ready   score 87.5 %   coverage 87.5 %"
    assert run.stdout.splitlines()[-1] == "written: reports/latest/readiness.json, .md and .html"
    assert (run.report.verdict, run.report.score, run.report.coverage) == ("ready", 0.875, 0.875)
    unjudged = {each.check: each.reason for each in run.report.results if each.outcome is Outcome.SKIPPED}
    assert unjudged == {"train.gpus": "needs 2 GPUs"}


def test_every_area_takes_part_in_one_plan(ready: Ready) -> None:
    report = ready("models/clean").report
    assert [area.name for area in report.areas] == AREAS
    # What the package neither claims nor configures is told as such, and not left out.
    assert {each.outcome for each in report.results if each.check.startswith(("claims.", "tests."))} == {
        Outcome.NOT_APPLICABLE
    }
    assert report.command == "readiness"
    assert report.release
    assert {result.check for result in report.results} == {check.id for check in report.checks}


def test_the_report_is_written_to_the_default_folder_and_nothing_else_is(ready: Ready) -> None:
    root: Path = ready("models/clean").root
    written = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    ours = {path for path in written if not path.startswith("zoo/") and path != "pyproject.toml"}
    names = (".gitignore", "readiness.html", "readiness.json", "readiness.md")
    assert ours == {f"reports/latest/{name}" for name in names}
    assert (root / "reports/latest/.gitignore").read_text() == "*\n"


def test_the_first_line_of_the_file_is_the_verdict(ready: Ready) -> None:
    first = ready("models/clean").markdown.splitlines()[0]
    assert first == "**Verdict: ready** · score 87.5 % · coverage 87.5 %"


def test_the_inventory_is_part_of_the_report(ready: Ready) -> None:
    assert [item.qualname for item in ready("models/clean").report.inventory] == ["Regressor"]
    assert "## Inventory (1)" in ready("models/clean").markdown


def test_the_judged_model_is_the_real_one(ready: Ready) -> None:
    built = [result for result in ready("models/clean").report.results if result.check == "smoke.build"]
    # scale is a buffer: 6*16+16 + 16 + 16*2+2 parameters.
    assert [(result.subject.parameters, result.location.path) for result in built] == [(162, "zoo/model.py")]


@pytest.mark.slow
def test_a_package_without_models_is_not_ready_however_good_its_attention(ready: Ready) -> None:
    run = ready("attention/clean")
    assert (run.code, run.report.verdict) == (1, "not ready")
    by_area = {area.name: area for area in run.report.areas}
    assert by_area["attention"].score == 1
    smoke = by_area["smoke"]
    passed = {r.check for r in run.report.results if r.outcome is Outcome.PASSED and r.check.startswith("smoke.")}
    assert passed == {"smoke.import", "smoke.device"}  # of all that a model has to show, nothing passes
    assert smoke.score < smoke.coverage < 0.1
    assert run.report.score == by_area["train"].score == 0
    failed = [result.check for result in run.report.results if result.outcome is Outcome.FAILED]
    assert failed == ["smoke.declared", "train.declared"]


@pytest.mark.slow
def test_another_run_in_the_same_folder_gives_the_same_report_apart_from_times(
    ready: Ready, again: Ready, tmp_path: Path
) -> None:
    first = ready("models/clean")
    before = _apart_from_times(first.json), _apart_from_measured_rows(first.markdown)
    # What is taken over says when it was measured.
    second = again(first.root, ASTROBIO_AUDIT_CACHE=str(tmp_path / "cache"))
    assert second.code == 0
    assert (_apart_from_times(second.json), _apart_from_measured_rows(second.markdown)) == before


@pytest.mark.parametrize(
    ("fixture", "flags", "areas"),
    [
        ("models/clean", ("--only", "static"), ["static"]),
        ("models/clean", ("--only", "smoke.build"), ["smoke"]),
        pytest.param(
            "models/clean", ("--subject", "regressor"), ["attention", "smoke", "train"], marks=pytest.mark.slow
        ),
    ],
)
def test_a_filtered_run_says_so_first_and_gives_no_release_verdict(
    ready: Ready, fixture: str, flags: tuple[str, ...], areas: list[str]
) -> None:
    run = ready(fixture, *flags)
    reason = f"limited to {' '.join(flags)}"
    assert run.code == 3
    assert run.stdout.splitlines()[0] == f"partial run, no verdict: {reason}"
    assert "verdict: " not in "\n".join(run.stdout.splitlines()[1:])
    assert run.markdown.splitlines()[0] == f"**Partial run, no verdict: {reason.replace('_', chr(92) + '_')}**"
    assert (run.report.verdict, run.report.partial, run.report.partial_reason) == (None, True, reason)
    assert [area.name for area in run.report.areas] == areas


def test_a_filtered_run_that_finds_something_exits_with_1(ready: Ready) -> None:
    run = ready("models/syntax_error", "--only", "static")
    assert (run.code, run.report.verdict) == (1, None)


def test_an_interpreter_that_is_no_python_leaves_everything_but_the_sources_unjudged(ready: Ready) -> None:
    run = ready("models/clean", "--python", "/bin/true")
    assert (run.code, run.report.verdict) == (3, "incomplete")
    outcomes = {area.name: (area.passed, area.failed) for area in run.report.areas}
    assert outcomes["static"] == (3, 0)
    assert outcomes["smoke"] == (0, 0)


def test_for_cpus_everything_that_a_cpu_can_do_is_judged_and_the_verdict_says_so(ready: Ready) -> None:
    run = ready("models/clean", "--profile", "cpu")
    assert run.code == 0, run.stdout + run.stderr
    assert run.stdout.splitlines()[-3:-1] == [
        "verdict: ready, for use on CPUs   score 100 %   coverage 100 %",
        "  1 check on 1 subject not judged, for they need more than the profile cpu has",
    ]
    assert run.markdown.splitlines()[0] == "**Verdict: ready, for use on CPUs** · score 100 % · coverage 100 %"
    assert run.report.profile == "cpu"
    assert run.report.provenance.command == "astrobio-audit readiness --profile cpu"
    (left_out,) = (each for each in run.report.results if each.check == "train.gpus")
    assert (left_out.outcome, left_out.reason) == (Outcome.NOT_APPLICABLE, "outside the profile cpu: needs 2 GPUs")


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, and what is asked is what holds without")
def test_for_a_gpu_nothing_is_ready_on_a_machine_without_one(ready: Ready) -> None:
    run = ready("models/clean", "--profile", "gpu")
    assert (run.code, run.report.verdict) == (3, "incomplete")
    skipped = {each.check: each.reason for each in run.report.results if each.outcome is Outcome.SKIPPED}
    assert skipped.keys() == {"smoke.device", "attention.model_cores"}
    assert all((reason or "").startswith("needs a GPU: torch ") for reason in skipped.values())
