"""The smoke command over days: a run that was killed is taken up again, and models that did not change are not run."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]

# The building of the second waits while a file is there that is not Python: no result depends on it.
MODEL = """
import pathlib
import time
import torch
from torch import nn


class First(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        return self.layer(x)


class Slow(First):
    def __init__(self):
        here = pathlib.Path(__file__).parent
        (here / "building").touch()
        while (here / "wait").exists():
            time.sleep(0.05)
        super().__init__()
"""
SPECS = """
import torch
from zoo.nets import First, Slow

def inputs(batch_size, generator):
    return {"x": torch.randn(batch_size, 4, generator=generator)}

def loss(output, inputs):
    return (output - inputs["x"][:, :3]).square().mean()

MODELS = {
    "first": {"class": "zoo.nets:First", "build": First, "inputs": inputs, "loss": loss},
    "slow": {"class": "zoo.nets:Slow", "build": Slow, "inputs": inputs, "loss": loss},
}
"""
WORDS = ("smoke", "--only", "build", "--only", "forward", "--json", "--workers", "1")
WAIT_S = 120


def dates(done: subprocess.CompletedProcess[str]) -> dict[tuple[str, str], bool]:
    """Return which results were measured by an earlier run."""
    results = json.loads(done.stdout)["results"]
    assert {each["outcome"] for each in results} == {"passed"}
    return {(each["subject"]["spec"], each["check"]): bool(each["evidence"]["measured_at"]) for each in results}


def test_what_a_killed_run_has_judged_is_not_judged_again_by_the_next(
    run: Run, tmp_path: Path, program: Sequence[str], program_environment: Mapping[str, str]
) -> None:
    root, cache = tmp_path / "project", tmp_path / "cache"
    (root / "zoo").mkdir(parents=True)
    for name, text in (("__init__", ""), ("nets", MODEL), ("specs", SPECS)):
        (root / "zoo" / f"{name}.py").write_text(text)
    (root / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\n')
    (root / "zoo" / "wait").touch()
    environment = {**program_environment, "ASTROBIO_AUDIT_CACHE": str(cache)}
    process = subprocess.Popen(
        [*program, *WORDS], cwd=root, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + WAIT_S
    while not (root / "zoo" / "building").exists() or not list(cache.glob("results-*/*.json")):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline, f"waited {WAIT_S} s for the second model"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (root / "zoo" / "wait").unlink()

    second = dates(run(*WORDS, cwd=root, env={"ASTROBIO_AUDIT_CACHE": str(cache)}))
    assert {subject for (subject, _), is_earlier in second.items() if is_earlier} == {"first"}
    assert {subject for (subject, _), is_earlier in second.items() if not is_earlier} == {"slow"}
    third = dates(run(*WORDS, cwd=root, env={"ASTROBIO_AUDIT_CACHE": str(cache)}))
    assert all(third.values())
    (root / "zoo" / "nets.py").write_text(MODEL.replace("self.layer(x)", "self.layer(x) + 0"))
    fourth = dates(run(*WORDS, cwd=root, env={"ASTROBIO_AUDIT_CACHE": str(cache)}))
    assert not any(fourth.values())
    fifth = dates(run(*WORDS, "--no-cache", cwd=root, env={"ASTROBIO_AUDIT_CACHE": str(cache)}))
    assert not any(fifth.values())
