"""Two benchmarks compared: by this command, and by `pytest-benchmark compare`."""

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.errors import UsageError
from validation.benchmark.cases import AttentionCase
from validation.benchmark.compare import compared, read_document
from validation.benchmark.document import BenchmarkDocument
from validation.benchmark.markdown import render
from validation.benchmark.rows import Row, RowOutcome

from .making import CASE, HARDWARE, document, measured_row


def rounds(middle: float, *, spread: float = 0.01, number: int = 5, seed: int = 0) -> list[list[int]]:
    drawn = random.Random(f"{middle} {seed}")
    shifts = [drawn.gauss(1, spread) for _ in range(number)]
    return [[round(drawn.gauss(middle * shift, middle * spread)) for _ in range(20)] for shift in shifts]


def against(old: list[list[int]], new: list[list[int]], practical: float = 0.05) -> BenchmarkDocument:
    return compared(
        document(measured_row(*new)),
        document(measured_row(*old)),
        source="old.json",
        practical_bound=practical,
        other_hardware=False,
    )


@pytest.mark.parametrize(
    ("new", "spread", "practical", "call", "why"),
    [
        (1.3e6, 0.01, 0.05, "regression", "+"),
        (0.7e6, 0.01, 0.05, "improvement", "-"),
        (1.03e6, 0.002, 0.05, "no call", "within the practical bound of 5.0%"),
        (1.03e6, 0.002, 0.01, "regression", "+"),
        (1.15e6, 0.3, 0.05, "no call", "which holds zero"),
    ],
)
def test_a_call_needs_an_interval_without_zero_and_a_change_that_matters(
    new: float, spread: float, practical: float, call: str, why: str
) -> None:
    found = against(rounds(1e6, spread=spread), rounds(new, spread=spread, seed=1), practical)
    (verdict,) = found.compared.verdicts
    assert verdict.call == call
    assert why in verdict.reason
    assert found.exit_code == (1 if call == "regression" else 0)


def test_one_round_is_not_enough_to_tell() -> None:
    (verdict,) = against(rounds(1e6, number=1), rounds(2e6, number=5)).compared.verdicts
    assert verdict.call == "no call"
    assert "fewer than two rounds" in verdict.reason


def test_a_time_that_is_there_no_longer_is_lost_and_leaves_the_run_incomplete() -> None:
    row = measured_row([1_000_000] * 9)
    absent = Row(case=row.case, backend=row.backend, outcome=RowOutcome.ABSENT, reason="not installed any more")
    kept = measured_row([1_000_000] * 9, backend="other")
    found = compared(document(absent, kept), document(row), source="old", practical_bound=0.05, other_hardware=False)
    assert [each.call for each in found.compared.verdicts] == ["lost"]
    assert found.exit_code == 3


def test_other_hardware_is_refused_unless_told_and_then_named() -> None:
    new = document(measured_row(*rounds(1e6)))
    other = HARDWARE.model_copy(update={"name": "Another Processor", "torch": "2.11.0"})
    old = document(measured_row(*rounds(1e6)), hardware=other)
    with pytest.raises(UsageError, match=r"name Another Processor and now A Processor.*--other-hardware"):
        compared(new, old, source="old", practical_bound=0.05, other_hardware=False)
    found = compared(new, old, source="old", practical_bound=0.05, other_hardware=True)
    assert found.compared.differences == (
        "name Another Processor and now A Processor",
        "torch 2.11.0 and now 2.13.0",
    )
    assert "different: torch 2.11.0" in render(found).replace("\\", "")


def test_other_software_is_named_and_not_refused() -> None:
    other = HARDWARE.model_copy(update={"libraries": {"triton": "3.6"}, "memory_bytes": 2**34 - 2**27})
    found = compared(
        document(measured_row(*rounds(1e6))),
        document(measured_row(*rounds(1e6)), hardware=other),
        source="old",
        practical_bound=0.05,
        other_hardware=False,
    )
    assert found.compared.differences == ("triton 3.6 and now not installed",)


def test_nothing_in_common_is_refused() -> None:
    other = AttentionCase.model_validate({**CASE.model_dump(), "length": 512})
    with pytest.raises(UsageError, match="nothing to compare"):
        compared(
            document(measured_row([1_000_000] * 9)),
            document(measured_row([1_000_000] * 9, case=other)),
            source="old",
            practical_bound=0.05,
            other_hardware=False,
        )


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema_version": "9.9"}'])
def test_what_is_no_benchmark_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"--compare .*not a valid benchmark"):
        read_document(path, option="--compare")


def test_the_command_compares_files_without_measuring(bench: Callable, bench_package: Callable, tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(document(measured_row(*rounds(1e6))).as_json())
    new.write_text(document(measured_row(*rounds(1.5e6))).as_json())
    found = bench(bench_package(), "--from", str(new), "--compare", str(old))
    assert [each.call for each in found.document.compared.verdicts] == ["regression"]
    assert found.exit_code == 1
    assert "regression" in (found.output / "bench.md").read_text()


def test_pytest_benchmark_compares_two_of_them(tmp_path: Path) -> None:
    wrong = Row(case=CASE, backend=measured_row([1]).backend.model_copy(update={"name": "absent"}),
                outcome=RowOutcome.ABSENT, reason="not installed")  # fmt: skip
    for name, middle in (("old", 1e6), ("new", 2e6)):
        path = tmp_path / f"{name}.json"
        path.write_text(document(measured_row(*rounds(middle)), wrong).as_json())
    program = Path(sys.executable).with_name("pytest-benchmark")
    done = subprocess.run(
        [program, "compare", "old.json", "new.json", "--columns", "min,median,mean,stddev,rounds,iterations,ops"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "[eager]" in line]
    assert len(lines) == 2, done.stdout
    assert "Failed to load" not in done.stdout + done.stderr
    assert f"benchmark '{CASE.id}': 2 tests" in done.stdout
    assert all(" 100 " in line for line in lines)  # rounds, and no row without a time
    assert "absent" not in done.stdout
