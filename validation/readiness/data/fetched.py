"""Data files hold data, not what stands in for them."""

from collections.abc import Iterator, Sequence

from audit.judgement import Judgement
from audit.plan import Run
from audit.results import Check, Severity
from audit.static.inventory import InventoryItem
from audit.static.kinds import Content, InventoryKind
from audit.static.rules.dat001_pointer_for_data import PointerForData
from audit.static.rules.dat002_error_page_for_data import ErrorPageForData
from audit.static.rules.dat003_empty_data import EmptyData
from validation.readiness.places import Place, judge_places
from validation.readiness.project import Project

CHECK = Check(
    id="data.fetched",
    title="Data files were fetched",
    proves="No data file of the project is a pointer of git-LFS, an error page or empty (rules DAT001 to DAT003), and"
    " each can be read.",
    defect="a git-LFS pointer in place of a table",
    severity=Severity.MAJOR,
)
RULES = (PointerForData(), ErrorPageForData(), EmptyData())


def data_files(project: Project) -> list[InventoryItem]:
    """Return the data files; weights are judged in an area of their own."""
    return [item for item in project.data if item.kind is InventoryKind.DATA_FILE]


def is_fetched(item: InventoryItem) -> bool:
    """Return whether nothing at the beginning of a file speaks against its being data."""
    return item.facts.get("content") == Content.PLAIN


def judge(project: Project, run: Run) -> Sequence[Judgement]:
    """Judge what the inventory saw at the beginning of each data file."""
    items = data_files(project)
    return judge_places(
        project,
        _places(items),
        looked_at=len(items),
        unit="data files",
        origin="what loads a file that stands in for data fails, or takes it for data",
        fix="fetch the file, or delete it",
        nothing="the project holds no data file",
    )


def _places(items: Sequence[InventoryItem]) -> Iterator[Place]:
    for item in items:
        content = item.facts.get("content")
        if content == Content.UNREADABLE:
            yield Place(item.path, 0, "the file cannot be read")
        for rule in RULES:
            if content in rule.contents:
                yield Place(item.path, 0, rule.message(item))
