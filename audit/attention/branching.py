"""The branches of one mechanism: which there are, how each is forced, and what it answers.

Most take an option or a kernel of torch's in the process that is there. What depends on a library, or on what torch
offers when the target is imported, is run in a process of its own, where a stand-in is there first.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, cast, get_args

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import save as save_safetensors
from torch import Tensor

from audit.attention.answers import Settled
from audit.attention.contract import Dtype
from audit.attention.subject import DTYPES, AttentionSubject, Built, Case
from audit.gateway import ProbeFailure, TargetRaised
from audit.gateway.client import Plain
from audit.plan import Run
from audit.probe.standins.installing import FLEX, NAMES

TRITON = "triton"
HALF: Dtype = "bfloat16"  # what libraries take that refuse float32
KERNELS = ("math", "flash")  # of torch's fused attention, those that a CPU has
KERNELS_OF_A_GPU = ("efficient",)  # besides; its flash kernel takes half precision only
_CONFIG_CHOICE = "_attn_implementation"
# Words in options by the library that the implementation needs, the longest first.
_WORDS = (
    ("flash_attention_3", "flash_attn_interface"), ("flash_attn_3", "flash_attn_interface"),
    ("flash3", "flash_attn_interface"), ("fa3", "flash_attn_interface"), ("flash", "flash_attn"), ("fa2", "flash_attn"),
    ("xformers", "xformers"), ("mem", "xformers"), ("efficient", "xformers"), ("cutlass", "xformers"),
    ("flex", "flex_attention"), ("triton", TRITON),
)  # fmt: skip
_DOES_NOT_HAVE = ("No available kernel", "No viable backend")


class Survey(BaseModel):
    """What the probe read of the target; `attributes` and `arguments` are options and their other values."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sdpa: int
    sdpa_dtypes: tuple[str, ...] = ()  # of what torch's fused attention was called with
    libraries: tuple[str, ...]
    cuda: bool
    guards_sdpa: str | None
    attributes: tuple[tuple[str, tuple[Any, ...]], ...]
    arguments: tuple[tuple[tuple[str, ...], tuple[Any, ...]], ...]
    absent: tuple[str, ...]
    real: Mapping[str, str] = {}  # versions of libraries that are called themselves

    def shown(self, library: str) -> str:
        """Say what answers the calls of a library."""
        version = self.real.get(library)
        return f"stand-in for {library}" if version is None else f"{library} {version}"


_DECLARE = "; an entry of ATTENTION that is built so that it is called would be judged"


@dataclass(frozen=True, kw_only=True)
class Branch:
    """One branch. `choices` are values in a guess's choices by their paths; `forced` is what the probe takes."""

    name: str
    forced: Mapping[str, Plain] = field(default_factory=dict)
    choices: tuple[tuple[tuple[str, ...], Any], ...] = ()
    library: str | None = None
    of_config: bool = False  # the choice of a configuration, whose model gives each implementation its own masks
    of_torch: bool = False  # a kernel of torch's own
    stands_in: bool = True  # of one with a library, whether a stand-in answers its calls

    def of(self, subject: AttentionSubject) -> AttentionSubject:
        """Return the subject on this branch."""
        source = dict(subject.source)
        if self.choices:
            source["choices"] = chosen = deepcopy(source["choices"])
            for path, value in self.choices:
                place = cast(Any, chosen)
                for part in path[:-1]:
                    place = place[part]
                place[path[-1]] = value
        # `forced` is given even where it is empty, so that calls are counted.
        forced = {**cast(Mapping[str, Plain], source.get("forced") or {}), **self.forced}
        return replace(subject, source=source | {"forced": forced}, built=Built())


@dataclass(kw_only=True)
class Answered:
    """What a branch answered, by the number of the case, and why it did not answer the others."""

    branch: Branch
    dtype: Dtype
    outputs: dict[int, Tensor] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    raised: dict[int, TargetRaised] = field(default_factory=dict)
    settled: dict[int, Settled] = field(default_factory=dict)
    state: Mapping[str, Tensor] = field(default_factory=dict)
    called: frozenset[int] = frozenset()  # cases in which a stand-in was called
    dtypes: frozenset[str] = frozenset()

    @property
    def why_not(self) -> str:
        """Why nothing of it can be compared."""
        return next(iter(self.reasons.values()), "it was not called")


def without_libraries(subject: AttentionSubject, run: Run) -> tuple[AttentionSubject, Run]:
    """Return the subject as it is where no library is installed, and a process that has not imported it otherwise.

    What the specs say that it is made for stays: it cannot be called without.
    """
    declared = cast(Mapping[str, Plain], subject.source.get("forced") or {})
    kept = {name.partition(".")[0] for name in str(declared.get("library") or "").split("+")}
    without: list[Plain] = [name for name in NAMES if name != FLEX and name not in kept]
    source = dict(subject.source) | {"forced": {**declared, "without": without}}
    return replace(subject, source=source, built=Built()), replace(run, probe=run.probe.beside("without libraries"))


