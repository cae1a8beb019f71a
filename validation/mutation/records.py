"""What the plug-in in the target's interpreter wrote, read as data: nothing in it is believed to have a form."""

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, TypeAdapter, ValidationError

from audit.results import Frozen

_MAX_BYTES = 512 * 1024 * 1024
FIXTURE = "fixture:"


class TestRun(Frozen):
    """How one test ended, and how long it took in all its phases."""

    __test__ = False  # pytest would collect it by its name

    outcome: str
    seconds: float


class Record(Frozen):
    """One run of the tests; `status` is pytest's, None where it never came to its end."""

    status: int | None = None
    collected: dict[str, tuple[str, ...]] = Field(default={}, description="Fixtures of every test that would run.")
    uncollected: dict[str, str] = Field(default={})
    failed: dict[str, str] = Field(default={})
    internal: str | None = None
    tests: dict[str, TestRun] = Field(default={})
    starts: frozenset[str] = Field(default=frozenset(), description="Tests and fixtures that start a process.")
    modules: dict[str, str] = Field(default={})
    lines: dict[str, dict[str, tuple[int, ...]]] = Field(
        default={}, description="Lines that ran, by file relative to the target and by test; of no test: at import."
    )

    @property
    def has_lines(self) -> bool:
        """Whether it is known which test runs which line."""
        return bool(self.lines)

    def tests_using(self, context: str) -> frozenset[str]:
        """Return the tests that a context of lines belongs to: a test, or all that use a fixture."""
        if not context.startswith(FIXTURE):
            return frozenset({context}) & self.collected.keys()
        fixture, _, node = context.removeprefix(FIXTURE).partition("@")
        return frozenset(
            test for test, fixtures in self.collected.items() if fixture in fixtures and test.startswith(node)
        )

    @property
    def starting(self) -> frozenset[str]:
        """The tests that start a process, in which nobody sees which lines run."""
        return frozenset[str]().union(*map(self.tests_using, self.starts))


_LINE = TypeAdapter(dict[str, object])


def read_record(path: Path) -> Record:
    """Return what a run wrote; as much of it as is well formed, for it may have been killed while writing."""
    merged: dict[str, object] = {}
    failed: dict[str, object] = {}
    uncollected: dict[str, object] = {}
    try:
        if path.stat().st_size > _MAX_BYTES:
            return Record()
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # it ended before the first line
        return Record()
    for line in text.splitlines():
        try:
            entry = _LINE.validate_json(line)
        except ValidationError:
            continue
        match entry.pop("kind", None):
            case "failed":
                failed[str(entry.get("test"))] = str(entry.get("text"))
            case "uncollected":
                uncollected[str(entry.get("node"))] = str(entry.get("text"))
            case "internal":
                merged["internal"] = str(entry.get("text"))
            case "collected":
                merged["collected"] = entry.get("tests")
            case "finished":
                merged |= entry
    try:
        return Record.model_validate({**merged, "failed": failed, "uncollected": uncollected})
    except ValidationError:
        return Record()


def write_selection(path: Path, tests: Mapping[str, object] | frozenset[str]) -> None:
    """Write the names of the tests to run."""
    path.write_text(json.dumps(sorted(tests)), encoding="utf-8")
