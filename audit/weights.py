"""A file of weights as `[[tool.astrobio-audit.checkpoints]]` declares it. Nothing here reads it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class DeclaredWeights(BaseModel):
    """Which model of the specs a file of weights is for."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    path: Annotated[str, Field(min_length=1, description="Of the file, relative to the target.")]
    model: Annotated[str, Field(min_length=1, description="Its name in the specs' MODELS.")]
    key: Annotated[
        str | None, Field(min_length=1, description="Key in the file that leads to the state dict; dots lead deeper.")
    ] = None
