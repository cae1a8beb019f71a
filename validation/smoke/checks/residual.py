"""A block adds what its branches compute to what it is given."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from audit.gateway import TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, failed, judged, not_applicable
from audit.plan import Run
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import determinism
from validation.smoke.compare import difference
from validation.smoke.misdeclared import judge_misdeclared
from validation.smoke.model import RegisteredModel, tensors_of

CHECK = Check(
    id="smoke.residual",
    title="A block adds to what it is given",
    proves="In a model that declares `residual`, every declared block whose branches are silent returns a tensor "
    "that it was given, to the last bit, and another one where any of its branches alone speaks; a branch that begins "
    "as zero speaks with noise in the place of the zeros among the parameters.",
    defect="a residual connection that is left out",
    severity=Severity.MAJOR,
)
REQUIRES = (determinism.CHECK.id,)
_FIX = "add every branch to what the block was given, or to what the branch before it made of that"
_ORIGIN = "adding zero changes no number"
_NOISE = "with noise in the place of the zeros among the parameters"


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Silence the branches, and look at what is left of each block."""
    declared = model.entry.residual
    if declared is None:
        return not_applicable("the specs declare no `residual`")
    try:
        seen = _look(model, run, declared, disturbed=False)
        worst, apart = seen.apart()
        noisy = _look(model, run, declared, disturbed=True) if not apart and seen.problem() else None
    except TargetRaised as raised:
        return judge_misdeclared(model, run, "residual", raised)
    if noisy is not None and (problem := _once_disturbed(noisy)):
        return problem
    if math.isinf(worst):
        return failed(f"with its branches silent {apart[0]} returns what is no number", fix=_FIX)
    names = ", ".join(name for name, _ in seen.blocks)
    return judged(
        Measured(
            value=worst,
            bound=0.0,
            comparison=Comparison.EQUAL,
            origin=f"{_ORIGIN}; blocks {names}{seen.added_to()}" + (f"; branches speak {_NOISE}" if noisy else ""),
            unit="max abs difference",
        ),
        otherwise=f"with its branches silent {', '.join(apart)} does not return what it was given",
        fix=_FIX,
    )


@dataclass(frozen=True)
class _Seen:
    """What each block was given and returned: with all branches silent, and with one of each alone, by its number."""

    blocks: Sequence[tuple[str, Sequence[str]]]
    silent: Mapping[str, Tensor]
    other: Mapping[str, Tensor]  # with another batch
    alone: Sequence[Mapping[str, Tensor]]

    def apart(self) -> tuple[float, list[str]]:
        """Return the largest gap of a silent block, and the blocks that have one."""
        gaps = {name: self._silent_gap(index) for index, (name, _) in enumerate(self.blocks)}
        return max(gaps.values(), default=0.0), [name for name, gap in gaps.items() if gap]

    def problem(self) -> Judgement | None:
        """Return what the first block is judged to be that a branch does not change; None where all are changed.

        Only where no silent block is apart: what follows one that is tells nothing.
        """
        for index, (name, layers) in enumerate(self.blocks):
            if problem := self._untold(index, name) or self._not_added(index, name, layers):
                return problem
        return None

    def _silent_gap(self, index: int) -> float:
        """Return the gap of the tensor that is nearest to what the block was given, of those that it returned."""
        return min(self._sums(index).values(), default=0.0)

    def _sums(self, index: int) -> dict[str, float]:
        """Return the gap of each pair of a tensor that the block returned with one that it may be added to.

        That is the first that was given of its shape, or another one that is not the same for every batch: a parameter
        or zeros are no stream that something is added to.
        """
        gaps, found, firsts = _gaps(self.silent, index), dict[str, float](), set[str]()
        for pair, gap in sorted(gaps.items(), key=lambda each: int(each[0].partition("-")[0])):
            _, _, returned = pair.partition("-")
            if returned not in firsts or self._follows_the_batch(index, pair):
                found[pair] = gap
            firsts.add(returned)
        return found

    def _follows_the_batch(self, index: int, pair: str) -> bool:
        others = {(call, number): given for call, number, given, _ in _pairs(self.other, index)}
        return any(
            (call, number) in others and not torch.equal(given, others[call, number])
            for call, number, given, _ in _pairs(self.silent, index)
            if number == pair
        )

    def added_to(self) -> str:
        """Return what is said of blocks that add to another tensor than the first one of its shape; else nothing."""
        said = []
        for index, (name, _) in enumerate(self.blocks):
            pairs = [pair for pair, gap in self._sums(index).items() if not gap]
            numbers = [int(pair.partition("-")[0]) + 1 for pair in pairs]
            if numbers and min(numbers) > 1:
                said.append(f"; {name} adds to the tensor that it is given as number {min(numbers)}")
        return "".join(said)

    def _untold(self, index: int, name: str) -> Judgement | None:
        given = [tensor for key, tensor in self.silent.items() if key.startswith(f"{index}.") and "given" in key]
        if not given:
            return error(
                f"{name} is not run, or is given no tensor of the shape of one that it returns: it is not judged",
                fix="in `residual`, name parts that the batch reaches and that return what they are given with "
                "something added to it",
            )
        sums = self._sums(index)
        streams = [each for _, pair, each, _ in _pairs(self.silent, index) if sums.get(pair) == 0.0 and each.numel()]
        if all(float(each.abs().max()) == 0 for each in streams):
            return error(f"{name} is given zeros, which tell nothing", fix="declare inputs that it is given more of")
        return None

    def _not_added(self, index: int, name: str, layers: Sequence[str]) -> Judgement | None:
        sums = [number for number, gap in self._sums(index).items() if not gap]
        for branch, layer in enumerate(layers):
            gaps = _gaps(self.alone[branch], index)
            changes = [gaps.get(number, 0.0) for number in sums]
            if any(map(math.isinf, changes)):
                return error(f"{name} returns what is no number where {layer} alone speaks: nothing was tested")
            if not any(changes):
                said = self.alone[branch].get(f"{index}.said")
                if said is None or float(said) == 0:
                    return error(
                        f"{layer} of {name} is not run, or returns zeros by itself: nothing was tested",
                        fix="in `residual`, name the last layer of the branch that can return other numbers than zero",
                    )
                return failed(f"what {layer} computes is not added in {name}", fix=_FIX)
        return None


