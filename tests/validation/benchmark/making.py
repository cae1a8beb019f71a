"""Rows and documents made by hand."""

from collections.abc import Sequence

from audit import __version__
from audit.report.document import Tool
from validation.benchmark.cases import AttentionCase, Backend, BackendKind, Mode
from validation.benchmark.document import BenchmarkDocument, Ceiling, Hardware, Method, Origin, exit_code_of
from validation.benchmark.formulas import FORMULAS
from validation.benchmark.pytest_form import benchmark_entries
from validation.benchmark.rates import with_rates
from validation.benchmark.rows import Correctness, Memory, Row, RowOutcome, Timing, Verified

CASE = AttentionCase(
    batch=1, heads=2, kv_heads=2, length=256, head_dim=64, is_causal=True, dtype="float32", mode=Mode.FORWARD
)
GOOD = Verified(of="output", measured=1e-7, bound=1e-6, bound_origin="a test says so", seed=0)
BAD = Verified(of="output", measured=1.0, bound=1e-6, bound_origin="a test says so", seed=0)
HARDWARE = Hardware(
    kind="cpu", name="A Processor", memory_bytes=2**34, cache_bytes=2**25, cores=2, threads=2, capability="AVX2",
    torch="2.13.0", cuda=None, libraries={"triton": None}, platform="Linux 6", machine="x86_64",
)  # fmt: skip


def timing(*rounds: Sequence[int]) -> Timing:
    return Timing.of(
        tuple(map(tuple, rounds)), error=0.001, met=True, note=None, cache_bytes_flushed=1, first_call_ns=1
    )


def measured_row(
    *rounds: Sequence[int],
    backend: str = "eager",
    case: AttentionCase = CASE,
    after: Verified = GOOD,
    peak_bytes: int | None = None,
) -> Row:
    return Row(
        case=case,
        backend=Backend(name=backend, kind=BackendKind.BUILT_IN),
        outcome=RowOutcome.MEASURED,
        correctness=Correctness(before=GOOD, after=after),
        timing=timing(*rounds),
        memory=None if peak_bytes is None else Memory(peak_bytes=peak_bytes, how="a test says so"),
    )


def document(
    *rows: Row, hardware: Hardware = HARDWARE, partial: bool = False, dirty: bool = False
) -> BenchmarkDocument:
    ceiling = Ceiling(dtype="float32", flops_per_s=1e12, bytes_per_s=1e12)
    rated = tuple(with_rates(row, {"float32": ceiling}, None) for row in rows)
    return BenchmarkDocument(
        schema_version="1.0",
        kind="benchmark",
        tool=Tool(name="astrobio-audit", version=__version__),
        origin=Origin(
            command="astrobio-audit bench",
            package="zoo",
            package_digest=None,
            commit="0" * 40,
            dirty=dirty,
            started_at="2026-01-01T00:00:00Z",
            finished_at="2026-01-01T00:00:01Z",
        ),
        hardware=hardware,
        peak=None,
        method=Method(
            clock="a clock",
            relative_error=0.005,
            seconds_per_row=1,
            rounds=3,
            warm_up=1,
            seed=0,
            baseline="eager",
            formulas=FORMULAS,
        ),
        ceilings=(ceiling,),
        rows=rated,
        partial=partial,
        exit_code=exit_code_of(rated, None),
        benchmarks=benchmark_entries(rated),
        machine_info={},
        commit_info={},
        datetime="2026-01-01T00:00:01Z",
        version=__version__,
    )
