import errno
import json
import os
import pty
import re
import resource
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from audit.report.document import Report

Run = Callable[..., subprocess.CompletedProcess[str]]
Project = Callable[..., Path]
CLEAN = ("static", "--target", "tests/fixtures/models/clean")
BROKEN = ("static", "--target", "tests/fixtures/models/syntax_error")
# A class whose name, base and comment try to be read as something else, in a file that does the same.
HOSTILE_NAME = "a|b`[red]\x1b[31m\x07\u202e<b>#.py"
HOSTILE = {f"zoo/{HOSTILE_NAME}": "class Broken(:\n", "zoo/b.py": "from absent import Base\nclass B(Base):\n    pass\n"}


def only_json(text: str) -> Any:
    """Parse standard output, which must be JSON and nothing else."""
    assert text.startswith("{\n")
    assert text.endswith("}\n")
    return json.loads(text)


@pytest.mark.parametrize(("command", "code", "verdict"), [(CLEAN, 0, "clean"), (BROKEN, 1, "findings")])
def test_json_is_all_that_goes_to_standard_output(run: Run, command: Sequence[str], code: int, verdict: str) -> None:
    done = run(*command, "--json", "--quiet")
    assert (done.returncode, done.stderr) == (code, "")
    assert only_json(done.stdout)["verdict"] == verdict
    assert Report.model_validate_json(done.stdout).exit_code == code


def test_json_with_progress_keeps_standard_output_pure(run: Run) -> None:
    done = run(*CLEAN, "--json")
    assert only_json(done.stdout)["command"] == "static"
    assert done.stderr.strip() == ""


def test_quiet_says_nothing_and_the_exit_code_tells(run: Run) -> None:
    assert [(done.returncode, done.stdout, done.stderr) for done in (run(*c, "--quiet") for c in (CLEAN, BROKEN))] == [
        (0, "", ""),
        (1, "", ""),
    ]


def test_the_summary_ends_with_the_verdict_and_where_the_report_is(run: Run, tmp_path: Path) -> None:
    done = run(*CLEAN, "--output", str(tmp_path / "out"))
    assert done.stdout.splitlines()[-2:] == [
        "verdict: clean   score 100 %   coverage 100 %",
        f"written: {tmp_path}/out/static.json, .md and .html",
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "static.html",
        "static.json",
        "static.md",
    ]


def test_json_and_the_file_hold_the_same_report(run: Run, tmp_path: Path) -> None:
    done = run(*CLEAN, "--output", str(tmp_path), "--json")
    assert (tmp_path / "static.json").read_text() == done.stdout


@pytest.mark.parametrize("folder", ["x[/red]", "[bold]", "a b", "ä", "x\\[y"])
def test_a_folder_of_any_name_holds_the_report(run: Run, tmp_path: Path, folder: str) -> None:
    done = run(*CLEAN, "--output", str(tmp_path / folder))
    assert (done.returncode, done.stderr.strip()) == (0, "")
    assert done.stdout.splitlines()[-1] == f"written: {tmp_path / folder}/static.json, .md and .html"


def test_a_folder_whose_name_is_no_unicode_holds_the_report(run: Run, tmp_path: Path) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    done = run(*CLEAN, "--output", folder)
    assert done.returncode == 0, done.stderr
    Report.model_validate_json((Path(folder) / "static.json").read_bytes())


def test_a_source_file_whose_name_is_no_unicode_is_reported(run: Run, project: Project) -> None:
    root = project()
    Path(os.fsdecode(os.fsencode(root) + b"/zoo/\xff.py")).write_text("class Broken(:\n")
    done = run("static", "--json", "--quiet", cwd=root)
    assert done.returncode == 1, done.stderr
    failed = [result["check"] for result in only_json(done.stdout)["results"] if result["outcome"] == "failed"]
    assert failed == ["static.imports", "static.parses"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("form", ["--json", "--seed=0"], ids=["json", "summary"])
def test_an_output_that_is_not_utf8_is_written_all_the_same(
    run: Run, project: Project, encoding: str, form: str
) -> None:
    root = project(files={"zoo/größe.py": "class Größe(:\n"})
    done = run("static", form, cwd=root, env={"PYTHONIOENCODING": encoding})
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-16", "utf-8"])
def test_json_is_the_same_document_in_every_encoding(run: Run, project: Project, encoding: str) -> None:
    root = project(files={"zoo/größe_\N{GRINNING FACE}.py": "class Broken(:\n"})
    with (root / "out.json").open("wb") as out:
        env = {"PYTHONIOENCODING": encoding}
        assert run("static", "--json", "--output", "out", cwd=root, env=env, stdout=out).returncode == 1
    printed = (root / "out.json").read_text(encoding=encoding)
    assert json.loads(printed) == json.loads((root / "out" / "static.json").read_text())
    assert (printed == (root / "out" / "static.json").read_text()) is (encoding == "utf-8")


@pytest.mark.parametrize(
    "arguments",
    [CLEAN, (*CLEAN, "--json"), ("report", "schema"), ("--help",), ("static", "--help"), ("--version",)],
    ids=" ".join,
)
def test_a_reader_that_goes_away_causes_no_traceback_and_no_verdict(
    program: Sequence[str], program_environment: Mapping[str, str], arguments: Sequence[str]
) -> None:
    # Exit code 1 would say that a clean package has findings.
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*program, *arguments], stdout=writer, stderr=subprocess.PIPE, text=True, check=False, env=program_environment
    )
    os.close(writer)
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr
    assert done.returncode == 3


