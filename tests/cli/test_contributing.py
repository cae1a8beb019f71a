"""What CONTRIBUTING.md tells is carried out in a copy of this repository, with the files of the example plug-in."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
EXAMPLE = ROOT / "tests" / "fixtures" / "plugin" / "audit_example"
WRITTEN = dict(re.findall(r"^Write `((?:audit|validation)/\S+?/(\w+)\.py)`", TEXT, flags=re.MULTILINE))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the toolkit with a rule, a property, a check and a backend added as the text says."""
    root = tmp_path_factory.mktemp("copy")
    for name in ("audit", "validation"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path, name in WRITTEN.items():
        text = (EXAMPLE / f"{name.removeprefix('mod099_')}.py").read_text()
        (root / path).write_text(text.replace("EXA001", "MOD099"))
    named(root / "audit/attention/properties/__init__.py", "batch_order", before="batch_rows")
    named(root / "validation/smoke/registry.py", "one_tensor", before="optimizer_step")
    backend = (EXAMPLE / "three_lines.py").read_text().replace("def forward", "def _three_lines").partition("def _")[2]
    contenders = root / "audit/probe/benchmark/contenders.py"
    text = contenders.read_text().replace("BUILT_IN: Mapping", f"def _{backend}\n\n{PREPARED}\n\nBUILT_IN: Mapping", 1)
    contenders.write_text(text.replace('    "eager": _eager,', '    "eager": _eager,\n    "three_lines": _prepared,'))
    plan = root / "validation/benchmark/plan.py"
    plan.write_text(plan.read_text().replace('"eager", "sdpa",', '"eager", "three_lines", "sdpa",', 1))
    return root


PREPARED = """def _prepared(case: Case) -> Attend:
    return lambda query, key, value: _three_lines(query, key, value, is_causal=case.is_causal, window=None)
"""


def named(file: Path, module: str, *, before: str) -> None:
    """Name a module in the import of a file, and in its list: each line with `before` gets one of it above."""
    lines = file.read_text().split("\n")
    found = [line for line in lines if re.search(rf"\b{before},", line)]
    assert len(found) == 2, found
    file.write_text("\n".join(re.sub(rf"\b{before},", f"{module}, {before},", line) for line in lines))


def run(copy: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from audit.cli import main; main()", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(copy), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_the_text_names_a_file_for_each() -> None:
    assert set(WRITTEN.values()) == {"mod099_print_in_forward", "batch_order", "one_tensor"}


def test_a_rule_is_one_file(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("class Net:\n    def forward(self, x):\n        print(x)\n")
    done = run(copy, "static", "--only", "MOD099", "--json", cwd=tmp_path)
    assert [each["check"] for each in json.loads(done.stdout)["results"]] == ["rules.mod099"], done.stderr
    assert done.returncode == 1
    assert "A print in `forward`" in run(copy, "explain", "MOD099", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("area", "check", "fixture"),
    [("attention", "attention.batch_order", "attention/clean"), ("smoke", "smoke.one_tensor", "models/clean")],
)
def test_a_property_and_a_check_are_one_file_and_a_name(copy: Path, area: str, check: str, fixture: str) -> None:
    words = (area, "--only", check, "--json", "--no-cache", "--target", str(ROOT / "tests" / "fixtures" / fixture))
    done = run(copy, *words, cwd=copy)
    results = [each for each in json.loads(done.stdout)["results"] if each["check"] == check]
    assert results, done.stderr
    assert {each["outcome"] for each in results} == {"passed"}


def test_a_backend_is_a_function_and_two_names(copy: Path, tmp_path: Path) -> None:
    words = ("bench", "--no-models", "--backend", "three_lines", "--length", "16", "--batch", "1", "--heads", "2")
    words += ("--head-dim", "8", "--dtype", "float32", "--mode", "forward", "--full", "--window", "0", "--json")
    target = ROOT / "tests" / "fixtures" / "models" / "clean"
    done = run(copy, *words, "--seconds", "0.01", "--rounds", "1", "--target", str(target), cwd=tmp_path)
    (row,) = json.loads(done.stdout)["rows"]
    assert (row["backend"]["name"], row["outcome"]) == ("three_lines", "measured"), done.stderr


def test_every_path_of_the_text_exists_or_is_to_be_written() -> None:
    paths = set(re.findall(r"`((?:audit|validation|astrobio|tests)/[\w./]+)`", TEXT))
    paths |= set(re.findall(r"\]\(([\w./]+)\)", TEXT))
    assert paths
    assert [path for path in sorted(paths - set(WRITTEN)) if not (ROOT / path).exists()] == []
