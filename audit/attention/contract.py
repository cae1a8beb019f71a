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
    """A declared contract. A field that is left out has the default of torch's own attention."""

    num_heads: PositiveInt
    num_kv_heads: PositiveInt
    head_dim: PositiveInt
    is_causal: bool
    embed_dim: Annotated[PositiveInt | None, Field(description="Width of the module's input; None for a function.")] = (
        None
    )
    scale: Annotated[FiniteFloat | None, Field(description="Factor on the logits; None is 1/sqrt(head_dim).")] = None
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
        if self.num_heads % self.num_kv_heads:
            raise ValueError(f"num_heads {self.num_heads} is not a multiple of num_kv_heads {self.num_kv_heads}")
        if self.rotary_base is not None and self.head_dim % 2:
            raise ValueError(f"rotary embedding needs an even head_dim, not {self.head_dim}")
        return self

    @property
    def effective_scale(self) -> float:
        """The factor on the logits."""
        return float(self.head_dim**-0.5) if self.scale is None else self.scale


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
    return contract


def _on_one_line(key: str) -> str:
    """Return a key of the contract as it is, or quoted and escaped where it would not read as one word."""
    return key if key.isalnum() or key.isidentifier() else repr(key)
