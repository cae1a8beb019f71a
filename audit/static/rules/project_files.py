"""The files of a project that are no Python, read within bounds, for the rules that judge them."""

import os
import stat
from collections.abc import Iterator, Sequence, Set
from functools import cached_property
from pathlib import Path

from audit.static.ignoring import PatternFile
from audit.static.inventory import InventoryItem
from audit.static.kinds import Content, InventoryKind
from audit.static.reading import sha256
from audit.static.rules.claims import Declared
from audit.static.rules.project_texts import MAX_TEXT_BYTES, Text, is_document


class ProjectFiles:
    """What the walk over a project found, less what the user excludes."""

    def __init__(
        self,
        root: Path,
        *,
        texts: Sequence[str],
        items: Sequence[InventoryItem],
        exclude: Sequence[str] = (),
        judged_notebooks: Set[str] = frozenset(),
        declared: Declared = (),
    ) -> None:
        """Read nothing yet; paths are relative to `root`.

        Args:
            root: the folder of the project.
            texts: files that may be text.
            items: files of weights and data.
            exclude: patterns of what the user leaves out.
            judged_notebooks: those whose code SEC006 searches.
            declared: the figures of claims that the configuration declares.
        """
        self._root = root
        self.declared = declared
        self.judged_notebooks = judged_notebooks
        self._excluded = PatternFile.from_lines(exclude, origin="", folder=root.as_posix())
        self._decided: dict[str, bool] = {"": True}
        self._read: dict[str, Text | None] = {}
        self.texts = tuple(path for path in texts if self._is_wanted(path))
        kinds = (InventoryKind.CHECKPOINT, InventoryKind.DATA_FILE)
        data = (item for item in items if item.kind in kinds and self._is_wanted(item.path))
        self.data = tuple(item for item in data if not self._is_our_output(item))

    def _is_our_output(self, item: InventoryItem) -> bool:
        """Return whether an empty file is where this process writes its report: `static --json > static.json`."""
        if item.facts.get("content") != Content.EMPTY:
            return False
        try:
            own = (self._root / item.path).stat()
            return any(os.path.samestat(own, os.fstat(stream)) for stream in (1, 2))
        except OSError:  # the file is gone, or a stream is closed
            return False

    def _is_wanted(self, path: str, *, is_folder: bool = False) -> bool:
        """Return whether no pattern excludes a file or one of the folders it lies in."""
        if not self._excluded.patterns:
            return True
        if path not in self._decided:
            found = self._excluded.last_match(f"{self._root.as_posix()}/{path}", is_folder=is_folder)
            is_excluded = found is not None and not found.negated
            self._decided[path] = not is_excluded and self._is_wanted(path.rpartition("/")[0], is_folder=True)
        return self._decided[path]

    @cached_property
    def documents(self) -> tuple[str, ...]:
        """The paths of the documents: Markdown, reStructuredText and files called README."""
        return tuple(path for path in self.texts if is_document(path))

    def text(self, path: str) -> Text | None:
        """Return the beginning of a file; None where it cannot be read, is binary, or is no regular file."""
        if path not in self._read:
            self._read[path] = self._text(path)
        return self._read[path]

    def _text(self, path: str) -> Text | None:
        place = self._root / path
        try:
            status = place.lstat()
            if not stat.S_ISREG(status.st_mode):  # a link may lead anywhere, a pipe never ends
                return None
            with place.open("rb") as opened:
                content = opened.read(MAX_TEXT_BYTES)
        except (OSError, ValueError):  # ValueError: a null byte in the name
            return None
        if b"\0" in content:
            return None
        complete = status.st_size <= MAX_TEXT_BYTES
        text = content.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
        return Text(path, text, sha256(content) if complete else None)

    def exists(self, path: str) -> bool:
        """Return whether something lies at a path that does not leave the project."""
        place = (self._root / path).resolve()
        return place.is_relative_to(self._root.resolve()) and place.exists()

    def with_word(self, paths: Sequence[str], words: Sequence[str]) -> Iterator[Text]:
        """Yield the texts that hold one of the words; the others are not kept in memory."""
        for path in paths:
            found = self._read.get(path) or self._text(path)
            if found is not None and any(word in found.content for word in words):
                self._read[path] = found
                yield found
