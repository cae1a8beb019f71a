import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Project = Callable[..., Path]
TABLE = "[tool.astrobio-audit]\n"


def assert_refused(done: subprocess.CompletedProcess[str], expected: str = "") -> None:
    """One line on standard error that begins with the program's name, exit code 2, nothing else."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    lines = done.stderr.split("\n")
    assert lines[-1] == ""
    assert [line for line in lines if line.strip()] == lines[:1], done.stderr
    assert lines[0].startswith("astrobio-audit: ")
    assert expected in lines[0]
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in lines[0])


CONFIGURATIONS = {
    "unknown key": (TABLE + "packge = 'zoo'", "packge: unknown key; did you mean 'package'?"),
    "wrong type": (TABLE + "package = 3", "package: input should be a valid string"),
    "odd characters": (TABLE + "package = '../zoo'", "package: should be a dotted name"),
    "a control character in a key": (TABLE + '"\\u001b]0;title\\u0007\\u009b31m" = 1', "unknown key"),
    "a line break in a key": (TABLE + '"a\\nastrobio-audit: fine" = 1', "unknown key"),
    "a control character in a value": (
        TABLE + 'package = "zoo"\npython = "\\u001b[31mpy\\u0007"',
        "no such interpreter",
    ),
    "not TOML": (TABLE + "package = zoo", "not valid TOML"),
    "no table": ("", "no package named: pass --package NAME or set `package`"),
    "not a table": ("[tool]\nastrobio-audit = 'zoo'", "must be a table, not str"),
    "no such package": (TABLE + "package = 'absent'", "package 'absent' not found"),
    "no such source": (TABLE + "package = 'zoo'\nsource = 'lib'", "package 'zoo' not found"),
    "source outside": (TABLE + "package = 'zoo'\nsource = '/'", "package 'zoo' not found"),
    "no such interpreter": (TABLE + "package = 'zoo'\npython = 'absent/python'", "no such interpreter"),
    "interpreter not executable": (TABLE + "package = 'zoo'\npython = 'zoo/model.py'", "no such interpreter"),
    "wrong bound": (TABLE + "package = 'zoo'\nworkers = 0", "workers: input should be greater than or equal to 1"),
    "name too long": (TABLE + f"package = '{'a' * 300}'", "not found"),
    "number too long": (f"number = {'1' * 5000}", "pyproject.toml"),
}


@pytest.mark.parametrize(("content", "expected"), CONFIGURATIONS.values(), ids=CONFIGURATIONS.keys())
def test_a_wrong_configuration_is_one_line_and_nothing_is_written(
    run: Run, project: Project, tmp_path: Path, content: str, expected: str
) -> None:
    root = project(files={"pyproject.toml": content})
    (tmp_path / "elsewhere").mkdir()
    done = run("attention", "--target", str(root), "--output", "written", cwd=tmp_path / "elsewhere")
    assert_refused(done, expected)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("command", ["static", "attention", "smoke", "readiness"])
def test_every_area_refuses_a_target_that_is_not_there(run: Run, tmp_path: Path, command: str) -> None:
    done = run(command, "--target", "absent\n/place", cwd=tmp_path)
    assert_refused(done, "--target absent /place: no such folder; name the folder that holds the package")
    assert list(tmp_path.iterdir()) == []


def test_a_file_as_target_is_refused(run: Run, project: Project) -> None:
    assert_refused(run("static", "--target", str(project() / "pyproject.toml")), "no such folder")


def test_a_configuration_that_is_not_utf8_is_refused(run: Run, project: Project) -> None:
    root = project()
    (root / "pyproject.toml").write_bytes(b"# \xe9\n" + TABLE.encode())
    assert_refused(run("static", "--target", str(root)), "pyproject.toml: not UTF-8 at byte 2; save it as UTF-8")


def test_folders_with_hostile_names_are_suggested_harmlessly(run: Run, project: Project) -> None:
    files = {"\x1b[31mred\x07/__init__.py": "", "a\nastrobio-audit: b/__init__.py": ""}
    root = project(files=files | {"pyproject.toml": ""})
    assert_refused(run("attention", "--target", str(root)), "packages found there")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--package", "zoo; rm"], "--package: should be a dotted name"),
        (["--package", "zoo.absent"], "package 'zoo.absent' not found"),
        (["--package", "a" * 300], "not found"),
        (["--python", "absent"], "--python absent: no such interpreter"),
        (["--python", ""], "no such interpreter"),
        (["--python", "."], "no such interpreter"),
        (["--seed", "-1"], "--seed: input should be greater than or equal to 0"),
        (["--workers", "1000"], "--workers: input should be less than or equal to 256"),
        (["--output", "pyproject.toml/reports"], "cannot be created"),
        (["--output", ""], "it names nothing"),
        (["--only", "statics"], "--only statics: no such check or area; did you mean static or static."),
        (["--only", "xyzzy"], "--only xyzzy: no such check or area; there are: rules.api001"),
        (["--only", ""], "no such check or area"),
        (["--only", "static,rules"], "names one check or area; give --only again for each further one"),
        (["--subject", "nobody"], "--subject nobody: no such subject; there are: zoo"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_wrong_flag_is_one_line_and_nothing_is_written(
    run: Run, project: Project, flags: list[str], expected: str
) -> None:
    root = project()
    before = sorted(root.rglob("*"))
    assert_refused(run("static", "--quiet", *flags, cwd=root), expected)
    assert sorted(root.rglob("*")) == before


def test_an_empty_selection_with_progress_shown_is_still_one_line(run: Run, project: Project) -> None:
    assert_refused(run("static", "--only", "statics", cwd=project()), "no such check or area")


def test_filters_that_exclude_each_other_select_nothing(run: Run, project: Project) -> None:
    root = project("attention/clean")
    done = run("attention", "--quiet", "--only", "attention.declared", "--subject", "attention", cwd=root)
    assert_refused(done, "--only and --subject together select no check")


@pytest.mark.parametrize("flags", [["--only", "nonsense"], ["--subject", "nobody"], ["--python", "absent"]])
def test_a_usage_error_keeps_the_report_of_the_run_before(run: Run, project: Project, flags: list[str]) -> None:
    root = project()
    assert run("static", "--output", "out", "--quiet", cwd=root).returncode == 0
    before = {path.name: path.read_bytes() for path in (root / "out").iterdir()}
    assert run("static", "--output", "out", *flags, cwd=root).returncode == 2
    assert {path.name: path.read_bytes() for path in (root / "out").iterdir()} == before


def test_doctor_refuses_an_interpreter_that_is_not_there(run: Run, tmp_path: Path) -> None:
    assert_refused(run("doctor", "--python", "absent", cwd=tmp_path), "--python absent: no such interpreter")


def test_publish_refuses_a_folder_without_a_report(run: Run, tmp_path: Path) -> None:
    done = run("report", "publish", "--from", ".", "--to", "out", cwd=tmp_path)
    assert_refused(done, "readiness.json: cannot be read: No such file or directory")
    assert list(tmp_path.iterdir()) == []


def test_publish_refuses_what_is_not_a_report_whatever_is_in_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "readiness.json").write_text('{"\\u001b]0;title\\u0007\\nastrobio-audit: fine": 1}')
    assert_refused(run("report", "publish", "--from", ".", "--to", "out", cwd=tmp_path), "not a valid report")


NEAR = {
    "a command": (["smok"], "smok: no such command; did you mean smoke?"),
    "a command of a group": (["report", "rendr"], "report rendr: no such command; did you mean render?"),
    "a command like none": (["xyzzy"], "xyzzy: no such command; `astrobio-audit --help` tells more"),
    "an option": (["static", "--formt", "json"], "static --formt: no such option; did you mean --format?"),
    "an option like none": (
        ["static", "--xyzzy"],
        "--xyzzy: no such option; `astrobio-audit static --help` tells more",
    ),
    "a short option": (["static", "-Z"], "static -Z: no such option; "),
    "an option of the program": (["--versoin"], "--versoin: no such option; did you mean --version?"),
    "a value that is cut short": (
        ["report", "render", "x.json", "--format", "md"],
        "report render --format md: no such value; did you mean markdown?",
    ),
    "a value with a letter too many": (
        ["bench", "--preset", "gpuu"],
        "bench --preset gpuu: no such value; did you mean gpu?",
    ),
    "a value in large letters": (["readiness", "--profile", "CPU"], "no such value; did you mean cpu?"),
    "a value like none": (["static", "--format", "yaml"], "--format yaml: no such value; there are: text, json, html,"),
    "a value of another kind": (["static", "--seed", "one"], "static: invalid value for '--seed'"),
    "a value that is missing": (["static", "--format"], ": option '--format' requires an argument"),
    "an argument that is missing": (["explain"], "explain: missing argument 'ID'; `astrobio-audit explain --help`"),
    "an argument too many": (["explain", "a", "b"], "explain: got unexpected extra argument"),
    "a family of rules": (["static", "--only", "ATTT"], "--only ATTT: no such check or area; did you mean ATT?"),
    "a rule": (["static", "--only", "ATT03"], "--only ATT03: no such check or area; did you mean rules.att"),
    "an escape": (["static", "--\x1b[31m"], "no such option"),
    "a line break": (["a\nverdict: ready"], "no such command"),
}


@pytest.mark.parametrize(("words", "expected"), NEAR.values(), ids=NEAR.keys())
def test_a_mistyped_command_line_is_one_line_that_names_what_may_be_meant(
    run: Run, project: Project, words: list[str], expected: str
) -> None:
    assert_refused(run(*words, cwd=project()), expected)
