"""The boundary: what may cross it, what is refused, and that nothing which crosses is ever executed."""

import ast
import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml
from execnet.gateway_base import DumpError, Message, dumps_internal

import audit
import validation
from audit.gateway import ProbeFailure, TargetRaised
from audit.gateway.client import _unpacked
from audit.replies import number_of, text_of
from validation.readiness.infrastructure import yaml_files
from validation.smoke.model import tensors_of

from ...slow_cases import slow_unless

RAISED = {"phase": "forward", "type": "ValueError", "message": "bad", "frames": [("/a/b.py", 3)], "traceback": "..."}


def test_a_reply_is_read() -> None:
    assert _unpacked(("id", "ok", {"value": 1}), "id") == {"value": 1}
    with pytest.raises(TargetRaised, match=r"^ValueError: bad$") as caught:
        _unpacked(("id", "raised", RAISED), "id")
    assert [(frame.path, frame.line) for frame in caught.value.frames] == [("/a/b.py", 3)]


@pytest.mark.parametrize(
    "reply",
    [None, 7, "ok", b"ok", [], {}, (), ("id", "ok"), ("id", "ok", None), ("id", "ok", [1]), ("id", "ok", {}, 1),
     ("id", "fine", {}), ("id", b"ok", {}), ("id", "raised", "text"), ("id", "raised", None), {"id": {"ok": {}}},
     (("id", "ok", {}),), ("", "ok", {}), ("ok", {}), ("another", "ok", {}), ("another", "raised", RAISED),
     (None, "ok", {}), (b"id", "ok", {})],
    ids=repr,
)  # fmt: skip
def test_a_reply_of_another_form_is_refused(reply: object) -> None:
    with pytest.raises(ProbeFailure, match=r"reply that is not one of the probe's$"):
        _unpacked(reply, "id")


@pytest.mark.parametrize(
    "frames",
    [None, "text", 7, {}, [None], [("/a.py",)], [("/a.py", "3")], [(b"/a.py", 3)], [("/a.py", 3, 4)], [["/a.py", 3]]],
    ids=repr,
)
def test_frames_of_another_form_are_left_out(frames: object) -> None:
    with pytest.raises(TargetRaised) as caught:
        _unpacked(("id", "raised", RAISED | {"frames": frames}), "id")
    assert caught.value.frames == ()


def test_fields_of_an_exception_that_are_no_text_become_text() -> None:
    with pytest.raises(TargetRaised) as caught:
        _unpacked(("id", "raised", {"type": 7, "message": [b"x"]}), "id")
    raised = caught.value
    assert (raised.phase, raised.type_name, raised.message) == ("None", "7", "[b'x']")


@pytest.mark.parametrize("value", [object(), type, print, {1, 2}.__iter__(), Path("/")], ids=lambda v: type(v).__name__)
def test_no_object_can_be_sent(child: Any, value: Any) -> None:
    with pytest.raises(DumpError):
        child.probe.call("import_module", name=value)
    child.run("pass")


def test_a_pickle_is_not_read_as_tensors() -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return pytest.fail, ("was unpickled",)

    for data in (pickle.dumps(Bomb()), b"", b"\0" * 8, b"\xff" * 64, (2**40).to_bytes(8, "little") + b"{}"):
        with pytest.raises(ProbeFailure, match="malformed tensors"):
            tensors_of({"tensors": data}, "tensors")


@pytest.mark.parametrize("value", [None, "text", 7, [], {}])
def test_a_field_of_another_type_is_refused(value: Any) -> None:
    with pytest.raises(ProbeFailure, match="reply without field"):
        tensors_of({"field": value}, "field")
    if not isinstance(value, int):
        with pytest.raises(ProbeFailure, match="reply without field"):
            number_of({"field": value}, "field")
    if not isinstance(value, str):
        with pytest.raises(ProbeFailure, match="reply without field"):
            text_of({"field": value}, "field")


PARENT = sorted(
    path
    for package in (audit, validation)
    for path in Path(package.__path__[0]).rglob("*.py")
    if "probe" not in path.relative_to(package.__path__[0]).parts
)


def test_the_parent_never_deserialises_objects_or_runs_text() -> None:
    """Only execnet's builtin types, safetensors and JSON come in; no module of the parent can read anything richer."""
    found = []
    for path in PARENT:
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Call):
                names = [ast.unparse(node.func)]
            forbidden = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "eval", "exec",
                         "torch.load", "numpy.load", "yaml.load", "yaml.full_load", "yaml.unsafe_load"}  # fmt: skip
            found += [f"{path.name}: {name}" for name in names if name in forbidden]
    assert len(PARENT) > 40
    assert found == ["yaml_files.py: yaml.load"]
    assert yaml_files._LOADER in (yaml.SafeLoader, yaml.CSafeLoader)  # whose documents are plain data


FRAMES = {
    "text": b'{"check": "smoke.forward", "outcome": "passed"}\n' * 40,
    "unknown message": b"\x7f" + bytes(8),
    "closed": bytes([Message.CHANNEL_CLOSE, 0, 0, 0, 1, 0, 0, 0, 0]),
    "closed with an empty error": bytes([Message.CHANNEL_CLOSE_ERROR, 0, 0, 0, 1, 0, 0, 0, 6]) + dumps_internal(""),
    "execution in the parent": bytes([Message.CHANNEL_EXEC, 0, 0, 0, 1, 0, 0, 0, 0]),
    "end": bytes([Message.GATEWAY_TERMINATE]) + bytes(8),
    "status": bytes([Message.STATUS]) + bytes(8),
    "no serialised data": bytes([Message.CHANNEL_DATA, 0, 0, 0, 1, 0, 0, 0, 2]) + b"\xff\xff",
    "two gigabytes to come": bytes([Message.CHANNEL_DATA, 0, 0, 0, 1, 0x7F, 0xFF, 0xFF, 0xFF]),
    "an answer of no form": bytes([Message.CHANNEL_DATA, 0, 0, 0, 1, 0, 0, 0, 6]) + dumps_internal(""),
}


QUICK = {"text", "closed", "closed with an empty error", "an answer of no form"}


@pytest.mark.parametrize("kind", slow_unless(QUICK, FRAMES))
def test_what_the_target_writes_into_the_channel_ends_its_own_call(child: Any, kind: str) -> None:
    """The target shares its descriptors with the probe, so it can write there; the parent must not stumble over it."""
    first = child.tell("os.getpid()")
    failure = child.fail(
        f"""
        import os, time
        for descriptor in range(21):
            try:
                os.write(descriptor, {FRAMES[kind]!r})
            except OSError:
                pass
        time.sleep(300)
        """,
        timeout_s=4,
        within_s=25,
    )
    assert failure.reason
    assert child.tell("os.getpid()") != first


def test_an_answer_that_no_call_asked_for_is_not_given_to_the_next(child: Any) -> None:
    """A target that forks goes on twice through the probe, and both processes answer."""
    child.tell("os.getpid()")
    with pytest.raises((TargetRaised, ProbeFailure)):
        child.run("import os, time\nif os.fork(): time.sleep(0.5)\nraise ValueError('answered twice')")
    told = child.tell("'the next'")
    assert told == "the next"
    assert child.tell("'the one after'") == "the one after"