def versions(run: Run) -> Mapping[str, str]:
    """Return the versions of the libraries that can be called themselves; raises what `Probe.call` does."""
    reply = run.probe.beside("libraries").call("attention_library_versions")
    return {name: str(version) for name, version in reply.items() if name in NAMES}


def surveyed(subject: AttentionSubject, run: Run, dtype: Dtype, case: Case) -> Survey:
    """Ask the probe which branches the subject has.

    Raises:
        Settled: another class is built than was declared.
        ProbeFailure, TargetRaised: as `Probe.call` does.
    """
    tensors = subject.as_sent(case, dtype).tensors
    keys: dict[str, Plain] = {name: name for name in tensors}
    reply = run.probe.call(
        "attention_branches",
        subject=dict(subject.source),
        declared=subject.declared,
        seed=run.seed,
        dtype=dtype,
        calls=[{"kind": "forward", "is_causal": case.is_causal, **keys}],
        tensors=save_safetensors({name: tensor.contiguous() for name, tensor in tensors.items()}),
    )
    subject.refuse_another(reply)
    try:
        return Survey.model_validate(reply)
    except ValidationError as invalid:
        first = invalid.errors()[0]
        raise ProbeFailure(f"the target's process sent an unreadable answer: {first['loc']}: {first['msg']}") from None


def options(survey: Survey) -> list[Branch]:
    """Return the branches that an option takes."""
    arguments = {path[-1] for path, _ in survey.arguments}
    # A constructor may do more with an argument than keep it, so it is preferred.
    found = [
        Branch(name=f"{name} = {value!r}", forced={"attributes": {name: value}}, library=_library(survey, name, value))
        for name, values in survey.attributes
        for value in values
        if name not in arguments
    ]
    for path, values in survey.arguments:
        for value in values:
            shown = value["const"] if isinstance(value, Mapping) else value
            of_config = path[-1] == _CONFIG_CHOICE
            found.append(
                Branch(
                    name=f"{path[-1]} = {shown!r}",
                    choices=((path, value),),
                    library=_library(survey, path[-1], shown),
                    of_config=of_config,
                )
            )
    return found


def kernels(survey: Survey, *, on_gpu: bool) -> Iterator[Branch]:
    """Yield the branches that torch takes by itself, where the target calls its fused attention."""
    if survey.sdpa:
        for kernel in (*KERNELS, *(KERNELS_OF_A_GPU if on_gpu else ())):
            yield Branch(name=f"SDPA's {kernel} kernel", forced={"sdpa": kernel}, of_torch=True)


def _library(survey: Survey, name: str, value: object) -> str | None:
    """Return the library that an option needs: one that the source names, or that a configuration's choice means."""
    text = (str(value) if isinstance(value, str) else name if value is True else "").lower()
    for word, library in _WORDS:
        if word in text and (library in survey.libraries or name == _CONFIG_CHOICE):
            return library
    return None


def answered(subject: AttentionSubject, run: Run, dtype: Dtype, branch: Branch, cases: Sequence[Case]) -> Answered:
    """Run a branch on the cases, one after another where one of them raises."""
    on_branch = branch.of(subject)
    found = Answered(branch=branch, dtype=dtype)
    # What a model's mask looks like depends on the library that its configuration chooses.
    chosen = [i for i, case in enumerate(cases) if not (branch.of_config and branch.library and is_masked(case))]
    try:
        answers = on_branch.ask(run, dtype, [("forward", cases[i]) for i in chosen], opened=True)
        found.outputs = dict(zip(chosen, answers.outputs, strict=True))
        found.state = answers.state
        seen = on_branch.built.seen
        found.called = frozenset(i for i, names in zip(chosen, seen, strict=True) if names) if seen else frozenset()
        found.dtypes = on_branch.built.seen_dtypes
        return found
    except (TargetRaised, Settled, ProbeFailure):
        pass  # which case it was is found below
    called: set[int] = set()
    for index in chosen:
        try:
            answers = on_branch.ask(run, dtype, [("forward", cases[index])], opened=True)
        except TargetRaised as raised:
            found.raised[index] = raised
            found.reasons[index] = f"it raised {raised}"
            continue
        except Settled as settled:
            found.settled[index] = settled
            found.reasons[index] = str(settled)
            continue
        except ProbeFailure as failure:
            found.reasons[index] = f"its process failed: {failure.reason}"
            break
        found.outputs[index], found.state = answers.outputs[0], answers.state
        called |= {index} if any(on_branch.built.seen) else set()
        found.dtypes |= on_branch.built.seen_dtypes
    found.called = frozenset(called)
    return found


