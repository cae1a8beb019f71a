"""What an attention mechanism promises: everything that the oracle must know to compute the same function."""

import difflib
from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, ValidationError, model_validator

from audit.catalog import SpecEntry
from audit.results import Frozen

PositiveInt = Annotated[int, Field(gt=0)]
PositiveFinite = Annotated[FiniteFloat, Field(gt=0)]
Dtype = Literal["float32", "bfloat16", "float16"]
REQUIRED = ("num_heads", "num_kv_heads", "head_dim", "is_causal")  # of a declared contract; `embed_dim` of a module's
_MAX_SHOWN = 60  # letters of a value that is refused


class Projections(Frozen):
    """Names of the linear layers of a module, as in its state dict without `.weight`."""

    query: str
    key: str
    value: str
    output: str


class Contract(Frozen):
    """A contract, declared in the specs or inferred. What is left out has the default of torch's own attention.

    Sizes are None where nothing says them, as for a module that was found without specs; then there is no oracle.
    """

    num_heads: PositiveInt | None = None
    num_kv_heads: PositiveInt | None = None
    head_dim: PositiveInt | None = None
    is_causal: Annotated[bool | None, Field(description="None is undeclared: neither is a defect.")] = None
    embed_dim: Annotated[PositiveInt | None, Field(description="Width of the module's input; None for a function.")] = (
        None
    )
    context_dim: Annotated[
        PositiveInt | None, Field(description="Width of another sequence that is attended to; None for self-attention.")
    ] = None
    scale: Annotated[FiniteFloat | None, Field(description="Factor on the logits; None is 1/sqrt(head_dim).")] = None
    window: Annotated[
        PositiveInt | None, Field(description="Keys that a query sees at most on either side, itself included.")
    ] = None
    window_counts_query: Annotated[
        bool | None, Field(description="False where the window's keys are beside the query's own; None is undeclared.")
    ] = True
    num_global_tokens: Annotated[
        PositiveInt | None,
        Field(description="First tokens that see all others and are seen by all, wherever the window is."),
    ] = None
    soft_cap: Annotated[
        PositiveFinite | None, Field(description="Logits x become soft_cap * tanh(x / soft_cap) before the mask.")
    ] = None
    alibi_slopes: Annotated[
        Literal["published"] | tuple[FiniteFloat, ...] | None,
        Field(description="Of each head; slope * |query - key| is taken from the logits, after a cap."),
    ] = None
    sinks: Annotated[
        str | None, Field(description="Name of the parameter (num_heads,) that holds one more logit for each head.")
    ] = None
    value_scale: Annotated[FiniteFloat, Field(description="Factor on the values.")] = 1.0
    feature_map: Annotated[
        Literal["elu_plus_one", "relu", "softmax", "exp", "positive_random"] | None,
        Field(description="Of linear attention, whose weights are products of features; None is the softmax."),
    ] = None
    random_features: Annotated[
        str | None,
        Field(description="Name of the tensor (m, head_dim) of directions that `positive_random` features are of."),
    ] = None
    rows_sum_to_one: Annotated[
        bool | None, Field(description="Whether each query's weights do; None is undeclared.")
    ] = None
    positions: Annotated[
        Literal["none"] | None, Field(description="'none' where nothing but causality depends on the order of tokens.")
    ] = None
    approximation_error: Annotated[
        PositiveFinite | None,
        Field(description="Largest difference from exact attention that an approximate mechanism states."),
    ] = None
    key_mask: Annotated[bool, Field(description="Takes a mask of keys, True = may attend.")] = False
    given_mask: Annotated[
        Literal["joins", "replaces"] | None,
        Field(description="What a given mask does to the causal one; None is joins, and undeclared where it is found."),
    ] = None
    causal_alignment: Annotated[
        Literal["bottom_right", "top_left"], Field(description="Which corner the diagonal meets when Lq != Lk.")
    ] = "bottom_right"
    equal_lengths: Annotated[bool, Field(description="Whether a function takes as many queries as keys only.")] = False
    max_length: Annotated[
        PositiveInt | None,
        Field(description="Longest sequence that it takes, what is cached included; None is undeclared."),
    ] = None
    context_parallel: Annotated[
        bool,
        Field(
            description="Called on all ranks of torch.distributed's default group with equal shares of the sequence, "
            "in the order of the ranks, it answers for each share as one process does for the whole."
        ),
    ] = False
    head_grouping: Annotated[
        Literal["interleaved", "tiled"],
        Field(description="Query heads 0, 1 share key head 0, or 0 and num_kv_heads do."),
    ] = "interleaved"
    rotary_base: PositiveFinite | None = None
    rotary_layout: Literal["half", "interleaved"] = "half"
    projections: Projections | None = None
    empty_row: Annotated[
        Literal["zeros", "uniform", "nan"] | None,
        Field(description="Weights of a query that may attend to nothing; None is undeclared."),
    ] = None
    dtypes: Annotated[tuple[Dtype, ...], Field(min_length=1)] = ("float32",)

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.num_heads and self.num_kv_heads and self.num_heads % self.num_kv_heads:
            raise ValueError(f"num_heads {self.num_heads} is not a multiple of num_kv_heads {self.num_kv_heads}")
        if self.rotary_base is not None and self.head_dim and self.head_dim % 2:
            raise ValueError(f"rotary embedding needs an even head_dim, not {self.head_dim}")
        if isinstance(self.alibi_slopes, tuple) and self.num_heads and len(self.alibi_slopes) != self.num_heads:
            raise ValueError(f"alibi_slopes has {len(self.alibi_slopes)} numbers for {self.num_heads} heads")
        if self.window is None and self.window_counts_query is False:
            raise ValueError("window_counts_query says something of a window, and none is declared")
        if self.window is None and self.num_global_tokens:
            raise ValueError("num_global_tokens says what a window does not concern, and none is declared")
        if (self.feature_map == "positive_random") != (self.random_features is not None):
            raise ValueError("feature_map 'positive_random' and random_features, the name of its tensor, go together")
        if self.feature_map and (self.soft_cap or self.alibi_slopes or self.sinks):
            raise ValueError("linear attention has no logits for soft_cap, alibi_slopes or sinks")
        if self.positions == "none" and (self.rotary_base or self.alibi_slopes or self.window):
            raise ValueError("positions 'none' contradicts rotary_base, alibi_slopes and window")
        return self

    @property
    def has_sizes(self) -> bool:
        """Whether heads and head_dim are known."""
        return bool(self.num_heads and self.num_kv_heads and self.head_dim)

    @property
    def heads(self) -> int:
        """The number of query heads, which must be known."""
        assert self.num_heads is not None
        return self.num_heads

    @property
    def kv_heads(self) -> int:
        """The number of key and value heads, which must be known."""
        assert self.num_kv_heads is not None
        return self.num_kv_heads

    @property
    def dim(self) -> int:
        """The size of one head, which must be known."""
        assert self.head_dim is not None
        return self.head_dim

    @property
    def reach(self) -> int | None:
        """Keys that a query sees at most on either side, itself included; None without a window."""
        return None if self.window is None else self.window + (self.window_counts_query is False)

    def within(self, length: int) -> int:
        """Return a length, or the longest that is declared where that is shorter."""
        return length if self.max_length is None else min(length, self.max_length)

    @property
    def has_finite_empty_row(self) -> bool:
        """Whether a query that may attend to nothing has a declared output that is a number."""
        return self.empty_row in ("zeros", "uniform")

    @property
    def slopes(self) -> tuple[float, ...] | None:
        """The slope of each head; None without linear biases."""
        if self.alibi_slopes == "published":
            return published_slopes(self.heads)
        assert not isinstance(self.alibi_slopes, str)
        return self.alibi_slopes

    @property
    def effective_scale(self) -> float:
        """The factor on the logits."""
        return float(self.dim**-0.5) if self.scale is None else self.scale


