"""The one vocabulary of checks, outcomes, evidence and results, as frozen pydantic models.

Everything that reaches a report is built here, so the honesty rules that can be decided from one result alone
are validators: a pass without a measurement, a bound and the bound's origin does not construct, and neither does
a verdict that its own numbers contradict.
"""

import math
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from audit.severity import Severity as Severity

Measurement = float | int | str | None
NotFinite = Literal["NaN", "Infinity", "-Infinity"]


class Outcome(StrEnum):
    """What a check concluded. Only `passed` earns credit; the other four always carry a reason."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"
    NOT_APPLICABLE = "not_applicable"

    @property
    def judged(self) -> bool:
        """Whether the check reached a conclusion about its subject."""
        return self in (Outcome.PASSED, Outcome.FAILED)


class SubjectKind(StrEnum):
    """What a check can run on."""

    PACKAGE = "package"
    FILE = "file"
    MODULE = "module"
    MODEL_CLASS = "model_class"
    MODEL = "model"
    ATTENTION = "attention"
    KERNEL = "kernel"
    ENVIRONMENT = "environment"
    TRAINING = "training"
    BACKEND = "backend"
    CLAIM = "claim"
    TEST_SUITE = "test_suite"
    DATASET = "dataset"


class Comparison(StrEnum):
    """How a measurement relates to its bound when the check passes."""

    AT_MOST = "<="
    AT_LEAST = ">="
    EQUAL = "=="

    def holds(self, measured: float, bound: float) -> bool:
        """Return whether `measured` satisfies `bound`; NaN satisfies nothing."""
        match self:
            case Comparison.AT_MOST:
                return measured <= bound
            case Comparison.AT_LEAST:
                return measured >= bound
            case Comparison.EQUAL:
                return measured == bound


class Frozen(BaseModel):
    """Base of all models: immutable, unknown keys refused, infinities written as strings so that JSON stays valid."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


def _is_nan(value: Measurement) -> bool:
    return value == "NaN" or (isinstance(value, float) and math.isnan(value))  # JSON has them as strings


def _is_infinite(value: Measurement) -> bool:
    return value in ("Infinity", "-Infinity") or (isinstance(value, float) and math.isinf(value))


class Check(Frozen):
    """A named procedure that can pass or fail."""

    id: Annotated[str, Field(pattern=r"^[a-z]+(\.[a-z_][a-z0-9_]*)+$")]
    title: str
    proves: Annotated[str, Field(description="What a pass proves.")]
    defect: Annotated[str, Field(description="A defect that the check must catch.")]
    severity: Severity

    @property
    def area(self) -> str:
        """The part of the id before the first dot."""
        return self.id.partition(".")[0]


class Location(Frozen):
    """A place in a source file; the path is relative to the target's root, lines and columns start at 1.

    The end is that of the text meant, and its column is that behind the last character. `qualname` is the class or
    function around the place. In a notebook `cell` counts all cells from 1, and `cell_line` the lines of that cell.
    """

    path: str
    line: int | None = None
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None
    qualname: str | None = None
    cell: int | None = None
    cell_line: int | None = None


class Subject(Frozen):
    """The one thing a check ran on."""

    kind: SubjectKind
    spec: Annotated[str | None, Field(description="The name that the target's specs give it.")] = None
    module: str | None = None
    qualname: str | None = None
    path: Annotated[str | None, Field(description="Relative to the target's root.")] = None
    line: int | None = None
    digest: Annotated[str | None, Field(description="SHA-256 of the subject's source, `sha256:` and 64 digits.")] = None
    parameters: Annotated[
        int | None, Field(description="Number of elements in the trainable and frozen parameters.")
    ] = None

    @property
    def name(self) -> str:
        """What a person calls the subject: its name in the specs, else `module:qualname`, else the path or the kind."""
        if self.spec:
            return self.spec
        if self.module and self.qualname:
            return f"{self.module}:{self.qualname}"
        return self.module or self.qualname or self.path or self.kind.value


