"""The page in a browser: that its script works, that nothing of the target does, and that it can be seen."""

import json
import re
import struct
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import pytest

from audit.report.document import Report
from audit.report.html.report import render_html

DARK = "--blink-settings=preferredColorScheme=0"
REFUSED = re.compile(r"Content Security Policy|Uncaught|Refused")
# What a test's own script hands back: it stands behind the page's, under the same policy.
HAND_BACK = "const hand = (value) => { document.body.dataset.handed = JSON.stringify(value); };\n"
WAIT = "const later = (ms) => new Promise((done) => setTimeout(done, ms));\n"
ReportOf = Callable[[str], Report]

# Contrast of every text with what it stands on, by the formulas of WCAG 2.1.
MEASURE = """
const parsed = (value) => value.match(/[\\d.]+/g).map(Number);
const luminance = ([red, green, blue]) => {
  const [r, g, b] = [red, green, blue].map((each) => each / 255)
    .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = parsed(getComputedStyle(at).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
for (const each of document.querySelectorAll("details")) each.open = true;
later(100).then(() => {
  const found = {};
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let number = 0;
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const isDisabled = element.closest(":disabled");
    if (!texts.currentNode.data.trim() || isDisabled || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const letters = parsed(element.closest("svg") && style.fill !== "none" ? style.fill : style.color);
    const [low, high] = [luminance(letters), luminance(ground(element))].sort((one, other) => one - other);
    number += 1;
    const ratio = (high + 0.05) / (low + 0.05);
    const name = `${element.tagName}.${element.className.baseVal ?? element.className}`;
    found[name] = Math.min(found[name] ?? 99, ratio);
  }
  hand({ number, found, page: parsed(getComputedStyle(document.body).backgroundColor) });
});
"""


def handed(browsed: Any) -> Any:
    return json.loads(browsed.dom.one("body").attributes["data-handed"])


def listed(browsed: Any) -> list[Any]:
    items: list[Any] = browsed.dom.one("ol", id="list").children
    return items


def count(browsed: Any) -> str:
    text: str = browsed.dom.one("p", id="count").text
    return text


def test_the_script_shows_a_page_of_the_results_under_its_policy(browser: Any, rich_report: Report) -> None:
    browsed = browser.open(render_html(rich_report))
    assert count(browsed) == "78 of 78 results, 1 to 50 shown"
    assert len(listed(browsed)) == 50
    assert "hidden" not in browsed.dom.one("form").attributes
    assert not any("hidden" in each.attributes for each in browsed.dom.one("main").all("button"))
    assert browsed.dom.all("p", class_="later") == []
    assert float(browsed.root.attributes["data-opened-ms"]) > 0
    assert not REFUSED.search(browsed.log)


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ("#filter=failed", ["attention.causality", "train.overfits"]),
        ("#filter=failed,error&area=smoke", ["smoke.forward"]),
        ("#severity=minor&q=FILE%207&filter=passed", ["static.parses"]),
        ("#q=cuda+device", ["gpu.a", "gpu.b"]),
        ("#filter=error&q=give+batch", ["smoke.forward"]),
        ("#q=nothing-says-this", []),
        ("#filter=", []),
        ("#filter=error&area=no_such_area&page=99", ["smoke.forward"]),
    ],
)
def test_an_address_filters_and_searches(browser: Any, rich_report: Report, fragment: str, expected: list[str]) -> None:
    browsed = browser.open(render_html(rich_report), fragment)
    assert sorted({each.one("span", class_="check").text for each in listed(browsed)}) == expected
    assert count(browsed).startswith(f"{len(listed(browsed))} of 78 results")


def test_a_page_number_in_the_address_shows_that_page(browser: Any, rich_report: Report) -> None:
    browsed = browser.open(render_html(rich_report), "#page=2")
    assert count(browsed) == "78 of 78 results, 51 to 78 shown"
    assert browsed.dom.one("span", id="page").text == "Page 2 of 2"