def published_slopes(heads: int) -> tuple[float, ...]:
    """Return the slopes of Press et al. 2022 (arXiv:2108.12409), as their code has them for any number of heads.

    2^(-8 i / n) for i = 1 to n, the largest power of two up to `heads`; then every second one of the series for 2 n.
    """
    power = 2 ** (heads.bit_length() - 1)
    series = [2.0 ** (-8 * i / power) for i in range(1, power + 1)]
    between = [2.0 ** (-8 * i / (2 * power)) for i in range(1, 2 * power + 1, 2)]
    return tuple(series + between[: heads - power])


def read_contract(entry: SpecEntry) -> Contract | str:
    """Return the contract of a specs' entry, or one line that says what is wrong with it."""
    # Strictly: read kindly, "no" is False and "yes" True, and any other text that is meant to be one is neither.
    given = {key: tuple(each) if isinstance(each, list) else each for key, each in (entry.contract or {}).items()}
    try:
        contract = Contract.model_validate(given, strict=True)
    except ValidationError as error:
        return f"contract: {_problem(error)}"
    if entry.declared_class and contract.embed_dim is None:
        return "contract: embed_dim: a module's contract needs the width of its input"
    if not entry.declared_class:
        for name in ("sinks", "random_features"):
            if getattr(contract, name) is not None:
                return f"contract: {name}: names a tensor of a module, and this is a function"
    for name in REQUIRED:
        if getattr(contract, name) is None:
            return f"contract: {name}: Field required"
    return contract


def _problem(error: ValidationError) -> str:
    """Return what is wrong with a contract, in one line: all unknown keys, else the first value."""
    errors = error.errors()
    unknown = [each["loc"] for each in errors if each["type"] == "extra_forbidden"]
    if unknown:
        return "unknown key " + ", ".join(map(_with_nearest, unknown))
    first = errors[0]
    where = ".".join(_on_one_line(str(part)) for part in first["loc"])
    # What several fields say together is told of the whole contract.
    return f"{where}: {first['msg']}, got {_shortened(repr(first['input']))}" if where else first["msg"]


def _with_nearest(place: tuple[int | str, ...]) -> str:
    """Return an unknown key, where it is, and the known one that is most like it."""
    *around, key = map(str, place)
    known = Projections.model_fields if around else Contract.model_fields
    near = difflib.get_close_matches(key, known, n=1)
    shown = ".".join(map(_on_one_line, (*around, key)))
    return f"{shown} (did you mean {near[0]}?)" if near else shown


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."


def _on_one_line(key: str) -> str:
    """Return a key of the contract as it is, or quoted and escaped where it would not read as one word."""
    return key if key.isalnum() or key.isidentifier() else repr(key)
