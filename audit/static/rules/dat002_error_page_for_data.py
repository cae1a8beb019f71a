"""DAT002: an error page or message saved under the name of a data file."""

from typing import TYPE_CHECKING

from audit.severity import Severity
from audit.static.kinds import Content
from audit.static.rules.data_rule import DataRule

if TYPE_CHECKING:
    from audit.static.inventory import InventoryItem


class ErrorPageForData(DataRule):
    """A download that did not look at the status."""

    id = "DAT002"
    title = "A file of weights or data is an error page"
    severity = Severity.MAJOR
    what = (
        "Reports files of weights and data that begin as an HTML page or an XML error, and those up to 64 KiB that "
        "are a JSON object of nothing but an error's fields. JSON files outside of data folders are taken for settings."
    )
    why = "A model is trained on the words of a 404 page, or the loader fails far from the download that caused it."
    fix = "download the file again, and let the download fail on an HTTP error"
    contents = (Content.HTML, Content.ERROR)
    VALID_FILES = (
        {"data/stars.csv": "name,mass\nsun,1.0\n"},
        {"data/labels.json": '{"error": "a class of its own", "planet": 3}\n'},
        {"docs/index.html": "<!doctype html><html></html>\n"},
    )
    INVALID_FILES = (
        {"data/stars.csv": "<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n"},
        {"data/spectra.npy": '{"error": "not found", "status": 404}\n'},
        {"weights/model.pt": "<?xml version='1.0'?>\n<Error><Code>AccessDenied</Code></Error>\n"},
    )

    def message(self, item: "InventoryItem") -> str:
        """Return what the user reads."""
        return (
            f"the file is an {'HTML or XML' if item.facts['content'] == Content.HTML else 'JSON'} error page, not data"
        )
