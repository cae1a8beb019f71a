"""`plan`, `run`, `report merge` and `report diff` as processes."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Project = Callable[..., Path]
GIT = ("git", "-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false")


@pytest.fixture
def planned(project: Project, run: Run) -> Path:
    """A project in a repository, with a plan of `static` in its folder for reports."""
    root = project()
    for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "first")):
        subprocess.run([*GIT, "-C", str(root), *arguments], check=True)
    told = run("plan", "--command", "static", cwd=root)
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines()[-1] == "written: reports/latest/plan.json"
    return root


PLAN = "reports/latest/plan.json"


def test_parts_are_carried_out_apart_and_merged(planned: Path, run: Run, tmp_path: Path) -> None:
    parts = str(tmp_path / "parts")
    for shard in ("1/2", "2/2"):
        told = run("run", PLAN, "--shard", shard, "--output", parts, cwd=planned)
        assert told.stdout.startswith(f"partial run, no verdict: shard {shard}: 1 of 2 groups of plan ")
    names = sorted(path.name for path in Path(parts).glob("*.json"))
    assert names == ["static.shard-1-2.json", "static.shard-2-2.json"]
    files = [f"{parts}/{name}" for name in names]
    told = run("report", "merge", *files, "--plan", PLAN, "--output", f"{parts}/whole", cwd=planned)
    assert "verdict: " in told.stdout, told.stderr
    plain = run("static", "--output", f"{parts}/plain", "--quiet", cwd=planned)
    assert told.returncode == plain.returncode
    told = run("report", "diff", f"{parts}/plain/static.json", f"{parts}/whole/static.json", cwd=planned)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("The release is neither better nor worse: ")

    told = run("report", "merge", files[0], "--plan", PLAN, "--quiet", cwd=planned)
    assert told.returncode in (1, 3)
    told = run("report", "merge", *files, files[0], "--plan", PLAN, cwd=planned)
    assert told.returncode == 2
    assert "static.shard-1-2.json: holds " in told.stderr
    told = run("report", "merge", f"{parts}/plain/static.json", "--plan", PLAN, cwd=planned)
    assert (told.returncode, told.stdout) == (2, "")
    assert "plain/static.json: not a part of a plan" in told.stderr


def test_a_target_that_has_changed_is_refused(planned: Path, run: Run) -> None:
    (planned / "zoo" / "more.py").write_text("x = 1\n")
    told = run("run", PLAN, cwd=planned)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith("astrobio-audit: the plan is not that of this target: whether files differ")
    assert told.stderr.endswith("; make the plan again, with plan and parts where git ignores them\n")
    assert told.stderr.count("\n") == 1


def test_a_plan_is_for_a_profile_which_its_parts_take_over(planned: Path, run: Run, tmp_path: Path) -> None:
    told = run("plan", "--profile", "cpu", cwd=planned)
    assert told.stdout.splitlines()[0].endswith(", for use on CPUs"), told.stderr
    assert json.loads((planned / PLAN).read_text())["planned_from"]["profile"] == "cpu"
    told = run("run", PLAN, "--needs", "gpu", cwd=planned)
    assert (told.returncode, told.stderr) == (2, "astrobio-audit: --needs gpu: the plan has no such check\n")
    told = run("run", PLAN, "--shard", "9/9", "--json", "--output", str(tmp_path), cwd=planned)
    assert json.loads(told.stdout)["profile"] == "cpu", told.stderr


def test_only_a_release_has_a_profile(planned: Path, run: Run) -> None:
    told = run("plan", "--command", "static", "--profile", "cpu", cwd=planned)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr == "astrobio-audit: --profile cpu: is of a release, and --command static is none\n"
    told = run("readiness", "--profile", "tpu", cwd=planned)
    assert (told.returncode, told.stdout) == (2, "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--shard", "3/2"), "--shard 3/2: should be i/n"),
        (("--shard", ""), "--shard : should be i/n"),
        (("--shard", "3/3"), "--shard 3/3: the part is empty"),
        (("--needs", "gpu"), "--needs gpu: the plan has no such check"),
        (("--gateway", "socket=x"), "--gateway socket=x: should be popen"),
        (("--gateway", "popen//chdir=/nowhere"), "--gateway popen//chdir=/nowhere: no folder /nowhere there"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_in_one_line(
    words: tuple[str, ...], said: str, planned: Path, run: Run
) -> None:
    told = run("run", PLAN, *words, cwd=planned)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith(f"astrobio-audit: {said}")
    assert told.stderr.count("\n") == 1


def test_a_plan_that_makes_its_own_checkout_dirty_says_so(planned: Path, run: Run) -> None:
    told = run("plan", "--command", "static", "--output", "plan.json", "--quiet", cwd=planned)
    assert told.returncode == 0
    assert "plan.json lies in the checkout, which it makes differ from the commit" in told.stderr


def test_a_report_that_got_worse_leaves_with_1(planned: Path, run: Run, tmp_path: Path) -> None:
    run("static", "--quiet", "--output", str(tmp_path / "old"), cwd=planned)
    (planned / "zoo" / "broken.py").write_text("def f(:\n")
    run("static", "--quiet", "--output", str(tmp_path / "new"), cwd=planned)
    old, new = (str(tmp_path / side / "static.json") for side in ("old", "new"))
    told = run("report", "diff", old, new)
    assert told.returncode == 1
    assert told.stdout.startswith("The release got worse: ")
    content = json.loads(run("report", "diff", old, new, "--format", "json").stdout)
    assert "static.parses" in {entry["check"] for entry in content["new_failures"]}
    assert run("report", "diff", old, new, "--format", "markdown").stdout.startswith("The release got worse")
    assert run("report", "diff", new, old, "--quiet").returncode == 0
    told = run("report", "diff", old, str(tmp_path / "none.json"))
    assert (told.returncode, told.stdout) == (2, "")
    assert "none.json: cannot be read" in told.stderr
    assert run("report", "diff", old, new, "--json", "--format", "markdown").returncode == 2


def test_the_schema_of_plans_is_printed(run: Run) -> None:
    assert json.loads(run("plan", "--schema").stdout)["title"].startswith("astrobio-audit plan ")


def gateways_of(pid: int) -> list[int]:
    """Return the ids of the gateways' processes that a run has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    every = [int(word) for path in (children.parent.parent).glob("*/children") for word in path.read_text().split()]
    commands = {each: Path(f"/proc/{each}/cmdline").read_bytes() for each in every}
    # The target's own processes have the same last words behind those of their supervisor.
    return [each for each, said in commands.items() if b"exec(eval(sys.stdin" in said and b"supervisor" not in said]


