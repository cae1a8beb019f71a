"""The document of a benchmark: the source of every other form, which computes nothing."""

import json
from typing import Annotated, Final, Literal, Self

from pydantic import Field, JsonValue, model_validator

from audit.report.document import Tool
from audit.results import Frozen
from validation.benchmark.pytest_form import benchmark_entries
from validation.benchmark.rows import Row, RowOutcome

SCHEMA_VERSION: Final = "1.0"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Hardware(Frozen):
    """The device of the target's process, and what its results depend on besides."""

    kind: str
    name: str
    memory_bytes: int | None
    cache_bytes: Annotated[int | None, Field(description="Last-level cache of a CPU, second-level cache of a GPU.")]
    cores: int | None
    threads: int
    capability: str | None
    uuid: str | None = None
    torch: str
    cuda: str | None
    libraries: dict[str, str | None]
    platform: str
    machine: str

    @property
    def where(self) -> str:
        """The device in words."""
        return f"{self.name}, {self.threads} threads" if self.kind == "cpu" else self.name


class Ceiling(Frozen):
    """What the device reached at the most in this run."""

    dtype: str
    flops_per_s: Annotated[float, Field(gt=0)]
    bytes_per_s: Annotated[float, Field(gt=0)]


class Peak(Frozen):
    """What the vendor states, dense."""

    part: str
    source: str
    entered_on: str
    tflops: dict[str, float]
    bandwidth_gbytes_per_s: float


class Method(Frozen):
    """How it was timed."""

    clock: str
    relative_error: float
    seconds_per_row: float
    rounds: int
    warm_up: int
    seed: int
    baseline: str
    formulas: dict[str, str]


class Origin(Frozen):
    """What was measured, by what and when."""

    command: str
    package: str
    package_digest: str | None
    commit: str | None
    dirty: bool | None
    started_at: str
    finished_at: str
    resumed_rows: Annotated[int, Field(ge=0, description="Rows that an earlier run of the same plan had measured.")] = 0


class Verdict(Frozen):
    """How one row changed since another run."""

    case: str
    backend: str
    call: Literal["regression", "improvement", "no call", "lost"]
    reason: str
    change: float | None = None
    low: float | None = None
    high: float | None = None


class Compared(Frozen):
    """The comparison with another run."""

    source: str
    practical_bound: float
    differences: tuple[str, ...]
    verdicts: tuple[Verdict, ...]


class BenchmarkDocument(Frozen):
    """A finished benchmark. The key `benchmarks` and its neighbours are what `pytest-benchmark compare` reads."""

    schema_version: Literal["1.0"]
    kind: Literal["benchmark"]
    tool: Tool
    origin: Origin
    hardware: Hardware
    peak: Annotated[Peak | None, Field(description="None: the table has no part of this name and memory.")]
    method: Method
    ceilings: tuple[Ceiling, ...]
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]
    compared: Compared | None = None
    warnings: Annotated[
        tuple[str, ...], Field(description="What speaks against the times, as a busy device does.")
    ] = ()
    partial: Annotated[bool, Field(description="Whether the run ended before its plan.")] = False
    exit_code: Literal[0, 1, 3]
    benchmarks: list[dict[str, JsonValue]]
    machine_info: dict[str, JsonValue]
    commit_info: dict[str, JsonValue]
    datetime: str
    version: str

    @model_validator(mode="after")
    def _follows_from_its_rows(self) -> Self:
        if self.exit_code != exit_code_of(self.rows, self.compared):
            raise ValueError("the exit code does not follow from the rows")
        if self.benchmarks != benchmark_entries(self.rows):
            raise ValueError("what pytest-benchmark reads does not follow from the rows")
        keys = [row.key for row in self.rows]
        if len(set(keys)) != len(keys):
            raise ValueError("two rows of one case and backend")
        return self

    def ceiling(self, dtype: str) -> Ceiling | None:
        """Return the ceilings of a dtype, where they were measured."""
        return next((each for each in self.ceilings if each.dtype == dtype), None)

    def as_json(self) -> str:
        """Return the document as JSON text."""
        return json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"


def exit_code_of(rows: tuple[Row, ...], compared: Compared | None) -> Literal[0, 1, 3]:
    """Return 1 for a wrong backend or a regression, 3 where something that should have a time has none, else 0.

    What is absent, does not support a case or does not fit into memory is told, and is no failure of the run.
    """
    outcomes = {row.outcome for row in rows}
    calls = {each.call for each in compared.verdicts} if compared else set()
    if RowOutcome.WRONG in outcomes or "regression" in calls:
        return 1
    if any(outcome.is_incomplete for outcome in outcomes) or RowOutcome.MEASURED not in outcomes or "lost" in calls:
        return 3
    return 0


def schema_json() -> str:
    """Return the JSON Schema of the document."""
    schema = BenchmarkDocument.model_json_schema(mode="serialization")
    schema |= {"$schema": _DIALECT, "title": f"astrobio-audit benchmark {SCHEMA_VERSION}"}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"
