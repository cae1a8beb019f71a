"""What is timed: one set of sizes of attention, or a model, in one mode."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from audit.gateway.client import Plain
from audit.plugins import source_of
from audit.results import Frozen

Positive = Annotated[int, Field(gt=0, lt=2**31)]
DTYPES = ("float32", "bfloat16", "float16", "float64")
BYTES_OF = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}


class Mode(StrEnum):
    """Which part of the work is timed."""

    FORWARD = "forward"
    BACKWARD = "backward"
    DECODE = "decode"
    TRAINING_STEP = "training_step"


class AttentionCase(Frozen):
    """Sizes and rules of one call of attention.

    In `decode` one query stands at the end of `length` keys, of which the call writes the last into its cache.
    """

    kind: Literal["attention"] = "attention"
    batch: Positive
    heads: Positive
    kv_heads: Positive
    length: Positive
    head_dim: Positive
    is_causal: bool
    window: Annotated[
        Positive | None, Field(description="Query at p sees key j when |p - j| < window; None sees all.")
    ] = None
    dtype: Literal["float32", "bfloat16", "float16", "float64"]
    mode: Literal[Mode.FORWARD, Mode.BACKWARD, Mode.DECODE]

    @model_validator(mode="after")
    def _has_whole_groups(self) -> Self:
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads are not a multiple of {self.kv_heads} key heads")
        return self

    @property
    def id(self) -> str:
        """A name of the case that no other has."""
        rules = ("causal" if self.is_causal else "full") + (f"-w{self.window}" if self.window else "")
        sizes = f"b{self.batch}-h{self.heads}-kv{self.kv_heads}-l{self.length}-d{self.head_dim}"
        return f"attention-{sizes}-{rules}-{self.dtype}-{self.mode.value}"

    @property
    def queries(self) -> int:
        """Queries of each head."""
        return 1 if self.mode is Mode.DECODE else self.length

    def as_plain(self) -> dict[str, Plain]:
        """Return the case as the probe takes it."""
        return {
            "batch": self.batch,
            "heads": self.heads,
            "kv_heads": self.kv_heads,
            "length": self.length,
            "head_dim": self.head_dim,
            "is_causal": self.is_causal,
            "window": self.window,
            "dtype": str(self.dtype),
            "mode": self.mode.value,
        }


class ModelCase(Frozen):
    """A registered model: its forward pass in eval mode, or a training step with Adam."""

    kind: Literal["model"] = "model"
    name: str
    batch: Positive
    mode: Literal[Mode.FORWARD, Mode.TRAINING_STEP]

    @property
    def id(self) -> str:
        """A name of the case that no other has."""
        return f"model-{self.name}-b{self.batch}-{self.mode.value}"


Case = Annotated[AttentionCase | ModelCase, Field(discriminator="kind")]


class BackendKind(StrEnum):
    """Where a backend comes from."""

    BUILT_IN = "built_in"
    SPEC = "spec"
    PLUGIN = "plugin"
    MODEL = "model"


class Backend(Frozen):
    """What computes a case. A backend of the specs is bound to the source of the function that it names.

    One of a plug-in is bound to its file, which `declared` names by its module.
    """

    name: str
    kind: BackendKind
    declared: Annotated[str | None, Field(description="Function or class that the specs name, module:qualname.")] = None
    digest: Annotated[str | None, Field(description="SHA-256 of its source, where the target defines it.")] = None

    def as_plain(self, specs: str | None) -> dict[str, Plain]:
        """Return the backend as the probe takes it."""
        plain: dict[str, Plain] = {"kind": self.kind.value, "name": self.name, "specs": specs}
        if self.kind is BackendKind.PLUGIN and self.declared:
            plain["path"] = str(source_of(self.declared))
        return plain
