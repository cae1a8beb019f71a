"""Attempts to import modules, one after another, each in a process of its own; and those of an earlier run again.

An attempt depends on the files of the modules that it reads, and on what earlier attempts have found out of these: in
cycles a module can end otherwise for another first importer, so that a graph of imports does not tell all of it. So a
log is kept of what each attempt has read and written. An attempt of which nothing differs that it read is taken from
the log, and is made again only where a later one needs the names that it has found; see `Course`.
"""

import hashlib
import sys
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from audit.static.imports.causes import Failure
from audit.static.imports.execute import Executor
from audit.static.imports.importing import Importer
from audit.static.imports.machine import Kept, Raised
from audit.static.imports.values import Known, Method, Space, Tuple, Value
from audit.static.imports.world import World

# Imports nest as deeply as the target's modules import each other, about ten calls for each.
_RECURSION_LIMIT = 20_000


class UnlikeItsLogError(Exception):
    """An attempt that was made again has found out something else than its log says."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A first import of `module`, in a process that has loaded what the attempt at `after` had loaded in the end.

    Where that has failed, this one fails alike. `and_then` may find a failure once the import has succeeded. One that
    is not wanted is not made.
    """

    module: str
    after: int | None = None
    and_then: Callable[[Importer], Failure | None] | None = None
    is_wanted: bool = True


@dataclass(frozen=True, slots=True)
class Entry:
    """What one attempt has done. Modules are numbered by their place among the sorted names of the world.

    `read` are those of which it was asked what is known, and `used` those whose programs it has run or looked into;
    `written` are those of which it has found out something, with a digest of it; `loaded` are what it has loaded
    besides what was loaded before, where other attempts follow it. It has `passed` imports of these packages. Where it
    `is_unordered`, any module may be loaded in the end.
    """

    failure: Failure | None = None
    read: tuple[int, ...] = ()
    used: tuple[int, ...] = ()
    written: tuple[tuple[int, str], ...] = ()
    guarded: tuple[tuple[int, Failure], ...] = ()
    loaded: tuple[int, ...] = ()
    passed: tuple[str, ...] = ()
    is_unordered: bool = False


NOT_MADE = Entry()  # whatever was made has read its own module, or failed
Log = tuple[Entry, ...]
ShortLog = tuple[tuple[int, Entry], ...]


def in_short(log: Log) -> ShortLog:
    """Return what was made of a log: the others have failed alike with those that they come after."""
    return tuple((position, entry) for position, entry in enumerate(log) if entry.read)


def told(short: ShortLog, attempts: Sequence[Attempt]) -> Log:
    """Return the log of attempts that was kept in short."""
    made, log = dict(short), list[Entry]()
    for position, attempt in enumerate(attempts):
        failure = log[attempt.after].failure if attempt.after is not None else None
        log.append(made.get(position) or (Entry(failure) if failure else NOT_MADE))
    return tuple(log)


