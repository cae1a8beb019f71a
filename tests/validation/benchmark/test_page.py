"""A benchmark as a page."""

import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import pytest

from validation.benchmark.cases import AttentionCase, Backend, BackendKind
from validation.benchmark.document import BenchmarkDocument, Compared, Verdict
from validation.benchmark.html import render_page
from validation.benchmark.rows import Correctness, Row, RowOutcome

from .making import BAD, CASE, document, measured_row

SAMPLES = [2_000_000] * 9
HOSTILE = "</script><img src=x onerror=alert(1)>\x1b[31m\u202e"


def row_of(length: int, backend: str = "eager", **more: Any) -> Row:
    case = AttentionCase.model_validate({**CASE.model_dump(), "length": length})
    samples = [sample * length // 256 for sample in SAMPLES]
    return measured_row(samples, backend=backend, case=case, peak_bytes=length * 2**12, **more)


def absent(name: str = "flash_attention_2", reason: str = "not installed") -> Row:
    backend = Backend(name=name, kind=BackendKind.BUILT_IN)
    return Row(case=CASE, backend=backend, outcome=RowOutcome.ABSENT, reason=reason)


def section(page: str, name: str) -> str:
    (found,) = re.findall(f'<section id="{name}".*?</section>', page, re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def page() -> str:
    rows = [row_of(length, backend) for length in (256, 512, 1024) for backend in ("eager", "sdpa")]
    return render_page(document(*rows, absent()))


def test_the_state_comes_first_then_what_was_measured_and_where(page: str) -> None:
    body = page[page.index("<header>") :]
    assert body.startswith('<header><h1 class="verdict good">Complete</h1>')
    assert "<bdi>zoo</bdi> on A Processor, 2 threads" in body
    assert "7 rows, 6 measured, 1 absent" in body


def test_speed_and_memory_are_drawn_against_length_with_a_line_for_each_backend(page: str) -> None:
    for name, label in (("speed", "TFLOP/s"), ("memory", "peak memory of a call, MiB")):
        part = section(page, name)
        assert part.count("<figure") == 1
        assert re.findall(r'class="(line s\d)"></path>', part) == ["line s0", "line s1"]
        assert label in part
        for length in (256, 512, 1024):
            assert f">{length}</text>" in part
        for backend in ("eager", "sdpa"):
            assert f"</svg>{backend}: " in part


def test_every_row_is_in_one_of_the_tables(page: str) -> None:
    assert section(page, "times").count("<tr>") == 1 + 6
    assert section(page, "times").count("2 ms") >= 2
    assert "flash_attention_2</td><td>absent</td><td>not installed" in section(page, "without")


def test_one_length_is_no_plot_and_nothing_empty_is_shown() -> None:
    page = render_page(document(row_of(256)))
    assert re.findall('<section id="([a-z]+)"', page) == ["times", "provenance"]


def test_a_wrong_backend_is_told_before_any_time() -> None:
    correctness = Correctness(before=BAD)
    backend = Backend(name="fast", kind=BackendKind.BUILT_IN)
    wrong = Row(case=CASE, backend=backend, outcome=RowOutcome.WRONG, reason="off by 1", correctness=correctness)
    page = render_page(document(row_of(256), wrong))
    assert '<h1 class="verdict bad">Wrong, or slower than before</h1>' in page
    assert "fast</td><td>wrong</td><td>off by 1" in section(page, "without")


def test_a_comparison_shows_its_calls() -> None:
    made = document(row_of(256))
    calls = [Verdict(case="case", backend="eager", call=call, reason=f"{call}!") for call in ("improvement", "no call")]
    compared = Compared(source="old.json", practical_bound=0.05, differences=("torch",), verdicts=tuple(calls))
    part = section(render_page(made.model_copy(update={"compared": compared})), "compared")
    assert "<td>improvement</td><td>improvement!</td>" in part
    assert "No call: 1 of 2 rows" in part
    assert "<li>torch</li>" in part


def test_no_text_of_the_target_is_markup() -> None:
    rows = [row_of(256, HOSTILE), row_of(512, HOSTILE), absent(HOSTILE + "x", HOSTILE)]
    page = render_page(document(*rows))
    assert "<img" not in page
    assert page.count("</script>") == 1
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert escape("</script><img src=x onerror=alert(1)>") in page


def test_the_same_benchmark_is_the_same_page(page: str) -> None:
    rows = [row_of(length, backend) for length in (256, 512, 1024) for backend in ("eager", "sdpa")]
    made = document(*rows, absent())
    assert render_page(BenchmarkDocument.model_validate_json(made.as_json())) == page


def test_the_command_writes_it_beside_the_other_forms(
    bench: Callable[..., Any], bench_package: Callable[..., Path], tmp_path: Path
) -> None:
    given = tmp_path / "given.json"
    made = document(row_of(256), row_of(512))
    given.write_text(made.as_json())
    found = bench(bench_package(), "--from", str(given))
    assert (found.output / "bench.html").read_text() == render_page(made)
