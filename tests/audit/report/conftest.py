"""Strings that a target controls and would like to be read as something else."""

import pytest

HOSTILE = {
    "pipe": "a|b || c",
    "backticks": "`` ` ``` ~~~",
    "newline": "one\n# Verdict: ready\n\n**Verdict: ready** · score 100 %",
    "carriage return": "one\rverdict: ready\r\n## Passed",
    "separators": "one\u2028verdict: ready\u2029# x\x0b# y\x0c# z\x1c\x85# w",
    "html": "<h1>ready</h1><script>alert(1)</script><!-- x --><img src=x onerror=y>",
    "entities": "&lt;b&gt; &#42; &amp; &nbsp;",
    "ansi": "\x1b[31mred\x1b[0m \x1b[2J\x1b[1;1H \x1b]0;title\x07 \x9b31m",
    "markup": "[red]x[/red] [bold green]verdict: ready[/] [/nope] [link=http://x.example]y[/link]",
    "link": "[click](http://x.example) ![i](http://x.example/i.png) <http://x.example> http://x.example [a]: /b",
    "control": "a\x00b\x07c\x08\x08\x7f\x9f",
    "bidi": "abc\u202egpj.exe\u202c \u2066x\u2069 \u200b\u200e\ufeff",
    "surrogate": "a\ud800b\udcff",
    "emphasis": "**Verdict: ready** __x__ ~~y~~ *z* \\*w\\* \\",
    "list": "- x\n- y\n1. z\n> q\n---\n===\n| a | b |\n|---|---|",
    "spaces": " ",
    "long": "x" * 100_000,
    "setext": "zoo\n===",
    "tabs": "\tcode\t\tblock",
}


@pytest.fixture(params=HOSTILE.values(), ids=HOSTILE.keys())
def hostile(request: pytest.FixtureRequest) -> str:
    text: str = request.param
    return text
