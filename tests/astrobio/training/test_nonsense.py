"""Folders of runs in which something was changed by hand: every field is refused in one line, or does no harm."""

import copy
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astrobio.training.checkpoints import checkpoint_folders
from astrobio.training.errors import RunFolderError
from astrobio.training.run_folder import RunFolder
from astrobio.training.run_identity import read_identity, shown
from astrobio.training.task import TrainingTask
from astrobio.training.trainer import fit

STEPS = 4
FIELDS = (
    "task", "preset", "seed", "steps", "batch_size", "accumulate", "world_size", "precision", "device", "version",
    "torch",
)  # fmt: skip
IDENTITY = {
    **dict.fromkeys(FIELDS, 1),
    **dict.fromkeys(("task", "preset", "precision", "device", "version", "torch"), "some"),
}
NO_NAME = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.lists(st.integers(), max_size=2), st.just({}), st.just(""),
    st.text(alphabet="\x00\x1b\n\u2028\ud800", min_size=1, max_size=3), st.just("long" * 99),
)  # fmt: skip
NO_COUNT = st.one_of(
    st.none(), st.booleans(), st.integers(max_value=-1), st.integers(min_value=2**63), st.floats(), st.text(max_size=3),
    st.just([1]), st.just({"1": 1}), st.just(10**5000),
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs") / "line"


@pytest.fixture
def line_run(trained: Path, make_task: Callable[..., TrainingTask]) -> Path:
    """A run with a checkpoint after each half."""
    if not trained.exists():
        fit(make_task(), output=trained, steps=STEPS)
    return trained


@pytest.mark.parametrize("name", FIELDS)
@given(data=st.data())
@settings(deadline=None)
def test_nonsense_in_a_field_of_run_json_is_named(name: str, data: st.DataObject) -> None:
    value = data.draw(NO_NAME if isinstance(IDENTITY[name], str) else NO_COUNT)
    content = json.dumps({**IDENTITY, name: value}) if value != 10**5000 else json.dumps({**IDENTITY, name: "DIGITS"})
    with pytest.raises(ValueError, match=rf"^(says that {name} is .*; expected |is not JSON)") as raised:
        read_identity(content.replace('"DIGITS"', "1" + 5000 * "0").encode())
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 200


@given(st.recursive(st.none() | st.integers() | st.text(max_size=3), st.lists, max_leaves=3), st.integers(0, 8))
@settings(deadline=None)
def test_what_is_no_object_with_every_field_is_refused(document: object, missing: int) -> None:
    with pytest.raises(ValueError, match="is not an object"):
        read_identity(json.dumps(document).encode())
    name = FIELDS[missing]
    with pytest.raises(ValueError, match=f"has no {name}, which is "):
        read_identity(json.dumps({key: value for key, value in IDENTITY.items() if key != name}).encode())


@pytest.mark.parametrize("content", [b"", b"\xff", b"[" * 100_000, b"{"])
def test_what_is_no_json_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"is not JSON|is nested too deeply"):
        read_identity(content)


def test_what_is_long_is_shown_cut_off() -> None:
    assert shown(-(10**400)) == "a whole number of some 400 digits"
    assert len(shown("x" * 1000)) == 60
    assert shown({"a": 1}) == "a JSON dict"


def rewrite_state(folder: Path, change: Callable[[dict[str, object]], None]) -> None:
    """Change the newest checkpoint's state and set its digest right, as one who knows how would."""
    path = checkpoint_folders(folder)[0][1] / "state.json"
    state = json.loads(path.read_text())
    del state["digest"]
    change(state)
    canonical = json.dumps(state, sort_keys=True, separators=(",", ":")).encode()
    state["digest"] = "sha256:" + hashlib.sha256(canonical).hexdigest()
    path.write_text(json.dumps(state))


def places(state: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Where something can be changed, without most of the words of the random generator."""
    inside = state.items() if isinstance(state, dict) else enumerate(state[:3]) if isinstance(state, list) else ()
    return [path, *(place for key, each in inside for place in places(each, (*path, key)))]


NONSENSE = st.sampled_from([None, True, -1, 2**70, 0.5, "", "x", [], {}, [None], {"x": "y"}])


@given(data=st.data(), value=NONSENSE)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_state_with_nonsense_is_refused_in_one_line_or_the_run_ends_as_it_would_have(
    line_run: Path, make_task: Callable[..., TrainingTask], tmp_path: Path, data: st.DataObject, value: object
) -> None:
    folder = tmp_path / "copy"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(line_run, folder)
    newest, before = checkpoint_folders(folder / "checkpoints")[:2]
    shutil.rmtree(newest[1])
    state = json.loads((before[1] / "state.json").read_text())
    del state["digest"]
    where = data.draw(st.sampled_from([place for place in places(state) if place]))

    def put(state: dict[str, object]) -> None:
        inside: object = state
        for key in where[:-1]:
            inside = inside[key]  # type: ignore[index]
        inside[where[-1]] = copy.deepcopy(value)  # type: ignore[index]

    rewrite_state(folder / "checkpoints", put)
    whole, _ = fit(make_task(), steps=STEPS)
    try:
        model, _ = fit(make_task(), output=folder, steps=STEPS, resume=True)
    except RunFolderError as error:
        refused = str(error)
    else:
        refused = ""
    assert refused.isprintable()
    if refused or where[0] == "python_random":  # in which a number may stand for another
        return
    for one, other in zip(model.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_log_of_nonsense_is_cut_off_there(line_run: Path, tmp_path: Path) -> None:
    shutil.copytree(line_run, tmp_path / "copy")
    log = tmp_path / "copy" / "log.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    for nonsense in (b"[1]\n", b'{"step": "x"}\n', b"{}\n", b"[" * 100_000 + b"\n"):
        log.write_bytes(lines[0] + nonsense + lines[1])
        assert [record["step"] for record in RunFolder(tmp_path / "copy").curve()] == [1]
