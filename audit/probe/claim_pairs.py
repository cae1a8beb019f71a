"""Runs two callables of the target on the same inputs: what they return, how long they take, how much they allocate.

Inputs are made anew for every call, from the same seed for both, so that neither finds the other's traces in them.
"""

import time
from collections.abc import Callable, Mapping

import torch
from torch.profiler import ProfilerActivity, profile

from . import specs
from .named import named
from .outputs import flatten
from .phases import phase
from .tensors import digest, dump

_clock = time.perf_counter
_WARM_UP_CALLS = 3
_COMPARED_SEEDS = 2  # inputs that `outputs` has used; what is timed has others
_SAMPLE_S = 1e-3  # the loop around the calls of a sample takes less than a microsecond a call
_MAX_CALLS = 64  # of one sample, each with inputs of its own
_MEMORY_EVENT = "[memory]"

Function = Callable[..., object]
Inputs = Mapping[str, object]


class _Pair:
    def __init__(self, baseline: str, candidate: str, inputs: str, device: str) -> None:
        with phase("import"):
            self.baseline, self.candidate, self._inputs = named(baseline), named(candidate), named(inputs)
        self.device = device
        self.on_gpu = device != "cpu"

    def inputs(self, seed: int) -> Inputs:
        with phase("inputs"):
            made = self._inputs(torch.Generator().manual_seed(seed))
            if not isinstance(made, Mapping):
                raise TypeError(f"'inputs' returned {type(made).__name__}, not a dict of arguments")
        return {str(key): self._placed(value) for key, value in made.items()}

    def _placed(self, value: object) -> object:
        return value.to(self.device) if isinstance(value, torch.Tensor) and self.on_gpu else value

    def wait(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize(self.device)


def outputs(baseline: str, candidate: str, exact: str | None, inputs: str, seed: int, device: str) -> dict[str, object]:
    """Return what both give for the same inputs, the baseline for others, and `exact` for the inputs in float64."""
    pair = _Pair(baseline, candidate, inputs, device)
    reply = _compared(pair, exact, seed, _run(pair.baseline, "baseline", pair.inputs(seed), seed))
    reply["candidate"] = dump(_tensors(_run(pair.candidate, "candidate", pair.inputs(seed), seed)))
    reply["other"] = dump(_tensors(_run(pair.baseline, "baseline", pair.inputs(seed + 1), seed)))
    first, again = (
        {name: digest(tensor) for name, tensor in flatten(pair.inputs(seed), "inputs").items()} for _ in range(2)
    )
    reply["same_inputs"] = first == again
    return reply


def times(
    baseline: str,
    candidate: str,
    exact: str | None,
    inputs: str,
    seed: int,
    device: str,
    pairs: int,
    budget_s: float,
) -> dict[str, object]:
    """Return seconds for each call of both, in pairs that are timed one after the other, each first in turn.

    No pair is begun that would end after `budget_s`. With them come the outputs that were computed while timed last.
    """
    begun = _clock()
    seed += _COMPARED_SEEDS
    pair = _Pair(baseline, candidate, inputs, device)
    calls = _calls_of_a_sample(pair, seed)
    taken: dict[str, list[float]] = {"baseline": [], "candidate": []}
    last: dict[str, object] = {}
    last_seed, longest = seed, 0.0
    for number in range(pairs):
        pair_begun = _clock()
        if pair_begun - begun + longest > budget_s:
            break
        last_seed = seed + _WARM_UP_CALLS + number * calls
        order = ("baseline", "candidate") if number % 2 == 0 else ("candidate", "baseline")
        for name in order:
            function = pair.baseline if name == "baseline" else pair.candidate
            seconds, last[name] = _timed(pair, function, name, [last_seed + call for call in range(calls)])
            taken[name].append(seconds)
        longest = max(longest, _clock() - pair_begun)
    if not last:
        return {**taken, "calls": calls}
    compared = _compared(pair, exact, last_seed + calls - 1, last["baseline"])
    compared["candidate"] = dump(_tensors(last["candidate"]))
    return {**taken, "calls": calls, "last": compared}


def peaks(baseline: str, candidate: str, inputs: str, seed: int, device: str, pairs: int) -> dict[str, object]:
    """Return the bytes that torch has allocated at most during a call of each, beyond those allocated before."""
    pair = _Pair(baseline, candidate, inputs, device)
    found: dict[str, list[int]] = {"baseline": [], "candidate": []}
    for number in range(-1, pairs):  # the first fills what is allocated once
        for name, function in (("baseline", pair.baseline), ("candidate", pair.candidate)):
            given = pair.inputs(seed + 1 + number)
            peak = _peak_on_gpu(pair, function, name, given) if pair.on_gpu else _peak(function, name, given)
            found[name] += [peak] if number >= 0 else []
    return dict(found)


def _compared(pair: _Pair, exact: str | None, seed: int, found: object) -> dict[str, object]:
    with phase("import"):
        function = pair.baseline if exact is None else named(exact)
    doubled = {key: _double(value) for key, value in pair.inputs(seed).items()}
    truth = _run(function, "exact", doubled, seed)
    return {"baseline": dump(_tensors(found)), "exact": dump(_tensors(truth))}


def _double(value: object) -> object:
    return value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def _run(function: Function, name: str, inputs: Inputs, seed: int) -> object:
    specs.seed_everything(seed)
    with phase(name):
        return function(**inputs)


def _tensors(output: object) -> dict[str, torch.Tensor]:
    return flatten(output)


def _calls_of_a_sample(pair: _Pair, seed: int) -> int:
    """Warm both up, and return how many calls take the shorter of them long enough to be timed."""
    shortest = float("inf")
    for name, function in (("baseline", pair.baseline), ("candidate", pair.candidate)):
        for call in range(_WARM_UP_CALLS):
            seconds, _ = _timed(pair, function, name, [seed + call])
        shortest = min(shortest, seconds)
    return min(_MAX_CALLS, 1 + int(_SAMPLE_S / max(shortest, 1e-9)))


def _timed(pair: _Pair, function: Function, name: str, seeds: list[int]) -> tuple[float, object]:
    """Return seconds for each call, and the output of the last."""
    given = [pair.inputs(seed) for seed in seeds]
    specs.seed_everything(seeds[-1])
    pair.wait()
    with phase(name):
        begun = _clock()
        for inputs in given:
            output = function(**inputs)
        pair.wait()
        return (_clock() - begun) / len(given), output


def _peak_on_gpu(pair: _Pair, function: Function, name: str, inputs: Inputs) -> int:
    pair.wait()
    torch.cuda.reset_peak_memory_stats(pair.device)
    before = torch.cuda.memory_allocated(pair.device)
    _run(function, name, inputs, 0)
    pair.wait()
    return int(torch.cuda.max_memory_allocated(pair.device) - before)


def _peak(function: Function, name: str, inputs: Inputs) -> int:
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        _run(function, name, inputs, 0)
    recorded = profiled.profiler and profiled.profiler.kineto_results
    if recorded is None:
        raise RuntimeError("torch's profiler recorded no memory")
    live = peak = 0
    # The profiler's own table has sums over operations, in which what one of them frees again does not show.
    events = [event for event in recorded.events() if event.name() == _MEMORY_EVENT]
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak
