"""Asks the probe to compute and to time a row, and reads its answer; each backend has a process of its own."""

from collections.abc import Mapping
from dataclasses import dataclass

from audit.gateway import Probe, ProbeFailure, TargetRaised
from audit.gateway.client import Plain
from audit.raised import describe_failure, describe_raised
from audit.target import Target
from validation.benchmark.cases import AttentionCase, Backend, Case
from validation.benchmark.rows import Memory, RowOutcome, Verified

_LEAST_SAMPLES = 5
_MOST_SAMPLES = 1000
_SPAN = 2**16  # seeds of one row
# Kernels that torch brings along.
_COMPILED_BEFORE = frozenset({"eager", "sdpa", "sdpa_math", "sdpa_flash", "sdpa_efficient", "sdpa_cudnn"})
_ROWS_AFTER, _PLACES_AFTER = 128, 2  # looked at again after each round, where less time is to spend


class NoTime(Exception):
    """The row ends without a time: how, and why."""

    def __init__(self, outcome: RowOutcome, reason: str, failed: Verified | None = None) -> None:
        """Keep the outcome, the reason, and the comparison that failed, where one did."""
        super().__init__(reason)
        self.outcome, self.reason, self.failed = outcome, reason, failed


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How rows are timed."""

    relative_error: float
    seconds: float
    rounds: int
    warm_up: int
    seed: int
    graph: bool
    timeout_s: float


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round of samples, and what the backend computed right after it."""

    samples_ns: tuple[int, ...]
    first_call_ns: int
    launch_ns: int | None  # None on a CPU
    cache_bytes: int
    memory: Memory | None
    after: Verified


class Asker:
    """Asks for one backend on one case."""

    def __init__(self, target: Target, probe: Probe, rules: Rules) -> None:
        """Keep what every question needs; `probe` opens a process of its own for each backend."""
        self._target, self._probe, self._rules = target, probe, rules

    def compiles_on_gpu(self, case: Case, backend: Backend) -> bool:
        """Whether a check of the backend may take its time to compile for a GPU."""
        return self._target.on_gpu and isinstance(case, AttentionCase) and backend.name not in _COMPILED_BEFORE

    def of_process(self, number: int) -> "Asker":
        """Return one that asks other processes, the same for the same number."""
        return Asker(self._target, self._probe.beside(f"process {number}"), self._rules)

    def close(self, backend: Backend) -> None:
        """End the process of a backend."""
        self._own(backend).close()

    def stop(self) -> None:
        """End whatever is being asked, from any thread; nothing can be asked afterwards."""
        self._probe.kill()

    def asked(self, case: Case, backend: Backend) -> Verified | NoTime:
        """Return what `checked` returns or raises."""
        try:
            return self.checked(case, backend)
        except NoTime as why:
            return why

    def checked(self, case: Case, backend: Backend) -> Verified:
        """Return that the backend is right on inputs that are timed by nobody.

        Raises:
            NoTime: it is wrong, or there is no answer.
        """
        from validation.benchmark.judging import looks_at, verified, verified_model  # loads torch

        seed = self._rules.seed * _SPAN
        if not isinstance(case, AttentionCase):
            reply = self._call(
                backend, "benchmark_model_check", **self._of_model(case.name, case.batch, case.mode, seed)
            )
            return _right(verified_model(reply, seed))
        looks = looks_at(case, seed)
        reply = self._call(
            backend, "benchmark_attention_check", **self._of_attention(case, backend, seed), **looks.as_plain()
        )
        return _right(verified(case, looks, reply, seed, on_gpu=self._target.on_gpu))

    def timed(self, case: Case, backend: Backend, number: int) -> Round:
        """Time one round, the first of which is number 0, and check again.

        Raises:
            NoTime: the backend is wrong now, or there is no answer.
        """
        from validation.benchmark.judging import looks_at, verified, verified_model  # loads torch

        seed = self._rules.seed * _SPAN + 1 + number
        rule: dict[str, Plain] = {
            "relative_error": self._rules.relative_error,
            "least": _LEAST_SAMPLES,
            "most": _MOST_SAMPLES,
            "seconds": self._rules.seconds / self._rules.rounds,
        }
        given: dict[str, Plain] = {
            "rule": rule, "warm_up": self._rules.warm_up if number == 0 else 1, "with_memory": number == 0,
        }  # fmt: skip
        if not isinstance(case, AttentionCase):
            of_model = self._of_model(case.name, case.batch, case.mode, seed)
            reply = self._call(backend, "benchmark_model_timed", **of_model, **given)
            return _round(reply, _right(verified_model(reply, seed)))
        looks = looks_at(case, seed, most_places=_PLACES_AFTER, most_rows=_ROWS_AFTER)
        given["method"] = "graph" if self._rules.graph else "events"
        of_attention = self._of_attention(case, backend, seed)
        reply = self._call(backend, "benchmark_attention_timed", **of_attention, **looks.as_plain(), **given)
        return _round(reply, _right(verified(case, looks, reply, seed, on_gpu=self._target.on_gpu), after=True))

    def _of_attention(self, case: AttentionCase, backend: Backend, seed: int) -> dict[str, Plain]:
        return {"backend": backend.as_plain(self._target.settings.specs), "case": case.as_plain(), "seed": seed}

    def _of_model(self, name: str, batch: int, mode: str, seed: int) -> dict[str, Plain]:
        return {"specs": self._target.settings.specs, "name": name, "seed": seed, "batch": batch, "mode": str(mode)}

    def _own(self, backend: Backend) -> Probe:
        return self._probe.beside(f"{backend.kind.value} {backend.name}")

    def _call(self, backend: Backend, procedure: str, /, **arguments: Plain) -> Mapping[str, Plain]:
        own = self._own(backend)
        try:
            reply = own.call(procedure, timeout_s=self._rules.timeout_s, **arguments)
        except TargetRaised as raised:
            own.close()  # what was raised holds on to tensors of the call, and the others need the device's memory
            outcome = RowOutcome.OUT_OF_MEMORY if raised.is_out_of_memory else RowOutcome.RAISED
            raise NoTime(outcome, describe_raised(raised, self._target)) from raised
        except ProbeFailure as failure:
            raise NoTime(_outcome_of(failure), describe_failure(failure, self._target)) from failure
        if "unavailable" in reply:
            outcome = RowOutcome.ABSENT if reply.get("is_absent") is True else RowOutcome.UNSUPPORTED
            raise NoTime(outcome, str(reply["unavailable"]) or "it does not say why")
        return reply