def test_without_a_script_verdict_areas_and_failures_are_there(browser: Any, rich_report: Report) -> None:
    # Inside a frame that may not run scripts, which the page around it looks into.
    around = f"""<!doctype html><html><body><iframe width="1000" height="2000" sandbox="allow-same-origin"
    srcdoc="{escape(render_html(rich_report))}"></iframe><script>
    {HAND_BACK}
    addEventListener("load", () => {{
      const inside = document.querySelector("iframe").contentDocument;
      const seen = (id) => inside.getElementById(id).innerText;
      hand({{ ran: inside.documentElement.dataset.openedMs ?? null, verdict: inside.querySelector("h1").innerText,
              areas: seen("areas"), list: seen("list"), form: inside.getElementById("filters").checkVisibility(),
              note: inside.querySelector("noscript").innerText }});
    }});
    </script></body></html>"""
    found = handed(browser.open(around))
    assert found["ran"] is None
    assert found["verdict"] == "Verdict: not ready"
    assert "attention" in found["areas"]
    assert found["list"].count("it was failed") == 2
    assert "it raised ValueError" in found["list"]
    assert found["form"] is False
    assert "needs JavaScript" in found["note"]


def test_typing_opening_turning_pages_and_resetting_work_and_are_kept_in_the_address(
    browser: Any, rich_report: Report
) -> None:
    script = f"""
    {HAND_BACK} {WAIT}
    (async () => {{
      const form = document.getElementById("filters");
      const said = () => document.getElementById("count").textContent;
      const steps = [];
      const step = () => steps.push([said(), location.hash]);
      form.elements.q.value = "FILE  66";
      form.elements.q.dispatchEvent(new Event("input", {{ bubbles: true }}));
      await later(300); step();
      document.querySelector("button[type=reset]").click();
      await later(50); step();
      document.getElementById("next").click();
      await later(50); step();
      const focused = document.activeElement.id;
      form.elements.filter[0].click();
      await later(50); step();
      location.hash = "#filter=failed&q=overfits";
      await later(50); step();
      const row = document.querySelector(".result details");
      row.querySelector("summary").click();
      await later(50);
      hand({{ steps, focused, open: row.open, curves: row.querySelectorAll(".curves svg[role=img]").length,
              command: row.querySelector("pre").textContent,
              facts: [...row.querySelectorAll("dt")].map((each) => each.textContent) }});
    }})();
    """
    browsed = browser.open(render_html(rich_report, script=script))
    found = handed(browsed)
    assert [said for said, _ in found["steps"]] == [
        "1 of 78 results, 1 to 1 shown",
        "78 of 78 results, 1 to 50 shown",
        "78 of 78 results, 51 to 78 shown",
        "76 of 78 results, 1 to 50 shown",
        "1 of 78 results, 1 to 1 shown",
    ]
    assert [address for _, address in found["steps"]] == [
        "#q=FILE++66", "", "#page=2", "#filter=error%2Cskipped%2Cpassed%2Cnot_applicable", "#filter=failed&q=overfits",
    ]  # fmt: skip
    assert found["focused"] == "count"
    assert (found["open"], found["curves"]) == (True, 2)
    assert found["facts"] == ["a pass proves", "subject"]


def test_a_copy_button_copies_the_command_or_selects_it(browser: Any, rich_report: Report) -> None:
    script = f"""
    {HAND_BACK} {WAIT}
    (async () => {{
      const button = document.querySelector(".defect button.copy");
      button.closest("details").open = true;
      await later(50);
      button.click();
      const told = () => document.getElementById("told").textContent;
      for (let turn = 0; turn < 80 && !told(); turn += 1) await later(50);
      hand({{ told: told(), selected: getSelection().toString() }});
    }})();
    """
    found = handed(browser.open(render_html(rich_report, script=script)))
    assert found["told"].startswith(("Copied", "Selected"))
    if found["told"].startswith("Selected") or found["selected"]:
        assert found["selected"].startswith("import torch")


