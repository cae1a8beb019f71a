"""A file of weights as the checks of its area see it: what it holds is read once for all of them."""

import hashlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from threading import Lock

from audit.results import Subject
from audit.static.inventory import InventoryItem
from audit.stopping import stop_if_wanted
from validation.readiness.checkpoints.forms import Layout, NotRead
from validation.readiness.checkpoints.reading import layout_of, opened
from validation.readiness.checkpoints.values import CHUNK_BYTES, MAX_VALUE_BYTES, Values, values_of


class Checkpoint:
    """One file of weights below the target's root."""

    def __init__(self, root: Path, item: InventoryItem, subject: Subject) -> None:
        """Read nothing yet."""
        self.path = root / item.path
        self.item = item
        self.subject = subject
        self._lock = Lock()
        self._values: Values | None = None

    @cached_property
    def layout(self) -> Layout:
        """What it holds; raises what `layout_of` raises."""
        return layout_of(self.path)

    def values(self, tell: Callable[[str], None]) -> Values:
        """What its numbers are; raises NotRead where it cannot be opened, beside what `layout` raises."""
        with self._lock:
            if self._values is None:
                file, _ = opened(self.path)
                with file:
                    try:
                        self._values = values_of(file, self.layout, tell)
                    except OSError as problem:
                        raise NotRead(f"it cannot be read: {problem.strerror}") from problem
            return self._values

    def digest(self) -> tuple[str, int]:
        """Return the digest of the whole file as a subject has it, and its size in bytes.

        Raises:
            NotRead: it cannot be read, or has more bytes than are read of a file.
        """
        file, size = opened(self.path)
        total = hashlib.sha256()
        if size > MAX_VALUE_BYTES:
            raise NotRead(f"it has {size} bytes; at most {MAX_VALUE_BYTES} are read of a file")
        with file:
            try:
                while content := file.read(CHUNK_BYTES):
                    stop_if_wanted()
                    total.update(content)
            except OSError as problem:
                raise NotRead(f"it cannot be read: {problem.strerror}") from problem
        return f"sha256:{total.hexdigest()}", size
