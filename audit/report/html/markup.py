"""HTML built so that no string of the target is read as markup: what is `Html` was escaped here, and nowhere else.

A type checker refuses a plain string where `Html` is asked for, so that a text that was not escaped does not compile.
"""

import json
import re
from collections.abc import Iterable
from html import escape
from typing import NewType

from audit.report.text import plain

Html = NewType("Html", str)

NOTHING = Html("")
# Of one text: the JSON has all of it. A page with a message of megabytes in every row would not open.
LONGEST = 8_000
_CUT = " ... (cut here; the JSON has all of it)"
_VOID = frozenset({"input", "meta", "br", "hr"})
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]*")
# What would end the element that holds the JSON, or a line of it, in one reader or another.
_IN_JSON = {ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}


def shown(value: str) -> str:
    """Return a text without control characters and with an end, still to be escaped."""
    text = plain(value)
    return text if len(text) <= LONGEST else text[:LONGEST] + _CUT


def text(value: str) -> Html:
    """Return a text as what stands between tags, or between the quotes of an attribute."""
    return Html(escape(shown(value), quote=True))


def joined(parts: Iterable[Html], between: str = "") -> Html:
    """Return parts one after the other; `between` is escaped."""
    return Html(str(text(between)).join(parts))


def tag(name: str, /, *children: Html, **attributes: str | bool | None) -> Html:
    """Return an element. An attribute is left out where it is None or False, and has no value where it is True.

    Of attributes' names `_` becomes `-`, and one at the end, which Python's own words need, is left out.
    """
    assert _NAME.fullmatch(name)
    parts = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        written = key.removesuffix("_").replace("_", "-")
        assert _NAME.fullmatch(written)
        parts.append(written if value is True else f'{written}="{text(value)}"')
    start = f"<{' '.join(parts)}>"
    return Html(start) if name in _VOID else Html(f"{start}{''.join(children)}</{name}>")


def json_block(value: object, *, name: str) -> Html:
    """Return data for the page's script. No browser runs it, and nothing in it can end it.

    The caller has passed its texts through `shown`.
    """
    written = json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_IN_JSON)
    return Html(f'<script type="application/json" id="{text(name)}">{written}</script>')
