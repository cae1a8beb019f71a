"""What the user names as `FILE::NAME`, or as `FILE`, on the command line."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.errors import UsageError

_MARK = "::"


@dataclass(frozen=True, slots=True)
class Named:
    """A class or function in a file, as the user has named it; without a `qualname`, all that the file holds."""

    path: Path
    qualname: str = ""

    @property
    def text(self) -> str:
        """The path as given, with the name behind it where there is one."""
        return f"{self.path.as_posix()}{_MARK}{self.qualname}" if self.qualname else self.path.as_posix()


def read_names(texts: Sequence[str]) -> list[Named]:
    """Return what `FILE::NAME` and `FILE` arguments name.

    Raises:
        UsageError: one has another form.
    """
    names = []
    for text in texts:
        file, mark, qualname = text.rpartition(_MARK)
        if not mark and text.endswith(".py"):
            names.append(Named(Path(text)))
            continue
        if not mark or not file or not all(part.isidentifier() for part in qualname.split(".")):
            raise UsageError(f"{text}: not of the form FILE::NAME, as in model.py::SelfAttention, or FILE")
        if not file.endswith(".py"):
            raise UsageError(f"{file}: not a Python file; name one that ends in .py, as in model.py::SelfAttention")
        names.append(Named(Path(file), qualname))
    return names
