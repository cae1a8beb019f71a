"""Rules over documents, settings and data: their examples, hostile files, and what they leave alone."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from audit.static.analysis import analyse
from audit.static.rules.project_checks import places
from audit.static.rules.project_files import ProjectFiles
from audit.static.rules.project_rule import Files, Place, ProjectRule
from audit.static.rules.project_texts import MAX_TEXT_BYTES
from audit.static.rules.registry import all_rules, rules_by_id

Tree = Callable[[Mapping[str, str | bytes]], Path]

RULES = [rule for rule in all_rules() if isinstance(rule, ProjectRule)]
VALID = [pytest.param(rule, files, id=f"{rule.id}-{n}") for rule in RULES for n, files in enumerate(rule.VALID_FILES)]
INVALID = [
    pytest.param(rule, files, id=f"{rule.id}-{n}") for rule in RULES for n, files in enumerate(rule.INVALID_FILES)
]
ZOO: Files = {"zoo/__init__.py": ""}
TOKEN = "hf_" + "QwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUi"
CLAIM = "The model reaches 96 % accuracy.\n"


def found_in(root: Path, rule: str | ProjectRule, *, exclude: tuple[str, ...] = ()) -> list[Place]:
    if isinstance(rule, str):
        named = rules_by_id()[rule]
        assert isinstance(named, ProjectRule)
        rule = named
    analysis = analyse(root, root / "zoo", project=root)
    project = ProjectFiles(root, texts=analysis.texts, items=analysis.surroundings, exclude=exclude)
    return places(rule, project)[0]


@pytest.mark.parametrize(("rule", "files"), VALID)
def test_a_project_rule_finds_nothing_in_what_is_right(rule: ProjectRule, files: Files, tree: Tree) -> None:
    assert found_in(tree({**ZOO, **files}), rule) == []


@pytest.mark.parametrize(("rule", "files"), INVALID)
def test_a_project_rule_finds_what_is_wrong(rule: ProjectRule, files: Files, tree: Tree) -> None:
    found = found_in(tree({**ZOO, **files}), rule)
    assert {place.path for place in found} <= files.keys()
    assert found


def test_every_claim_of_a_line_is_named_with_its_place(tree: Tree) -> None:
    text = "# Status\n\n95/100, production ready. 11/11 smoke tests passing.\n"
    found = found_in(tree({**ZOO, "docs/status.md": text}), "CLM001")
    assert [(place.line, place.column, place.message.split(":")[0]) for place in found] == [
        (3, 1, "`95/100`"),
        (3, 9, "`production ready`"),
        (3, 27, "`11/11 smoke tests pass`"),
    ]


@pytest.mark.parametrize(
    ("evidence", "is_backed"),
    [
        ({"results/a.json": '{"accuracy": 0.96}'}, True),
        ({"results/a.json": '{"accuracy": 0.9551}'}, True),
        ({"results/a.json": '{"accuracy": 0.9549}'}, False),
        ({"results/a.json": '{"epochs": 96}'}, False),
        ({"notes/a.json": '{"accuracy": 0.96}'}, False),
        ({"tests/test_a.py": "def test_a(): assert accuracy() > 0.96\n"}, True),
        ({"benchmarks/a.csv": "model,accuracy\nzoo,96.2\n"}, True),
        ({"benchmarks/README.md": "accuracy 96 %\n"}, False),
    ],
)
def test_a_figure_is_backed_by_a_number_that_rounds_to_it(
    tree: Tree, evidence: Mapping[str, str], is_backed: bool
) -> None:
    found = found_in(tree({**ZOO, **evidence, "README.md": CLAIM}), "CLM001")
    assert ("README.md" in {place.path for place in found}) is not is_backed


def test_a_link_backs_a_claim_only_where_it_leads_to_a_file_of_the_project(tree: Tree) -> None:
    inside = "It reaches 96 % accuracy ([how](measure.py)).\n"
    outside = "It reaches 96 % accuracy ([how](../../etc/hostname)).\n"
    assert found_in(tree({**ZOO, "README.md": inside, "measure.py": ""}), "CLM001") == []
    assert len(found_in(tree({**ZOO, "README.md": outside}), "CLM001")) == 1


@pytest.mark.parametrize(
    "line",
    [
        "The goal is 96 % accuracy.",
        "It does not reach 96 % accuracy.",
        "ViT reaches 88.5 % accuracy (https://arxiv.org/abs/2010.11929).",
        "    96 % accuracy",
        "> 96 % accuracy",
        "Coverage is 96 %.",
        "Uses 2 x 4 blocks.",
    ],
)
def test_what_states_no_figure_of_its_own_is_no_claim(tree: Tree, line: str) -> None:
    assert found_in(tree({**ZOO, "README.md": f"{line}\n"}), "CLM001") == []


def test_a_comment_silences_its_own_line_and_the_next_one(tree: Tree) -> None:
    one, two, other = "<!-- noqa: CLM001 -->", "<!-- noqa: DAT001, CLM001 -->", "<!-- noqa: DAT001 -->"
    text = f"{CLAIM.rstrip()} {one}\n\n{two}\n{CLAIM}\n{other}\n{CLAIM}"
    assert [place.line for place in found_in(tree({**ZOO, "README.md": text}), "CLM001")] == [7]


def test_no_secret_reaches_a_message(tree: Tree) -> None:
    (place,) = found_in(tree({**ZOO, "config.yaml": f"a: 1\ntoken: {TOKEN}\n"}), "SEC008")
    assert (place.line, place.column) == (2, 8)
    assert "hf_Q..." in place.message
    assert TOKEN[:8] not in place.message


def test_what_git_ignores_or_the_user_excludes_is_no_text_of_the_project(tree: Tree) -> None:
    files = {".env": f"T={TOKEN}\n", "deploy/.gitignore": "*.yaml\n", "deploy/a.yaml": f"t: {TOKEN}\n"}
    root = tree({**ZOO, **files})
    assert [place.path for place in found_in(root, "SEC008")] == [".env"]
    assert found_in(root, "SEC008", exclude=(".env",)) == []


def test_a_message_of_a_server_is_no_data_even_in_a_data_folder(tree: Tree) -> None:
    files = {"data/a.csv": '{"message": "no such key"}', "data/b.json": '{"detail": "gone", "status": 410}'}
    files |= {"data/c.csv": "[" * 5000, "data/d.csv": '{"error":', "config/e.json": '{"error": "x"}'}
    assert [place.path for place in found_in(tree({**ZOO, **files}), "DAT002")] == ["data/a.csv", "data/b.json"]


def test_excluded_data_is_left_alone(tree: Tree) -> None:
    root = tree({**ZOO, "data/a.csv": "", "tests/data/b.csv": ""})
    assert [place.path for place in found_in(root, "DAT003", exclude=("tests/data/",))] == ["data/a.csv"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_hostile_files_neither_hang_nor_crash_a_rule(rule: ProjectRule, tree: Tree, tmp_path: Path) -> None:
    root = tree({**ZOO, "a.md": b"\xff\xfe\x00 96 % accuracy", "b.md": b"\x80\x81 ok\n", "data/c.csv": b"\x00" * 2000})
    os.mkfifo(root / "pipe.md")
    os.mkfifo(root / "data/pipe.csv")
    os.mkfifo(root / "data/.gitignore")
    (root / "loop.md").symlink_to("loop.md")
    (root / "up").symlink_to(root)
    (root / "away.md").symlink_to(tmp_path / "away.md")
    (tmp_path / "away.md").write_text(f"{CLAIM}{TOKEN}\n")
    with (root / "sparse.csv").open("wb") as sparse:
        sparse.truncate(1 << 30)
    with (root / "sparse.md").open("wb") as sparse:
        sparse.truncate(1 << 30)
    assert found_in(root, rule) == []


@pytest.mark.parametrize(
    "piece", ["“", "<!--", "![", "`<", "`a/", "1", "[a](", "1. a ", "9 %", "a\n", "| 9 %\n", "..", '"']
)
def test_the_time_for_a_document_grows_with_its_length_alone(tree: Tree, piece: str) -> None:
    text = (piece * (MAX_TEXT_BYTES // 8 // len(piece.encode()))) + "\n"
    root = tree({**ZOO, "README.md": text})
    started = time.process_time()
    assert found_in(root, "CLM001") == []
    assert time.process_time() - started < 5


def test_a_claim_beyond_the_part_that_is_read_is_not_seen(tree: Tree) -> None:
    root = tree({**ZOO, "README.md": "word\n\n" * (MAX_TEXT_BYTES // 6 + 1) + CLAIM})
    assert found_in(root, "CLM001") == []
