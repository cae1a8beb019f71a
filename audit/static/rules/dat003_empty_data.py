"""DAT003: a data file without content."""

from typing import TYPE_CHECKING

from audit.static.kinds import Content
from audit.static.rules.data_rule import DataRule

if TYPE_CHECKING:
    from audit.static.inventory import InventoryItem


class EmptyData(DataRule):
    """Left by a download or a conversion that was interrupted."""

    id = "DAT003"
    title = "A file of weights or data is empty"
    what = "Reports files of weights and data that hold nothing, or nothing but white space in their first 1,024 bytes."
    why = "A loader that takes an empty table for one without rows trains on nothing and reports no failure."
    fix = "make the file again, or delete it"
    contents = (Content.EMPTY,)
    VALID_FILES = (
        {"data/stars.csv": "name,mass\n"},
        {"data/.gitkeep": ""},
    )
    INVALID_FILES = (
        {"data/stars.csv": ""},
        {"data/spectra.npy": " \n\n"},
    )

    def message(self, item: "InventoryItem") -> str:
        """Return what the user reads."""
        return "the file is empty"
