"""What the target's process sent back, checked before a property reads it: nothing in it can be taken on trust."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from audit.attention.contract import Contract
from audit.gateway import ProbeFailure
from audit.gateway.client import Plain
from audit.judgement import Judgement, error, failed

_COMPUTABLE = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the target returned.

    `outputs` are in order of the calls, `gradients` are those of each call by name. `missing` (gradients that are
    None) and `overwritten` (inputs that a call changed) are pairs of a call and the name of a tensor. `state` holds
    the module's weights; `refused` says what tolerated calls raised, whose outputs are empty; `observed` what happened
    in watched ones; `kernels` what interpreted kernels addressed, where they were watched. `trainable` names each
    parameter that is to be trained, and what it is called among the gradients: parameters that are one tensor share a
    name.
    """

    outputs: tuple[Tensor, ...]
    gradients: tuple[Mapping[str, Tensor], ...] = ()
    missing: frozenset[tuple[int, str]] = frozenset()
    overwritten: frozenset[tuple[int, str]] = frozenset()
    state: Mapping[str, Tensor] = field(default_factory=dict)
    trainable: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[int, str] = field(default_factory=dict)
    observed: Mapping[int, Sequence[Mapping[str, Plain]]] = field(default_factory=dict)
    kernels: Mapping[str, Plain] = field(default_factory=dict)


class Settled(Exception):
    """The answers settle the judgement, whatever the property: it is carried along."""

    def __init__(self, judgement: Judgement) -> None:
        """Keep the judgement."""
        super().__init__(judgement.reason)
        self.judgement = judgement


def read_answers(
    reply: Mapping[str, Plain], shapes: Sequence[tuple[str, tuple[int, ...]]], *, tolerated: Collection[int] = ()
) -> Answers:
    """Return the answers to calls of which each has a kind and the shape that its output must have; -1 is any size.

    A tolerated call may have raised, or have returned another shape.

    Raises:
        ProbeFailure: the reply is not one that the probe sends.
        Settled: an output is no tensor of that shape.
    """
    data, trainable = reply.get("tensors"), reply.get("trainable")
    if not isinstance(data, bytes) or not isinstance(trainable, dict):
        raise ProbeFailure("the target's process sent a reply without tensors")
    try:
        tensors = load_safetensors(data)
    except SafetensorError as malformed:
        raise ProbeFailure(f"the target's process sent malformed tensors: {malformed}") from malformed
    gradients: list[dict[str, Tensor]] = [{} for _ in shapes]
    state: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        kind, _, rest = key.partition(".")
        if kind == "state":
            state[rest] = tensor
        elif kind == "gradient":
            index, name = _pair(rest, len(shapes))
            gradients[index][name] = tensor
    told, seen = reply.get("refused"), reply.get("observed")
    refused = {int(key): str(text) for key, text in told.items()} if isinstance(told, dict) else {}
    if not refused.keys() <= set(tolerated):
        raise ProbeFailure("the target's process sent an exception of a call that tolerates none")
    outputs: list[Tensor] = []
    for index, (kind, shape) in enumerate(shapes):
        try:
            outputs.append(torch.empty(0) if index in refused else _output(tensors, index, kind, shape))
        except Settled as settled:
            if index not in tolerated:
                raise
            refused[index] = str(settled)
            outputs.append(torch.empty(0))
    return Answers(
        outputs=tuple(outputs),
        gradients=tuple(gradients),
        missing=_pairs(reply.get("missing"), len(shapes)),
        overwritten=_pairs(reply.get("overwritten"), len(shapes)),
        state=state,
        trainable={key: str(name) for key, name in trainable.items()},
        refused=refused,
        observed=_observed(seen),
        kernels=kernels if isinstance(kernels := reply.get("kernels"), dict) else {},
    )


def _observed(seen: Plain) -> dict[int, list[Mapping[str, Plain]]]:
    found = seen.items() if isinstance(seen, dict) else ()
    return {
        int(key): [each for each in many if isinstance(each, dict)] for key, many in found if isinstance(many, list)
    }


def _output(tensors: Mapping[str, Tensor], index: int, kind: str, shape: tuple[int, ...]) -> Tensor:
    output = tensors.get(f"output.{index}")
    if output is None:
        raise ProbeFailure(f"the target's process sent no output for call {index}")
    fits = output.dim() == len(shape) and all(
        want in (-1, size) for size, want in zip(output.shape, shape, strict=True)
    )
    if not fits or output.dtype not in _COMPUTABLE:
        raise Settled(
            failed(
                f"{kind} returned a tensor of {output.dtype} of shape {tuple(output.shape)}, not one of floating-point "
                f"numbers of shape {tuple(shape)}"
            )
        )
    return output


def _pairs(found: Plain, calls: int) -> frozenset[tuple[int, str]]:
    if not isinstance(found, list):
        raise ProbeFailure("the target's process sent a reply without the names of tensors")
    return frozenset(_pair(str(each), calls) for each in found)


def _pair(text: str, calls: int) -> tuple[int, str]:
    """Read `<call>.<name>`."""
    index, _, name = text.partition(".")
    if index not in {str(call) for call in range(calls)}:
        raise ProbeFailure("the target's process sent a tensor of a call that was not made")
    return int(index), name


def check_weights(contract: Contract, state: Mapping[str, Tensor]) -> None:
    """Check that the projections which the contract names are there and have the sizes that it declares.

    Raises:
        Settled: they have not, so that the oracle cannot compute what the contract describes.
    """
    if contract.projections is None or contract.embed_dim is None:
        return
    names = contract.projections
    if contract.sinks is not None:
        sinks = state.get(contract.sinks)
        if sinks is None or sinks.numel() != contract.heads:
            found = "holds none" if sinks is None else f"holds {sinks.numel()} numbers for {contract.heads} heads"
            raise _unfitting(f"it names {contract.sinks!r} as sinks, and the state dict {found}")
    if contract.random_features is not None:
        features = state.get(contract.random_features)
        if features is None or features.dim() != 2 or features.shape[1] != contract.dim:
            found = "holds none" if features is None else f"holds a tensor of shape {tuple(features.shape)}"
            raise _unfitting(
                f"it names {contract.random_features!r} as random_features (m, {contract.dim}), and the state dict "
                f"{found}"
            )
    width, kv_width = contract.heads * contract.dim, contract.kv_heads * contract.dim
    kv_columns = contract.context_dim or contract.embed_dim
    for name, rows, columns in (
        (names.query, width, contract.embed_dim),
        (names.key, kv_width, kv_columns),
        (names.value, kv_width, kv_columns),
        (names.output, contract.embed_dim, width),
    ):
        weight, bias = state.get(f"{name}.weight"), state.get(f"{name}.bias")
        if weight is None:
            raise _unfitting(f"it names {name!r} as a projection, and the state dict holds no '{name}.weight'")
        if tuple(weight.shape) != (rows, columns) or not weight.is_floating_point():
            raise _unfitting(
                f"'{name}.weight' is a tensor of {weight.dtype} of shape {tuple(weight.shape)}, and the declared sizes "
                f"need floating-point numbers of shape {(rows, columns)}"
            )
        if bias is not None and (tuple(bias.shape) != (rows,) or not bias.is_floating_point()):
            raise _unfitting(
                f"'{name}.bias' is a tensor of {bias.dtype} of shape {tuple(bias.shape)}, and the declared sizes need "
                f"floating-point numbers of shape {(rows,)}"
            )


def _unfitting(what: str) -> Settled:
    return Settled(
        error(
            f"the contract does not fit the module: {what}", fix="declare the projections and sizes that the module has"
        )
    )
