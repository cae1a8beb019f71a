"""What a page says of the package itself."""

from collections.abc import Callable
from typing import Any

import pytest

from audit.report.document import Report, SkippedTreeRow
from audit.report.html.report import render_html
from audit.results import Result
from audit.static.imports.causes import Cause, ImportRow, Root
from audit.static.inventory import InventoryItem
from audit.static.kinds import InventoryKind

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]
Read = Callable[[str], Any]


def failing(module: str, *, then: tuple[str, ...] = ()) -> ImportRow:
    root = Root(path="p.py", line=3, name="lib")
    return ImportRow(module=module, path="p.py", forecast="fails", cause=Cause.MISSING_DEPENDENCY, root=root, then=then)


def item(name: str, kind: InventoryKind = InventoryKind.MODEL) -> InventoryItem:
    return InventoryItem(
        kind=kind, module="zoo", qualname=name, path="zoo/a.py", line=7, bases=("torch.nn.Module",), resolved=True,
        digest="sha256:" + 64 * "0",
    )  # fmt: skip


@pytest.fixture
def page(make_report: MakeReport, make_result: MakeResult, read: Read) -> Callable[..., Any]:
    return lambda **parts: read(render_html(make_report([make_result()], **parts)))


def test_imports_that_fail_are_grouped_by_their_cause(page: Callable[..., Any]) -> None:
    rows = (failing("p.a"), failing("p.b", then=("other",)), ImportRow(module="p.c", path="p.py", forecast="ok"))
    section = page(imports=rows).one("section", id="imports")
    assert section.one("ul").children[0].text.startswith("2 modules: declared dependency not installed lib at p.py:3")
    assert "; then other" in section.text
    assert "2 of 3 modules fail to import; 0 guard" in section.text
    assert "p.a, p.b" in section.text


def test_the_inventory_is_told_kind_by_kind_with_what_was_left_out(page: Callable[..., Any]) -> None:
    tree = SkippedTreeRow(path="build", files=3, reason="build output")
    items = (item("Net"), item("Other"), item("Data", InventoryKind.DATASET))
    section = page(inventory=items, skipped_trees=(tree,)).one("section", id="inventory")
    assert [each.text for each in section.all("summary")] == ["model (2)", "dataset (1)"]
    assert "zoo:Netzoo/a.py:7torch.nn.Module" in section.text
    assert "build: 3 Python files, build output" in section.text


def test_a_long_inventory_has_an_end_and_says_so(page: Callable[..., Any]) -> None:
    section = page(inventory=tuple(item(f"Net{number}") for number in range(310))).one("section", id="inventory")
    assert len(section.all("tr")) == 1 + 300
    assert "10 more are in the JSON." in section.text
