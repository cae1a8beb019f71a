"""What a stand-in was called with, so that a branch which never ran is not taken for one that agrees."""

import functools
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import torch

from .. import devices

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


@dataclass
class Record:
    """Calls by the name of the function, and the dtypes of the tensors that came first.

    `accepts_float32` declares that a stand-in takes float32 where its library refuses it, so that a branch is compared
    without the rounding of a lower precision.
    """

    accepts_float32: bool = False
    calls: Counter[str] = field(default_factory=Counter)
    dtypes: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)

    def counted(
        self, name: str, function: Callable[_Arguments, _Result], *, stands_in: bool = True
    ) -> Callable[_Arguments, _Result]:
        """Return the function, which counts its calls under this name.

        A stand-in makes its tensors on the target's device; a library itself knows where it makes its own.
        """

        @functools.wraps(function)
        def counting(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
            self.calls[name] += 1
            first = next((each for each in (*args, *kwargs.values()) if isinstance(each, torch.Tensor)), None)
            if first is not None:
                self.dtypes.add(str(first.dtype).removeprefix("torch."))
            try:
                with devices.own() if stands_in else nullcontext():
                    return function(*args, **kwargs)
            except Exception as error:
                self.refused.append(f"{name}: {type(error).__name__}: {error}")
                raise

        counting.counted_as = name  # type: ignore[attr-defined]
        return counting
