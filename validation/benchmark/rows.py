"""A row of a benchmark: what was tried, whether it is right, and only then how fast it is."""

import math
import statistics
from enum import StrEnum
from typing import Annotated, Self

from pydantic import ConfigDict, Field, JsonValue, model_validator

from audit.results import Frozen
from validation.benchmark.cases import Backend, Case
from validation.benchmark.spread import quantile

Share = Annotated[float | None, Field(ge=0, le=1, description="Above 1 is an error of the measurement, never a share.")]
_FEWEST_FOR_FIFTHS = 5
Nanoseconds = Annotated[int, Field(gt=0)]


class RowOutcome(StrEnum):
    """How a row ended. Only `measured` has times; every other has a reason."""

    MEASURED = "measured"
    WRONG = "wrong"
    RAISED = "raised"
    ABSENT = "absent"
    UNSUPPORTED = "unsupported"
    OUT_OF_MEMORY = "out_of_memory"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"
    INVALID = "invalid"
    SKIPPED = "skipped"
    NOT_RUN = "not_run"

    @property
    def is_settled(self) -> bool:
        """Whether trying again would say the same, so that a run that goes on takes it over."""
        return self in (RowOutcome.MEASURED, RowOutcome.ABSENT, RowOutcome.UNSUPPORTED)

    @property
    def is_incomplete(self) -> bool:
        """Whether something that should have been measured was not, for another reason than being wrong."""
        return self in (
            RowOutcome.RAISED,
            RowOutcome.TIMED_OUT,
            RowOutcome.CRASHED,
            RowOutcome.INVALID,
            RowOutcome.SKIPPED,
            RowOutcome.NOT_RUN,
        )


class Verified(Frozen):
    """One comparison with the truth: the largest deviation in units of its bound, and both."""

    of: Annotated[str, Field(description="What was compared, where it deviates most.")]
    measured: float
    bound: float
    bound_origin: Annotated[str, Field(min_length=1)]
    seed: int

    @property
    def passed(self) -> bool:
        """Whether the deviation is within a finite bound."""
        return math.isfinite(self.bound) and self.measured <= self.bound


class Correctness(Frozen):
    """What the backend computed before it was timed, on other inputs, and after it, on yet others."""

    before: Verified
    after: Verified | None = None

    @property
    def passed(self) -> bool:
        """Whether it was right both times."""
        return self.before.passed and self.after is not None and self.after.passed


class Timing(Frozen):
    """Every sample, and what they come to. Inputs change between samples, and caches are cold."""

    rounds_ns: Annotated[tuple[tuple[Nanoseconds, ...], ...], Field(min_length=1)]
    n: int
    median_ns: float
    p20_ns: Annotated[float | None, Field(description="None below five samples, where it would be the smallest.")]
    p80_ns: Annotated[float | None, Field(description="None below five samples, where it would be the largest.")]
    mean_ns: float
    relative_standard_error: Annotated[float | None, Field(description="Of the median; None below six samples.")]
    stop_rule_met: bool
    note: str | None = None
    cache_bytes_flushed: int
    first_call_ns: Annotated[int, Field(description="With what is compiled and loaded once; not among the samples.")]
    launch_ns: Annotated[
        int | None,
        Field(description="Median of what Python takes to launch a call on a GPU, which is not in its time."),
    ] = None

    @classmethod
    def of(
        cls,
        rounds_ns: tuple[tuple[int, ...], ...],
        *,
        error: float,
        met: bool,
        note: str | None,
        cache_bytes_flushed: int,
        first_call_ns: int,
        launch_ns: int | None = None,
    ) -> Self:
        """Summarise samples."""
        pooled = [sample for each in rounds_ns for sample in each]
        return cls(
            rounds_ns=rounds_ns,
            n=len(pooled),
            median_ns=statistics.median(pooled),
            p20_ns=quantile(pooled, 0.2) if len(pooled) >= _FEWEST_FOR_FIFTHS else None,
            p80_ns=quantile(pooled, 0.8) if len(pooled) >= _FEWEST_FOR_FIFTHS else None,
            mean_ns=statistics.fmean(pooled),
            relative_standard_error=error if math.isfinite(error) else None,
            stop_rule_met=met,
            note=note,
            cache_bytes_flushed=cache_bytes_flushed,
            first_call_ns=first_call_ns,
            launch_ns=launch_ns,
        )

    @model_validator(mode="after")
    def _follows_from_its_samples(self) -> Self:
        pooled = [sample for each in self.rounds_ns for sample in each]
        if not pooled or len(pooled) != self.n or statistics.median(pooled) != self.median_ns:
            raise ValueError("n and median do not follow from the samples")
        if not self.stop_rule_met and not self.note:
            raise ValueError("a stop rule that was not met needs a note")
        return self


