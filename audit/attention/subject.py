"""An attention mechanism of the target as the properties see it: inputs go in, outputs and gradients come back."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from safetensors.torch import save as save_safetensors
from torch import Tensor

from audit.attention import oracle
from audit.attention.answers import Answers, Settled, check_weights, read_answers
from audit.attention.bounds import allowance
from audit.attention.contract import Contract, Dtype
from audit.attention.oracle import FAITHFUL, Departure
from audit.attention.plain import ORDERS, Order
from audit.gateway.client import Plain
from audit.judgement import Judgement, error, failed, not_applicable, skipped
from audit.plan import Run

Precision = Dtype | Literal["float64"]
DTYPES: Mapping[Precision, torch.dtype] = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
BATCH_SIZE = 2
# Lengths that are neither the batch size nor a usual number of heads or head_dim, so that no two axes coincide.
LENGTH = 11
SHORT = 5


@dataclass(frozen=True, kw_only=True)
class Case:
    """One set of inputs. A module has `hidden_states`, `context` and `key_mask`; a function has the rest.

    `circumstances` are what `audit/probe/circumstances.py` takes, and `layout`: how the tensors lie in memory.
    """

    name: str
    tensors: Mapping[str, Tensor]
    is_causal: bool = False
    circumstances: Mapping[str, Plain] = field(default_factory=dict)

    @property
    def inputs(self) -> Tensor:
        """The queries of a function, the hidden states of a module: the output has their shape."""
        return self.tensors["hidden_states"] if "hidden_states" in self.tensors else self.tensors["query"]

    @property
    def length(self) -> int:
        """The number of tokens: of queries or keys, whichever are more."""
        sequences = ("hidden_states", "context", "query", "key")
        return max(self.tensors[name].shape[-2] for name in sequences if name in self.tensors)

    def replaced(self, name: str, **tensors: Tensor) -> "Case":
        """Return a copy under another name with other tensors."""
        return replace(self, name=name, tensors={**self.tensors, **tensors})

    def under(self, name: str, **circumstances: Plain) -> "Case":
        """Return a copy under another name that is called under these circumstances."""
        return replace(self, name=name, circumstances=circumstances)


@dataclass(kw_only=True)
class Built:
    """What is known of the module once it was built; a function has no parameters."""

    parameters: int | None = None
    layers: frozenset[str] = frozenset()  # torch's own among its layers, and those that its layers are derived from
    detached: frozenset[str] = frozenset()  # parameters without a gradient on which the output depends
    unread: frozenset[str] = frozenset()  # those that no source of the module reads
    rotary_bases: tuple[float, ...] = ()  # that its buffers were made of
    seen: tuple[frozenset[str], ...] = ()  # in each call, the functions of stand-ins that were called
    seen_dtypes: frozenset[str] = frozenset()  # of what they were called with
    autocast: str | None = None  # the coarsest dtype that a forward turns autocast on for; empty where it does not
    repeats: bool | None = None  # whether two calls on one input agree; None until that is asked
    fits: Judgement | Literal[True] | None = (
        None  # whether weights have the declared sizes, or what says that they do not
    )
    width_misfits: str | None = None  # what calls say against the declared width; empty where some is answered
    not_finite: str | None = None  # the check that told where the output is no number; empty where it is one


@dataclass(frozen=True, kw_only=True)
class AttentionSubject:
    """One attention mechanism with its contract, declared in the specs or inferred."""

    name: str
    source: Mapping[str, Plain]  # what the probe builds and calls, as its `callee_of` takes it
    contract: Contract
    declared: str
    is_function: bool
    decodes: bool
    decodes_masked: bool = False  # whether what decodes takes a mask of keys
    is_declared: bool = True  # by specs; a contract that was inferred promises less
    option: str = ""  # the option of a found subject that was chosen otherwise than by default
    departure: Departure = FAITHFUL  # from what the oracle computes, to see whether that is what a wrong subject does
    claims: Mapping[str, str] = field(default_factory=dict)  # by field of an inferred contract, what says it and where
    built: Built = field(default_factory=Built)

    @property
    def form(self) -> Mapping[str, Plain]:
        """How the target is called where that was guessed; empty for what specs call."""
        choices = self.source.get("choices")
        form = choices.get("form") if isinstance(choices, dict) else None
        return form if isinstance(form, dict) else {}

    @property
    def lengths(self) -> tuple[int, ...]:
        """Lengths with which the target was seen to answer where its call was guessed; empty for what specs call."""
        found = self.form.get("lengths")
        return tuple(each for each in found if isinstance(each, int)) if isinstance(found, list) else ()

    @property
    def finest_dtype(self) -> Dtype:
        """The declared dtype that resolves most."""
        return min(self.contract.dtypes, key=lambda dtype: torch.finfo(DTYPES[dtype]).eps)

    @property
    def has_oracle(self) -> bool:
        """Whether the oracle computes the same function, and not one that this only approximates."""
        return self.has_reference and self.contract.approximation_error is None

    @property
    def has_reference(self) -> bool:
        """Whether the contract says enough for the oracle to compute the exact function."""
        contract = self.contract
        if not contract.has_sizes or contract.is_causal is None or self.joins_positions:
            return False
        if contract.context_dim is not None and not self.is_declared:  # a guess of which input is attended to
            return False
        return "no formula" not in self.claims if self.is_function else contract.projections is not None

    @property
    def joins_positions(self) -> bool:
        """Whether it takes positions of queries and of another sequence together, which nothing says how to count."""
        contract = self.contract
        ordered = contract.is_causal or contract.rotary_base or contract.window or contract.alibi_slopes
        return contract.context_dim is not None and bool(ordered)

    @property
    def is_always_causal(self) -> bool:
        """Whether a function is causal in every call, and no argument turns that off."""
        return "always causal" in self.claims

    @property
    def why_no_mask(self) -> str:
        """Why no key mask is passed: there is none by declaration, or no form was found for what looks like one."""
        if isinstance(unknown := self.form.get("why mask"), str):
            return f"undeclared: {unknown}"
        return "the contract declares that there is no key mask"

    def claim(self, *names: str) -> str:
        """Return what says these fields of the contract, to follow a reason, without braces; empty where specs do."""
        said = list(dict.fromkeys(self.claims[name] for name in names if name in self.claims))
        return f" ({'; '.join(said)})".replace("{", "(").replace("}", ")") if said else ""

    def generator(self, seed: int) -> torch.Generator:
        """Return the source of this subject's inputs; its name takes part, so that subjects differ."""
        mixed = int.from_bytes(hashlib.sha256(f"{self.name}:{seed}".encode()).digest()[:7], "little")
        return torch.Generator().manual_seed(mixed)

    def forward(self, run: Run, dtype: Dtype, cases: Sequence[Case], *, opened: bool = False) -> Answers:
        """Run the target on every case."""
        return self.ask(run, dtype, [("forward", case) for case in cases], opened=opened)

    def decode(
        self,
        run: Run,
        dtype: Dtype,
        case: Case,
        chunkings: Sequence[Sequence[int]],
        *,
        others: Sequence[Case] = (),
        opened: bool = False,
    ) -> Answers:
        """Run the full forward, decode the same input in each of the given chunk lengths, then run other cases."""
        calls = [("forward", case)]
        calls += [("decode", case.under(case.name, chunks=list[Plain](chunks))) for chunks in chunkings]
        return self.ask(run, dtype, calls + [("forward", other) for other in others], opened=opened)

    def backward(self, run: Run, dtype: Dtype, cases: Sequence[Case], *, opened: bool = False) -> Answers:
        """Run and differentiate every case; each holds its `cotangent`."""
        return self.ask(run, dtype, [("backward", case) for case in cases], opened=opened)

    def state(self, run: Run, dtype: Dtype) -> Mapping[str, Tensor]:
        """Return the weights of the module, which are those of every later call in this dtype; a function has none."""
        return {} if self.is_function else self.ask(run, dtype, []).state

    def ask(
        self,
        run: Run,
        dtype: Precision,
        calls: Sequence[tuple[str, Case]],
        *,
        opened: bool = False,
        procedure: str = "attention_run",
        **more: int,
    ) -> Answers:
        """Make calls, each a kind (`forward`, `decode`, `backward`) and a case.

        Args:
            run: the target's process and the seed.
            dtype: of weights and inputs.
            calls: in the order of the answers.
            opened: whether trainable parameters that begin as zero are given other numbers first.
            procedure: what makes them; `attention_kernels` watches what kernels do meanwhile, `attention_on_ranks`
                spreads the sequence over processes.
            more: what else this procedure takes.
        """
        self.refuse_longer([case for _, case in calls])
        blob: dict[str, Tensor] = {}
        described: list[Plain] = []
        for index, (kind, case) in enumerate(calls):
            keys: dict[str, Plain] = {name: f"{index}.{name}" for name in case.tensors}
            blob |= {f"{index}.{name}": tensor for name, tensor in self.as_sent(case, dtype).tensors.items()}
            described.append({"kind": kind, "is_causal": case.is_causal, **keys, **case.circumstances})
        reply = run.probe.call(
            procedure,
            subject=dict(self.source),
            declared=self.declared,
            seed=run.seed,
            dtype=dtype,
            calls=described,
            tensors=_bytes(blob),
            opened=opened,
            **more,
        )
        self.refuse_another(reply)
        _refuse_ranks(reply)
        count = reply.get("parameters")
        self.built.parameters = count if isinstance(count, int) else None
        self.built.layers, self.built.detached, self.built.unread = (
            frozenset(map(str, names)) if isinstance(names := reply.get(key), list) else frozenset()
            for key in ("layers", "detached", "unread")
        )
        self.built.rotary_bases = tuple(e for e in _listed(reply.get("rotary_bases")) if isinstance(e, float) and e > 0)
        self.built.seen = tuple(frozenset(map(str, e)) for e in _listed(reply.get("seen")) if isinstance(e, list))
        self.built.seen_dtypes = frozenset(map(str, _listed(reply.get("seen_dtypes"))))
        named = [("decode" if kind == "decode" else "forward", case) for kind, case in calls]
        answers = read_answers(
            reply,
            [(kind, self._shape(case)) for kind, case in named],
            tolerated=[index for index, (_, case) in enumerate(named) if case.circumstances.get("tolerated")],
        )
        check_weights(self.contract, answers.state)
        return answers

    def refuse_longer(self, cases: Sequence[Case]) -> None:
        """Make no call that the contract rules out.

        Raises:
            Settled: one has more tokens than the contract's `max_length`.
        """
        longest = max((case.length for case in cases), default=0)
        if self.contract.within(longest) < longest:
            raise Settled(too_short(self.contract, f"this takes {longest} tokens"))

    def refuse_another(self, reply: Mapping[str, Plain]) -> None:
        """Read which class the probe has built.

        Raises:
            Settled: it is another one than was declared, which the probe has not called.
        """
        built = reply.get("class")
        if not self.is_function and built != self.declared:
            what = f"the specs declare {self.declared} and build {built!s}: a stand-in is not judged"
            raise Settled(error(what, fix="build the declared class"))

    def _shape(self, case: Case) -> tuple[int, ...]:
        """Return the shape that the output must have; that of a module without specs may have any width, -1."""
        shape = tuple(case.inputs.shape)
        return shape if self.is_declared or self.is_function else (*shape[:-1], -1)

    def as_sent(self, case: Case, dtype: Precision) -> Case:
        """Return the case with its tensors rounded to the dtype in which the target sees them."""
        return case.replaced(case.name, **{name: _cast(x, DTYPES[dtype]) for name, x in case.tensors.items()})

    def reference(
        self,
        state: Mapping[str, Tensor],
        case: Case,
        *,
        dtype: torch.dtype = torch.float64,
        order: Order | None = None,
        contract: Contract | None = None,
        departure: Departure | None = None,
    ) -> Tensor:
        """Return the oracle's answer (float64), or the plain computation in another dtype and order of operations."""
        contract, departure = contract or self.contract, departure or self.departure
        tensors = {name: _cast(tensor, dtype) for name, tensor in case.tensors.items()}
        if self.is_function:
            return oracle.core(
                tensors["query"],
                tensors["key"],
                tensors["value"],
                contract=contract,
                is_causal=case.is_causal,
                mask=tensors.get("mask"),
                order=order,
                departure=departure,
            )
        return oracle.module(
            {name: _cast(tensor, dtype) for name, tensor in state.items()},
            tensors["hidden_states"],
            contract=contract,
            context=tensors.get("context"),
            key_mask=tensors.get("key_mask"),
            order=order,
            departure=departure,
        )

    def logits(self, state: Mapping[str, Tensor], case: Case) -> tuple[Tensor, Tensor]:
        """Return the oracle's logits before the mask, and which of them are attended to, both (B, H, Lq, Lk)."""
        contract, mask = self.contract, case.tensors.get("mask")
        if self.is_function:
            query, key = case.tensors["query"], case.tensors["key"]
        else:
            weights = {name: _cast(tensor, torch.float64) for name, tensor in state.items()}
            query, key, _ = oracle.projected(
                weights, case.tensors["hidden_states"], contract=contract, context=case.tensors.get("context")
            )
            key_mask = case.tensors.get("key_mask")
            mask = None if key_mask is None else key_mask[:, None, None, :]
        allowed = oracle.allowed_keys(query, key, contract=contract, is_causal=case.is_causal, mask=mask)
        return oracle.logits(query, key, contract=contract), allowed

    def allowance(self, state: Mapping[str, Tensor], case: Case, dtype: Dtype, *, first: int | None = None) -> float:
        """Return the bound on a correct implementation's error in this case, at the first positions or at all."""
        sent = self.as_sent(case, dtype)
        plain = (self.reference(state, sent, dtype=DTYPES[dtype], order=order) for order in ORDERS)
        return allowance(*(each[..., :first, :] for each in (self.reference(state, sent), *plain)))


def too_short(contract: Contract, why: str) -> Judgement:
    """What is said where the longest input that a contract declares is too short to tell anything."""
    return not_applicable(f"the contract declares max_length = {contract.max_length}: {why}")


def _refuse_ranks(reply: Mapping[str, Plain]) -> None:
    """Read whether processes of one group have answered.

    Raises:
        Settled: there can be no group, or one of its ranks has failed, or none has come to an end.
    """
    if isinstance(absent := reply.get("absent"), str):
        raise Settled(skipped(absent))
    if isinstance(problem := reply.get("problem"), str):
        is_late = problem.startswith("not done")
        raise Settled(error(f"the ranks wait for one another, or take long: {problem}") if is_late else failed(problem))


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _listed(value: Plain) -> list[Plain]:
    return value if isinstance(value, list) else []


def _bytes(tensors: Mapping[str, Tensor]) -> bytes:
    # The library refuses tensors that share memory, and cases share theirs.
    return save_safetensors({name: x.clone(memory_format=torch.contiguous_format) for name, x in tensors.items()})
