"""What a function makes of each file of a tree: from the store where it is known, else read, in processes.

A fact can have parts (`audit.static.per_file.Record`), which are decoded when they are asked for, each on its own.
"""

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from typing import Any, Generic

from audit.static.encoding import EncodingError
from audit.static.per_file import (
    WHOLE,
    Fact,
    FactFunction,
    codecs_of,
    file_state,
    read_in_parts,
    settled_state,
    size_in,
)
from audit.static.reading import UnreadableFile, digest_of
from audit.static.sources import SourceFile
from audit.static.store import FactStore, fact_key
from audit.static.workers import Reply, WorkersUnavailableError, read_in_processes

# Below this, starting processes takes longer than they save: one needs 0.049 s of CPU to be ready, and reading takes
# 0.18 s per MB (timm, Python 3.11), so that two processes are even with none at 0.27 MB each.
MIN_BYTES_PER_WORKER = 400_000
_AT_ONCE = 200  # facts whose texts are held while they are decoded: all of a large tree take 30 MB


@contextmanager
def without_collector() -> Iterator[None]:
    """Keep the cyclic garbage collector off while the block runs.

    It would go through syntax trees again and again, and they hold no cycles: 2,912 files of transformers took 15.6 s
    of CPU with it and 8.4 s without.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def analyse_files(
    files: Sequence[SourceFile],
    function: FactFunction[Fact],
    *,
    workers: int = 1,
    store: FactStore | None = None,
) -> list[Fact | UnreadableFile]:
    """Return what `function`, whose facts have no parts, makes of each file, or why a file could not be read."""
    return Records(files, function, workers=workers, store=store).part(WHOLE)


class LostFileError(LookupError):
    """What was learned of a file is gone, and the file cannot be read any more."""


class Records(Generic[Fact]):
    """The facts of files, in their order. They are the same with any number of workers, with or without a store.

    Files are read when their facts are first asked for, and then only those that the store does not know, in up to
    `workers` processes if there is enough to read. Files that could not be read are not kept in the store: few are,
    and what hindered reading them may be gone by the next run.
    """

    def __init__(
        self,
        files: Sequence[SourceFile],
        function: FactFunction[Fact],
        *,
        workers: int = 1,
        store: FactStore | None = None,
    ) -> None:
        """Read nothing yet."""
        self.files = tuple(files)
        self._function = function
        self._name = f"{function.__module__}:{function.__qualname__}"
        self._codecs = codecs_of(function)
        self._workers = workers
        self._store = store
        self._unreadable: dict[int, UnreadableFile] = {}
        self._contents: dict[int, str] = {}  # digests of the contents, by position
        self._texts: dict[int, Sequence[str]] = {}  # of the parts, where this run has read the file
        self._known: set[int] = set()  # positions of which the store has all parts
        self._recalled = False
        self._read = False
        self._gives_back = True  # whether the store has given back all that it was asked for

    @classmethod
    def known(
        cls,
        files: Sequence[SourceFile],
        function: FactFunction[Fact],
        *,
        digests: Mapping[str, str | None],
        unreadable: Iterable[UnreadableFile],
        store: FactStore,
    ) -> "Records[Fact]":
        """Return the facts of files that another process has read into `store`; `digests` are by relative path."""
        records = cls(files, function, store=store)
        broken = {file.path: file for file in unreadable}
        for position, file in enumerate(records.files):
            if file.relative in broken:
                records._unreadable[position] = broken[file.relative]
            if digest := digests[file.relative]:
                records._contents[position] = digest
        records._known = records._contents.keys() - records._unreadable.keys()
        records._recalled = records._read = True
        return records

    def of(self, files: Sequence[SourceFile]) -> "Records[Fact]":
        """Return the facts of these files alone, of which nothing is read yet."""
        return Records(files, self._function, workers=self._workers, store=self._store)

    @property
    def unreadable(self) -> tuple[UnreadableFile, ...]:
        """The files that could not be read, in their order."""
        self.read()
        return tuple(file for _, file in sorted(self._unreadable.items()))

    @property
    def digests(self) -> tuple[str | None, ...]:
        """The digests of the files' contents; None where there is none. Without a store all files are read for it."""
        if self._store:
            self._recall(self._store)
        else:
            self.read()
        return tuple(self._contents.get(position) for position in range(len(self.files)))

    def part(self, name: str) -> list[Any]:
        """Return one part of every fact, or why the file could not be read."""
        self.read()
        with without_collector():
            found = self._decoded(name)
            lost = [at for at in range(len(self.files)) if at not in found and at not in self._unreadable]
            if lost:  # the store has lost them, or what it has is not what was written
                self._read_again(lost)
                found |= self._decoded_here(name)
        return [self._unreadable.get(position) or found[position] for position in range(len(self.files))]

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {file.relative: position for position, file in enumerate(self.files)}

    def one(self, name: str, path: str) -> Any | None:
        """Return one part of the fact of the file at a relative path; None where it was not read."""
        text = self.text(name, path)
        with suppress(EncodingError):
            return None if text is None else self._codecs[name].decode(text)
        self._read_again([self._positions[path]])  # it is not what was written, though its sum is right
        return self.one(name, path)

    def text(self, name: str, path: str) -> str | None:
        """Return one part of the fact of the file at a relative path as text; None where it was not read."""
        self.read()
        position = self._positions[path]
        if position not in self._texts and position not in self._unreadable:
            if text := self._stored(self._key(position, name)):
                return text
            self._read_again([position])
        if position in self._unreadable:
            return None
        return self._texts[position][list(self._codecs).index(name)]

    def by_path(self, name: str) -> dict[str, Any]:
        """Return one part of the facts of the readable files, by relative path."""
        parts = self.part(name)
        return {
            file.relative: part
            for file, part in zip(self.files, parts, strict=True)
            if not isinstance(part, UnreadableFile)
        }

    def lazily(self, name: str) -> "LazyParts":
        """Return one part of the facts of the readable files, by relative path, of which each is read when asked."""
        self.read()
        paths = [file.relative for at, file in enumerate(self.files) if at not in self._unreadable]

        def read(path: str) -> Any:
            found = self.one(name, path)
            if found is None:  # it could be read before
                raise LostFileError(path)
            return found

        return LazyParts(paths, read)

    def as_of(self, name: str, path: str, digest: str) -> Any | None:
        """Return one part of the fact of a file as it was with another content; None where the store has lost it."""
        text = self._stored(self._key(self._positions[path], name, digest))
        with suppress(EncodingError):
            return None if text is None else self._codecs[name].decode(text)
        return None

    def _stored(self, key: bytes) -> str | None:
        return self._store.facts([key]).get(key) if self._store else None

    def _decoded(self, name: str) -> dict[int, Any]:
        found = self._decoded_here(name)
        if self._store:
            positions = sorted(self._known - found.keys())
            for start in range(0, len(positions), _AT_ONCE):
                keys = {self._key(position, name): position for position in positions[start : start + _AT_ONCE]}
                for key, text in self._store.facts(keys).items():
                    with suppress(EncodingError):
                        found[keys[key]] = self._codecs[name].decode(text)
        return found

    def _decoded_here(self, name: str) -> dict[int, Any]:
        codec, place = self._codecs[name], list(self._codecs).index(name)
        return {position: codec.decode(texts[place]) for position, texts in self._texts.items()}

    @cached_property
    def _states(self) -> list[str | None]:
        return [file_state(file.path) for file in self.files]

    def _recall(self, store: FactStore) -> None:
        """Find out the contents; only files that are not known to be unchanged are opened for it."""
        if self._recalled:
            return
        self._recalled = True
        states = store.states([file.path for file in self.files])
        for position, file in enumerate(self.files):
            state, digest = states.get(file.path, (None, None))
            if state is None or state != self._states[position]:
                before = settled_state(file.path)
                digest = digest_of(file)
                if digest and before and before == file_state(file.path):
                    store.add_state(file.path, before, digest)
            if digest:
                self._contents[position] = digest

    def read(self) -> None:
        """Read what is not known yet: in processes, if there is enough of it, the largest files first."""
        if self._read:
            return
        self._read = True
        with without_collector():
            if self._store and not self._store.is_empty:
                self._recall(self._store)
                last = list(self._codecs)[-1]  # the parts of a file are written together
                keys = {position: self._key(position, last) for position in self._contents}
                there = self._store.known(list(keys.values()))
                self._known = {position for position, key in keys.items() if key in there}
            self._read_now([position for position in range(len(self.files)) if position not in self._known])

    def _read_again(self, positions: Sequence[int]) -> None:
        """Read files whose facts the store does not give back, and keep these here."""
        self._known.difference_update(positions)
        self._gives_back = False
        self._read_now(positions)

    def _read_now(self, positions: Sequence[int]) -> None:
        sizes = {position: size_in(self._states[position]) for position in positions}
        workers = min(self._workers, len(sizes), sum(sizes.values()) // MIN_BYTES_PER_WORKER)
        if workers > 1:
            order = sorted(sizes, key=lambda position: (-sizes[position], position))
            with (
                suppress(WorkersUnavailableError),  # what they leave is read here
                closing(read_in_processes(self.files, self._function, order=order, workers=workers)) as replies,
            ):
                for reply in replies:
                    self._take(reply)
        for position in sizes:
            if not any(position in found for found in (self._texts, self._known, self._unreadable)):
                self._read_here(position)

    def _key(self, position: int, part: str, digest: str | None = None) -> bytes:
        file = self.files[position]
        given = ",".join(map(str, file.model_lines))
        return fact_key(self._name, part, file.relative, file.module, given, digest or self._contents[position])

    def _take(self, reply: Reply) -> None:
        if reply.parts:
            self._keep(reply.position, reply.state, reply.digest, reply.parts)
        elif reply.unreadable:
            self._set_aside(reply.position, reply.unreadable)
        else:
            path = self.files[reply.position].relative
            self._set_aside(reply.position, UnreadableFile(path, f"cannot be read: {reply.death}", passing=True))

    def _set_aside(self, position: int, unreadable: UnreadableFile) -> None:
        self._unreadable[position] = unreadable
        if unreadable.digest:
            self._contents[position] = unreadable.digest

    def _read_here(self, position: int) -> None:
        answer = read_in_parts(self.files[position], self._function)
        if isinstance(answer.fact, UnreadableFile):
            self._set_aside(position, answer.fact)
        else:
            self._keep(position, answer.state, answer.digest, answer.parts)

    def _keep(self, position: int, state: str | None, digest: str | None, parts: Sequence[str]) -> None:
        """Keep the parts in the store, and here only where there is none: of thousands of files they are large."""
        if digest:
            self._contents[position] = digest
        if not (self._store and self._store.is_open and self._gives_back and digest):
            self._texts[position] = parts
        if not (self._store and digest):
            return
        for name, text in zip(self._codecs, parts, strict=True):
            self._store.add_fact(self._key(position, name), text)
        if position not in self._texts:
            self._known.add(position)
        if state:
            self._store.add_state(self.files[position].path, state, digest)


class LazyParts(Mapping[str, Any]):
    """One part of the facts of many files by path, each decoded when it is first asked for."""

    def __init__(self, paths: Iterable[str], read: Callable[[str], Any]) -> None:
        """Read nothing yet; `read` returns the part of the file at a path."""
        self._paths = dict.fromkeys(paths)
        self._read = read
        self._parts: dict[str, Any] = {}

    def __getitem__(self, path: str) -> Any:
        """Return the part of the file at `path`."""
        if path not in self._paths:
            raise KeyError(path)
        if path not in self._parts:
            self._parts[path] = self._read(path)
        return self._parts[path]

    def __contains__(self, path: object) -> bool:
        """Whether there is a readable file at `path`."""
        return path in self._paths

    def __iter__(self) -> Iterator[str]:
        """Yield the paths in the order of the files."""
        return iter(self._paths)

    def __len__(self) -> int:
        """Return the number of readable files."""
        return len(self._paths)
