"""Plug-ins: the example package beside the auditor, as it is installed, and packages of which something is broken."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Project = Callable[..., Path]
Installed = Callable[..., dict[str, str]]
ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "tests" / "fixtures" / "plugin"
PRINTING = (
    "from torch import nn\n\n\nclass Net(nn.Module):\n    def forward(self, x):\n        print(x)\n        return x\n"
)
MIXING = """import torch
from torch import Tensor, nn


class Attention(nn.Module):
    def __init__(self, embed_dim: int = 16) -> None:
        super().__init__()
        self.query = nn.Linear(embed_dim, embed_dim)
        self.key = nn.Linear(embed_dim, embed_dim)
        self.value = nn.Linear(embed_dim, embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.query(x), self.key(x), self.value(x)
        weights = torch.softmax(q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5, dim=-1)
        return weights @ v{bias}
"""


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    """Puts the example, with these files and entry points changed, where a process finds packages and metadata."""

    def install(files: Mapping[str, str] | None = None, **entries: Mapping[str, str]) -> dict[str, str]:
        site = tmp_path / "site"
        package = site / "audit_example"
        shutil.copytree(EXAMPLE / "audit_example", package, ignore=shutil.ignore_patterns("__pycache__"))
        for name, text in (files or {}).items():
            (package / name).write_text(text)
        project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
        groups = project["entry-points"] | {f"astrobio_audit.{kind}": given for kind, given in entries.items()}
        metadata = site / f"audit_example-{project['version']}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1.0\n")
        lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in given.items()) for group, given in groups.items()]
        (metadata / "entry_points.txt").write_text("\n".join(lines))
        return {"PYTHONPATH": os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))}

    return install


def results(done: subprocess.CompletedProcess[str], check: str) -> list[tuple[str, str | None]]:
    found = json.loads(done.stdout)["results"]
    return [(each["outcome"], each["reason"]) for each in found if each["check"] == check]


def test_its_command_is_among_the_others_and_runs(run: Run, project: Project, installed: Installed) -> None:
    env = installed()
    assert "\n  models " in run("--help", env=env).stdout
    done = run("models", cwd=project(), env=env)
    assert (done.returncode, done.stdout) == (0, "zoo.model:Regressor\n"), done.stderr


def test_help_imports_commands_alone(installed: Installed) -> None:
    code = (
        "import sys\nfrom audit.cli import main\ntry:\n    main()\nfinally:\n"
        "    print(*sorted(name for name in sys.modules if name.startswith('audit_example.')), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], env=os.environ | installed(), capture_output=True, text=True, check=True
    )
    assert done.stderr.split() == ["audit_example.commands"]


def test_its_rule_is_documented_finds_and_is_silenced(run: Run, project: Project, installed: Installed) -> None:
    env = installed()
    root = project(files={"zoo/printing.py": PRINTING})
    assert "EXA001  minor" in run("rules", env=env).stdout
    assert "print(x)" in run("explain", "EXA001", env=env).stdout
    done = run("static", "--json", cwd=root, env=env)
    assert done.returncode == 1
    assert results(done, "rules.exa001") == [("failed", "`forward` prints at every step")]
    assert results(done, "rules.plugin_loads") == [("passed", None)]
    assert run("static", "--only", "EXA001", cwd=root, env=env).returncode == 1
    (root / "zoo" / "printing.py").write_text(PRINTING.replace("print(x)", "print(x)  # noqa: EXA001"))
    assert run("static", cwd=root, env=env).returncode == 0


def test_a_changed_rule_finds_anew_in_a_file_that_is_cached(run: Run, project: Project, installed: Installed) -> None:
    env = installed()
    root = project(files={"zoo/printing.py": PRINTING})
    assert run("static", cwd=root, env=env).returncode == 1
    rule = Path(env["PYTHONPATH"].split(os.pathsep)[0]) / "audit_example" / "print_in_forward.py"
    rule.write_text(rule.read_text().replace('node.name != "forward"', 'node.name != "backward"'))
    assert run("static", cwd=root, env=env).returncode == 0


def test_rules_are_carried_out_by_worker_processes(project: Project, installed: Installed) -> None:
    root = project(files={f"zoo/printing_{number}.py": PRINTING for number in range(6)})
    code = """
import sys
from pathlib import Path
from audit.static import records
from audit.static.analysis import analyse
records.MIN_BYTES_PER_WORKER = 1
root = Path(sys.argv[1])
found = analyse(root, root / "zoo", workers=2)
files = [path for path, judged in found.judged.items() for each in judged.findings if each.rule == "EXA001"]
print(len(files), "audit_example.print_in_forward" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(root)],
        env=os.environ | installed(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["6", "False"]  # this process has not even imported the rule


@pytest.mark.parametrize(("bias", "outcome"), [("", "passed"), (" + x[:1]", "failed")])
def test_its_property_judges_attention(
    run: Run, project: Project, installed: Installed, bias: str, outcome: str
) -> None:
    root = project(files={"zoo/mixing.py": MIXING.format(bias=bias)})
    words = ("zoo/mixing.py::Attention", "--only", "batch_order", "--json")
    done = run("attention", *words, cwd=root, env=installed())
    assert [found for found, _ in results(done, "attention.batch_order")] == [outcome], done.stdout + done.stderr


@pytest.mark.parametrize(("returned", "outcome"), [("x", "passed"), ("x, x + 1", "failed")])
def test_its_smoke_check_judges_models(
    run: Run, project: Project, installed: Installed, returned: str, outcome: str
) -> None:
    root = project()
    model = root / "zoo" / "model.py"
    changed = model.read_text().replace("return self.head(hidden)", f"x = self.head(hidden)\n        return {returned}")
    model.write_text(changed)
    done = run("smoke", "--only", "smoke.one_tensor", "--json", cwd=root, env=installed())
    assert [found for found, _ in results(done, "smoke.one_tensor")] == [outcome], done.stdout + done.stderr


BENCH = (
    "bench", "--no-models", "--backend", "three_lines", "--length", "16", "--batch", "1", "--heads", "2", "--head-dim",
    "8", "--dtype", "float32", "--mode", "forward", "--causal", "--seconds", "0.01", "--rounds", "1", "--json",
    "--fresh",
)  # fmt: skip


def rows(done: subprocess.CompletedProcess[str]) -> list[tuple[str, str]]:
    return [(row["backend"]["kind"], row["outcome"]) for row in json.loads(done.stdout)["rows"]]


def test_its_backend_is_timed(run: Run, project: Project, installed: Installed) -> None:
    done = run(*BENCH, "--window", "0", cwd=project(), env=installed())
    assert set(rows(done)) == {("plugin", "measured")}, done.stdout + done.stderr


def test_a_backend_that_is_wrong_gets_no_time(run: Run, project: Project, installed: Installed) -> None:
    wrong = (EXAMPLE / "audit_example" / "three_lines.py").read_text().replace("** -0.5", "** -1")
    done = run(*BENCH, "--window", "0", cwd=project(), env=installed({"three_lines.py": wrong}))
    assert done.returncode == 1
    assert set(rows(done)) == {("plugin", "wrong")}


BROKEN = {
    "missing": ("audit_example.absent:register", "ModuleNotFoundError: No module named 'audit_example.absent'"),
    "no function": ("audit_example.commands:__doc__", "it must name a function that takes the application"),
    "raising": ("audit_example.raising:register", "RuntimeError: not today \ufffd[31m"),
    "leaving": ("audit_example.leaving:register", "SystemExit: 0"),
    "ending": ("audit_example.ending:register", "it would end this process: os._exit"),
    "ending below": ("audit_example.ending_below:register", "it would end this process: os._exit"),
    "another program": ("audit_example.replacing:register", "it would end this process: os.execv"),
    "a name that is taken": ("audit_example.taking:register", "there is a command smoke already"),
    "no Exception": ("audit_example.panicking:register", "PanicException: not today"),
    "no message": ("audit_example.mute:register", "Mute: its message cannot be read"),
    "no command line": (
        "audit_example.unreadable:register",
        "AssertionError: Typer currently doesn't support Union types",
    ),
}
FILES = {
    "raising.py": "raise RuntimeError('not\\ntoday \\x1b[31m')\n",
    "panicking.py": "class PanicException(BaseException): pass\n\n\nraise PanicException('not today')\n",
    "mute.py": "class Mute(Exception):\n    def __str__(self):\n        raise ValueError\n\n\nraise Mute\n",
    "unreadable.py": "def register(app):\n    app.command(name='fine')(other)\n\n\n"
    "def other(given: int | str) -> None: pass\n",
    "leaving.py": "import sys\nsys.exit(0)\n",
    "ending.py": "import os\nos._exit(0)\n",
    "ending_below.py": "import posix\nposix._exit(0)\n",
    "replacing.py": "import os\nos.execv('/bin/true', ['true'])\n",
    "taking.py": "def register(app):\n    app.command(name='fine')(lambda: None)\n    app.command()(smoke)\n\n\n"
    "def smoke():\n    print('taken')\n",
}


@pytest.mark.parametrize(("entry", "expected"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_command_is_one_line_and_hides_none_of_ours(
    run: Run, installed: Installed, entry: str, expected: str
) -> None:
    env = installed(FILES, commands={"bad": entry})
    done = run("--help", env=env)
    assert done.returncode == 0
    assert done.stderr == f"astrobio-audit: plug-in bad of audit-example ({entry}) cannot be loaded: {expected}\n"
    assert "\n  smoke " in done.stdout
    assert "\n  fine " not in done.stdout
    assert "Import every module" in run("smoke", "--help", env=env).stdout


LATER = {
    "named": "import atexit, os\natexit.register(os._exit, 0)\n",
    "looked up": "import atexit, os\natexit.register(lambda: os._exit(0))\n",
    "taken": "import atexit\nfrom os import _exit\natexit.register(lambda: _exit(0))\n",
}


@pytest.mark.parametrize("code", LATER.values(), ids=LATER.keys())
def test_no_plug_in_makes_the_exit_code_of_a_report_better(
    run: Run, project: Project, installed: Installed, code: str
) -> None:
    root = project(files={"zoo/loss.py": "import torch\n\nstate = torch.load('a')\n"})
    env = installed(
        {"late.py": f"{code}\n\ndef register(app): pass\n"}, commands={"late": "audit_example.late:register"}
    )
    done = run("static", "--json", cwd=root, env=env)
    assert json.loads(done.stdout)["verdict"] == "findings"
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("os._exit(0)", "os._exit(0) was called in this process before there was a report"),
        ("os._exit(1)", "os._exit(1)"),
    ],
)
def test_a_plug_in_that_ends_the_process_ends_no_run_as_a_success(
    run: Run, project: Project, installed: Installed, call: str, told: str
) -> None:
    code = f"import os\n\n\ndef register(app):\n    app.command(name='ends')(lambda: {call})\n"
    env = installed({"late.py": code}, commands={"late": "audit_example.late:register"})
    done = run("ends", cwd=project(), env=env)
    assert done.returncode == 3
    assert told in done.stderr


@pytest.mark.parametrize("call", ["raise SystemExit(0)", "raise SystemExit(1)"])
def test_a_rule_that_asks_for_an_exit_code_is_an_error_and_ends_no_run(
    run: Run, project: Project, installed: Installed, call: str
) -> None:
    rule = (EXAMPLE / "audit_example" / "print_in_forward.py").read_text()
    head = next(line for line in rule.splitlines() if "if node.name" in line)
    indent = head[: len(head) - len(head.lstrip())]
    env = installed({"print_in_forward.py": rule.replace(head, f"{indent}{call}\n{head}")})
    done = run("static", "--json", cwd=project(files={"zoo/printing.py": PRINTING}), env=env)
    ((outcome, reason),) = results(done, "rules.exa001")
    assert outcome == "error"
    assert "SystemExit" in str(reason)
    assert json.loads(done.stdout)["coverage"] < 1


def test_what_it_prints_when_it_is_imported_stays_out_of_a_report(
    run: Run, project: Project, installed: Installed
) -> None:
    files = {
        "talking.py": "print('imported')\n\n\ndef register(app):\n    print('called')\n",
        "rule.py": RULE + "print('read')\n    id = 'PRT002'\n",
    }
    env = installed(
        files, commands={"talks": "audit_example.talking:register"}, rules={"PRT002": "audit_example.rule:Other"}
    )
    done = run("static", "--json", cwd=project(), env=env)
    assert json.loads(done.stdout)["command"] == "static"
    assert set(done.stderr.split()) >= {"imported", "called", "read"}


RULE = "from audit_example.print_in_forward import PrintInForward\n\n\nclass Other(PrintInForward):\n    "
RULES = {
    "missing": ("audit_example.absent:Rule", "No module named 'audit_example.absent'"),
    "no rule": ("audit_example.commands:register", "it must name a subclass of audit.static.rules.rule.Rule"),
    "an id of ours": ("audit_example.taken:Other", "there is a rule ATT001 already"),
    "no id": ("audit_example.unnamed:Other", "its id print must be three capital letters and three digits"),
    "no example": ("audit_example.bare:Other", "the rule lacks INVALID"),
}
RULE_FILES = {
    "taken.py": RULE + "id = 'ATT001'\n",
    "unnamed.py": RULE + "id = 'print'\n",
    "bare.py": RULE + "INVALID = ()\n",
}


@pytest.mark.parametrize(("entry", "expected"), RULES.values(), ids=RULES.keys())
def test_a_broken_rule_keeps_the_verdict_open_and_the_others_judging(
    run: Run, project: Project, installed: Installed, entry: str, expected: str
) -> None:
    root = project(files={"zoo/loss.py": "import torch\n\nstate = torch.load('a')\n"})
    env = installed(RULE_FILES, rules={"bad": entry})
    done = run("static", "--json", cwd=root, env=env)
    ((outcome, reason),) = results(done, "rules.plugin_loads")
    assert outcome == "error"
    assert reason is not None
    assert reason.startswith(f"plug-in bad of audit-example ({entry}) cannot be loaded: ")
    assert expected in reason
    assert results(done, "rules.sec001")
    (root / "zoo" / "loss.py").unlink()
    assert run("static", cwd=root, env=env).returncode == 3


def test_a_rule_that_raises_is_an_error_and_ends_no_run(run: Run, project: Project, installed: Installed) -> None:
    raising = (EXAMPLE / "audit_example" / "print_in_forward.py").read_text().replace("if node.name", "if node.nam")
    root = project(files={"zoo/printing.py": PRINTING})
    done = run("static", "--json", cwd=root, env=installed({"print_in_forward.py": raising}))
    ((outcome, reason),) = results(done, "rules.exa001")
    assert outcome == "error"
    assert "raised something on 1 file, such as zoo/printing.py: AttributeError" in str(reason)
    assert json.loads(done.stdout)["coverage"] < 1


@pytest.mark.parametrize(
    ("kind", "area", "change", "expected"),
    [
        ("properties", "attention", ("attention.batch_order", "smoke.batch_order"), "must be called attention.NAME"),
        ("properties", "attention", ("attention.batch_order", "attention.causality"), "a check attention.causality"),
        ("smoke_checks", "smoke", ("REQUIRES =", "NEEDS ="), "the module must have REQUIRES"),
        ("smoke_checks", "smoke", ("def judge", "def judges"), "and a function judge"),
    ],
)
def test_a_broken_property_or_check_is_an_error_of_its_area(
    run: Run, project: Project, installed: Installed, kind: str, area: str, change: tuple[str, str], expected: str
) -> None:
    name = {"properties": "batch_order", "smoke_checks": "one_tensor"}[kind]
    text = (EXAMPLE / "audit_example" / f"{name}.py").read_text().replace(*change)
    env = installed({f"{name}.py": text})
    done = run(area, "--only", f"{area}.plugin_loads", "--json", cwd=project(), env=env)
    ((outcome, reason),) = results(done, f"{area}.plugin_loads")
    assert outcome == "error"
    assert expected in str(reason)


def test_a_backend_with_a_name_of_ours_is_refused(run: Run, project: Project, installed: Installed) -> None:
    done = run("bench", cwd=project(), env=installed(backends={"eager": "audit_example.three_lines"}))
    assert done.returncode == 2
    assert "plug-in eager of audit-example: there is a backend eager already" in done.stderr


def test_the_example_says_what_it_declares() -> None:
    declared = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"]
    text = (EXAMPLE / "README.md").read_text()
    assert len(declared) == 5
    assert all(f"`{group}`" in text for group in declared)
