"""Which anchors a Markdown document has: those that GitHub makes of its headings, and those that it writes itself."""

import re
from collections import Counter

from validation.readiness.documents.writing import Document

_MAX_HEADING = 400
_HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$")
_UNDERLINE = re.compile(r"^ {0,3}(?:=+|-{2,})\s*$")
_WRITTEN = re.compile(r"\b(?:id|name)\s*=\s*[\"']([^\"']{1,200})[\"']|\{#([\w-]{1,200})\}", re.IGNORECASE)
_LINK = re.compile(r"!?\[([^\]]{0,300})\](?:\([^)]{0,500}\)|\[[^\]]{0,100}\])?")
_TAG = re.compile(r"<[^>]{1,300}>")
_DROPPED = re.compile(r"[^\w\- ]")


def anchors_of(document: Document) -> frozenset[str]:
    """Return the anchors in small letters."""
    lines = [line[:_MAX_HEADING] for line in document.outside.split("\n")]
    found: set[str] = set()
    used: Counter[str] = Counter()
    for number, line in enumerate(lines):
        heading = _HEADING.match(line)
        title = heading[1] if heading else None
        if title is None and _UNDERLINE.match(line) and number and lines[number - 1].strip():
            title = lines[number - 1]
        if title is not None:
            slug = _slug(title)
            found.add(slug if not used[slug] else f"{slug}-{used[slug]}")
            used[slug] += 1
    found.update((first or second).lower() for first, second in _WRITTEN.findall(document.text.content))
    return frozenset(found)


def _slug(title: str) -> str:
    """Return what GitHub makes of a heading: small letters, no punctuation, hyphens for blanks."""
    text = _LINK.sub(r"\1", re.sub(r"\{#[\w-]+\}", "", title))
    text = _TAG.sub("", text).replace("`", "").replace("*", "")
    return _DROPPED.sub("", text.strip().lower()).replace(" ", "-")
