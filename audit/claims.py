"""A claim of the target's owners as `[[tool.astrobio-audit.claims]]` declares it. Nothing here measures."""

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from audit.results import Comparison

_NAME = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"
_MAX_SECONDS = 86_400
CallablePath = Annotated[str, Field(pattern=rf"^{_NAME}:{_NAME}$")]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Published(_Strict):
    """Where a claim is published: words that a file of the target contains, on a certain line where one is named."""

    file: Annotated[str, Field(min_length=1, description="Relative to the target.")]
    text: Annotated[str, Field(pattern=r"\S", description="Words of the file; white space counts as one space.")]
    line: Annotated[int | None, Field(ge=1, description="Line on which the text begins.")] = None


class Needs(_Strict):
    """The hardware without which a claim says nothing."""

    device: Literal["cpu", "gpu"] = "cpu"
    gpu_name: Annotated[str | None, Field(pattern=r"\S", description="Part of the GPU's name, such as `H100`.")] = None
    gpus: Annotated[int, Field(ge=1, le=1024, description="Number of such GPUs.")] = 1
    memory_gib: Annotated[float, Field(ge=0, le=2**20, description="Of each GPU, else of the machine.")] = 0.0

    @model_validator(mode="after")
    def _asks_for_gpus_only_where_it_runs_on_them(self) -> Self:
        if self.device == "cpu" and (self.gpu_name is not None or self.gpus != 1):
            raise ValueError("gpu_name and gpus need device = 'gpu'")
        return self

    @property
    def least_gpus(self) -> int:
        """How many GPUs it takes to measure the claim at all."""
        return self.gpus if self.device == "gpu" else 0


