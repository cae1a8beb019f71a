"""Strings from the target made safe for a terminal and for Markdown."""

import re
import unicodedata

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|!~&$])")
_LINKED = re.compile(r":(?=//)|www(?=\.)|@", re.IGNORECASE)  # what begins a link, an address or a mention
_COMMAND = re.compile(r"^([^\S\n]*)(:|#)(:|#\[)", re.MULTILINE)
_BREAKS = re.compile(r"\s*[\t\n\u2028\u2029]\s*")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def plain(text: str) -> str:
    """Replace control, format and surrogate characters, which could move the cursor or reorder what is read.

    Line breaks and tabs stay.
    """
    if text.isprintable():  # as nearly all are, and asking is quick
        return text
    return "".join(
        character if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cs") else _REPLACEMENT
        for character in text
    )


def unheeded(text: str) -> str:
    """Return lines of which none is a workflow command, which CI reads in the log of a step wherever one begins a line.

    `::error::` and `##[error]` are broken by a blank; nothing else is changed.
    """
    return _COMMAND.sub(r"\1\2 \3", text)


def one_line(text: str, limit: int | None = 300) -> str:
    """Return `text` without control characters on one line, shortened to `limit` characters."""
    flat = _BREAKS.sub(" ", plain(text)).strip()
    return flat if limit is None or len(flat) <= limit else flat[: limit - 3] + "..."


def markdown(text: str, limit: int = 2000) -> str:
    """Return `text` on one line with everything escaped that Markdown or HTML would read."""
    escaped = _MARKDOWN.sub(r"\\\1", one_line(text, limit))
    return _LINKED.sub("\\g<0>\N{ZERO WIDTH SPACE}", escaped.replace("\\<", "&lt;").replace("\\>", "&gt;"))


def code(text: str) -> str:
    """Return `text` as a Markdown code span that its content cannot end; in a table, see `cell_code`."""
    flat = one_line(text, 2000) or " "  # an empty span is none: its marks would be read as text
    fence = "`" * (max((len(run) for run in re.findall(r"`+", flat)), default=0) + 1)
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{fence}{pad}{flat}{pad}{fence}"


def cell_code(text: str) -> str:
    """Return `text` as a code span in a table, where a bar ends the cell; only there is its backslash taken away."""
    return code(text).replace("|", "\\|")


def number(value: float | int | str | None) -> str:
    """Return a measurement for reading: up to four significant digits."""
    if value is None:
        return "-"
    if isinstance(value, bool | int | str):
        return str(value)
    return f"{value:.4g}"


def percent(share: float | None) -> str:
    """Return a share as a percentage, rounded down so that 100 % means all."""
    if share is None:
        return "-"
    return f"{int(share * 1000) / 10:g} %"


def counted(number: int, thing: str) -> str:
    """Return `number` with the word for what is counted, which takes an s."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
