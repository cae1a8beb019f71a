"""Ctrl-C and a polite kill in the middle of a run, while the target's code does not come back."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from audit.report.document import Report

Project = Callable[..., Path]
Run = Callable[..., subprocess.CompletedProcess[str]]
# Leaves the ids of this process and of one that it started, then never returns.
HANG = """
import os, pathlib, subprocess, time
child = subprocess.Popen(["sleep", "1000"])
pathlib.Path("pids.part").write_text(f"{os.getpid()} {child.pid}")
os.rename("pids.part", "pids")
time.sleep(1000)
"""
SPECS = """
import torch
from zoo.model import Regressor

def build():
    exec(%r, {})
    return Regressor()

def inputs(batch_size, generator):
    return {"x": torch.randn(batch_size, 6, generator=generator)}

MODELS = {"regressor": {"class": "zoo.model:Regressor", "build": build, "inputs": inputs, "loss": lambda o, i: o.sum()}}
ATTENTION = {}
"""
# In one step: what is removed file by file can be written to meanwhile, by a process beside it.
REMOVES = SPECS % "" + "\nimport pathlib\nroot = pathlib.Path(__file__).parents[1]\nroot.rename(f'{root}.gone')\n"
WAIT_S = 180


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and was not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {WAIT_S} s for {what}"
        time.sleep(0.05)


@pytest.fixture
def stop(program: Sequence[str], program_environment: Mapping[str, str]) -> Callable[..., tuple[int, str, str]]:
    """Starts a command, waits until the target hangs, sends the signal; checks that no process is left."""

    def run(root: Path, *arguments: str, by: signal.Signals) -> tuple[int, str, str]:
        process = subprocess.Popen(
            [*program, *arguments],
            cwd=root,
            env=dict(program_environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            wait_for(lambda: (root / "pids").exists() or process.poll() is not None, "the target to hang")
            assert process.poll() is None, process.communicate()
            pids = [int(pid) for pid in (root / "pids").read_text().split()]
            assert all(map(alive, pids))
            process.send_signal(by)
            out, err = process.communicate(timeout=WAIT_S)
        finally:
            process.kill()
        wait_for(lambda: not any(map(alive, pids)), "the target's processes to end")
        return process.returncode, out, err

    return run


def partial_report(folder: Path, command: str) -> Report:
    report = Report.model_validate_json((folder / f"{command}.json").read_bytes())
    markdown = (folder / f"{command}.md").read_text()
    assert markdown.startswith("**Partial run, no verdict: stopped by the user before the end**\n")
    assert (report.partial, report.interrupted, report.verdict) == (True, True, None)
    assert sorted(path.name for path in folder.glob("[!.]*")) == [
        f"{command}.{form}" for form in ("html", "json", "md")
    ]
    return report


@pytest.mark.parametrize(("command", "by"), [("smoke", signal.SIGTERM), ("readiness", signal.SIGINT)])
def test_a_run_stopped_in_a_slow_model_keeps_what_it_measured(
    stop: Callable[..., tuple[int, str, str]], project: Project, command: str, by: signal.Signals
) -> None:
    root = project(files={"zoo/specs.py": SPECS % HANG})
    code, out, err = stop(root, command, "--output", "out", by=by)
    assert code == 3
    assert "Traceback" not in out + err
    assert out.splitlines()[0] == "partial run, no verdict: stopped by the user before the end"
    assert "verdict: " not in out.replace("no verdict: ", "")
    report = partial_report(root / "out", command)
    by_check = {(result.check, result.subject.name): result for result in report.results}
    assert by_check["smoke.import", "zoo.model"].outcome == "passed"
    for check in ("smoke.build", "smoke.forward", "smoke.save_load"):
        result = by_check[check, "regressor"]
        assert (result.outcome, result.reason) == ("error", "never reported: stopped by the user before the end")


def test_a_run_stopped_while_it_collects_is_a_partial_report(
    stop: Callable[..., tuple[int, str, str]], project: Project
) -> None:
    root = project(files={"zoo/specs.py": HANG})
    code, out, err = stop(root, "smoke", "--json", "--output", "out", by=signal.SIGINT)
    assert code == 3
    assert "Traceback" not in err
    assert json.loads(out)["partial"] is True
    assert (root / "out" / "smoke.json").read_text() == out
    partial_report(root / "out", "smoke")


def test_a_shard_stopped_before_its_plan_is_compared_leaves_whole_reports_alone(
    stop: Callable[..., tuple[int, str, str]], project: Project, run: Run
) -> None:
    root = project(files={"zoo/specs.py": SPECS % ""})
    assert run("plan", "--command", "smoke", "--output", "plan.json", cwd=root).returncode == 0
    (root / "zoo" / "specs.py").write_text(HANG)
    (root / "out").mkdir()
    (root / "out" / "smoke.json").write_text("a whole report")
    code, _, err = stop(root, "run", "plan.json", "--shard", "1/2", "--output", "out", by=signal.SIGINT)
    assert (code, "Traceback" in err) == (3, False), err
    assert (root / "out" / "smoke.json").read_text() == "a whole report"
    part = Report.model_validate_json((root / "out" / "smoke.shard-1-2.json").read_bytes())
    assert (part.partial, part.verdict, len(part.results)) == (True, None, 0)
    assert part.part is not None
    assert part.part.label == "shard 1/2"


def test_what_specs_remove_while_they_are_imported_is_told_in_one_line(project: Project, run: Run) -> None:
    root = project(files={"zoo/specs.py": REMOVES})
    done = run("smoke", "--target", str(root), "--json", cwd=root.parent)
    assert (done.returncode, done.stdout) == (3, "")
    assert "the target's folder was there when the run began, and is gone" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_stopped_readiness_run_leaves_its_report_where_a_whole_one_would_be(
    stop: Callable[..., tuple[int, str, str]], project: Project
) -> None:
    root = project(files={"zoo/specs.py": SPECS % HANG})
    code, out, err = stop(root, "readiness", "--quiet", by=signal.SIGTERM)
    assert (code, out, err) == (3, "", "")
    partial_report(root / "reports" / "latest", "readiness")


def test_doctor_stopped_while_it_waits_is_one_line(stop: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    interpreter = tmp_path / "python"
    interpreter.write_text(
        f'#!/bin/sh\nsleep 1000 &\necho "$$ $!" > {tmp_path}/part\nmv {tmp_path}/part {tmp_path}/pids\nwait\n'
    )
    interpreter.chmod(0o755)
    code, out, err = stop(tmp_path, "doctor", "--python", str(interpreter), by=signal.SIGINT)
    assert (code, out) == (3, "")
    assert err.strip() == "astrobio-audit: stopped before there was anything to report"


def test_ctrl_c_while_the_modules_load_is_one_line() -> None:
    interrupted = (
        "import sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'audit.cli': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from audit.entry import main; main()\n"
    )
    done = subprocess.run([sys.executable, "-c", interrupted], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "astrobio-audit: stopped before there was anything to report\n"
