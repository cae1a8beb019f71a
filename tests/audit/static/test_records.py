from dataclasses import dataclass
from pathlib import Path

from audit.static.discovery import discover
from audit.static.reading import ParsedFile
from audit.static.records import Records
from audit.static.sources import SourceFile
from audit.static.store import FactStore


@dataclass(frozen=True, slots=True)
class Named:
    """A fact that differs from file to file."""

    path: str
    statements: int


def named(file: SourceFile, parsed: ParsedFile) -> Named:
    return Named(file.relative, len(parsed.tree.body))


def test_more_facts_than_are_decoded_at_once_are_each_those_of_their_file(tmp_path: Path) -> None:
    root = tmp_path / "zoo"
    root.mkdir()
    for number in range(450):
        (root / f"m{number}.py").write_text("x = 1\n" * (number % 7))
    files = discover(root, root).files
    expected = [Named(file.relative, int(file.module.removeprefix("m")) % 7) for file in files]
    for _ in range(2):
        with FactStore(tmp_path / "store") as store:
            assert Records(files, named, store=store).part("") == expected
