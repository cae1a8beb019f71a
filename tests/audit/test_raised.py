from collections.abc import Callable
from pathlib import Path

import pytest

from audit.gateway import ProbeFailure, TargetRaised
from audit.gateway.outcomes import RaisedAt
from audit.raised import describe_failure, describe_raised, judge_raised, location_of
from audit.results import Location, Outcome
from audit.target import Target

MakeTarget = Callable[..., Target]


def raised(
    type_name: str = "ValueError", message: str = "bad", phase: str = "forward", frames: tuple[RaisedAt, ...] = ()
) -> TargetRaised:
    return TargetRaised(phase=phase, type_name=type_name, message=message, frames=frames, traceback="")


def test_phase_type_and_message_are_told(make_target: MakeTarget) -> None:
    assert describe_raised(raised(), make_target()) == "forward raised ValueError: bad"


def test_an_exception_without_message_is_told_by_its_type(make_target: MakeTarget) -> None:
    assert describe_raised(raised(message=""), make_target()) == "forward raised ValueError"


def test_where_the_target_lies_is_not_told(make_target: MakeTarget) -> None:
    target = make_target()
    message = f"cannot open {target.root}/zoo/weights.pt"
    assert describe_raised(raised(message=message), target) == "forward raised ValueError: cannot open zoo/weights.pt"
    assert str(target.root) not in describe_failure(ProbeFailure("crashed", output_tail=message), target)


def test_where_an_object_lies_in_memory_is_not_told(make_target: MakeTarget) -> None:
    messages = [f"<zoo.A object at 0x7f{n}a13380>, mask 0x7fffffff" for n in (1, 2)]
    told = [describe_raised(raised(message=message), make_target()) for message in messages]
    assert told == ["forward raised ValueError: <zoo.A object at 0x...>, mask 0x7fffffff"] * 2


def test_a_long_message_keeps_its_beginning_and_a_long_output_its_end(make_target: MakeTarget) -> None:
    long = "first " + 5000 * "x" + " last"
    told = describe_raised(raised(message=long), make_target())
    assert "first" in told
    assert "last" not in told
    told = describe_failure(ProbeFailure("crashed", output_tail=long), make_target())
    assert "last" in told
    assert "first" not in told
    assert len(told) < 1100


@pytest.mark.parametrize("tail", ["", " \n\n"])
def test_silence_is_not_quoted(make_target: MakeTarget, tail: str) -> None:
    assert describe_failure(ProbeFailure("crashed", output_tail=tail), make_target()) == "crashed"


def test_the_innermost_frame_in_the_target_is_the_place(make_target: MakeTarget) -> None:
    target = make_target()
    frames = tuple(
        RaisedAt(path=path, line=line)
        for line, path in enumerate(
            [str(target.root / "zoo" / "outer.py"), str(target.root / "zoo" / "inner.py"), "/lib/torch/nn.py"], start=1
        )
    )
    assert location_of(raised(frames=frames), target) == Location(path="zoo/inner.py", line=2)


@pytest.mark.parametrize("path", ["/lib/torch/nn.py", "../elsewhere.py", "", "/"])
def test_frames_outside_the_target_give_no_place(make_target: MakeTarget, path: str) -> None:
    assert location_of(raised(frames=(RaisedAt(path=path, line=1),)), make_target()) is None


@pytest.mark.parametrize(
    "installed", [".venv/lib/python3.12/site-packages/torch/nn.py", "env/lib/python3.12/ast.py", "dist-packages/one.py"]
)
def test_what_is_installed_in_the_targets_own_folder_is_not_the_targets(
    make_target: MakeTarget, installed: str
) -> None:
    target = make_target()
    own = RaisedAt(path=str(target.root / "zoo" / "net.py"), line=3)
    frames = (own, RaisedAt(path=str(target.root / installed), line=9))
    assert location_of(raised(frames=frames), target) == Location(path="zoo/net.py", line=3)


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, "\ud800"])
def test_a_frame_that_is_no_path_does_not_end_the_run(make_target: MakeTarget, path: str) -> None:
    # Frames are the target's word: `compile(source, filename, ...)` takes any string.
    target = make_target()
    frame = RaisedAt(path=str(target.root / "zoo") + "/" + path, line=1)
    assert judge_raised(raised(frames=(frame,)), target, phases=("forward",)).outcome is Outcome.FAILED


@pytest.mark.parametrize(
    ("problem", "outcome"),
    [
        (raised(phase="forward"), Outcome.FAILED),
        (raised(phase="build"), Outcome.ERROR),
        (raised(phase="call"), Outcome.ERROR),
        (raised("MemoryError", "", "forward"), Outcome.ERROR),
        (raised("OutOfMemoryError", "CUDA out of memory", "forward"), Outcome.ERROR),
        (raised("RuntimeError", "DefaultCPUAllocator: can't allocate memory", "forward"), Outcome.ERROR),
        (raised("ValueError", "the field is out of memory range", "forward"), Outcome.FAILED),
    ],
)
def test_only_what_the_check_is_about_is_a_failure(
    make_target: MakeTarget, problem: TargetRaised, outcome: Outcome
) -> None:
    assert judge_raised(problem, make_target(), phases=("forward", "loss")).outcome is outcome


def test_running_out_of_memory_is_named(make_target: MakeTarget) -> None:
    told = describe_raised(raised("MemoryError", "", "build"), make_target())
    assert told == "out of memory during build: MemoryError"


def test_a_relative_path_is_taken_from_the_current_folder(
    make_target: MakeTarget, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert make_target().relative("project/zoo/__init__.py") == "zoo/__init__.py"
    assert make_target().relative(tmp_path) is None


@pytest.mark.parametrize(
    ("type_name", "message"),
    [
        ("OSError", "[Errno 28] No space left on device: '/tmp/x'"),
        ("OSError", "[Errno 27] File too large"),
        ("SafetensorError", "Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_not_the_targets_failure(make_target: MakeTarget, type_name: str, message: str) -> None:
    full = raised(type_name, message, phase="save")
    judgement = judge_raised(full, make_target(), phases=("save",))
    assert judgement.outcome is Outcome.ERROR
    assert judgement.reason == f"out of disk space during save: {type_name}: {message}"
    assert judge_raised(raised(type_name, "other", "save"), make_target(), phases=("save",)).outcome is Outcome.FAILED
