"""What an attention mechanism promises: everything that the oracle must know to compute the same function."""

from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, ValidationError, model_validator

from audit.catalog import SpecEntry
from audit.results import Frozen

PositiveInt = Annotated[int, Field(gt=0)]
PositiveFinite = Annotated[FiniteFloat, Field(gt=0)]
Dtype = Literal["float32", "bfloat16", "float16"]


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
    key_mask: Annotated[bool, Field(description="Takes a mask of keys, True = may attend.")] = False
    causal_alignment: Annotated[
        Literal["bottom_right", "top_left"], Field(description="Which corner the diagonal meets when Lq != Lk.")
    ] = "bottom_right"
    head_grouping: Annotated[
        Literal["interleaved", "tiled"],
        Field(description="Query heads 0, 1 share key head 0, or 0 and num_kv_heads do."),
    ] = "interleaved"
    rotary_base: PositiveFinite | None = None
    rotary_layout: Literal["half", "interleaved"] = "half"
    projections: Projections | None = None
    empty_row: Annotated[
        Literal["zeros"] | None, Field(description="Output of a query that may attend to nothing; None is undeclared.")
    ] = None
    dtypes: Annotated[tuple[Dtype, ...], Field(min_length=1)] = ("float32",)

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.num_heads and self.num_kv_heads and self.num_heads % self.num_kv_heads:
            raise ValueError(f"num_heads {self.num_heads} is not a multiple of num_kv_heads {self.num_kv_heads}")
        if self.rotary_base is not None and self.head_dim and self.head_dim % 2:
            raise ValueError(f"rotary embedding needs an even head_dim, not {self.head_dim}")
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
    def effective_scale(self) -> float:
        """The factor on the logits."""
        return float(self.dim**-0.5) if self.scale is None else self.scale


def read_contract(entry: SpecEntry) -> Contract | str:
    """Return the contract of a specs' entry, or one line that says what is wrong with it."""
    try:
        contract = Contract.model_validate(entry.contract)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(_on_one_line(str(part)) for part in first["loc"])
        return f"contract: {where + ': ' if where else ''}{first['msg']}"
    if entry.declared_class and contract.embed_dim is None:
        return "contract: embed_dim: a module's contract needs the width of its input"
    for name in ("num_heads", "num_kv_heads", "head_dim", "is_causal"):
        if getattr(contract, name) is None:
            return f"contract: {name}: Field required"
    return contract


def _on_one_line(key: str) -> str:
    """Return a key of the contract as it is, or quoted and escaped where it would not read as one word."""
    return key if key.isalnum() or key.isidentifier() else repr(key)
