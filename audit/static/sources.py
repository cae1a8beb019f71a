"""One source file as every stage names it. Apart from discovery, so that a worker process loads no ignore patterns."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One Python file: its absolute path, its posix path and its dotted module name relative to the root.

    `model_lines` are the lines of its classes that are models, where other files have been asked about them.
    """

    path: Path
    relative: str
    module: str
    model_lines: tuple[int, ...] = ()

    @property
    def is_package(self) -> bool:
        """Whether the file is the `__init__.py` of a folder below the root."""
        return self.relative.endswith("/__init__.py")
