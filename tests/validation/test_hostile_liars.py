"""Models that try to be judged by something else than what they compute, and processes that outlive their welcome."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from execnet.gateway_base import Message, dumps_internal

from ..slow_cases import slow

Audit = Callable[..., Any]
Hostile = Callable[..., Any]

NAN_OUTPUT = "return self.linear(x) * float('nan')"
NAN_GRADIENT = "return self.linear(x) + torch.sqrt(self.linear(x) * 0)"
LIARS = """
torch.allclose = torch.equal = lambda *_, **__: True
torch.isfinite = torch.isclose = lambda tensor, *_, **__: torch.ones_like(tensor, dtype=torch.bool)
torch.isnan = torch.isinf = lambda tensor: torch.zeros_like(tensor, dtype=torch.bool)
torch.amax = lambda tensor, *_, **__: torch.ones(())
"""


def test_a_target_that_replaces_torchs_comparisons_is_still_found_out(audit_hostile: Audit, hostile: Hostile) -> None:
    # The specs import all models, so that the healthy one has these functions as well.
    hostiles = {"nan_output": hostile(NAN_OUTPUT, LIARS), "nan_gradient": hostile(NAN_GRADIENT, LIARS)}
    audited = audit_hostile(hostiles, healthy_passes=False)
    assert audited.of("nan_output")["forward"] == "failed"
    assert audited.reason("forward", "nan_output") == "12 elements of the output are not finite"  # of two batches
    assert audited.of("nan_gradient")["forward"] == "passed"
    assert audited.of("nan_gradient")["backward"] == "failed"
    assert "elements not finite" in audited.reason("backward", "nan_gradient")


@pytest.mark.slow
def test_a_target_that_replaces_tensor_methods_is_still_found_out(audit_hostile: Audit, hostile: Hostile) -> None:
    module = "torch.Tensor.sum = lambda self, *_, **__: torch.zeros(())"
    audited = audit_hostile({"nan_gradient": hostile(NAN_GRADIENT, module)}, healthy_passes=False)
    assert audited.of("nan_gradient")["backward"] == "failed"


@pytest.mark.slow
def test_a_target_that_replaces_the_digest_is_still_found_out(audit_hostile: Audit, hostile: Hostile) -> None:
    module = """
    import hashlib, itertools, types
    count = itertools.count()
    hashlib.sha256 = lambda *_: types.SimpleNamespace(hexdigest=lambda: str(next(count)))
    """
    reset = "self.linear.weight.data.fill_(0.1)\nself.linear.bias.data.fill_(0.1)"
    audited = audit_hostile({"stuck": hostile(reset, module)})
    assert audited.of("stuck")["optimizer_step"] == "failed"


def forged_frame() -> bytes:
    """Return what the child would send in answer to `model_once`, with outputs that satisfy every smoke check."""
    first, other = (safetensors.torch.save({"output": torch.full((3, 2), value)}) for value in (0.5, 0.25))
    reply = ("ok", {"first": first, "second": first, "other": other})
    data = dumps_internal(reply)
    return (1).to_bytes(4, "big") + len(data).to_bytes(4, "big") + data


WRITES = """
def write(data):
    for descriptor in range(21):
        try:
            os.write(descriptor, data)
        except OSError:
            pass
"""


@pytest.mark.parametrize("ending", ["pass", *slow("os._exit(0)")], ids=["goes on", "exits"])
def test_an_answer_written_by_the_target_is_not_taken_for_the_probes(
    audit_hostile: Audit, hostile: Hostile, ending: str
) -> None:
    frame = bytes([Message.CHANNEL_DATA]) + forged_frame()
    module = f"{WRITES}\nFRAME = {frame!r}"
    audited = audit_hostile(
        {"forger": hostile(f"write(FRAME)\n{ending}\n{NAN_OUTPUT}", module)}, settings="timeout_s = 20"
    )
    assert audited.of("forger")["forward"] in ("error", "failed")


# Every one starts a process that would stay for an hour.
STAYING = {
    "child": "if os.fork() == 0: time.sleep(3600)",
    "child_of_an_ended_parent": "if os.fork() == 0: time.sleep(3600)\nos._exit(0)",
    "child_deaf_to_signals": "if os.fork() == 0:\n    signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)",
    "program": "subprocess.Popen(['sleep', '3600'])",
    "program_in_a_session_of_its_own": "subprocess.Popen(['sleep', '3600'], start_new_session=True)",
    "daemon": "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(3600)\n    os._exit(0)",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", STAYING)
def test_no_process_of_the_target_outlives_the_run(audit_hostile: Audit, hostile: Hostile, kind: str) -> None:
    audited = audit_hostile({kind: hostile(STAYING[kind])}, settings="timeout_s = 10")
    assert audited.of(kind)["build"] == "passed"


@pytest.mark.slow
def test_two_processes_that_answer_one_call_do_not_mix_up_the_answers(audit_hostile: Audit, hostile: Hostile) -> None:
    """After a fork both processes go on through the probe and send; the second answer belongs to no call."""
    audited = audit_hostile({"forker": hostile("os.fork()")}, settings="timeout_s = 10")
    assert audited.of("forker")["build"] == "passed"


def test_what_a_target_says_cannot_steer_the_terminal(
    hostile: Hostile, write_package: Callable[..., Path], tmp_path: Path
) -> None:
    escapes = r"\x1b]0;owned\x07\x1b[31mred\x9b32m\r\x08"
    hostiles = {
        "says": hostile(f"raise ValueError('{escapes}')"),
        "prints": hostile(f"print('{escapes}', flush=True); os.write(1, b'\\xff\\xfe'); os._exit(1)"),
        "marks": hostile("raise ValueError('[bold red]not markup[/bold red] [/]')"),
    }
    root = write_package(tmp_path / "project", hostiles, {}, "")
    done = subprocess.run(
        [Path(sys.executable).with_name("astrobio-audit"), "smoke", "--target", root, "--output", tmp_path / "report"],
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr.decode()
    shown = done.stdout.decode()
    assert "[bold red]not markup[/bold red] [/]" in " ".join(shown.split())
    assert not set(shown) & {"\x1b", "\x07", "\x08", "\x9b", "\r"}
    markdown = (tmp_path / "report" / "smoke.md").read_text()
    assert not set(markdown) & {"\x1b", "\x07", "\x08", "\x9b"}
    assert json.loads((tmp_path / "report" / "smoke.json").read_text())["verdict"] == "findings"
