import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]
ROOT = Path(__file__).parents[3]
EARTH = [1.0, 23.446, 0.016724, 282.04, 330.0, 0.55, 50.0]
COMMANDS = ([], ["train"], ["eval"], ["predict"], ["serve"], ["models"], ["tasks"])
HARNESS = """
import sys
from astrobio.cli import main
try:
    main()
except SystemExit as left:
    assert left.code == 0, left.code
print(sorted({"torch", "numpy", "fastapi", "safetensors"} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_loads_nothing_heavy_and_shows_examples(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HARNESS, *command, "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stderr == "[]\n"
    assert "Usage: " in done.stdout
    if command:
        assert f"  astrobio {command[0]}" in done.stdout
    else:
        assert (
            "3  stopped, a file could not be written, or an internal error; the last checkpoint is intact"
            in done.stdout
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nothing"], "astrobio: unknown task 'nothing'; choose from: "),
        (["train", "climate", "--preset", "slow"], "astrobio: climate has no preset 'slow'; it has: base, fast"),
        (["train", "climate", "--output", "run", "--resume"], "astrobio: run holds no run"),
        (["eval", "nothing"], "astrobio: nothing holds no run: run.json is missing or unreadable"),
        (["train", "climate", "--steps", "0"], "Invalid value for '--steps'"),
        (["train"], "Missing argument 'TASK'"),
        (["nonsense"], "No such command 'nonsense'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_arguments_exit_2_and_write_nothing(arguments: list[str], message: str, run: Run, tmp_path: Path) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_run_is_trained_once_resumed_and_measured(run: Run, tmp_path: Path) -> None:
    train = ("train", "climate", "--preset", "fast", "--steps", "2", "--output", "run")
    first = run(*train, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "step 2/2: loss " in first.stderr
    assert [line.split(":")[0] for line in first.stdout.splitlines()] == [
        "num_planets",
        "rmse_k",
        "baseline_rmse_k",
        "r_squared",
    ]
    again = run(*train, cwd=tmp_path)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr == "astrobio: run already holds a run; resume it, or choose another output folder\n"
    assert run("eval", "run", cwd=tmp_path).stdout == first.stdout
    (tmp_path / "earth.json").write_text(json.dumps({"planet_parameters": [EARTH]}))
    asked = run("predict", "run", "--input", "earth.json", "--output", "cycle.csv", cwd=tmp_path)
    assert (asked.returncode, asked.stdout) == (0, "cycle.csv: temperature (1, 48, 24)\n")
    assert len((tmp_path / "cycle.csv").read_text().splitlines()) == 1 + 48 * 24


@pytest.mark.slow
def test_a_run_that_is_told_to_stop_is_saved_and_resumed(start: Start, run: Run, tmp_path: Path) -> None:
    options = ("--preset", "fast", "--steps", "100", "--output", "run", "--checkpoint-every", "1000000")
    arguments = ("train", "climate", *options)
    process = start(*arguments, cwd=tmp_path)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("step 10/100"):
            break
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 3
    last = err.splitlines()[-1]
    assert last.startswith("astrobio: stopped after step ")
    assert last.endswith(" of 100")
    step = last.split()[4]
    resumed = run(*arguments, "--resume", cwd=tmp_path)
    assert resumed.returncode == 0
    assert f"resuming after step {step}\n" in resumed.stderr


@pytest.mark.slow
def test_two_ranks_train_through_torchrun(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", ROOT / "train.sh", "climate", "--preset", "fast", "--steps", "3", "--output", tmp_path / "run"],
        env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "NPROC": "2"},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("r_squared: ") == 1
    assert json.loads((tmp_path / "run" / "run.json").read_text())["world_size"] == 2


@pytest.fixture(scope="module")
def server(start: Start, run_dir: Path) -> Iterator[str]:
    """The address of a server process."""
    pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
    process = start("serve", run_dir, "--port", "0", "--max-batch", "3", "--max-body-mb", "0.01", cwd=run_dir)
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith("serving on "):
            break
    else:
        raise AssertionError(lines)
    yield lines[-1].split()[-1]
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "")  # no traceback on the way out
    assert process.returncode == 0


def answered(url: str, body: bytes | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_a_server_answers_predictions_and_health(server: str) -> None:
    status, body = answered(server + "/health")
    assert (status, json.loads(body)["status"]) == (200, "ok")
    asked = json.dumps({"inputs": {"planet_parameters": [EARTH, EARTH]}}).encode()
    status, body = answered(server + "/predict", asked)
    assert status == 200
    cycles = json.loads(body)["outputs"]["temperature"]
    assert (len(cycles), len(cycles[0]), len(cycles[0][0])) == (2, 48, 24)
    assert cycles[0] == cycles[1]


def test_a_server_refuses_what_is_too_much_and_lives_on(server: str) -> None:
    for count, message in (
        (4, "4 samples are more than the limit of 3"),
        (400, "larger than the limit of 10000 bytes"),
    ):
        asked = json.dumps({"inputs": {"planet_parameters": [EARTH] * count}}).encode()
        status, body = answered(server + "/predict", asked)
        assert status == 413
        assert message in json.loads(body)["detail"]
    assert answered(server + "/health")[0] == 200
    assert 'astrobio_requests_total{path="/predict",status="413"} ' in answered(server + "/metrics")[1].decode()


def test_a_port_that_is_taken_is_one_line(server: str, run: Run, run_dir: Path) -> None:
    done = run("serve", run_dir, "--port", server.rsplit(":", 1)[1], cwd=run_dir)
    assert done.returncode == 2
    assert done.stderr.startswith("astrobio: cannot listen on 127.0.0.1 port ")
    assert done.stderr.endswith("Address already in use\n")


@pytest.mark.parametrize("script", ["train.sh", "eval.sh", "infer_api.sh"])
def test_the_scripts_are_valid_and_show_the_help_of_their_command(script: str) -> None:
    subprocess.run(["bash", "-n", ROOT / script], check=True)
    done = subprocess.run(
        ["bash", ROOT / script, "--help"],
        env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Usage: " in done.stdout