class Claim(_Strict):
    """What claims of every kind have: a statement, its place, its bound, and what measuring it takes."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    statement: Annotated[str, Field(pattern=r"\S")]
    published: Published
    at_least: Annotated[float | None, Field(allow_inf_nan=False)] = None
    at_most: Annotated[float | None, Field(allow_inf_nan=False)] = None
    needs: Needs = Needs()
    slow: Annotated[bool, Field(description="Whether it is measured with `--slow` only.")] = False
    timeout_s: Annotated[float | None, Field(gt=0, le=_MAX_SECONDS)] = None

    @model_validator(mode="after")
    def _has_one_bound(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give one of at_least and at_most")
        return self

    @property
    def bound(self) -> float:
        """What the measurement is compared with."""
        bound = self.at_least if self.at_most is None else self.at_most
        assert bound is not None
        return bound

    @property
    def comparison(self) -> Comparison:
        """How the measurement relates to the bound where the claim holds."""
        return Comparison.AT_LEAST if self.at_most is None else Comparison.AT_MOST


class PairClaim(Claim):
    """A claim on two callables that compute the same from what `inputs` makes.

    `inputs` takes a `torch.Generator` and returns a dict of keyword arguments; `exact` computes the same from the
    inputs in float64, and is `baseline` where it is left out.
    """

    baseline: CallablePath
    candidate: CallablePath
    inputs: CallablePath
    exact: CallablePath | None = None

    @model_validator(mode="after")
    def _is_positive(self) -> Self:
        if self.bound <= 0:
            raise ValueError("the bound of a ratio is above 0")
        return self


class SpeedRatio(PairClaim):
    """How many times as fast the candidate is: time of the baseline over time of the candidate."""

    kind: Literal["speed_ratio"]
    pairs: Annotated[int, Field(ge=6, le=10_000, description="Pairs of timed samples.")] = 40


class MemoryRatio(PairClaim):
    """Which share of the baseline's memory the candidate takes: its peak over the baseline's."""

    kind: Literal["memory_ratio"]


class FigureClaim(Claim):
    """A claim on figures that a callable of the target returns for a seed, or that a command of it writes as JSON."""

    measure: CallablePath | None = None
    command: Annotated[tuple[Annotated[str, Field(min_length=1)], ...] | None, Field(strict=False, min_length=1)] = None
    figure: Annotated[
        str | None, Field(min_length=1, description="Key of the figure; dots lead into nested objects.")
    ] = None
    figure_file: Annotated[
        str | None, Field(min_length=1, description="File of JSON; standard output's last line where left out.")
    ] = None
    reads: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...] | None,
        Field(
            strict=False,
            description="Files beside the code that the figure depends on, as patterns below the target; with it, even "
            "empty, what was measured counts until one of them changes.",
        ),
    ] = None

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.measure is None) == (self.command is None):
            raise ValueError("give one of measure and command")
        if (self.command is None) != (self.figure is None):
            raise ValueError("figure is the key of what command writes: give both or neither")
        if self.command is None and self.figure_file is not None:
            raise ValueError("figure_file is where command writes: it needs command")
        return self


class Accuracy(FigureClaim):
    """A share of samples that are right: `measure` returns one bool for each, a command the share and their number."""

    kind: Literal["accuracy"]
    samples: Annotated[str | None, Field(min_length=1, description="Key of the number of samples.")] = None

    @model_validator(mode="after")
    def _is_a_share_of_samples(self) -> Self:
        if not 0 <= self.bound <= 1:
            raise ValueError("the bound of an accuracy lies between 0 and 1")
        if (self.command is None) != (self.samples is None):
            raise ValueError("samples is the key of their number in what command writes: give both or neither")
        return self


class Metric(FigureClaim):
    """Any other figure, one for each seed."""

    kind: Literal["metric"]
    seeds: Annotated[
        tuple[Seed, ...], Field(strict=False, max_length=1000, description="The run's own seed where left out.")
    ] = ()

    @field_validator("seeds")
    @classmethod
    def _are_different(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds):
            raise ValueError("a seed is named twice")
        return seeds


AnyClaim = Annotated[SpeedRatio | MemoryRatio | Accuracy | Metric, Field(discriminator="kind")]


class _Forms:
    """What malformed keys are told."""

    kinds: ClassVar[Mapping[str, type[Claim]]] = {
        "speed_ratio": SpeedRatio,
        "memory_ratio": MemoryRatio,
        "accuracy": Accuracy,
        "metric": Metric,
    }
    parts: ClassVar[Mapping[str, type[BaseModel]]] = {"published": Published, "needs": Needs}
    patterns: ClassVar[Mapping[str, str]] = {
        "id": "should be small letters, digits and _, and begin with a letter",
        "statement": "should say something",
        "text": "should say something",
        "gpu_name": "should say something",
    }


def distinct(claims: tuple[AnyClaim, ...]) -> tuple[AnyClaim, ...]:
    """Return the claims.

    Raises:
        ValueError: two have one id.
    """
    ids = [claim.id for claim in claims]
    twice = sorted({each for each in ids if ids.count(each) > 1})
    if twice:
        raise ValueError(f"id {twice[0]!r} is given twice")
    return claims


def problem_of(kind: str, place: Sequence[int | str]) -> str | None:
    """Return what a malformed key of a claim is told, where pydantic's own words would not help.

    Args:
        kind: pydantic's type of the error.
        place: the keys and indices that lead to it, from `claims` on.
    """
    key = str(place[-1])
    if kind == "union_tag_not_found":
        return f"lacks kind, which is one of {', '.join(_Forms.kinds)}"
    if kind == "string_pattern_mismatch":
        return _Forms.patterns.get(key, "should be written 'module:name'")
    if kind == "extra_forbidden":
        known = _keys_at(place[:-1])
        close = difflib.get_close_matches(key, known, n=1)
        return f"unknown key; {f'did you mean {close[0]!r}?' if close else 'known keys: ' + ', '.join(sorted(known))}"
    return None


def _keys_at(place: Sequence[int | str]) -> list[str]:
    last = str(place[-1]) if place else ""
    form = _Forms.parts.get(last) or _Forms.kinds.get(last, Claim)
    return list(form.model_fields)


def finite(value: object) -> float | None:
    """Return a number that a measurement can be; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
