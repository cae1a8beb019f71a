"""What one forecast keeps for the next of the same files: what each file was like, and the logs of all attempts."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from audit.static.conclusions import Form
from audit.static.encoding import Codec
from audit.static.imports.causes import Failure
from audit.static.imports.course import Attempt, Course, Entry, Log, ShortLog, UnlikeItsLogError, in_short, told
from audit.static.imports.patched import Asked
from audit.static.imports.programs import Traits
from audit.static.imports.world import World


@dataclass(frozen=True, slots=True)
class FileMemory:
    """A file: the digest of its content, None where none could be read, and what the forecast takes from it."""

    content: str | None
    traits: Traits
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class ForecastMemory:
    """Files in the order of the forecast's modules, logs in short by the keys of their courses, and names that matter.

    `asked` is what the attempts of the logs depend on of what files patch.
    """

    files: tuple[FileMemory, ...]
    logs: tuple[tuple[str, ShortLog], ...]
    names: tuple[str, ...]
    names_key: str
    asked: Asked = ()


_CODEC = Codec[ForecastMemory](ForecastMemory)
_FILE = Codec[FileMemory](FileMemory)
_KEY = Codec[str](str)
_ENTRY = Codec[tuple[int, Entry]](tuple[int, Entry])
_REST = Codec[tuple[tuple[str, ...], str, Asked]](tuple[tuple[str, ...], str, Asked])


def _encoded(memory: ForecastMemory) -> str:
    """Return what the codec of the whole returns, piece by piece: as plain data the logs of a large tree take 25 MB."""
    files = _joined(map(_FILE.encode, memory.files))
    logs = _joined(f"[{_KEY.encode(key)},{_joined(map(_ENTRY.encode, log))}]" for key, log in memory.logs)
    rest = _REST.encode((memory.names, memory.names_key, memory.asked))
    return f"[{files},{logs},{rest[1:-1]}]"


def _joined(pieces: Iterable[str]) -> str:
    return f"[{','.join(pieces)}]"


MEMORY = Form("forecast", _encoded, _CODEC.decode)


class Courses:
    """Runs courses, with the logs that an earlier forecast has kept of them."""

    def __init__(self, earlier: ForecastMemory | None, changed: Set[str]) -> None:
        """Know the earlier forecast, and the paths of the files that are not what they were for it."""
        self._earlier: Mapping[str, ShortLog] = dict(earlier.logs) if earlier else {}
        self._names = (earlier.names_key, frozenset(earlier.names)) if earlier else ("", frozenset())
        self._changed = changed
        self._logs: dict[str, ShortLog] = {}

    def run(self, name: str, world: World, attempts: Sequence[Attempt]) -> Log:
        """Make attempts, as few of them as the log of an earlier course of the same ones allows."""
        made = [(attempt.module, attempt.after) for attempt in attempts]
        key = _key(name, world.identity, made, sorted(world.outside.hiding), sorted(world.outside.off_path))
        earlier = self._earlier.get(key)
        changed = {target.module for target in world.targets.values() if target.path in self._changed}
        try:
            log = Course(world, attempts, earlier=told(earlier, attempts) if earlier else None, changed=changed).run()
        except UnlikeItsLogError:  # it is not what was written, though its sum is right
            log = Course(world, attempts).run()
        self._logs[key] = in_short(log)
        return log

    def names(self, given: object, find: Callable[[], frozenset[str]]) -> frozenset[str]:
        """Return the names that `find` returns, without calling it where the earlier forecast has done so."""
        key = _key(given)
        if key != self._names[0]:
            self._names = (key, find())
        return self._names[1]

    def memory(self, files: Sequence[FileMemory], *, asked: Asked = ()) -> ForecastMemory:
        """Return what is kept of this forecast, with what is to be known of the files, and of what they patch."""
        key, names = self._names
        return ForecastMemory(tuple(files), tuple(sorted(self._logs.items())), tuple(sorted(names)), key, asked)


def _key(*given: object) -> str:
    return hashlib.blake2b(repr(given).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
