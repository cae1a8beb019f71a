"""DAT001: a pointer of git-LFS in place of the file."""

from typing import TYPE_CHECKING

from audit.severity import Severity
from audit.static.kinds import Content
from audit.static.rules.data_rule import DataRule

if TYPE_CHECKING:
    from audit.static.inventory import InventoryItem

_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 987654\n"


class PointerForData(DataRule):
    """Git leaves the pointer where git-LFS is not installed or the quota is used up."""

    id = "DAT001"
    title = "A file of weights or data is a git-LFS pointer"
    severity = Severity.MAJOR
    what = (
        "Reports files of weights and data (`.pt`, `.safetensors`, `.csv`, `.npy`, ...) that hold a pointer of git-LFS."
        " The first 1,024 bytes are read."
    )
    why = "Whatever loads the file fails, or reads three lines of text as a table."
    fix = "fetch the content with `git lfs pull`, or take the file out of git-LFS"
    references = ("https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md",)
    contents = (Content.POINTER,)
    VALID_FILES = (
        {"data/stars.csv": "name,mass\nsun,1.0\n"},
        {"notes.md": _POINTER},
    )
    INVALID_FILES = (
        {"data/stars.csv": _POINTER},
        {"weights/model.safetensors": _POINTER},
    )

    def message(self, item: "InventoryItem") -> str:
        """Return what the user reads."""
        stands_for = f" for {item.facts['declared_bytes']} bytes" if "declared_bytes" in item.facts else ""
        return f"the file is a git-LFS pointer{stands_for}; the content was not fetched"
