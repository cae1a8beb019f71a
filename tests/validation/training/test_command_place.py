"""Where a finding about a training command is located, and what it says of one that writes no checkpoint."""

from pathlib import Path

import pytest

from audit.results import Location
from audit.target import Target
from validation.training.checks import command_resumes
from validation.training.command_place import GRADIENTS, READS, WRITES, command_place
from validation.training.settings import COMMAND_CHECKPOINT_EVERY, COMMAND_STEPS
from validation.training.trainee import CommandRun, Reference

TRAINER = "import torch\n\nif __name__ == '__main__':\n    torch.manual_seed(0)\n"
PLACE = Location(path="zoo/train.py", line=3)


def target_with(root: Path, specs: str) -> Target:
    (root / "zoo").mkdir()
    for name, text in {"__init__": "", "train": TRAINER, "specs": specs}.items():
        (root / "zoo" / f"{name}.py").write_text(text)
    (root / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\n')
    return Target.load(root)


@pytest.mark.parametrize(
    ("specs", "place"),
    [
        ("TRAINING = {'net': {'command': '{python} -m zoo.train --steps {steps}'}}", ("zoo/train.py", 3)),
        ("TRAINING = {'net': {'command': '{python} zoo/train.py --steps {steps}'}}", ("zoo/train.py", 3)),
        ("TRAINING = {\n  'net': {\n    'command': '{python} -m zoo.absent'}}", ("zoo/specs.py", 3)),
        ("TRAINING = {'net': {'command': '{python} -m /'}}", ("zoo/specs.py", 1)),
        ("TRAINING = {\n  'net': {\n    'command': LINE}}", ("zoo/specs.py", 3)),
        ("TRAINING = {'other': {'command': '{python} -m zoo.train'}}", None),
        ("TRAINING = {name: made(name) for name in NAMES}", None),
        ("not Python", None),
    ],
)
def test_a_command_is_located_where_it_begins(tmp_path: Path, specs: str, place: tuple[str, int] | None) -> None:
    found = command_place(target_with(tmp_path, specs), "zoo.specs", "net", READS)
    assert found == (Location(path=place[0], line=place[1]) if place else None)


@pytest.mark.parametrize(("calls", "line"), [(READS, 2), (GRADIENTS, 4), (WRITES, 5)])
def test_a_command_is_located_where_it_does_what_is_wrong(tmp_path: Path, calls: tuple[str, ...], line: int) -> None:
    target = target_with(tmp_path, "TRAINING = {'net': {'command': '{python} -m zoo.train'}}")
    trained = "def main():\n    state = torch.load('a')\n    net.load_state_dict(state)\n    loss.backward()\n"
    (tmp_path / "zoo" / "train.py").write_text(f"{trained}    torch.save(state, 'a')\n\n{TRAINER}")
    assert command_place(target, "zoo.specs", "net", calls) == Location(path="zoo/train.py", line=line)


def did(*checksums: int, status: int | None = -9, said: str = "") -> CommandRun:
    return CommandRun(
        status=status,
        weights=checksums,
        checksums=checksums,
        copies=(0,) * len(checksums),
        times=(),
        said=said,
        named=None,
        in_time=True,
    )


EVERY = COMMAND_CHECKPOINT_EVERY
REFERENCE = Reference(run=did(*range(COMMAND_STEPS)), forks=True, largest_file_bytes=0)
KILLED = did(*range(EVERY + 1))
RIGHT = [KILLED, *(did(*range(at, min(at + EVERY + 1, COMMAND_STEPS))) for at in range(EVERY, COMMAND_STEPS, EVERY))]
WITHOUT = "no checkpoint was in {checkpoint_dir} when it was killed behind step 6: "


@pytest.mark.parametrize(
    ("runs", "left", "outcome", "said"),
    [
        (RIGHT, ["newest.pt"], "passed", ""),
        ([KILLED, KILLED], [], "failed", f"{WITHOUT}resumed, it began from step 0"),
        ([KILLED, did(status=1, said="no file")], [], "failed", f"{WITHOUT}it did not go on (status 1): no file"),
        ([KILLED, KILLED], ["newest.pt"], "failed", "killed behind step 6, it resumed from step 0"),
        (RIGHT, [], "passed", ""),  # it keeps them elsewhere
    ],
    ids=["right", "none", "none, and stops", "does not read it", "elsewhere"],
)
def test_a_command_without_a_checkpoint_is_told_as_such(
    runs: list[CommandRun], left: list[str], outcome: str, said: str
) -> None:
    judgement = command_resumes._judged(REFERENCE, runs, left, PLACE)
    assert (judgement.outcome, judgement.reason or "") == (outcome, said)
    assert judgement.location == PLACE
    assert ("write a checkpoint" in (judgement.fix or "")) == (outcome == "failed" and not left)
