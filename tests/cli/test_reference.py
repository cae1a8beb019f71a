"""docs/reference is what `make reference` writes today, and nothing is missing in it."""

import re
import runpy
from pathlib import Path

import pytest

from audit.static.rules.registry import own_rules

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reference"
WRITTEN = runpy.run_path(str(ROOT / "tests" / "tools" / "write_reference.py"))["pages"]()


def test_the_folder_has_these_pages_and_no_other() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(WRITTEN)


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_a_page_is_up_to_date(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == WRITTEN[name], "run `make reference`"


def test_every_id_in_the_sources_has_a_section() -> None:
    texts = [path.read_text(encoding="utf-8") for package in ("audit", "validation") for path in package_files(package)]
    ids = {each for text in texts for each in re.findall(r'\bCheck\(\s*id="([a-z]+\.[a-z_]+)"', text)}
    assert len(ids) > 100
    headings = set(re.findall(r"^##+ `([^`]+)`$", "\n".join(WRITTEN.values()), flags=re.MULTILINE))
    assert ids - headings == set()


def package_files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def test_every_rule_has_a_section() -> None:
    assert [rule.id for rule in own_rules() if f"\n## {rule.id}\n" not in WRITTEN["rules.md"]] == []
