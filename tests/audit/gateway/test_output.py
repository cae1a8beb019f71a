"""What the target prints: its end is kept for the report, the rest is counted, and none of it reaches the terminal."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.gateway.output import KEPT_BYTES, OutputTail

Child = Any


@pytest.fixture
def write() -> Callable[[list[bytes]], OutputTail]:
    """Writes chunks into a pipe and returns what has read it to its end."""

    def through_a_pipe(chunks: list[bytes]) -> OutputTail:
        reading, writing = os.pipe()
        tail = OutputTail(os.fdopen(reading, "rb"))
        with os.fdopen(writing, "wb", buffering=0) as stream:
            for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    view = view[stream.write(view) :]
        tail.finish(within_s=30)
        return tail

    return through_a_pipe


def test_the_tail_is_the_last_lines_in_valid_text(write: Callable[[list[bytes]], OutputTail]) -> None:
    tail = write([b"line %d\n" % number for number in range(50)] + [b"\xff\xfe end"])
    assert tail.tail().splitlines() == [*(f"line {number}" for number in range(31, 50)), "\ufffd\ufffd end"]
    assert tail.tail(lines=1) == "\ufffd\ufffd end"


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1, 3 * KEPT_BYTES), min_size=1, max_size=8))
def test_everything_is_counted_and_only_the_end_is_kept(
    write: Callable[[list[bytes]], OutputTail], sizes: list[int]
) -> None:
    text = bytes(ord("a") + index % 26 for index in range(sum(sizes)))
    chunks, start = [], 0
    for size in sizes:
        chunks.append(text[start : start + size])
        start += size
    tail = write(chunks)
    assert tail.total_bytes == len(text)
    assert tail.tail() == text[-KEPT_BYTES:].decode()
    assert sum(map(len, tail._kept)) <= 2 * KEPT_BYTES


def test_output_of_every_kind_ends_in_the_failure(child: Child, capfd: pytest.CaptureFixture[str]) -> None:
    failure = child.fail(
        """
        import os, subprocess, sys
        print("printed")
        print("to standard error", file=sys.stderr)
        sys.stdout.flush()
        os.write(1, b"descriptor one\\n")
        os.write(2, b"descriptor two\\n")
        subprocess.run(["sh", "-c", "echo a program; echo its errors >&2"])
        os._exit(1)
        """
    )
    expected = {"printed", "to standard error", "descriptor one", "descriptor two", "a program", "its errors"}
    assert expected <= set(failure.output_tail.splitlines())
    child.run("print('later')")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_a_failure_shows_nothing_of_the_process_before(child: Child) -> None:
    assert "first words" in child.fail("import os; print('first words', flush=True); os._exit(1)").output_tail
    assert child.fail("import os; os._exit(1)").output_tail == ""


def test_the_last_output_is_there_however_fast_the_end_came(child: Child) -> None:
    for number in range(3):
        failure = child.fail(f"import os; os.write(2, b'x' * 60_000 + b' last {number}'); os._exit(1)")
        assert failure.output_tail.endswith(f" last {number}")
