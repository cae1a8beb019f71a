import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from audit import __version__

Run = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[2]
COMMANDS = (
    [],
    ["static"],
    ["attention"],
    ["smoke"],
    ["train"],
    ["bench"],
    ["claims"],
    ["mutate"],
    ["selftest"],
    ["readiness"],
    ["doctor"],
    ["rules"],
    ["explain"],
    ["fix"],
    ["init"],
    ["report", "schema"],
    ["report", "render"],
    ["report", "publish"],
)
# Leaves through main() as a user does and prints which of the slow modules were loaded on the way.
HARNESS = """
import json, sys
from audit.cli import main
code = None
try:
    main()
except SystemExit as left:
    code = left.code
slow = {"torch", "libcst", "numpy", "audit.results", "audit.target", "audit.gateway"} & set(sys.modules)
print(json.dumps([code, sorted(slow)]), file=sys.stderr)
"""


def loaded_by(*arguments: str) -> tuple[int, set[str], str]:
    done = subprocess.run(
        [sys.executable, "-c", HARNESS, *arguments], capture_output=True, text=True, check=True, cwd=ROOT
    )
    code, libraries = json.loads(done.stderr.splitlines()[-1])
    return code, set(libraries), done.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_loads_neither_torch_nor_the_models_of_the_report_and_shows_examples(command: list[str]) -> None:
    # typer loads pydantic for itself as soon as a command has a parameter; none of our models may be built on it yet.
    code, libraries, text = loaded_by(*command, "--help")
    assert code == 0
    assert libraries == set()
    assert "Usage: " in text
    assert "Examples:" in text
    assert "  astrobio-audit " + " ".join(command) in text


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_example_of_the_help_is_a_command_that_exists(command: list[str], run: Run) -> None:
    lines = run(*command, "--help").stdout.splitlines()
    examples = [line.split() for line in lines if line.strip().startswith("astrobio-audit ")]
    assert examples
    for words in examples:
        arguments = words[1 : words.index(">")] if ">" in words else words[1:]
        assert run(*arguments, "--help").returncode == 0, arguments


def test_a_group_without_a_command_shows_its_commands(run: Run) -> None:
    done = run("report")
    assert done.returncode == 2
    assert "schema" in done.stdout + done.stderr
    assert "publish" in done.stdout + done.stderr


def test_the_help_states_the_exit_codes(run: Run) -> None:
    text = run("--help").stdout
    assert "0  ready, or clean\n" in text
    assert "1  not ready, or findings\n" in text
    assert "2  usage error, or a filter that selects nothing\n" in text
    assert "3  incomplete, stopped, or an internal error\n" in text


def test_short_help_is_help(run: Run) -> None:
    assert run("-h").stdout == run("--help").stdout


def test_the_version_is_the_packages(run: Run) -> None:
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"astrobio-audit {__version__}\n", "")


def test_a_plug_in_that_cannot_be_loaded_is_one_line_and_hides_nothing(run: Run, tmp_path: Path) -> None:
    # Uncaught, its exception would leave with 1, which says "not ready".
    metadata = tmp_path / "plug_in-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: plug-in\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[astrobio_audit.commands]\nplug_in = plug_in:register\n")
    (tmp_path / "plug_in.py").write_text("raise RuntimeError('not today')\n")
    done = run("--help", env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0
    assert "readiness" in done.stdout
    (line,) = done.stderr.splitlines()
    assert "RuntimeError: not today" in line
    assert run("plug_in", env={"PYTHONPATH": str(tmp_path)}).returncode == 2


@pytest.mark.parametrize("command", ["attention", "smoke", "train", "claims", "bench", "readiness", "plan", "selftest"])
def test_a_mistyped_folder_is_told_before_torch_is_loaded(command: str) -> None:
    code, libraries, _ = loaded_by(command, "--target", "absent")
    assert code == 2
    assert "torch" not in libraries


def test_static_analysis_does_not_load_torch_in_the_auditor() -> None:
    code, libraries, text = loaded_by("static", "--target", "tests/fixtures/models/clean", "--json")
    assert code == 0
    assert "audit.results" in libraries
    assert "torch" not in libraries
    assert json.loads(text)["provenance"]["torch"] is None


def test_the_schema_command_prints_the_published_schema(run: Run) -> None:
    done = run("report", "schema")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (ROOT / "audit" / "report" / "schema.json").read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--verdict"],
        ["statics"],
        ["static", "--nonsense"],
        ["static", "--statement"],
        ["rules", "extra"],
        ["explain"],
        ["static", "--seed", "many"],
        ["static", "--workers"],
        ["smoke", "--workers", "2.5"],
        ["doctor", "--subject", "x"],
        ["doctor", "--output", "x"],
        ["report", "publish", "--force"],
        ["report", "unpublish"],
    ],
    ids=" ".join,
)
def test_what_does_not_exist_exits_2_and_prints_nothing_to_standard_output(arguments: list[str], run: Run) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("astrobio-audit: ")