class Course:
    """Makes attempts in their order.

    With the log of an earlier run of the same attempts in the same world, in which the programs of no other modules
    than `changed` were different, it makes only those that may end otherwise. The log is then the same as without.
    """

    def __init__(
        self, world: World, attempts: Sequence[Attempt], *, earlier: Log | None = None, changed: Set[str] = frozenset()
    ) -> None:
        """Make no attempt yet."""
        self._world = world
        self._attempts = attempts
        self._names = sorted(world.targets)
        self._numbers = {name: number for number, name in enumerate(self._names)}
        self._earlier = earlier if earlier and len(earlier) == len(attempts) else None
        self._changed = {self._numbers[name] for name in changed}
        self._digests = _Digests()
        self._followed = {attempt.after for attempt in attempts if attempt.after is not None}
        self._log: list[Entry] = []
        # Of each module: the attempts that have found out something of it, in order, and what.
        self._writers: dict[str, list[int]] = {}
        self._found: dict[str, list[Kept | None]] = {}
        self._again: set[int] = set()  # taken from the log, and made again
        self._loaded: dict[int, frozenset[str]] = {}
        # Digests of what is known of each module here, and was known after the same attempt of the earlier run.
        self._now: dict[int, str] = {}
        self._then: dict[int, str] = {}
        self._differing: set[int] = set()

    def run(self) -> Log:
        """Make the attempts, and return the log. Raises `UnlikeItsLogError` where the earlier log is not true."""
        for position, attempt in enumerate(self._attempts):
            before = self._earlier[position] if self._earlier else None
            if not attempt.is_wanted:
                entry = NOT_MADE
            elif before and self._is_as_before(position, before):
                entry = before
                self._note(position, dict.fromkeys((self._names[number] for number, _ in entry.written), None))
            elif attempt.after is not None and (failure := self._log[attempt.after].failure):
                entry = Entry(failure)
            else:
                entry = self._made(position)
            self._log.append(entry)
            if before:
                self._compare(position, before, entry)
        return tuple(self._log)

    def _is_as_before(self, position: int, before: Entry) -> bool:
        """Whether nothing differs that the attempt depends on, so that it would end and find out the same.

        What is loaded as it begins needs no look: it is what is known of the packages that the module is in, which
        the attempt reads, together with what was loaded before them.
        """
        if before == NOT_MADE:
            return False
        after = self._attempts[position].after
        if after is not None and self._earlier:
            now, then = self._log[after], self._earlier[after]
            if (now.failure, now.is_unordered) != (then.failure, then.is_unordered):
                return False
        return self._differing.isdisjoint(before.read) and self._changed.isdisjoint(before.used)

    def _compare(self, position: int, before: Entry, entry: Entry) -> None:
        """Find out in what the course differs from the earlier one now."""
        if not before.written and not entry.written:
            return
        self._then.update(before.written)
        self._now.update(entry.written)
        for number in {number for number, _ in (*before.written, *entry.written)}:
            if self._now.get(number) == self._then.get(number):
                self._differing.discard(number)
            else:
                self._differing.add(number)

    def _all_loaded(self, position: int | None, log: Sequence[Entry]) -> set[int]:
        """Return what is loaded after an attempt, as numbers."""
        loaded: set[int] = set()
        while position is not None:
            loaded.update(log[position].loaded)
            position = self._attempts[position].after
        return loaded

    def _made(self, position: int) -> Entry:
        """Make an attempt."""
        if self._earlier:
            self._make_again(self._earlier[position].read, position)
        importer, failure = self._attempted(position)
        news = importer.unlike_before()
        self._note(position, news)
        return self._entry(position, importer, failure, news)

    def _entry(self, position: int, importer: Importer, failure: Failure | None, news: Mapping[str, Kept]) -> Entry:
        number = self._numbers.__getitem__
        loaded = importer.loaded - self._loaded_before(position) if position in self._followed else frozenset()
        return Entry(
            failure,
            tuple(sorted(map(number, importer.read))),
            tuple(sorted(number(name) for name in importer.used if name in self._numbers)),
            tuple(sorted((number(name), self._digests.of(kept)) for name, kept in news.items())),
            tuple(sorted((number(name), guarded) for name, guarded in importer.guarded.items())),
            tuple(sorted(map(number, loaded))),
            tuple(sorted(importer.passed)),
            importer.is_unordered,
        )

    def _attempted(self, position: int) -> tuple[Importer, Failure | None]:
        attempt = self._attempts[position]

        def known_before(module: str) -> Kept | None:
            return self._known(module, position)

        importer = Importer(
            self._world,
            loaded=self._loaded_before(position),
            is_unordered=attempt.after is not None and self._log[attempt.after].is_unordered,
            before=known_before,
        )
        executor = Executor(importer)
        with _steady_recursion():
            failure = _end_of(importer, attempt.module)
        executor.end()
        if failure is None and attempt.and_then:
            failure = attempt.and_then(importer)
        return importer, failure

    def _loaded_before(self, position: int) -> frozenset[str]:
        after = self._attempts[position].after
        if after is None:
            return frozenset()
        if after not in self._loaded:
            self._loaded[after] = frozenset(self._names[number] for number in self._all_loaded(after, self._log))
        return self._loaded[after]

    def _note(self, position: int, news: Mapping[str, Kept] | Mapping[str, None]) -> None:
        for name, kept in news.items():
            writers, found = self._writers.setdefault(name, []), self._found.setdefault(name, [])
            if not self._earlier:  # nothing is made again, so that only the last is ever asked for
                writers.clear()
                found.clear()
            writers.append(position)
            found.append(kept)

    def _known(self, module: str, position: int) -> Kept | None:
        """Return what the attempts before the one at `position` have found out of a module."""
        place = self._place(module, position)
        if place < 0:
            return None
        if self._found[module][place] is None:
            self._make_again((self._numbers[module],), position)
        return self._found[module][place]

    def _place(self, module: str, position: int) -> int:
        return bisect_left(self._writers.get(module, ()), position) - 1

    def _make_again(self, modules: Collection[int], position: int) -> None:
        """Make attempts of the log, so that what they have found out of `modules` before `position` is there."""
        pending = list(self._missing(modules, position))
        while pending:
            needed = pending[-1]
            first = [each for each in self._missing(self._log[needed].read, needed) if each not in self._again]
            if needed in self._again:
                pending.pop()
            elif first:
                pending += first
            else:
                pending.pop()
                self._make_one_again(needed)

    def _missing(self, modules: Collection[int], position: int) -> Iterator[int]:
        """Yield the attempts that have found out what is known of `modules` before `position`, and is not there."""
        for number in modules:
            name = self._names[number]
            place = self._place(name, position)
            if place >= 0 and self._found[name][place] is None:
                yield self._writers[name][place]

    def _make_one_again(self, position: int) -> None:
        self._again.add(position)
        importer, failure = self._attempted(position)
        news = importer.unlike_before()
        if self._entry(position, importer, failure, news) != self._log[position]:
            raise UnlikeItsLogError(self._attempts[position].module)
        for name, kept in news.items():
            self._found[name][self._writers[name].index(position)] = kept