@pytest.mark.parametrize("arguments", [(*CLEAN, "--json"), (*BROKEN, "--json")], ids=["clean", "broken"])
def test_a_reader_of_the_messages_that_goes_away_costs_no_report(run: Run, arguments: Sequence[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run(*arguments, stderr=writer)
    os.close(writer)
    assert done.returncode == Report.model_validate_json(done.stdout).exit_code


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("arguments", [CLEAN, (*CLEAN, "--json"), (*CLEAN, "--quiet")], ids=" ".join)
def test_a_closed_stream_causes_no_traceback(
    program: Sequence[str], program_environment: Mapping[str, str], arguments: Sequence[str], closed: str
) -> None:
    shell = ["sh", "-c", f'"$@" {closed}', "sh", *program, *arguments]
    done = subprocess.run(shell, capture_output=True, text=True, check=False, env=program_environment)
    assert "Traceback" not in done.stderr + done.stdout
    assert "internal error" not in done.stderr
    assert done.returncode in (0, 3)


@pytest.mark.parametrize("closed", ["", ">&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_not_mistaken_for_the_report(
    program: Sequence[str], program_environment: Mapping[str, str], tmp_path: Path, closed: str
) -> None:
    # The first file that is opened gets the number of a closed stream, and with it what is meant for the stream.
    command = [*program, *CLEAN, "--json", "--output", str(tmp_path)]
    shell = ["sh", "-c", f'"$@" {closed}', "sh", *command]
    done = subprocess.run(shell, capture_output=True, check=False, env=program_environment)
    assert done.returncode == 0
    Report.model_validate_json((tmp_path / "static.json").read_bytes())


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["summary", "json"])
def test_a_full_disk_behind_standard_output_is_one_line(run: Run, form: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = run(*CLEAN, *form, stdout=full)
    assert done.returncode == 3
    assert done.stderr.strip() == f"astrobio-audit: output could not be written: {os.strerror(errno.ENOSPC)}"


def _almost_no_room() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))


def test_a_report_that_does_not_fit_is_one_line_and_the_old_one_stays(run: Run, tmp_path: Path) -> None:
    command = (*CLEAN, "--output", str(tmp_path), "--quiet")
    assert run(*command).returncode == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    done = run(*command, preexec_fn=_almost_no_room)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(f"astrobio-audit: {tmp_path}/static.json: could not be written: File too large")
    assert done.stderr.count("\n") == 1
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_in_place_of_the_report_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "static.json").mkdir()
    done = run(*CLEAN, "--output", str(tmp_path), "--quiet")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert done.stderr.startswith(f"astrobio-audit: {tmp_path}/static.json: could not be written: ")
    assert [path.name for path in tmp_path.iterdir()] == ["static.json"]


def test_names_in_the_target_cannot_drive_a_terminal(
    project: Project, program: Sequence[str], program_environment: Mapping[str, str]
) -> None:
    """Run in a real terminal, where colours are on, and look at every byte that arrived."""
    root = project(files=HOSTILE)
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*program, "static"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=root,
        env={**program_environment, "TERM": "xterm"},
    )
    os.close(slave)
    received = b""
    while chunk := _read(master):
        received += chunk
    os.close(master)
    assert process.wait(timeout=120) == 1
    text = received.decode()
    assert "static.parses" in text
    assert "\x07" not in text
    assert "\u202e" not in text
    assert "[red]" in text
    assert "[31m" in text
    assert f"{HOSTILE_NAME[:9]}\x1b" not in text


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux answers so when the other side of a terminal is closed
        return b""


def test_names_in_the_target_cannot_forge_markdown(run: Run, project: Project) -> None:
    root = project(files=HOSTILE)
    assert run("static", "--output", "out", "--quiet", cwd=root).returncode == 1
    text = (root / "out" / "static.md").read_text()
    assert text.startswith("**Verdict: findings**")
    assert not set(text) & set("\x1b\x07\u202e")
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings[0] == "# Static report of zoo"
    # Below the chapters only the kinds of the inventory, which are the tool's own words.
    assert all(re.fullmatch(r"## .+|### [a-z ]+ \(\d+\)", line) for line in headings[1:])