def _outcome_of(failure: ProbeFailure) -> RowOutcome:
    if failure.timed_out:
        return RowOutcome.TIMED_OUT
    return RowOutcome.OUT_OF_MEMORY if failure.reason.startswith("out of memory") else RowOutcome.CRASHED


def _right(found: Verified, *, after: bool = False) -> Verified:
    if found.passed:
        return found
    when = "after it was timed" if after else "before it was timed"
    said = f"{found.of}: {found.measured:.3g}, at most {found.bound:.3g} is right" if found.bound else found.of
    raise NoTime(RowOutcome.WRONG, f"wrong {when}: {said}", found)


def _round(reply: Mapping[str, Plain], after: Verified) -> Round:
    samples, first, cache = reply.get("samples_ns"), reply.get("first_call_ns"), reply.get("cache_bytes")
    launch = reply.get("launch_ns")
    whole = [sample for sample in samples if isinstance(sample, int)] if isinstance(samples, list) else []
    if not whole or not isinstance(samples, list) or len(whole) != len(samples):
        raise NoTime(RowOutcome.INVALID, "the target's process sent no samples")
    if min(whole) <= 0:
        raise NoTime(RowOutcome.INVALID, "a call took no time: the clock is too coarse for it, or it is not measured")
    if not isinstance(first, int) or not isinstance(cache, int):
        raise NoTime(RowOutcome.INVALID, "the target's process sent an unreadable answer")
    memory = None
    if "peak_how" in reply:
        peak = reply.get("peak_bytes")
        memory = Memory(peak_bytes=peak if isinstance(peak, int) else None, how=str(reply["peak_how"]))
    return Round(
        samples_ns=tuple(whole), first_call_ns=first, cache_bytes=cache,
        memory=memory, after=after, launch_ns=launch if isinstance(launch, int) else None,
    )  # fmt: skip