class Series(Frozen):
    """Numbers along an axis, such as a loss curve; NaN and infinities are kept, for they may be what went wrong.

    JSON has those as strings, as everywhere in a report.
    """

    name: str
    unit: str | None = None
    x_name: Annotated[str, Field(description="What is counted along the axis, such as `step`.")]
    x: tuple[float, ...]
    y: tuple[float | NotFinite, ...]

    @model_validator(mode="after")
    def _has_one_value_for_each_place(self) -> Self:
        if len(self.x) != len(self.y):
            raise ValueError(f"series {self.name!r}: {len(self.x)} places and {len(self.y)} values")
        return self


class Evidence(Frozen):
    """What was measured, the bound, where the bound comes from, and how to measure it again."""

    measured: Measurement = None
    bound: Measurement = None
    comparison: Comparison | None = None
    bound_origin: str | None = None
    unit: str | None = None
    seed: int | None = None
    duration_s: float | None = None
    measured_at: Annotated[
        str | None, Field(description="When it was measured, where that was in an earlier run; None in this one.")
    ] = None
    measured_commit: Annotated[
        str | None,
        Field(
            pattern=r"^[0-9a-f]{7,64}(-dirty)?$",
            description="Commit of an earlier run, `-dirty` where files differed; None outside a repository.",
        ),
    ] = None
    machine: Annotated[
        str | None,
        Field(description="Which of the report's machines it was measured on; None where that is the provenance's."),
    ] = None
    reproduce: str | None = None
    stand_in: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Library of which an exact stand-in computed what was measured; the library itself did not.",
        ),
    ] = None
    series: Annotated[tuple[Series, ...], Field(description="Curves that the measurement was read from.")] = ()

    def contradicts(self, outcome: Outcome) -> bool:
        """Return whether the numbers say the opposite of `outcome`."""
        numeric = isinstance(self.measured, int | float) and isinstance(self.bound, int | float)
        if not outcome.judged or self.comparison is None:
            return False
        if not numeric:
            if self.measured is None or self.bound is None:
                return False
            unequal = self.comparison is not Comparison.EQUAL or self.measured != self.bound
            return outcome is Outcome.PASSED and unequal
        assert isinstance(self.measured, int | float)
        assert isinstance(self.bound, int | float)
        holds = self.comparison.holds(self.measured, self.bound)
        return holds != (outcome is Outcome.PASSED)


# What a JSON Schema can say of `Result._is_honest`; it cannot compare a measurement with its bound.
_FINITE: JsonValue = {"type": ["number", "string"], "not": {"enum": ["", "NaN", "Infinity", "-Infinity"]}}
_EVIDENCE_OF_A_PASS: JsonValue = {
    "required": ["measured", "bound", "comparison", "bound_origin"],
    "properties": {
        "measured": _FINITE,
        "bound": _FINITE,
        "comparison": {"type": "string"},
        "bound_origin": {"type": "string", "minLength": 1},
    },
}
_HONESTY: dict[str, JsonValue] = {
    "if": {"properties": {"outcome": {"const": Outcome.PASSED.value}}},
    "then": {"required": ["evidence"], "properties": {"evidence": _EVIDENCE_OF_A_PASS}},
    "else": {"required": ["reason"], "properties": {"reason": {"type": "string", "pattern": r"\S"}}},
}


class Explained(Frozen):
    """Which defect a failure comes from, by its id in the report, and how that is known."""

    id: str
    how: str


class Picture(Frozen):
    """Two tables of numbers, a row for each query and a column for each key: what was seen, and what is declared."""

    title: str
    observed: tuple[tuple[float, ...], ...]
    expected: tuple[tuple[float, ...], ...]
    of: Annotated[str, Field(description="What the numbers are, and what they were measured on.")]


class Reproducer(Frozen):
    """A script that needs torch and the target: it exits 1 while the defect is there, 0 when it is gone, else 2."""

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+\.py$", description="Its name in the folder `reproducers`.")]
    script: str
    case: Annotated[str, Field(description="The smallest inputs on which the defect was seen.")]
    measured: float
    bound: float
    must_exceed: Annotated[bool, Field(description="Whether what is right lies above the bound, and not within.")] = (
        False
    )