def test_no_text_of_the_target_runs_or_becomes_an_element(
    browser: Any, report_of: ReportOf, rich_report: Report
) -> None:
    attack = (
        "</script><script>document.title='ours'</script><img src=x onerror=\"document.title='ours'\">"
        "<svg onload=\"document.title='ours'\"><!-- --></template></noscript></title></style>"
        "<style>body{display:none}</style>{{7*7}}${7*7}\x1b[31m\u202egnp.exe\u2028'\"`javascript:alert(1)"
    )
    script = f"""
    {HAND_BACK} {WAIT}
    for (const each of document.querySelectorAll("details")) each.open = true;
    later(200).then(() => hand({{
      names: [...new Set([...document.body.querySelectorAll("*")].map((each) => each.localName))].sort(),
      title: document.title, scripts: document.scripts.length, styles: document.styleSheets.length,
      display: getComputedStyle(document.body).display, text: document.body.innerText.includes("<img src=x"),
    }}));
    """
    harmless = handed(browser.open(render_html(report_of("zoo"), script=script)))
    browsed = browser.open(render_html(report_of(attack), script=script))
    found = handed(browsed)
    assert found["names"] == harmless["names"]
    assert found["title"].startswith("findings: static report of </script><script>")
    assert (found["scripts"], found["styles"]) == (2, 1)
    assert found["display"] == "block"
    assert found["text"] is True
    assert "\x1b" not in browsed.dom.text
    assert "\u202e" not in browsed.dom.text
    assert not REFUSED.search(browsed.log)


@pytest.mark.parametrize("attack", ["document.body.innerHTML = '<b>x</b>'", "eval('1')", "fetch('https://x.example')"])
def test_the_policy_stops_even_the_pages_own_script_from_making_markup_code_or_requests(
    browser: Any, rich_report: Report, attack: str
) -> None:
    script = (
        f"{HAND_BACK} (async () => {{ try {{ await ({attack}); hand('done'); }} catch (e) {{ hand(e.name); }} }})();"
    )
    browsed = browser.open(render_html(rich_report, script=script))
    assert handed(browsed) in ("TypeError", "EvalError")
    assert browsed.dom.all("h1")


@pytest.mark.parametrize(("flags", "is_dark"), [((), False), ((DARK,), True)], ids=["light", "dark"])
def test_every_text_stands_out_from_what_it_stands_on(
    browser: Any, rich_report: Report, flags: tuple[str, ...], is_dark: bool
) -> None:
    found = handed(browser.open(render_html(rich_report, script=HAND_BACK + WAIT + MEASURE), "", *flags))
    assert (sum(found["page"]) < 3 * 128) is is_dark
    assert found["number"] > 300
    assert {name: ratio for name, ratio in found["found"].items() if ratio < 4.5} == {}


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_is_no_wider_than_the_window(browser: Any, rich_report: Report, width: int) -> None:
    script = f"""
    {HAND_BACK} {WAIT}
    for (const each of document.querySelectorAll("details")) each.open = true;
    later(100).then(() => hand([document.documentElement.scrollWidth, innerWidth]));
    """
    page = render_html(rich_report, script=script)
    inner, outer = handed(browser.open(page, "", f"--window-size={width},900"))
    assert inner <= outer


def size(path: Path) -> tuple[int, int]:
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", content[16:24])
    return width, height


@pytest.mark.parametrize("flags", [(), (DARK,)], ids=["light", "dark"])
def test_a_picture_can_be_taken_of_it(
    browser: Any, rich_report: Report, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    page, picture = tmp_path / "page.html", tmp_path / "page.png"
    page.write_text(render_html(rich_report))
    browser.run(f"--screenshot={picture}", "--window-size=1000,1400", "--hide-scrollbars", *flags, page.as_uri())
    assert size(picture) == (1000, 1400)
    assert picture.stat().st_size > 20_000  # of one colour it has 5,000


def test_of_many_results_only_a_page_is_laid_out(browser: Any, many: Callable[[int], Report]) -> None:
    browsed = browser.open(render_html(many(10_000)), "#q=9999")
    assert count(browsed) == "1 of 10,000 results, 1 to 1 shown"
    browsed = browser.open(render_html(many(10_000)))
    assert count(browsed) == "10,000 of 10,000 results, 1 to 50 shown"
    assert len(browsed.dom.all("li", class_="result")) <= 51  # and the form of a row
