"""Runs a model in half types and under autocast, and what rounding to these types does to its float32 output."""

from collections.abc import Mapping, Sequence

import torch

from .. import devices
from ..outputs import flatten
from ..parts import built, forward, inputs_of
from ..plain import said_by
from ..tensors import dump
from .batches import Inputs, copied, in_dtype
from .moving import moved

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def lower(specs: str, name: str, seed: int, batch_size: int, dtypes: Sequence[str]) -> dict[str, object]:
    """Run one batch in float32, and in each of `dtypes` as the model's weights and under autocast, in eval mode.

    The inputs stay in float32 where the model takes them so, and are given in the half type where it does not.

    Returns:
        `full` and `other`: the float32 outputs of this batch and of another; for each way `<dtype>` or
        `autocast <dtype>`, `low`: outputs, `refused`: what it raised, and in `moved` those of the float32 model moved
        by one unit in the last place of the dtype, with the inputs moved too where they were given in it. Each pass
        under autocast is the first of its model; `after.<way>`: what this gives in float32 behind it, or `broken`:
        what it raises there.
    """
    inputs = inputs_of(specs, name, seed, batch_size)
    model = built(specs, name, seed).eval()
    reply: dict[str, object] = {
        "full": dump(flatten(forward(model, copied(inputs)))),
        "other": dump(flatten(forward(model, inputs_of(specs, name, seed + 1, batch_size)))),
    }
    low: dict[str, bytes] = {}
    refused: dict[str, str] = {}
    broken: dict[str, str] = {}
    moves: dict[str, list[bytes]] = {}
    for each in dtypes:
        dtype = _DTYPES[each]
        with_inputs = False
        for way in (each, f"autocast {each}"):
            try:
                if way == each:
                    output, with_inputs = _in(specs, name, seed, dtype, inputs)
                else:
                    fresh = built(specs, name, seed).eval()
                    with torch.autocast(devices.kind(), dtype=dtype):
                        output = flatten(forward(fresh, copied(inputs)))
                low[way] = dump(output)
            except Exception as error:
                refused[way] = said_by(error)
                continue
            if way != each:
                try:
                    reply[f"after.{way}"] = dump(flatten(forward(fresh, copied(inputs))))
                except Exception as error:  # without autocast before it, the same batch gave `full`
                    broken[way] = said_by(error)
            key = f"{each}, with inputs" if way == each and with_inputs else each
            if key not in moves:
                moves[key] = _moved(model, inputs, dtype, seed, with_inputs="with inputs" in key)
            reply[f"moved.{way}"] = list(moves[key])
    return reply | {"low": low, "refused": refused, "broken": broken}


def _in(
    specs: str, name: str, seed: int, dtype: torch.dtype, inputs: Inputs
) -> tuple[Mapping[str, torch.Tensor], bool]:
    """Return the outputs of the model in `dtype`, and whether its inputs had to be in it too."""
    model = built(specs, name, seed)
    model.to(dtype)
    model.eval()
    try:
        return flatten(forward(model, copied(inputs))), False
    except Exception:  # what it refuses is asked again in the other way, and told if it refuses that too
        return flatten(forward(model, in_dtype(inputs, dtype))), True


def _moved(model: torch.nn.Module, inputs: Inputs, dtype: torch.dtype, seed: int, *, with_inputs: bool) -> list[bytes]:
    eps = float(torch.finfo(dtype).eps)
    return [
        dump(each)
        for each in moved(
            model,
            inputs,
            eps,
            seed,
            lambda given: flatten(forward(model, given if with_inputs else copied(inputs))),
        )
    ]
