"""Checks what compiles for a GPU before anything is timed, side by side: its kernels lie on the disk afterwards.

A benchmark that compiles between its times spends most of its time so, on one core of the machine.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from audit.stopping import stop_if_wanted
from validation.benchmark.asking import Asker, NoTime
from validation.benchmark.cases import Backend, Case
from validation.benchmark.rows import RowOutcome, Verified

Found = Verified | NoTime
_PROCESSES = 4  # of a backend; more would fill the GPU with what each process keeps there
_LOOK_S = 0.2  # at whether the user has asked to stop
# What no other process can have caused. Anything else is asked again, alone: short memory has many names.
_OF_ITS_OWN = (RowOutcome.ABSENT, RowOutcome.UNSUPPORTED, RowOutcome.WRONG)


@dataclass(frozen=True, kw_only=True)
class _Share:
    """The cases of a backend that one process looks at."""

    backend: Backend
    number: int
    cases: tuple[Case, ...]


def checked_ahead(
    wanted: Sequence[tuple[Case, Backend]], asker: Asker, *, side_by_side: int, notify: Callable[[str], None]
) -> Mapping[tuple[str, str], Found]:
    """Return what was found of cases and backends, by id and name, as far as they may compile for a GPU.

    Raises:
        KeyboardInterrupt: the user has asked to stop; nothing can be asked afterwards.
    """
    shares = list(_shares([(case, backend) for case, backend in wanted if asker.compiles_on_gpu(case, backend)]))
    found: dict[tuple[str, str], Found] = {}
    if not shares:
        return found
    number = sum(len(share.cases) for share in shares)

    def look(share: _Share) -> None:
        own = asker.of_process(share.number)
        try:
            for case in share.cases:
                found[case.id, share.backend.name] = own.asked(case, share.backend)
        finally:
            own.close(share.backend)

    with ThreadPoolExecutor(max_workers=side_by_side, thread_name_prefix="bench-ahead") as pool:
        try:
            futures: list[Future[None]] = [pool.submit(look, share) for share in shares]
            while wait(futures, timeout=_LOOK_S).not_done:
                stop_if_wanted()
                notify(f"compiling and checking before anything is timed: {len(found)} of {number}")
            for future in futures:
                future.result()
        except BaseException:
            asker.stop()  # the processes would be waited for
            pool.shutdown(cancel_futures=True)
            raise
    return {key: each for key, each in found.items() if not _is_of_others(each)}


def _is_of_others(found: Found) -> bool:
    return isinstance(found, NoTime) and found.outcome not in _OF_ITS_OWN


def _shares(wanted: Sequence[tuple[Case, Backend]]) -> Iterator[_Share]:
    cases: dict[str, list[Case]] = {}
    backends = {backend.name: backend for _, backend in wanted}
    for case, backend in wanted:
        cases.setdefault(backend.name, []).append(case)
    # The first share of each backend before the second of any: one that is absent says so at once.
    for number in range(_PROCESSES):
        for name, backend in backends.items():
            if own := tuple(cases[name][number::_PROCESSES]):
                yield _Share(backend=backend, number=number, cases=own)
