"""Reads `[tool.astrobio-audit]` from the target's `pyproject.toml`, or a file in its place, and says what is wrong."""

import codecs
import difflib
import math
import stat
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ValidationError

from audit.claims import problem_of
from audit.errors import UsageError
from audit.toml_lines import line_of

TABLE_NAME = "astrobio-audit"
TABLE = f"[tool.{TABLE_NAME}]"
_MAX_SHOWN = 50
# By pydantic's type of the error: its own words are of Python's types, and name the class that reads a table.
_IN_TOML = {
    "tuple_type": "input should be a list",
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), "input should be a table"),
}


@dataclass(frozen=True)
class Table:
    """The keys of the configuration, and what a message about one of them begins with.

    `text` is that of the file, and `inside` the keys that lead to the table in it.
    """

    keys: Mapping[str, object]
    origin: str = f"pyproject.toml: {TABLE} "
    text: str = ""
    inside: tuple[str, ...] = ("tool", TABLE_NAME)

    def problem(self, error: ValidationError, form: type[BaseModel]) -> str:
        """Return the first thing that is wrong with the keys, with the file, in one line, and where that is written."""
        line = line_of(self.text, (*self.inside, *error.errors()[0]["loc"]))
        return f"{self.origin}{first_problem(error, form)}{f' (line {line})' if line else ''}"


def read_table(root: Path, config: Path | None = None) -> Table:
    """Return the table in the `pyproject.toml` of `root`, or the one of `config` where that is named.

    A file of another name has the keys of the table at its top, or under `[tool.astrobio-audit]` as a pyproject.toml.

    Raises:
        UsageError: the file is missing where it was named, cannot be read, or has no such table.
    """
    path = config or root / "pyproject.toml"
    try:
        text, document = _document(path)
    except FileNotFoundError as missing:
        if config is None:
            return Table({})
        raise UsageError(f"--config {config}: no such file; name a TOML file with the keys of {TABLE}") from missing
    if config is not None and "tool" not in document and config.name != "pyproject.toml":
        return Table(document, f"{config}: ", text, ())
    origin = Table({}).origin if config is None else f"{config}: {TABLE} "
    return Table(_table_in(document, path), origin, text)


def _table_in(document: Mapping[str, object], path: Path) -> Mapping[str, object]:
    tool = document.get("tool", {})
    tool = tool if isinstance(tool, dict) else {}
    near = difflib.get_close_matches(TABLE_NAME, tool, n=1)
    if TABLE_NAME not in tool and near:
        raise UsageError(f"{path}: [tool.{shortened(near[0])}]: did you mean {TABLE}?")
    table = tool.get(TABLE_NAME, {})
    if not isinstance(table, dict):
        raise UsageError(f"{path}: tool.astrobio-audit must be a table, not {type(table).__name__}")
    return table


def _document(path: Path) -> tuple[str, dict[str, object]]:
    """Return a file's text and what it says."""
    try:
        content = _content(path)
        if content.startswith(codecs.BOM_UTF8):
            raise UsageError(f"{path}: begins with a byte order mark, which TOML does not allow; save it without one")
        text = content.decode()
        return text, tomllib.loads(text)
    except FileNotFoundError:
        raise
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from error
    except ValueError as error:  # tomllib lets int() refuse a number of more digits than Python converts
        raise UsageError(f"{path}: a number in it has too many digits") from error
    except RecursionError as error:
        raise UsageError(f"{path}: its values are nested too deeply") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error


def _content(path: Path) -> bytes:
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # a link to a device or a pipe has no end
        raise UsageError(f"{path}: cannot be read: it is not a file")
    return path.read_bytes()


def first_problem(error: ValidationError, form: type[BaseModel]) -> str:
    """Return the first thing that is wrong with the keys of `form`, in one line."""
    first = error.errors()[0]
    place = first["loc"]
    key = shortened(_place_in_words(place) or "value")
    if place[:1] == ("claims",) and (problem := problem_of(first["type"], place)):
        return f"{key}: {problem}, got {_shown(first['input'])}"
    if first["type"] == "extra_forbidden":
        fields = _form_at(form, place[:-1]).model_fields
        close = difflib.get_close_matches(str(place[-1]), fields, n=1)
        known = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(sorted(fields))}"
        return f"{key}: unknown key; {known}"
    if first["type"] == "missing":
        return f"{key}: field required"
    if first["type"] == "string_pattern_mismatch" and first["ctx"]["pattern"] == r"\S":
        return f"{key}: should say something, got {_shown(first['input'])}"
    if first["type"] == "string_pattern_mismatch":
        return f"{key}: should be a dotted name, as in an import statement, got {_shown(first['input'])}"
    if isinstance(first["input"], float) and math.isnan(first["input"]):  # it fails whichever bound is looked at first
        return f"{key}: should be a number, got nan"
    message = _IN_TOML.get(first["type"]) or first["msg"].lower().removeprefix("value error, ")
    return f"{key}: {message}, got {_shown(first['input'])}"


def _place_in_words(place: Sequence[int | str]) -> str:
    """Return the keys that lead to a place; entries of a list are counted from 1, as a reader of the file does."""
    words, between = "", ""
    for part in place:
        words += f", entry {part + 1}" if isinstance(part, int) else between + (part or '""')
        between = ", " if isinstance(part, int) else "."
    return words


def _form_at(form: type[BaseModel], place: Sequence[int | str]) -> type[BaseModel]:
    """Return the model whose keys are at a place; indices, and names that the user chooses, lead to no other."""
    for part in place:
        field = form.model_fields.get(str(part))
        form = (field and _form_in(field.annotation)) or form
    return form


def _form_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _form_in(each))), None)


def _shown(value: object) -> str:
    try:
        return shortened(repr(value))
    except (ValueError, RecursionError):  # an integer of more digits than Python prints, or too deep a nesting
        return f"{type(value).__name__} that is too large to be shown"


def shortened(text: str) -> str:
    """Return a text of the target that is short enough for a message."""
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."
