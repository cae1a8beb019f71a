"""`--device` names a device that torch in the target's interpreter sees, or the run ends before it begins."""

import subprocess
import sys
from pathlib import Path

import pytest

from audit.devices import _seen, on_device
from audit.errors import UsageError
from audit.kept import KeptResults
from audit.plan import Group
from audit.repeating import reproduce_command
from audit.report.document import Device, Environment
from audit.results import Subject, SubjectKind
from audit.target import Target

COMMAND = Path(sys.executable).with_name("astrobio-audit")
ENVIRONMENT = Environment(
    python="3.12.1",
    torch="2.11.0",
    cuda="12.8",
    devices=(Device(name="NVIDIA H100", memory_bytes=80 * 2**30, capability="9.0"),),
    libraries={"flash_attn": "2.8.3", "xformers": None, "numpy": "2.1"},
    threads=1,
    cpu_count=2,
    memory_bytes=2**33,
)
ABSENT = "cuda:999"  # no machine has as many


@pytest.fixture
def target(tmp_path: Path) -> Target:
    (tmp_path / "own.py").write_text("from torch import nn\n\n\nclass Attention(nn.Module):\n    pass\n")
    return Target.load_tree(tmp_path)


def test_a_device_that_is_not_there_ends_the_run_with_one_line(target: Target) -> None:
    done = subprocess.run(
        [COMMAND, "attention", f"{target.root / 'own.py'}::Attention", "--device", ABSENT],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert f"--device {ABSENT}: torch " in line
    assert "CUDA device" in line


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cuda:-1", "mps", ""])
def test_what_is_no_word_for_a_device_is_refused(target: Target, name: str) -> None:
    with pytest.raises(UsageError, match="should be cpu, cuda or cuda:N"):
        on_device(target, name)


def test_a_cpu_is_there_without_asking(target: Target) -> None:
    assert on_device(target, "cpu") is target
    assert not target.on_gpu


def test_a_device_that_is_there_is_named_with_what_computes_on_it(target: Target) -> None:
    found = _seen(target, "cuda:0", 0, ENVIRONMENT)
    assert found.on_gpu
    assert found.device_seen == "NVIDIA H100 (CUDA 12.8, torch 2.11.0, flash_attn 2.8.3)"
    subject = Subject(kind=SubjectKind.ATTENTION, qualname="Attention")
    assert "--device cuda:0" in reproduce_command(found, "attention.oracle", subject, 0)


def test_of_one_device_there_is_no_second(target: Target) -> None:
    with pytest.raises(UsageError, match="sees 1 CUDA device, counted from 0, in"):
        _seen(target, "cuda:1", 1, ENVIRONMENT)


def test_results_of_another_device_or_version_are_not_taken_over(target: Target, tmp_path: Path) -> None:
    group = Group(subject=Subject(kind=SubjectKind.ATTENTION, qualname="Attention"), planned=())
    newer = ENVIRONMENT.model_copy(update={"libraries": {"flash_attn": "2.8.4"}})
    other = ENVIRONMENT.model_copy(
        update={"devices": (ENVIRONMENT.devices[0].model_copy(update={"name": "NVIDIA A100"}),)}
    )
    targets = [target, *(_seen(target, "cuda", 0, each) for each in (ENVIRONMENT, newer, other))]
    paths = {KeptResults(each, "content", folder=tmp_path)._path(group) for each in targets}
    assert len(paths) == len(targets)
