"""The lines of a specs module for a whole model, from what the probe found of how it is built and fed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from audit.attention.spec.lines import python
from audit.attention.spec.names import renamed
from audit.gateway.client import Plain

_LOSS = [
    "def loss(output: object, inputs: dict[str, object]) -> Tensor:",
    '    """Return one number. Labels that forward does not take are made here, from the inputs."""',
    "    # decide: what it is trained to; this asks the first tensor of the output to be zero.",
    "    found: Any = output",
    "    while not isinstance(found, Tensor):",
    '        held = vars(found) if hasattr(found, "__dict__") and not hasattr(found, "values") else found',
    '        held = held.values() if hasattr(held, "values") else held',
    "        found = next(each for each in held if each is not None)",
    "    number: Tensor = found.float().square().mean()",
    "    return number",
    "",
    "",
]


@dataclass(frozen=True, kw_only=True)
class ModelStub:
    """What is written of a model: functions before `MODELS`, its entry there, and the names of the target they use."""

    functions: Sequence[str]
    entry: Sequence[str]
    names: Sequence[object] = field(default_factory=list)  # arguments as plain data


def model_stub(
    reply: Mapping[str, Plain],
    *,
    module: str,
    qualname: str,
    declared: str,
    signature: Sequence[str],
    aliases: Mapping[str, str],
) -> ModelStub:
    """Return the lines for what `model_find` replied of a class.

    Args:
        reply: the reply.
        module: import name of the class.
        qualname: its name in the printed module.
        declared: its name where it is defined.
        signature: the arguments of its constructor, for a reader.
        aliases: the names in the printed module of what the target calls otherwise.
    """
    problem = reply.get("problem")
    guess: dict[str, Any] = {} if problem else json.loads(str(reply["guess"]).partition(":")[2])
    own: Mapping[str, Any] = guess.get("arguments", {})
    arguments: Mapping[str, Any] = renamed(own, aliases)
    lines = [f"def build_model() -> {qualname}:"]
    if problem:
        lines += [f"    # decide: {qualname}({', '.join(signature)})", f"    return {qualname}()"]
    elif arguments:
        lines += [f"    return {qualname}(", *(f"        {key}={python(each)}," for key, each in arguments.items())]
        lines += ["    )"]
    else:
        lines += [f"    return {qualname}()"]
    lines += ["", "", "def inputs(batch_size: int, generator: torch.Generator) -> dict[str, object]:"]
    lines += ['    """Return the arguments of forward; every random number comes from the generator."""']
    if problem:
        lines += ["    # decide: by their names, as in the line below", "    return {"]
        lines += ['        # "x": torch.randn(batch_size, 8, 32, generator=generator),', "    }"]
    else:
        lines += [
            "    return {",
            *(f"        {json.dumps(key)}: {_drawn(each)}," for key, each in guess["feed"].items()),
        ]
        lines += ["    }"]
    entry = [f"    {json.dumps(declared)}: {{", f'        "class": "{module}:{declared}",']
    entry += ['        "build": build_model,', '        "inputs": inputs,', '        "loss": loss,']
    entry += ["        # what else can be said of it: docs/writing-specs.md", "    },"]
    return ModelStub(functions=[*lines, "", "", *_LOSS], entry=entry, names=list(own.values()))


def _drawn(recipe: Mapping[str, Any]) -> str:
    """Return the expression for what the probe's recipe of an input makes."""
    if "const" in recipe:
        return repr(recipe["const"])
    sizes = ["batch_size" if size == "B" else str(size) for size in recipe["shape"]]
    shape = ", ".join(sizes)
    match recipe["draw"]:
        case "whole":
            shape = shape if len(sizes) > 1 else f"{shape},"
            return f"torch.randint({recipe['below']}, ({shape}), generator=generator)"
        case "ones":
            return f"torch.ones({shape}{', dtype=torch.bool' if recipe.get('bool') else ''})"
        case "positions":
            return f"torch.arange({sizes[-1]}).expand({shape}).clone()"
        case "lengths":
            return f"torch.full(({shape},), {recipe['of']})"
        case "uniform":
            return f"torch.rand({shape}, generator=generator)"
    return f"torch.randn({shape}, generator=generator)"
