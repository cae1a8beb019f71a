"""Times the backends of a case side by side: they take turns in every round, so that what drifts meets all of them."""

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from audit import provenance
from audit.stopping import stop_if_wanted
from validation.benchmark.asking import Asker, NoTime, Round, Rules
from validation.benchmark.cases import Backend, Case
from validation.benchmark.rows import Clocks, Correctness, Row, RowOutcome, Timing, Verified
from validation.benchmark.spread import relative_error, relative_error_of_mean

_FEWEST_ROUNDS = 3  # before the stop rule may end a row: two say nothing of what changes slowly
ReadClocks = Callable[[], Clocks]
Notify = Callable[[str], None]


@dataclass
class _Contender:
    """A backend that is right, with what was measured of it so far."""

    backend: Backend
    before: Verified
    clocks_before: Clocks
    rounds: list[Round] = field(default_factory=list)
    ended: NoTime | None = None

    @property
    def samples(self) -> tuple[tuple[int, ...], ...]:
        return tuple(each.samples_ns for each in self.rounds)


def rows_of_case(
    case: Case,
    backends: Sequence[Backend],
    asker: Asker,
    rules: Rules,
    read_clocks: ReadClocks,
    notify: Notify,
    ahead: Mapping[str, Verified | NoTime] = MappingProxyType({}),
) -> Iterator[Row]:
    """Check each backend, time those that are right in rounds, and yield a row for each of them.

    `ahead` has what was found before, by the names of backends.
    """
    able: list[_Contender] = []
    for backend in backends:
        stop_if_wanted()
        notify(f"{case.id}: {backend.name}")
        found = ahead.get(backend.name) or asker.asked(case, backend)
        if isinstance(found, NoTime):
            yield _untimed(case, backend, found)
        else:
            able.append(_Contender(backend, found, read_clocks()))
    for number in range(rules.rounds):
        # The order turns: who comes first in a round does so once in so many rounds.
        turn = number % len(able) if able else 0
        for contender in able[turn:] + able[:turn]:
            stop_if_wanted()
            if contender.ended is None and not _is_settled(contender, rules):
                notify(f"{case.id}: {contender.backend.name}, round {number + 1} of {rules.rounds}")
                try:
                    contender.rounds.append(asker.timed(case, contender.backend, number))
                except NoTime as why:
                    contender.ended = why
    for contender in able:
        if contender.ended is None:
            yield _measured(case, contender, rules, read_clocks())
        else:
            yield _untimed(case, contender.backend, contender.ended, contender.before)


def _is_settled(contender: _Contender, rules: Rules) -> bool:
    return len(contender.rounds) >= _FEWEST_ROUNDS and relative_error(contender.samples) <= rules.relative_error


def _untimed(case: Case, backend: Backend, why: NoTime, before: Verified | None = None) -> Row:
    correctness = None
    if why.failed is not None:
        correctness = Correctness(before=before or why.failed, after=why.failed if before else None)
    return Row(
        case=case,
        backend=backend,
        outcome=why.outcome,
        reason=why.reason,
        correctness=correctness,
        measured_at=provenance.now(),
    )


def _measured(case: Case, contender: _Contender, rules: Rules, clocks_after: Clocks) -> Row:
    rounds, error = contender.rounds, relative_error(contender.samples)
    is_met = error <= rules.relative_error
    return Row(
        case=case,
        backend=contender.backend,
        outcome=RowOutcome.MEASURED,
        correctness=Correctness(before=contender.before, after=rounds[-1].after),
        timing=Timing.of(
            contender.samples,
            error=error,
            met=is_met,
            note="; ".join(_notes(contender, error, rules)) or None,
            cache_bytes_flushed=rounds[0].cache_bytes,
            first_call_ns=rounds[0].first_call_ns,
            launch_ns=_launch_ns(contender),
        ),
        memory=rounds[0].memory,
        clocks_before=contender.clocks_before,
        clocks_after=clocks_after,
        measured_at=provenance.now(),
    )


def _launch_ns(contender: _Contender) -> int | None:
    launches = [each.launch_ns for each in contender.rounds if each.launch_ns is not None]
    return round(statistics.median(launches)) if launches else None


def _notes(contender: _Contender, error: float, rules: Rules) -> Iterator[str]:
    samples, limit = contender.samples, f"{rules.relative_error:.2%}"
    of_mean = relative_error_of_mean(samples)
    if not error <= rules.relative_error:
        number = sum(map(len, samples))
        said = f"standard error {error:.2%}" if math.isfinite(error) else "too few samples to tell the error"
        yield f"stop rule not met: {said} of the median after {number} samples in {rules.seconds:g} s, {limit} wanted"
    elif of_mean > rules.relative_error:
        yield f"the median is settled and the mean is not ({of_mean:.2%}): some samples are slow, or come in bursts"
    launch, run = _launch_ns(contender), statistics.median(sample for each in samples for sample in each)
    if launch is not None and launch > run:
        yield f"Python takes {launch / 1000:.0f} µs to launch what runs for {run / 1000:.0f} µs: the device would wait"
