"""`astrobio-audit rules`, `explain`, and rules chosen by flag and configuration."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "__init__.py").write_text("import torch\n\nstate = torch.load('a')\ns.masked_fill(m, -1e9)\n")
    (tmp_path / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\n')
    return tmp_path


def test_the_list_shows_every_rule_in_text_and_json(run: Run) -> None:
    listed = json.loads(run("rules", "--json").stdout)
    lines = run("rules").stdout.splitlines()[1:]
    assert [each["id"] for each in listed] == [line.split()[0] for line in lines]
    assert {each["default_on"] for each in listed} == {True, False}
    assert listed[0].keys() == {"id", "check", "title", "family", "severity", "default_on"}


def test_explain_shows_the_whole_documentation(run: Run) -> None:
    text = run("explain", "att003").stdout
    for part in ("ATT003: ", "What it does", "Why it is bad", "Example", "Use instead", "False alarms", "References"):
        assert part in text
    documentation = json.loads(run("explain", "rules.att003", "--json").stdout)
    assert documentation["id"] == "ATT003"
    assert documentation["example"].startswith("import torch\n")


def test_explain_of_an_unknown_rule_is_one_line_with_the_nearest(run: Run) -> None:
    done = run("explain", "ATT03")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "astrobio-audit: no rule or family is called ATT03; did you mean ATT003?\n"


def test_neither_command_loads_torch() -> None:
    script = (
        "import sys; from audit.cli import main\ntry: main()\nfinally: print('torch' in sys.modules, file=sys.stderr)"
    )
    for arguments in (["rules"], ["explain", "ATT003"]):
        done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
        assert done.stderr == "False\n"


def outcomes(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    return {each["check"]: each["outcome"] for each in json.loads(done.stdout)["results"]}


def test_one_rule_can_be_run_alone_even_one_that_is_off(run: Run, package: Path) -> None:
    arguments = ("static", "--target", str(package), "--json", "--quiet", "--only")
    assert outcomes(run(*arguments, "rules.sec001")) == {"rules.sec001": "failed"}
    assert outcomes(run(*arguments, "ATT006")) == {"rules.att006": "failed"}


def test_a_family_is_run_alone_and_the_report_says_what_the_user_asked_for(run: Run, package: Path) -> None:
    done = run("static", "--target", str(package), "--json", "--quiet", "--only", "sec")
    said = outcomes(done)
    assert said["rules.sec001"] == "failed"
    assert {check[:9] for check in said} == {"rules.sec"}
    assert json.loads(done.stdout)["partial_reason"] == "limited to --only sec"


def test_the_configuration_switches_rules_on_and_off(run: Run, package: Path) -> None:
    text = (package / "pyproject.toml").read_text()
    (package / "pyproject.toml").write_text(text + 'enable = ["ATT006"]\ndisable = ["SEC001"]\n')
    said = outcomes(run("static", "--target", str(package), "--json", "--quiet"))
    assert "rules.sec001" not in said
    assert said["rules.att006"] == "failed"


def test_a_rule_that_the_configuration_misspells_is_a_usage_error(run: Run, package: Path) -> None:
    text = (package / "pyproject.toml").read_text()
    (package / "pyproject.toml").write_text(text + 'disable = ["SEC01"]\n')
    done = run("static", "--target", str(package))
    assert done.returncode == 2
    assert "SEC01" in done.stderr


def test_the_command_that_repeats_a_finding_finds_it(run: Run, package: Path) -> None:
    report = json.loads(run("static", "--target", str(package), "--json", "--quiet").stdout)
    (found,) = [each for each in report["results"] if each["check"] == "rules.sec001"]
    command = found["evidence"]["reproduce"].split()
    assert command[:2] == ["astrobio-audit", "static"]
    assert outcomes(run(*command[1:], "--target", str(package), "--json")) == {"rules.sec001": "failed"}
    assert found["location"] == {
        "path": "zoo/__init__.py", "line": 3, "column": 9, "end_line": 3, "end_column": 24, "qualname": None,
        "cell": None, "cell_line": None,
    }  # fmt: skip
    assert found["subject"]["digest"].startswith("sha256:")


PROJECT_RULES = ["rules.clm001", "rules.dat001", "rules.dat002", "rules.dat003", "rules.sec008"]


def test_rules_over_documents_and_data_are_part_of_static(run: Run, package: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    token = "hf_" + "QwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUi"
    (package / "README.md").write_text("# Zoo\n\nThe models reach 96 % accuracy.\n")
    (package / "deploy.yaml").write_text(f"token: {token}\n")
    (package / "data").mkdir()
    for name, text in {"a": pointer, "b": "<!doctype html><html>404</html>\n", "c": ""}.items():
        (package / "data" / f"{name}.csv").write_text(text)
    done = run("static", "--target", str(package), "--json", "--quiet")
    found = {each["check"]: each for each in json.loads(done.stdout)["results"]}
    assert done.returncode == 1
    assert [found[name]["outcome"] for name in PROJECT_RULES] == ["failed"] * 5
    claim, secret = found["rules.clm001"]["location"], found["rules.sec008"]["location"]
    assert claim | {"path": "README.md", "line": 3, "column": 18, "end_line": 3, "end_column": 31} == claim
    assert secret | {"path": "deploy.yaml", "line": 1, "column": 8} == secret
    assert [found[f"rules.dat00{n}"]["location"]["path"] for n in (1, 2, 3)] == [f"data/{n}.csv" for n in "abc"]
    assert token[4:] not in done.stdout


def test_rules_over_documents_and_data_pass_where_nothing_is_wrong(run: Run, package: Path) -> None:
    (package / "README.md").write_text("# Zoo\n")
    (package / "data").mkdir()
    (package / "data" / "stars.csv").write_text("name,mass\nsun,1\n")
    only = [word for name in PROJECT_RULES for word in ("--only", name)]
    found = outcomes(run("static", "--target", str(package), "--json", "--quiet", *only))
    assert found == dict.fromkeys(PROJECT_RULES, "passed")


def test_a_rule_over_documents_does_not_apply_where_there_are_none(run: Run, package: Path) -> None:
    done = run("static", "--target", str(package), "--json", "--quiet", "--only", "rules.clm001")
    assert outcomes(done) == {"rules.clm001": "not_applicable"}


def test_explain_shows_a_rule_over_documents_by_the_files_of_its_example(run: Run) -> None:
    text = run("explain", "CLM001").stdout
    assert "    ==> README.md <==\n    The model reaches 96 % accuracy" in text


def test_a_document_is_ignored_by_its_path_and_never_written_to(run: Run, package: Path) -> None:
    text = "# The models reach 96 % accuracy\n"
    (package / "README.md").write_text(text)
    done = run("static", "--target", str(package), "--only", "rules.clm001", "--add-noqa")
    assert "README.md: is no Python file" in done.stdout + done.stderr
    assert (package / "README.md").read_text() == text
    settings = package / "pyproject.toml"
    settings.write_text(settings.read_text() + '[tool.astrobio-audit.per_path_ignores]\n"*.md" = ["CLM001"]\n')
    done = run("static", "--target", str(package), "--only", "rules.clm001", "--json", "--quiet")
    (result,) = json.loads(done.stdout)["results"]
    assert result["outcome"] == "passed"
    assert "1 ignored by `per_path_ignores`" in result["evidence"]["bound_origin"]


def test_a_figure_that_the_configuration_declares_as_a_claim_is_no_finding(run: Run, package: Path) -> None:
    (package / "README.md").write_text("# The models reach 96 % accuracy\n")
    only = ("static", "--target", str(package), "--only", "rules.clm001", "--json", "--quiet")
    assert outcomes(run(*only)) == {"rules.clm001": "failed"}
    claim = """[[tool.astrobio-audit.claims]]
id = "accuracy"
kind = "accuracy"
statement = "96 % accuracy"
published = { file = "README.md", text = "96 % accuracy" }
measure = "zoo:measure"
at_least = 0.95
"""
    settings = package / "pyproject.toml"
    without = settings.read_text()
    settings.write_text(without + claim)
    assert outcomes(run(*only)) == {"rules.clm001": "passed"}
    settings.write_text(without + claim.replace("96 % accuracy", "97 % accuracy"))
    assert outcomes(run(*only)) == {"rules.clm001": "failed"}