def told_of(path: Path) -> object:
    """Return what a report says but for times, the command line and the machines."""
    content = json.loads(path.read_text())
    content.pop("machines")
    for key in ("command", "started_at", "finished_at"):
        content["provenance"].pop(key)
    for result in content["results"]:
        for key in ("duration_s", "measured_at", "measured_commit", "machine"):
            result["evidence"].pop(key)
    return content


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="finds the processes to kill in /proc")
def test_models_are_judged_over_four_gateways_one_of_which_is_killed(
    planned: Path, run: Run, tmp_path: Path, program: Sequence[str], program_environment: Mapping[str, str]
) -> None:
    run("plan", "--command", "smoke", "--quiet", cwd=planned)
    words = ("run", PLAN, "--gateway", "4*popen", "--no-cache", "--output", str(tmp_path))
    environment = {**program_environment, "ASTROBIO_AUDIT_PROGRESS": "lines"}
    with subprocess.Popen(
        [*program, *words], cwd=planned, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr
        begun = re.match(r"1/(\d+): ", running.stderr.readline())
        assert begun
        gateways = gateways_of(running.pid)
        assert len(gateways) == 4
        os.kill(gateways[0], signal.SIGKILL)
        rest = running.stderr.read()
    assert f"{begun[1]}/{begun[1]}: " in rest
    part = tmp_path / "smoke.all-groups.json"
    told = run("report", "merge", str(part), "--plan", PLAN, "--output", str(tmp_path / "whole"), cwd=planned)
    assert told.returncode == 0, told.stdout
    run("smoke", "--quiet", "--output", str(tmp_path / "plain"), cwd=planned)
    assert told_of(tmp_path / "whole" / "smoke.json") == told_of(tmp_path / "plain" / "smoke.json")


@pytest.mark.slow
def test_a_benchmark_runs_elsewhere_and_is_written_here(project: Project, run: Run, tmp_path: Path) -> None:
    grid = ("--length=64", "--batch=1", "--heads=1", "--head-dim=16", "--dtype=float32", "--mode=forward", "--full")
    effort = ("--no-models", "--backend=eager", "--seconds=0.01", "--rounds=1")
    told = run("bench", *grid, *effort, "--gateway", "popen", "--output", str(tmp_path / "bench"), cwd=project())
    assert told.returncode == 0, told.stderr
    assert "attention-b1-h1-kv1-l64-d16-full-float32-forward eager: " in told.stderr
    content = json.loads((tmp_path / "bench" / "bench.json").read_text())
    assert [row["outcome"] for row in content["rows"]] == ["measured"]
    assert (tmp_path / "bench" / "bench.md").exists()
