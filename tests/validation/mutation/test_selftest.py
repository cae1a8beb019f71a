"""`astrobio-audit selftest` on a small package with specs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.report.markdown import render_markdown

COMMAND = Path(sys.executable).with_name("astrobio-audit")
FIXTURE = Path(__file__).parents[2] / "fixtures" / "attention" / "clean"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the fixture, to be changed."""
    return Path(shutil.copytree(FIXTURE, tmp_path / "target", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.mark.slow
def test_the_audit_finds_a_mistake_in_attention_and_leaves_the_target_alone(
    run: Callable[..., Any], root: Path
) -> None:
    before = {path: path.read_bytes() for path in root.rglob("*.py")}
    ended = run(root, "--only", "drop_scale", "--only", "softmax_axis", command="selftest")
    assert ended.report.results
    assert {result.outcome.value for result in ended.report.results} == {"passed"}
    assert ended.code == 0
    assert ended.report.results[0].evidence.unit == "failing checks"
    assert {path: path.read_bytes() for path in root.rglob("*.py")} == before


@pytest.mark.slow
def test_a_mistake_in_code_that_no_check_runs_is_skipped_and_not_blamed_on_the_audit(
    run: Callable[..., Any], root: Path
) -> None:
    module = root / "zoo" / "attention.py"
    called = sum("softmax" in line for line in module.read_text().splitlines())
    module.write_text(f"{module.read_text()}\n\ndef never_called(scores):\n    return scores.softmax(dim=-1)\n")
    ended = run(root, "--only", "softmax_axis", command="selftest")
    outcomes = [result.outcome.value for result in ended.report.results]
    assert outcomes == ["passed"] * (len(outcomes) - 1) + ["skipped"]
    assert len(outcomes) >= called >= 1
    assert "no check of the areas attention and smoke runs the statement" in ended.report.results[-1].reason
    assert ended.code == 3


@pytest.mark.slow
def test_a_line_that_is_excused_is_listed_and_not_tried(run: Callable[..., Any], root: Path) -> None:
    module = root / "zoo" / "attention.py"
    excused = [
        f"{line}  # no mutant: tried by hand" if "softmax" in line else line for line in module.read_text().splitlines()
    ]
    module.write_text("\n".join(excused) + "\n")
    ended = run(root, "--only", "softmax_axis", command="selftest")
    found = {(result.outcome.value, result.reason) for result in ended.report.results}
    assert found == {("not_applicable", "a comment of the line says that it is no mistake: tried by hand")}
    shown = render_markdown(ended.report)
    assert f"## Not applicable ({len(ended.report.results)})" in shown
    assert shown.count("a comment of the line says that it is no mistake: tried by hand") == len(ended.report.results)


KERNELS = """
def jit(function):
    return function


@jit
def attend(query, key, value):
    scores = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5
    return scores.softmax(dim=-1) @ value
"""


@pytest.mark.slow
def test_a_compiled_function_of_a_module_that_is_imported_by_a_name_in_parts_is_tried(
    run: Callable[..., Any], root: Path
) -> None:
    module = root / "zoo" / "attention.py"
    plain, parts = "context = scores.softmax(dim=-1) @ value", '"zoo." + "kernels"'
    text = module.read_text().replace("import torch\n", "import importlib\n\nimport torch\n", 1)
    assert plain in text
    module.write_text(text.replace(plain, f"context = importlib.import_module({parts}).attend(query, key, value)"))
    (root / "zoo" / "kernels.py").write_text(KERNELS)
    ended = run(root, "--only", "softmax_axis", command="selftest")
    outcomes = {(result.subject.path, result.outcome.value) for result in ended.report.results}
    assert outcomes == {("zoo/kernels.py", "passed")}, ended.report.results


@pytest.mark.slow
def test_a_run_that_is_stopped_before_the_first_mutant_goes_on_where_it_was(root: Path, tmp_path: Path) -> None:
    specs = root / "zoo" / "specs.py"
    specs.write_text(f'{specs.read_text()}\nATTENTION["again"] = ATTENTION["attention"]\n')
    environment = {**os.environ, "ASTROBIO_AUDIT_CACHE": str(tmp_path / "cache")}
    command = [str(COMMAND), "selftest", "-t", str(root), "--json", "-j", "1", "--only", "softmax_axis"]

    def kept() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in tmp_path.glob("cache/mutants-*/*.json")}

    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not kept() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    before = kept()
    assert before, stderr
    assert {each["outcome"] for each in json.loads(stdout)["results"]} == {"error"}
    ended = subprocess.run(command, env=environment, capture_output=True, timeout=300, check=False)
    after = kept()
    results = json.loads(ended.stdout)["results"]
    assert {each["outcome"] for each in results} == {"passed"}
    # What the first group runs and what of it passes, and the verdict; nothing was asked of the second.
    assert len(before) < len(after) == 2 + len(results)
    assert {path: after[path] for path in before} == before


@pytest.mark.slow
def test_what_the_machine_refused_once_is_asked_again(root: Path, tmp_path: Path) -> None:
    freed, module = tmp_path / "freed", root / "zoo" / "attention.py"
    begins = "        super().__init__()\n"
    refusing = f'        if not pathlib.Path("{freed}").exists():\n            raise MemoryError\n'
    text = module.read_text().replace("import torch\n", "import pathlib\n\nimport torch\n", 1)
    assert begins in text
    module.write_text(text.replace(begins, begins + refusing))
    environment = {**os.environ, "ASTROBIO_AUDIT_CACHE": str(tmp_path / "cache")}
    command = [str(COMMAND), "selftest", "-t", str(root), "--json", "-j", "1", "--only", "softmax_axis"]

    def outcomes() -> set[str]:
        ended = subprocess.run(command, env=environment, capture_output=True, timeout=300, check=False)
        return {each["outcome"] for each in json.loads(ended.stdout)["results"]}

    assert "passed" not in outcomes()
    freed.touch()
    assert outcomes() == {"passed"}
