"""`astrobio-audit fix` as a process."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
TEXT = """import torch

state = torch.load("a.pt")  # ours
z = torch.ger(a, b)
"""
SAFE = TEXT.replace("torch.ger", "torch.outer")
UNSAFE = SAFE.replace('"a.pt")', '"a.pt", weights_only=True)')


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "a.py").write_text(TEXT)
    (tmp_path / "zoo" / "b.py").write_text("x = 1\n")
    return tmp_path


def test_without_flags_it_lists_what_could_be_fixed_and_writes_nothing(run: Run, tree: Path) -> None:
    done = run("fix", cwd=tree)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == (
        "zoo/a.py\n"
        "  3:9      SEC001 unsafe     `torch.load` is called without `weights_only`\n"
        "  4:5      API002 safe       `torch.ger` is deprecated\n"
        "2 findings can be fixed: 1 safe, 1 unsafe (--fix makes the safe ones, --fix --unsafe-fixes all); "
        "2 files read\n"
    )
    assert (tree / "zoo" / "a.py").read_text() == TEXT


def test_a_diff_is_one_that_patch_takes_and_nothing_is_written(run: Run, tree: Path) -> None:
    done = run("fix", "zoo", "--diff", "--unsafe-fixes", cwd=tree)
    assert done.returncode == 1
    assert done.stderr == "2 findings would be fixed in 1 file; 2 files read\n"
    assert (tree / "zoo" / "a.py").read_text() == TEXT
    subprocess.run(["patch", "-p1", "-s"], input=done.stdout, text=True, cwd=tree, check=True)
    assert (tree / "zoo" / "a.py").read_text() == UNSAFE


@pytest.mark.parametrize(("calls", "said"), [(1, "1 unsafe fix is left out"), (2, "2 unsafe fixes are left out")])
def test_an_empty_diff_says_how_many_unsafe_fixes_it_leaves_out(run: Run, tree: Path, calls: int, said: str) -> None:
    (tree / "zoo" / "a.py").write_text("import torch\n" + 'state = torch.load("a.pt")\n' * calls)
    done = run("fix", "zoo", "--diff", cwd=tree)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"no safe fix to show; {said}, which --diff --unsafe-fixes shows; 2 files read\n"
    shown = run("fix", "zoo", "--diff", "--unsafe-fixes", cwd=tree)
    assert shown.stdout.count("weights_only=True") == calls
    (tree / "zoo" / "a.py").write_text("x = 2\n")
    done = run("fix", "zoo", "--diff", cwd=tree)
    assert (done.returncode, done.stderr) == (0, "0 findings would be fixed in 0 files; 2 files read\n")


def test_fix_writes_the_safe_ones_and_says_what_is_left(run: Run, tree: Path) -> None:
    done = run("fix", "--fix", cwd=tree)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith(
        "1 finding fixed in 1 file; 1 finding left: 0 safe, 1 unsafe (--unsafe"
    )
    assert (tree / "zoo" / "a.py").read_text() == SAFE


def test_unsafe_fixes_are_written_on_demand_and_a_second_run_changes_nothing(run: Run, tree: Path) -> None:
    assert run("fix", "--fix", "--unsafe-fixes", cwd=tree).returncode == 0
    assert (tree / "zoo" / "a.py").read_text() == UNSAFE
    state = (tree / "zoo" / "a.py").stat()
    done = run("fix", "--fix", "--unsafe-fixes", cwd=tree)
    assert (done.returncode, done.stdout) == (0, "0 findings fixed in 0 files; 2 files read\n")
    assert (tree / "zoo" / "a.py").stat().st_mtime_ns == state.st_mtime_ns


def test_one_rule_can_be_chosen_even_one_that_is_off(run: Run, tree: Path) -> None:
    (tree / "zoo" / "b.py").write_text("import torchvision.models as models\n")
    assert run("fix", "--fix", "--select", "api011", cwd=tree).returncode == 0
    assert (tree / "zoo" / "b.py").read_text() == "from torchvision import models\n"
    assert (tree / "zoo" / "a.py").read_text() == TEXT


def test_the_json_says_of_every_edit_where_how_safe_and_whether_it_was_made(run: Run, tree: Path) -> None:
    said = json.loads(run("fix", "--fix", "--json", cwd=tree).stdout)
    assert (said["command"], said["mode"], said["files_read"], said["clean"]) == ("fix", "fix", 2, False)
    (file,) = said["files"]
    assert (file["path"], file["applied"], file["rolled_back"], file["not_written"]) == ("zoo/a.py", True, None, None)
    assert [(each["rule"], each["safety"], each["applied"]) for each in file["edits"]] == [
        ("API002", "safe", True),
        ("SEC001", "unsafe", False),
    ]
    (edit,) = file["edits"][0]["replacements"]
    assert edit == {"line": 4, "column": 5, "end_line": 4, "end_column": 14, "text": "torch.outer"}
    assert "+z = torch.outer(a, b)\n" in file["diff"]


def test_the_configuration_leaves_files_out_and_switches_rules(run: Run, tree: Path) -> None:
    (tree / "pyproject.toml").write_text('[tool.astrobio-audit]\nexclude = ["a.py"]\n')
    assert run("fix", cwd=tree).returncode == 0
    (tree / "pyproject.toml").write_text('[tool.astrobio-audit]\ndisable = ["SEC001", "API002"]\n')
    assert run("fix", cwd=tree).returncode == 0
    assert run("fix", str(tree / "zoo")).returncode == 1  # the configuration is that of the current folder
    assert run("fix", str(tree / "zoo"), "--target", str(tree)).returncode == 0


def test_what_the_configuration_ignores_for_a_path_is_not_fixed_there(run: Run, tree: Path) -> None:
    (tree / "other.py").write_text(TEXT)
    (tree / "pyproject.toml").write_text('[tool.astrobio-audit.per_path_ignores]\n"zoo/" = ["API002"]\n')
    assert run("fix", "--fix", cwd=tree).returncode == 1  # SEC001 is left, and not safe
    assert (tree / "zoo" / "a.py").read_text() == TEXT
    assert (tree / "other.py").read_text() != TEXT
    (tree / "pyproject.toml").write_text('[tool.astrobio-audit.per_path_ignores]\n"zoo/" = ["api", "sec"]\n')
    (tree / "other.py").unlink()
    assert run("fix", cwd=tree).returncode == 0


def test_the_last_line_names_an_option_only_where_it_was_not_given(run: Run, tree: Path) -> None:
    hint = "--unsafe-fixes takes the unsafe ones in"
    assert hint in run("fix", "--diff", cwd=tree).stderr
    assert hint not in run("fix", "--diff", "--unsafe-fixes", cwd=tree).stderr
    (tree / "zoo" / "a.py").chmod(0o444)
    left = run("fix", "--fix", "--unsafe-fixes", cwd=tree)
    assert (left.returncode, hint in left.stdout) == (3, False)


def test_a_list_of_layers_that_forward_reads_is_registered(run: Run, tree: Path) -> None:
    (tree / "zoo" / "a.py").write_text(
        "from torch import nn\n\n\nclass Block(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.layers = [nn.Linear(2, 2), nn.Linear(2, 2)]\n\n    def forward(self, x):\n"
        "        for layer in self.layers:\n            x = layer(x)\n        return x\n"
    )
    assert run("fix", "--fix", "--unsafe-fixes", cwd=tree).returncode == 0
    assert "self.layers = nn.ModuleList([" in (tree / "zoo" / "a.py").read_text()


def test_what_git_ignores_and_environments_are_left_alone(run: Run, tree: Path) -> None:
    (tree / ".gitignore").write_text("zoo/\n")
    (tree / "venv").mkdir()
    (tree / "venv" / "pyvenv.cfg").write_text("")
    (tree / "venv" / "a.py").write_text(TEXT)
    (tree / "mine.py").write_text("x = 1\n")
    assert run("fix", "--fix", cwd=tree).returncode == 0
    assert (tree / "zoo" / "a.py").read_text() == (tree / "venv" / "a.py").read_text() == TEXT
    assert run("fix", "zoo/a.py", cwd=tree).returncode == 1  # named, it is wanted


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fix", "--diff"], "--fix and --diff exclude each other"),
        (["--unsafe-fixes"], "--unsafe-fixes needs --fix or --diff"),
        (["--select", "API99"], "--select: no rule or family is called API99; did you mean API"),
        (["--select", "TST001"], "TST001 has no automatic fix"),
        (["nowhere"], "nowhere: no such file or folder"),
        (["notes.txt"], "notes.txt: not a Python file"),
        (["empty"], "no Python file in empty"),
        (["--target", "nowhere"], "no such folder"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(arguments: list[str], said: str, run: Run, tree: Path) -> None:
    (tree / "empty").mkdir()
    (tree / "notes.txt").write_text("")
    done = run("fix", *arguments, cwd=tree)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr
    assert (tree / "zoo" / "a.py").read_text() == TEXT


def test_a_read_only_file_is_reported_and_the_others_are_written(run: Run, tree: Path) -> None:
    (tree / "zoo" / "b.py").write_text(TEXT)
    (tree / "zoo" / "a.py").chmod(0o444)
    done = run("fix", "--fix", cwd=tree)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "a.py: is read-only; it is unchanged" in done.stderr
    assert (tree / "zoo" / "a.py").read_text() == TEXT
    assert (tree / "zoo" / "b.py").read_text() == SAFE


def test_a_link_out_of_the_tree_is_not_written_through(
    run: Run, tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "real.py"
    outside.write_text(TEXT)
    (tree / "zoo" / "a.py").unlink()
    (tree / "zoo" / "a.py").symlink_to(outside)
    done = run("fix", "--fix", cwd=tree)
    assert done.returncode == 3
    assert "outside of what is to be fixed" in done.stderr
    assert outside.read_text() == TEXT


def test_names_and_messages_of_the_target_cannot_move_the_cursor(run: Run, tree: Path) -> None:
    (tree / "zoo" / "a\x1b[2J.py").write_text("import torch\n\nx = torch.ger(a, b)\n")
    for flags in ([], ["--diff"]):
        done = run("fix", *flags, cwd=tree)
        assert "\x1b" not in done.stdout + done.stderr


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_fixed(run: Run, tree: Path) -> None:
    (tree / "zoo" / "broken.py").write_text("def f(:\n")
    done = run("fix", "--fix", cwd=tree)
    assert "zoo/broken.py\n  skipped: syntax error" in done.stdout
    assert (tree / "zoo" / "a.py").read_text() == SAFE


def test_a_file_that_a_link_leads_to_as_well_is_fixed_once(run: Run, tree: Path) -> None:
    (tree / "zoo" / "A_link.py").symlink_to("a.py")
    done = run("fix", "--fix", cwd=tree)
    assert (done.returncode, done.stderr) == (1, "")
    assert (tree / "zoo" / "a.py").read_text() == SAFE
    assert (tree / "zoo" / "A_link.py").is_symlink()


def test_fixing_loads_neither_torch_nor_libcst(tree: Path) -> None:
    script = (
        "import sys; from audit.cli import main\n"
        "try: main()\nfinally: print({'torch', 'libcst'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "fix", str(tree), "--fix", "--unsafe-fixes"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "set()\n"
    assert (tree / "zoo" / "a.py").read_text() == UNSAFE


def test_a_suggestion_is_shown_and_never_made(run: Run, tree: Path) -> None:
    text = "import torch.nn.functional as F\n\nw = F.softmax(scores)\n"
    (tree / "zoo" / "a.py").write_text(text)
    done = run("fix", "--fix", "--unsafe-fixes", cwd=tree)
    assert (done.returncode, (tree / "zoo" / "a.py").read_text()) == (0, text)
    assert "  3:5      left  ATT002 suggestion `softmax` does not say over which axis\n" in done.stdout
    assert "1 suggestion for a person" in done.stdout


def test_a_file_that_was_not_read_is_not_clean(tmp_path: Path, run: Run) -> None:
    (tmp_path / "broken.py").write_text("def f(:\n")
    done = run("fix", str(tmp_path))
    assert done.returncode == 3
    assert "nothing to fix in what was read; 0 files read" in done.stdout