def _end_of(importer: Importer, module: str) -> Failure | None:
    """Return what a first import of `module` raises; None where it raises nothing that is known."""
    try:
        importer.load(module, (importer.targets[module].path, 1))
    except Raised as raised:
        return raised.failure
    except RecursionError:
        return None  # nothing is known of it, and what is not known does not fail
    return None


@contextmanager
def _steady_recursion() -> Iterator[None]:
    """Let the block call as deeply as any other attempt: what is too deep does not depend on who makes it."""
    depth = 0
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + _RECURSION_LIMIT)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


class _Digests:
    """Digests of what is known of modules, the same in every run."""

    def __init__(self) -> None:
        self._weights: dict[str, int] = {}
        self._shown: dict[Value, str] = {}

    def of(self, kept: Kept) -> str:
        reach = self._of_set(kept.reach)
        parts = [self._of_space(kept.space) if kept.space else "", reach, repr(sorted(kept.passed))]
        for place, memory in enumerate((kept.memory, kept.guarded)):
            if memory:
                sets = (memory.reached, memory.loaded)
                parts += [f"{place} {memory.unordered} {sorted(memory.passed)}", repr(memory.failure)]
                parts += [reach if each is kept.reach else self._of_set(each) for each in sets]
        return hashlib.blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()

    def _of_space(self, space: Space) -> str:
        # Sorted: names that functions bind stand in the order of a set, which is another in every process.
        shown = sorted(f"{name}={self._of_value(value)}" for name, value in space.names.items())
        return f"{space.open} " + "\n".join(shown)

    def _of_value(self, value: Value) -> str:
        if isinstance(value, Known | Tuple | Method):  # equal are `True` and `1`, which are shown in words
            return repr(value)
        if value not in self._shown:
            self._shown[value] = repr(value)
        return self._shown[value]

    def _of_set(self, names: frozenset[str]) -> str:
        """Return a digest of a set without sorting it: the sum of its members' digests."""
        try:
            total = sum(map(self._weights.__getitem__, names))
        except KeyError:
            for name in names - self._weights.keys():
                self._weights[name] = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=12).digest(), "big")
            return self._of_set(names)
        return f"{len(names)}:{total:x}"
