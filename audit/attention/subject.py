"""An attention mechanism of the target as the properties see it: inputs go in, outputs and gradients come back."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from audit.attention import oracle
from audit.attention.bounds import allowance
from audit.attention.contract import Contract
from audit.attention.oracle import FAITHFUL, Departure
from audit.gateway import ProbeFailure
from audit.gateway.client import Plain
from audit.plan import Run
from audit.probe.tensors import dump

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
BATCH_SIZE = 2
# Lengths that are neither the batch size nor a usual number of heads or head_dim, so that no two axes coincide.
LENGTH = 11
SHORT = 5


@dataclass(frozen=True, kw_only=True)
class Case:
    """One set of inputs. A module has `hidden_states` and `key_mask`; a function has the rest."""

    name: str
    tensors: Mapping[str, Tensor]
    is_causal: bool = False

    def replaced(self, name: str, **tensors: Tensor) -> "Case":
        """Return a copy under another name with other tensors."""
        return Case(name=name, tensors={**self.tensors, **tensors}, is_causal=self.is_causal)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the target returned: outputs in order of the calls, gradients of each call by name, the module's state."""

    outputs: tuple[Tensor, ...]
    gradients: tuple[Mapping[str, Tensor], ...] = ()
    missing: frozenset[str] = frozenset()
    state: Mapping[str, Tensor] = field(default_factory=dict)


class StandInBuilt(Exception):
    """The specs built something else than the class that they declare."""


@dataclass(kw_only=True)
class Built:
    """What is known of the module once it was built; a function has no parameters."""

    parameters: int | None = None


@dataclass(frozen=True, kw_only=True)
class AttentionSubject:
    """One entry of the specs' ATTENTION with its contract."""

    name: str
    specs: str
    contract: Contract
    declared: str
    is_function: bool
    decodes: bool
    built: Built = field(default_factory=Built)

    @property
    def has_oracle(self) -> bool:
        """Whether the contract says enough for the oracle to compute the same function."""
        return self.is_function or self.contract.projections is not None

    def generator(self, seed: int) -> torch.Generator:
        """Return the source of this subject's inputs; its name takes part, so that subjects differ."""
        mixed = int.from_bytes(hashlib.sha256(f"{self.name}:{seed}".encode()).digest()[:7], "little")
        return torch.Generator().manual_seed(mixed)

    def forward(self, run: Run, dtype: str, cases: Sequence[Case]) -> Answers:
        """Run the target on every case."""
        return self._ask(run, dtype, [("forward", case, {}) for case in cases])

    def decode(self, run: Run, dtype: str, case: Case, chunkings: Sequence[Sequence[int]]) -> Answers:
        """Run the full forward, then decode the same input through the cache in each of the given chunk lengths."""
        calls: list[tuple[str, Case, dict[str, Plain]]] = [("forward", case, {})]
        calls += [("decode", case, {"chunks": list[Plain](chunks)}) for chunks in chunkings]
        return self._ask(run, dtype, calls)

    def backward(self, run: Run, dtype: str, cases: Sequence[Case]) -> Answers:
        """Run and differentiate every case; each holds its `cotangent`."""
        return self._ask(run, dtype, [("backward", case, {}) for case in cases])

    def _ask(self, run: Run, dtype: str, calls: Sequence[tuple[str, Case, dict[str, Plain]]]) -> Answers:
        blob: dict[str, Tensor] = {}
        described: list[Plain] = []
        for index, (kind, case, extra) in enumerate(calls):
            keys: dict[str, Plain] = {name: f"{index}.{name}" for name in case.tensors}
            blob |= {f"{index}.{name}": _cast(tensor, DTYPES[dtype]) for name, tensor in case.tensors.items()}
            described.append({"kind": kind, "is_causal": case.is_causal, **keys, **extra})
        reply = run.probe.call(
            "attention_run",
            specs=self.specs,
            name=self.name,
            seed=run.seed,
            dtype=dtype,
            calls=described,
            tensors=dump(blob),
        )
        built = reply.get("class")
        if not self.is_function and built != self.declared:
            raise StandInBuilt(f"the specs declare {self.declared} and build {built!s}")
        count = reply.get("parameters")
        self.built.parameters = count if isinstance(count, int) else None
        return _answers(reply, len(calls))

    def reference(
        self,
        state: Mapping[str, Tensor],
        case: Case,
        *,
        dtype: torch.dtype = torch.float64,
        scale_first: bool = False,
        contract: Contract | None = None,
        departure: Departure = FAITHFUL,
    ) -> Tensor:
        """Return the oracle's answer (float64), or the plain computation in another dtype."""
        contract = contract or self.contract
        tensors = {name: _cast(tensor, dtype) for name, tensor in case.tensors.items()}
        if self.is_function:
            return oracle.core(
                tensors["query"],
                tensors["key"],
                tensors["value"],
                contract=contract,
                is_causal=case.is_causal,
                mask=tensors.get("mask"),
                scale_first=scale_first,
                departure=departure,
            )
        return oracle.module(
            {name: _cast(tensor, dtype) for name, tensor in state.items()},
            tensors["hidden_states"],
            contract=contract,
            key_mask=tensors.get("key_mask"),
            scale_first=scale_first,
            departure=departure,
        )

    def allowance(self, state: Mapping[str, Tensor], case: Case, dtype: str) -> float:
        """Return the bound on a correct implementation's error in this case."""
        rounded = case.replaced(case.name, **{k: _cast(v, DTYPES[dtype]) for k, v in case.tensors.items()})
        plain = [self.reference(state, rounded, dtype=DTYPES[dtype], scale_first=first) for first in (False, True)]
        return allowance(self.reference(state, rounded), *plain)


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _answers(reply: Mapping[str, Plain], calls: int) -> Answers:
    data, missing = reply.get("tensors"), reply.get("missing")
    if not isinstance(data, bytes) or not isinstance(missing, list):
        raise ProbeFailure("the target's process sent a reply without tensors")
    try:
        tensors = load_safetensors(data)
    except SafetensorError as error:
        raise ProbeFailure(f"the target's process sent malformed tensors: {error}") from error
    lost = [index for index in range(calls) if f"output.{index}" not in tensors]
    if lost:
        raise ProbeFailure(f"the target's process sent no output for call {lost[0]}")
    gradients: list[dict[str, Tensor]] = [{} for _ in range(calls)]
    for key, tensor in tensors.items():
        kind, _, rest = key.partition(".")
        if kind == "gradient":
            index, _, name = rest.partition(".")
            gradients[int(index)][name] = tensor
    return Answers(
        outputs=tuple(tensors[f"output.{index}"] for index in range(calls)),
        gradients=tuple(gradients),
        missing=frozenset(str(name) for name in missing),
        state={key.partition(".")[2]: tensor for key, tensor in tensors.items() if key.startswith("state.")},
    )
