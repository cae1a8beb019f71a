"""A file that says which of its statements are run does what it did before, and says it of each process."""

import os
from pathlib import Path
from textwrap import dedent

import pytest

from validation.mutation.tracking import bodies, read_tracks, runs_kernels_in_python, tracked, untracked

TEXT = dedent('''
    """A module."""
    from __future__ import annotations
    import functools

    SIZE = 3

    def choose(x):
        """Choose."""
        if x > 1: y = 2; z = 3
        elif x > 0:
            y = (x +
                 1)
        else:
            y = 0
        for _ in range(3):
            y += 1
        return y

    class Holder:
        """Holds."""

        @property
        def size(self):
            return SIZE

    def jit(function):
        return function

    @jit
    def kernel(x):
        return x
''').lstrip()
LINES = {text.strip(): number for number, text in enumerate(TEXT.splitlines(), start=1)}


def ran(tmp_path: Path, x: float) -> tuple[object, set[str]]:
    """What `choose` returns, and the text of the lines that were run by it alone."""
    place = tmp_path / "tracks"
    place.touch()
    names: dict[str, object] = {}
    exec(compile(tracked(TEXT, "zoo/a.py", place), "module", "exec"), names)
    imported = set(read_tracks(place))
    found = names["choose"](x)  # type: ignore[operator]
    assert names["Holder"]().size == 3  # type: ignore[operator]
    assert names["kernel"](1) == 1  # type: ignore[operator]
    texts = {number: text for text, number in LINES.items()}
    assert {path for path, _ in imported} == {"zoo/a.py"}
    assert {texts[line] for _, line in imported} >= {
        "import functools",
        "SIZE = 3",
        "def choose(x):",
        "@property",
        "@jit",
    }
    return found, {texts[line] for _, line in set(read_tracks(place)) - imported}


@pytest.mark.parametrize(
    ("x", "value", "own"),
    [
        (5, 5, set()),
        (1, 5, {"elif x > 0:", "y = (x +"}),
        (0, 3, {"elif x > 0:", "y = 0"}),
    ],
)
def test_the_statements_that_are_run_are_told(x: float, value: float, own: set[str], tmp_path: Path) -> None:
    found, lines = ran(tmp_path, x)
    common = {"if x > 1: y = 2; z = 3", "for _ in range(3):", "y += 1", "return y", "return SIZE"}
    assert found == value
    assert lines == common | own


def test_what_another_compiler_reads_stays_as_it_is(tmp_path: Path) -> None:
    assert untracked(TEXT) == {LINES["def kernel(x):"], LINES["return x"]}
    kernel = tracked(TEXT, "a.py", tmp_path / "tracks").partition("def kernel")[2]
    assert "_astrobio_audit_runs" not in kernel


def test_the_head_of_a_function_is_reached_where_its_body_runs() -> None:
    found = bodies(TEXT)
    assert found[LINES["def choose(x):"]] == LINES["if x > 1: y = 2; z = 3"]  # behind the docstring
    assert found[LINES["@property"]] == found[LINES["def size(self):"]] == LINES["return SIZE"]
    assert LINES["return y"] not in found


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    place = tmp_path / "tracks"
    place.touch()
    assert list(read_tracks(place)) == []
    place.write_text("12 zoo/a.py\nnonsense\n13 zo")
    assert list(read_tracks(place)) == [("zoo/a.py", 12)]


def test_lines_that_cannot_be_written_are_not_taken_for_lines_that_do_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "tracks"
    place.touch()
    names: dict[str, object] = {}
    exec(compile(tracked(TEXT, "zoo/a.py", place), "module", "exec"), names)
    assert set(read_tracks(place))

    def on_a_full_disk(descriptor: int, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "write", on_a_full_disk)
        assert names["choose"](0) == 3  # type: ignore[operator]
    assert names["choose"](5) == 5  # type: ignore[operator]
    with pytest.raises(OSError, match="could not be written"):
        list(read_tracks(place))


INTERPRETED = dedent("""
    import triton

    @triton.jit
    def kernel(x):
        return x

    @triton.autotune(configs=[], key=[])
    @triton.jit(debug=True)
    def tuned(x):
        return x

    @torch.jit.script
    def scripted(x):
        return x
""").lstrip()


def test_kernels_that_are_interpreted_say_what_they_run() -> None:
    place = Path("tracks")
    compiled, run = (tracked(INTERPRETED, "a.py", place, kernels=kernels) for kernels in (False, True))
    assert compiled.count("_astrobio_audit_runs(") == run.count("_astrobio_audit_runs(") - 2
    assert untracked(INTERPRETED) == {4, 5, 9, 10, 13, 14}
    assert untracked(INTERPRETED, kernels=True) == {13, 14}
    assert run.partition("def scripted")[2].count("_astrobio_audit_runs(") == 0


@pytest.mark.parametrize(("value", "runs"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_triton_is_asked_to_interpret_by_its_variable(monkeypatch: pytest.MonkeyPatch, value: str, runs: bool) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", value)
    assert runs_kernels_in_python() is runs