class Memory(Frozen):
    """What a call took at the most beyond what was there before."""

    peak_bytes: Annotated[int | None, Field(ge=0)]
    how: str


class Rates(Frozen):
    """Rates from the median time; what is not known is None."""

    operations: float | None = None
    moved_bytes: float | None = None
    tflops_per_s: float | None = None
    gbytes_per_s: float | None = None
    items_per_s: float | None = None
    times_faster_than_baseline: Annotated[
        float | None, Field(description="Median over the rounds, in which both took turns; None without either time.")
    ] = None
    of_roofline: Share = None
    of_datasheet: Share = None
    of_datasheet_bandwidth: Share = None


class Clocks(Frozen):
    """State of the device at one moment; what the driver does not tell is None."""

    sm_mhz: int | None = None
    memory_mhz: int | None = None
    temperature_c: int | None = None
    power_w: float | None = None
    throttle_reasons: tuple[str, ...] = ()
    load: Annotated[float | None, Field(description="Of a CPU: processes that want to run, mean of a minute.")] = None
    unknown: Annotated[str | None, Field(description="Why nothing more is known.")] = None


_TIMED: JsonValue = {
    "required": ["correctness", "timing"],
    "properties": {
        "correctness": {"type": "object", "required": ["before", "after"], "properties": {"after": {"type": "object"}}},
        "timing": {"type": "object"},
    },
}
_UNTIMED: JsonValue = {
    "required": ["reason"],
    "properties": {
        "reason": {"type": "string", "pattern": r"\S"},
        "timing": {"type": "null"},
        "rates": {"type": "null"},
    },
}
_HONESTY: dict[str, JsonValue] = {
    "if": {"properties": {"outcome": {"const": RowOutcome.MEASURED.value}}, "required": ["outcome"]},
    "then": _TIMED,
    "else": _UNTIMED,
}


class Row(Frozen):
    """One case computed by one backend. Times stand here only beside checks that passed, before and after."""

    model_config = ConfigDict(json_schema_extra=_HONESTY)

    case: Case
    backend: Backend
    outcome: RowOutcome
    reason: str | None = None
    correctness: Correctness | None = None
    timing: Timing | None = None
    memory: Memory | None = None
    rates: Rates | None = None
    clocks_before: Clocks | None = None
    clocks_after: Clocks | None = None
    measured_at: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Case and backend."""
        return self.case.id, self.backend.name

    @model_validator(mode="after")
    def _has_times_only_when_right(self) -> Self:
        is_measured = self.outcome is RowOutcome.MEASURED
        if not is_measured and not (self.reason and self.reason.strip()):
            raise ValueError(f"outcome {self.outcome.value!r} needs a reason")
        if is_measured != (self.timing is not None):
            raise ValueError("times belong to what was measured, and to nothing else")
        if self.timing is not None and not (self.correctness and self.correctness.passed):
            raise ValueError("a time needs checks that passed, before and after it")
        if self.rates is not None and self.timing is None:
            raise ValueError("rates follow from times")
        if self.outcome is RowOutcome.WRONG and (self.correctness is None or self.correctness.passed):
            raise ValueError("a wrong backend needs the check that it failed")
        return self