class Defect(Frozen):
    """One mistake of one subject, with every check that fails because of it."""

    id: str
    bug: Annotated[str | None, Field(description="Class of the mistake; None where the cause is not established.")]
    title: str
    subject: Subject
    checks: Annotated[tuple[str, ...], Field(min_length=1, description="Those that fail; the first shows it best.")]
    explanation: str
    why: str
    fix: str
    related: Annotated[tuple[str, ...], Field(description="Public threads on mistakes of this class.")] = ()
    location: Location | None = None
    picture: Picture | None = None
    reproducer: Reproducer | None = None
    unreproduced: Annotated[str | None, Field(description="Why there is no reproducer.")] = None

    @model_validator(mode="after")
    def _says_why_there_is_no_reproducer(self) -> Self:
        if (self.reproducer is None) == (self.unreproduced is None):
            raise ValueError("a defect has a reproducer, or says why it has none")
        return self


class Result(Frozen):
    """One check on one subject: outcome, evidence, location, and how to mend it."""

    model_config = ConfigDict(json_schema_extra=_HONESTY)

    check: str
    outcome: Outcome
    reason: str | None = None
    severity: Severity
    subject: Subject
    evidence: Evidence = Evidence()
    location: Location | None = None
    fix: str | None = None
    fingerprint: Annotated[
        str | None,
        Field(
            description="Of a failed static check: what stays when lines are added above it, over the check, the path, "
            "the name of the class or function around it and its line of source without spacing."
        ),
    ] = None
    set_apart: Annotated[
        str | None,
        Field(
            description="Why a failure does not count for the exit code of an area: it was there before, as a baseline "
            "or a revision says. It counts for a release all the same."
        ),
    ] = None

    defect: Annotated[Explained | None, Field(description="The defect that a failure comes from.")] = None
    waived: Annotated[
        str | None,
        Field(description="Who answers for a failure that does not count, until when and why; see the waivers."),
    ] = None

    @model_validator(mode="after")
    def _is_honest(self) -> Self:
        evidence = self.evidence
        if self.defect is not None and self.outcome is not Outcome.FAILED:
            raise ValueError("only a failure comes from a defect")
        if self.outcome is Outcome.PASSED:
            missing = [
                name
                for name in ("measured", "bound", "bound_origin", "comparison")
                if getattr(evidence, name) is None or getattr(evidence, name) == ""
            ]
            if missing:
                raise ValueError(f"a pass needs evidence; missing: {', '.join(missing)}")
            if _is_nan(evidence.measured) or _is_nan(evidence.bound):
                raise ValueError("a pass cannot rest on a measurement or a bound that is NaN")
        if self.set_apart is not None and (self.outcome is not Outcome.FAILED or not self.set_apart.strip()):
            raise ValueError("only a failure is set apart, and with a reason")
        if self.waived is not None and (self.outcome is not Outcome.FAILED or not self.waived.strip()):
            raise ValueError("only a failure is waived, and with a reason")
        if self.outcome is not Outcome.PASSED and not (self.reason and self.reason.strip()):
            raise ValueError(f"outcome {self.outcome.value!r} needs a reason")
        if evidence.contradicts(self.outcome):
            raise ValueError(
                f"outcome {self.outcome.value!r} contradicts its evidence: "
                f"{evidence.measured} {evidence.comparison} {evidence.bound}"
            )
        if self.outcome is Outcome.PASSED and (_is_infinite(evidence.measured) or _is_infinite(evidence.bound)):
            raise ValueError("a pass cannot rest on a measurement or a bound that is infinite")
        return self

    @property
    def sort_key(self) -> tuple[str, str, str, str, int, int, str]:
        """Order of results in every report: by check, subject, then place."""
        line = self.location.line if self.location and self.location.line else 0
        column = self.location.column if self.location and self.location.column else 0
        subject = self.subject
        return (self.check, subject.kind, subject.name, subject.path or "", line, column, self.reason or "")
