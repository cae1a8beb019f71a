"""What the user names as `FILE::NAME` on the command line."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.errors import UsageError

_MARK = "::"


@dataclass(frozen=True, slots=True)
class Named:
    """A class or function in a file, as the user has named it."""

    path: Path
    qualname: str


def read_names(texts: Sequence[str]) -> list[Named]:
    """Return what `FILE::NAME` arguments name.

    Raises:
        UsageError: one has another form.
    """
    names = []
    for text in texts:
        file, mark, qualname = text.rpartition(_MARK)
        if not mark or not file or not all(part.isidentifier() for part in qualname.split(".")):
            raise UsageError(f"{text}: not of the form FILE::NAME, as in model.py::SelfAttention")
        if not file.endswith(".py"):
            raise UsageError(f"{file}: not a Python file; name one that ends in .py, as in model.py::SelfAttention")
        names.append(Named(Path(file), qualname))
    return names