def is_masked(case: Case) -> bool:
    """Whether keys are masked."""
    return "key_mask" in case.tensors or "mask" in case.tensors


def does_not_have(raised: TargetRaised) -> bool:
    """Whether torch says that it has no such kernel for these tensors."""
    return any(text in raised.message for text in _DOES_NOT_HAVE)


def with_libraries(
    subject: AttentionSubject, run: Run, dtype: Dtype, libraries: Sequence[str], survey: Survey, cases: Sequence[Case]
) -> list[Answered]:
    """Run the branches that call libraries, which are there when the target is imported: themselves, or stand-ins.

    Several share a process where options choose between them. Options that name a library are tried after none; in half
    precision where it is not called before; and first with a GPU pretended where a guard may ask for one, then without.
    """
    found: list[Answered] = []
    waiting = {library: ways_of(survey, library) for library in libraries}
    tried: dict[str, list[Answered]] = {library: [] for library in libraries}
    asks = not run.target.on_gpu and (survey.cuda or any(way.of_config for ways in waiting.values() for way in ways))
    for cuda in (True, False) if asks else (False,):
        if not waiting:
            break
        names = "+".join(libraries)
        probe = run.probe.beside(f"{names}, cuda {cuda}")
        for library, ways in list(waiting.items()):
            forced: dict[str, Plain] = {"library": names, "accepts_float32": True, "cuda": cuda}
            if survey.real:
                forced["real"] = [each for each in libraries if each in survey.real]
            forcing = [replace(way, forced={**forced, **way.forced}) for way in ways]
            tries = _tries(subject, replace(run, probe=probe), dtype, forcing, cases)
            tried[library] += tries
            if tries[-1].called:
                found.append(tries[-1])
                del waiting[library]
    for library in waiting:
        told = next((each for each in tried[library] if each.reasons), tried[library][0])
        what = "stand-in" if told.branch.stands_in else "library"
        told.reasons = told.reasons or {0: f"the {what} was never called, whatever option was chosen{_DECLARE}"}
        told.outputs = {}
        found.append(told)
    return found


def ways_of(survey: Survey, library: str) -> list[Branch]:
    """Return how a library may be called: because it is there, and by each option that names it."""
    name, stands_in = survey.shown(library), library not in survey.real
    ways = [
        replace(option, name=f"{name}, {option.name}", stands_in=stands_in)
        for option in options(survey)
        if option.library == library
    ]
    alone = Branch(name=name, library=library, stands_in=stands_in)
    return [alone, *ways] if library in survey.libraries else ways


def _tries(
    subject: AttentionSubject, run: Run, dtype: Dtype, ways: Sequence[Branch], cases: Sequence[Case]
) -> list[Answered]:
    """Try one way after another up to the first in which a stand-in is called, which is then the last."""
    tries: list[Answered] = []
    for each in dict.fromkeys((dtype, HALF)):
        for way in ways:
            tries.append(answered(subject, run, each, way, cases))
            if tries[-1].called:
                return tries
    return tries


def on_kernel(subject: AttentionSubject, run: Run, dtype: Dtype, branch: Branch, cases: Sequence[Case]) -> Answered:
    """Run the branch of one of torch's kernels, in half precision where a GPU has it in that alone."""
    found = answered(subject, run, dtype, branch, cases)
    if not run.target.on_gpu or found.outputs or dtype == HALF:
        return found
    half = answered(subject, run, HALF, branch, cases)
    return half if half.outputs else found


def without_sdpa(subject: AttentionSubject, run: Run, dtype: Dtype, survey: Survey, cases: Sequence[Case]) -> Answered:
    """Run the branch that is taken where torch has no fused attention."""
    branch = Branch(name="without torch's fused attention", forced={"without_sdpa": True})
    if survey.guards_sdpa == "call":
        return answered(subject, run, dtype, branch, cases)
    return answered(subject, replace(run, probe=run.probe.beside("without_sdpa")), dtype, branch, cases)


def same_weights(state: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Whether both have the same weights under the same names."""
    return state.keys() == other.keys() and all(torch.equal(state[name], other[name]) for name in state)


def coarser(dtype: Dtype, seen: frozenset[str]) -> Dtype:
    """Return the dtype that resolves least among that of the run and those in which a stand-in was called."""
    known = [dtype, *(each for each in get_args(Dtype) if each in seen)]
    return max(known, key=lambda each: torch.finfo(DTYPES[each]).eps)
