"""One fact for each file of a tree: from the store where it is known, else read, in processes where that pays."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Generic

from audit.static.encoding import Codec, EncodingError
from audit.static.per_file import Fact, FactFunction, codec_of, fact_of, file_state, settled_state, size_in
from audit.static.reading import UnreadableFile, digest_of
from audit.static.sources import SourceFile
from audit.static.store import FactStore, fact_key
from audit.static.workers import Reply, WorkersUnavailableError, read_in_processes

# Below this, starting processes takes longer than they save: one needs 0.049 s of CPU to be ready, and reading takes
# 0.18 s per MB (timm, Python 3.11), so that two processes are even with none at 0.27 MB each.
MIN_BYTES_PER_WORKER = 400_000


def analyse_files(
    files: Sequence[SourceFile],
    function: FactFunction[Fact],
    *,
    workers: int = 1,
    store: FactStore | None = None,
) -> list[Fact | UnreadableFile]:
    """Return what `function` makes of each file, in the order of `files`, or why a file could not be read.

    The result is the same with any number of workers, and with or without a store. Unreadable files are not kept in
    the store: few are, and what hindered reading them may be gone by the next run.
    """
    work = _Work(files, function, store)
    with without_collector():
        if store:
            work.recall(store)
        work.read(workers)
    return work.facts()


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


class _Work(Generic[Fact]):
    """The files, and the facts found so far by position."""

    def __init__(self, files: Sequence[SourceFile], function: FactFunction[Fact], store: FactStore | None) -> None:
        self._files = files
        self._function = function
        self._name = f"{function.__module__}:{function.__qualname__}"
        self._codec: Codec[Fact | UnreadableFile] = codec_of(function)
        self._store = store
        self._found: dict[int, Fact | UnreadableFile] = {}
        self._states = [file_state(file.path) for file in files]

    def facts(self) -> list[Fact | UnreadableFile]:
        """Return all facts in the order of the files."""
        return [self._found[position] for position in range(len(self._files))]

    def recall(self, store: FactStore) -> None:
        """Take from the store what it knows."""
        if store.is_empty:
            return
        keys = self._keys(store)
        texts = store.facts(keys.values())
        for position, key in keys.items():
            if key in texts:
                with suppress(EncodingError):
                    self._found[position] = self._codec.decode(texts[key])

    def _keys(self, store: FactStore) -> dict[int, bytes]:
        """Return the key of each file's fact; only files that are not known to be unchanged are opened for it."""
        digests = store.digests([file.path for file in self._files])
        keys = {}
        for position, file in enumerate(self._files):
            state, digest = digests.get(file.path, (None, None))
            if state is None or state != self._states[position]:
                before = settled_state(file.path)
                digest = digest_of(file)
                if digest and before and before == file_state(file.path):
                    store.add_state(file.path, before, digest)
            if digest:
                keys[position] = self._key(position, digest)
        return keys

    def _key(self, position: int, digest: str) -> bytes:
        file = self._files[position]
        given = ",".join(map(str, file.model_lines))
        return fact_key(self._name, file.relative, file.module, given, digest)

    def read(self, workers: int) -> None:
        """Read what is not known yet: in processes, if there is enough of it, the largest files first."""
        sizes = {p: size_in(self._states[p]) for p in range(len(self._files)) if p not in self._found}
        workers = min(workers, len(sizes), sum(sizes.values()) // MIN_BYTES_PER_WORKER)
        if workers > 1:
            order = sorted(sizes, key=lambda position: (-sizes[position], position))
            with (
                suppress(WorkersUnavailableError),  # what they leave is read here
                closing(read_in_processes(self._files, self._function, order=order, workers=workers)) as replies,
            ):
                for reply in replies:
                    self._take(reply)
        for position in sizes:
            if position not in self._found:
                self._read_here(position)

    def _take(self, reply: Reply) -> None:
        if reply.text is None:
            path = self._files[reply.position].relative
            self._found[reply.position] = UnreadableFile(path=path, reason=f"cannot be read: {reply.death}")
            return
        self._found[reply.position] = self._codec.decode(reply.text)
        self._keep(reply.position, reply.state, reply.digest, reply.text)

    def _read_here(self, position: int) -> None:
        answer = fact_of(self._files[position], self._function)
        self._found[position] = answer.fact
        if self._store and answer.digest:
            self._keep(position, answer.state, answer.digest, self._codec.encode(answer.fact))

    def _keep(self, position: int, state: str | None, digest: str | None, text: str) -> None:
        if self._store and digest:
            self._store.add_fact(self._key(position, digest), text)
            if state:
                self._store.add_state(self._files[position].path, state, digest)
