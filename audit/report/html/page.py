"""The page around a document: its head, its policy, its style and its script."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from audit.report.html.markup import NOTHING, Html, joined, tag, text

_LATER = "The list of results needs JavaScript to be filtered and searched; the rest of the page does not."


@dataclass(frozen=True)
class Section:
    """A part of the page that its navigation names. `name` is its anchor."""

    name: str
    title: str
    content: Html


def page(title: str, header: Html, sections: Sequence[Section], data: Html = NOTHING, *, script: str = "") -> str:
    """Return the page.

    Args:
        title: of the window.
        header: what stands above the navigation.
        sections: those with content, in order.
        data: blocks of JSON that the script reads.
        script: runs behind the page's own; tests measure with it.
    """
    style, code = asset("page.css"), asset("page.js") + script
    head = tag(
        "head",
        Html('<meta charset="utf-8">'),
        tag("meta", http_equiv="Content-Security-Policy", content=policy(style=style, script=code)),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", text(title)),
        Html(f"<style>{style}</style>"),
    )
    links = [tag("li", tag("a", text(each.title), href=f"#{each.name}")) for each in sections]
    body = tag(
        "body",
        tag("a", text("Skip to the content"), class_="skip", href="#content"),
        tag("header", header),
        tag("nav", tag("ul", joined(links)), aria_label="Parts of the report"),
        tag("main", *map(_section, sections), id="content", tabindex="-1"),
        tag("noscript", tag("p", text(_LATER), class_="note")) if data else NOTHING,
        tag("p", id="told", class_="unseen", role="status", aria_live="polite"),
        data,
        Html(f"<script>{code}</script>"),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _section(section: Section) -> Html:
    heading = tag("h2", text(section.title), id=f"{section.name}-title")
    return tag("section", heading, section.content, id=section.name, aria_labelledby=f"{section.name}-title")


def policy(*, style: str, script: str) -> str:
    """Return a policy under which this style and this script work, and nothing else is loaded, run or sent.

    Under `trusted-types` not even this script can make markup of a string.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_digest(style)}'",
            f"script-src '{_digest(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _digest(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def asset(name: str) -> str:
    """Return a file of this folder, with the line ends that a browser makes of any before it takes a digest."""
    return files("audit.report.html").joinpath(name).read_text("utf-8").replace("\r\n", "\n")