def _look(model: RegisteredModel, run: Run, declared: Mapping[str, list[str]], *, disturbed: bool) -> _Seen:
    asked: dict[str, Plain] = {block: list[Plain](layers) for block, layers in declared.items()}
    reply = model.call_on_batch(run, "model_residual", residual=asked, disturbed=disturbed)
    told = reply.get("blocks")
    pairs = [each for each in told if isinstance(each, list) and len(each) == 2] if isinstance(told, list) else []
    blocks = [(str(name), list(map(str, layers))) for name, layers in pairs if isinstance(layers, list)]
    branches = max((len(layers) for _, layers in blocks), default=0)
    alone = [tensors_of(reply, f"alone.{branch}") for branch in range(branches)]
    return _Seen(blocks, tensors_of(reply, "silent"), tensors_of(reply, "other"), alone)


def _once_disturbed(noisy: _Seen) -> Judgement | None:
    """Judge what the model as it was built left open, with noise in the place of zeros; None where all is told."""
    worst, apart = noisy.apart()
    if not apart:
        return noisy.problem()
    if math.isinf(worst):
        return error(f"{_NOISE} {apart[0]} returns what is no number: nothing was tested")
    return error(
        f"{_NOISE} {', '.join(apart)} does not return what it was given: beside its declared branches something that "
        "begins as zero is added to it",
        fix="in `residual`, name the last layer of every branch",
    )


def _gaps(seen: Mapping[str, Tensor], index: int) -> dict[str, float]:
    """Return for each pair of a tensor that a block returned with a given one of its shape how far apart they are."""
    found: dict[str, float] = {}
    for _, number, given, returned in _pairs(seen, index):
        found[number] = max(found.get(number, 0.0), difference({"": given}, {"": returned}))
    return found


def _pairs(seen: Mapping[str, Tensor], index: int) -> Iterator[tuple[str, str, Tensor, Tensor]]:
    """Yield for each call of a block the call, the pair, and the two tensors; those given first come first."""
    for key, given in seen.items():
        block, _, rest = key.partition(".")
        if block == str(index) and rest.endswith(".given"):
            call, number, _ = rest.split(".")
            yield call, number, given, seen[f"{index}.{call}.{number}.returned"]
