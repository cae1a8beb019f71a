"""The store of facts: what comes from it equals what would be read, and no state of it fails a run."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.static import per_file, reading, records, store
from audit.static.analysis import StaticAnalysis, analyse
from audit.static.per_file import read_in_parts
from audit.static.sources import SourceFile
from audit.static.store import FactStore, cache_folder, fact_key

Tree = Callable[[Mapping[str, str | bytes]], Path]
HOUSE = Path(__file__).parents[3]

SOURCES = {
    "pkg/__init__.py": "from .a import *\n",
    "pkg/a.py": "from torch import nn\nclass A(nn.Module): ...\n",
    "pkg/b.py": "from . import A\nclass B(A): ...\n",
    "pkg/broken.py": "class (:\n",
}
LONG_AGO_NS = 1_600_000_000_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were parsed, as they are parsed in this process."""
    names: list[str] = []

    def spy(file: SourceFile, function: per_file.FactFunction[per_file.Fact]) -> per_file.Answer[per_file.Fact]:
        names.append(file.relative)
        return read_in_parts(file, function)

    monkeypatch.setattr(records, "read_in_parts", spy)
    return names


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were opened only to know their content."""
    names: list[str] = []
    digest_of = reading.digest_of

    def spy(file: SourceFile) -> str | None:
        names.append(file.relative)
        return digest_of(file)

    monkeypatch.setattr(records, "digest_of", spy)
    return names


def cached(root: Path, folder: Path, *, workers: int = 1) -> StaticAnalysis:
    with FactStore(folder) as kept:
        return analyse(root, root, workers=workers, store=kept)


def test_the_second_run_parses_nothing(tree: Tree, folder: Path, read: list[str]) -> None:
    root = tree(SOURCES)
    expected = analyse(root, root)
    assert cached(root, folder) == expected
    read.clear()
    assert cached(root, folder) == expected
    assert read == []


@pytest.mark.parametrize("workers", [2, 3])
def test_what_workers_read_is_kept(
    tree: Tree, folder: Path, read: list[str], monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(records, "MIN_BYTES_PER_WORKER", 1)
    root = tree(SOURCES)
    assert cached(root, folder, workers=workers) == cached(root, folder) == analyse(root, root)
    assert read.count("pkg/a.py") == 1


def test_a_changed_file_is_read_again_and_no_other(tree: Tree, folder: Path, read: list[str]) -> None:
    root = tree(SOURCES)
    cached(root, folder)
    tree({"pkg/b.py": "class B: ...\n"})
    read.clear()
    found = cached(root, folder)
    assert read == ["pkg/b.py", "pkg/broken.py"]
    assert found == analyse(root, root)


def test_an_unchanged_file_is_not_even_opened(
    tree: Tree, folder: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(per_file, "SETTLED_AFTER_NS", 0)
    root = tree(SOURCES)
    cached(root, folder)
    assert opened
    opened.clear()
    assert cached(root, folder) == analyse(root, root)
    assert opened == []


def test_a_file_changed_just_now_is_opened_next_time(tree: Tree, folder: Path, opened: list[str]) -> None:
    root = tree(SOURCES)
    cached(root, folder)
    opened.clear()
    cached(root, folder)
    assert set(opened) == set(SOURCES)


@pytest.mark.parametrize("settled_after_ns", [0, per_file.SETTLED_AFTER_NS])
@pytest.mark.parametrize("rewrite", ["in place", "replaced"])
def test_content_of_the_same_size_at_the_same_time_is_seen(
    tree: Tree, folder: Path, monkeypatch: pytest.MonkeyPatch, settled_after_ns: int, rewrite: str
) -> None:
    monkeypatch.setattr(per_file, "SETTLED_AFTER_NS", settled_after_ns)
    root = tree({"a.py": "class A: ...\n"})
    path = root / "a.py"
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    cached(root, folder)
    if rewrite == "replaced":
        path.unlink()
    path.write_text("class B: ...\n")
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    assert cached(root, folder) == analyse(root, root)


@pytest.mark.parametrize("attempt", range(20))
def test_content_rewritten_within_one_tick_is_seen(tree: Tree, folder: Path, attempt: int) -> None:
    root = tree({"a.py": "class A: ...\n"})
    cached(root, folder)
    (root / "a.py").write_text("class B: ...\n")
    assert [each.qualname for each in cached(root, folder).summaries[0].classes] == ["B"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(contents=st.lists(st.sampled_from(["class A: ...\n", "class B: ...\n", "x = (\n", "", "x = 1\n"]), max_size=5))
def test_any_sequence_of_contents_reads_as_without_a_store(tree: Tree, folder: Path, contents: list[str]) -> None:
    for content in contents:
        root = tree({"a.py": content})
        assert cached(root, folder) == analyse(root, root)


def test_a_moved_file_is_another_file(tree: Tree, folder: Path) -> None:
    root = tree(SOURCES)
    cached(root, folder)
    (root / "pkg/a.py").rename(root / "pkg/c.py")
    assert cached(root, folder) == analyse(root, root)


def test_facts_of_another_analyser_are_not_used(
    tree: Tree, folder: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree(SOURCES)
    cached(root, folder)
    monkeypatch.setattr(store, "analyser_digest", lambda: b"another")
    read.clear()
    assert cached(root, folder) == analyse(root, root)
    assert set(SOURCES) <= set(read)


def test_the_analyser_is_its_sources_and_the_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "static"
    shutil.copytree(Path(store.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(store, "__file__", str(copy / "store.py"))
    digest_now = store.analyser_digest.__wrapped__
    before = digest_now()
    assert before == store.analyser_digest()
    with (copy / "flow.py").open("a") as stream:
        stream.write("\n")
    assert digest_now() != before


def database(folder: Path) -> Path:
    (found,) = folder.glob("*.sqlite")
    return found


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def text_instead(path: Path) -> None:
    path.write_bytes(b"not a database " * 1000)


def middle_overwritten(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)


def other_tables(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE facts (something)")
    connection.close()


def other_columns(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE facts")
        connection.execute("CREATE TABLE facts (something)")
    connection.close()


def other_texts(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE facts SET text = '[0,[]]'")
        connection.execute("UPDATE states SET digest = 'sha256:0'")
    connection.close()


def other_texts_with_their_sum(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        for (key,) in connection.execute("SELECT key FROM facts").fetchall():
            text = '[0,["a",7]]'
            connection.execute("UPDATE facts SET text = ?, sum = ? WHERE key = ?", (text, store._sum(key, text), key))
    connection.close()


def other_types(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE facts SET text = x'ff00', used = 'x', sum = 5")
        connection.execute("UPDATE states SET state = 5, digest = NULL")
    connection.close()


DAMAGE = [
    truncated,
    emptied,
    text_instead,
    middle_overwritten,
    other_tables,
    other_columns,
    other_texts,
    other_texts_with_their_sum,
    other_types,
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_store_is_made_anew(
    tree: Tree, folder: Path, read: list[str], monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(per_file, "SETTLED_AFTER_NS", 0)
    root = tree(SOURCES)
    expected = cached(root, folder)
    damage(database(folder))
    assert cached(root, folder) == expected
    cached(root, folder)
    read.clear()
    assert cached(root, folder) == expected
    assert read == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), noise=st.binary(min_size=1, max_size=200))
def test_any_bytes_in_the_store_give_the_same_analysis(tree: Tree, folder: Path, place: float, noise: bytes) -> None:
    root = tree(SOURCES)
    expected = cached(root, folder)
    path = database(folder)
    content = bytearray(path.read_bytes())
    start = int(len(content) * place)
    content[start : start + len(noise)] = noise
    path.write_bytes(content)
    assert cached(root, folder) == expected


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_means_no_store(tree: Tree, folder: Path) -> None:
    folder.mkdir(mode=0o500)
    root = tree(SOURCES)
    assert cached(root, folder) == analyse(root, root)


@pytest.mark.parametrize("place", ["a file", "below a file", "the store is a folder"])
def test_a_place_that_can_hold_no_store_means_no_store(tree: Tree, tmp_path: Path, place: str) -> None:
    root = tree(SOURCES)
    folder = tmp_path / "place"
    if place == "the store is a folder":
        (folder / store._NAME).mkdir(parents=True)
    else:
        folder.write_text("")
    assert cached(root, folder / "x" if place == "below a file" else folder) == analyse(root, root)


def test_a_full_disk_means_no_store(tree: Tree, folder: Path) -> None:
    root = tree(SOURCES)
    with FactStore(folder) as kept:
        assert kept._connection
        pages = kept._connection.execute("PRAGMA page_count").fetchone()[0]
        kept._connection.execute(f"PRAGMA max_page_count = {pages}")
        kept.add_fact(b"key", "x" * 1_000_000)
        assert analyse(root, root, store=kept) == analyse(root, root)
    with FactStore(folder) as kept:
        assert kept.is_empty


def test_the_folder_of_another_user_is_not_believed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FactStore(folder) as kept:
        kept.add_fact(b"key", "text")
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    with FactStore(folder) as kept:
        assert kept.facts([b"key"]) == {}


def test_only_the_user_can_read_the_store(folder: Path) -> None:
    with FactStore(folder) as kept:
        kept.add_fact(b"key", "text")
    assert folder.stat().st_mode & 0o077 == 0
    assert database(folder).stat().st_mode & 0o077 == 0


def test_what_was_not_used_for_longest_leaves_first(folder: Path) -> None:
    for day in range(10):
        with FactStore(folder, limit_bytes=400_000) as kept:
            kept._today = day
            kept.facts([b"used every day"])
            kept.add_fact(b"used every day" if day == 0 else b"%d" % day, "x" * 60_000)
    with FactStore(folder) as kept:
        left = kept.facts([b"used every day", *(b"%d" % day for day in range(1, 10))])
        assert b"used every day" in left
        assert b"9" in left
        assert b"1" not in left
        assert sum(map(len, left.values())) <= 400_000


def test_two_runs_at_once_find_the_same(tree: Tree, folder: Path) -> None:
    root = tree({f"m{n}.py": f"class M{n}: ...\n" for n in range(300)})
    code = (
        "import sys; from pathlib import Path; from audit.static.analysis import analyse;"
        "from audit.static.store import FactStore, cache_folder\n"
        "with FactStore(cache_folder()) as kept:\n"
        "    print(analyse(Path(sys.argv[1]), Path(sys.argv[1]), store=kept))"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(root)],
            env={"PYTHONPATH": str(HOUSE), "ASTROBIO_AUDIT_CACHE": str(folder)},
            stdout=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    outputs = {run.communicate()[0] for run in runs}
    assert [run.returncode for run in runs] == [0, 0, 0, 0]
    assert len(outputs) == 1
    assert cached(root, folder) == analyse(root, root)


def test_the_folder_is_that_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASTROBIO_AUDIT_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("ASTROBIO_AUDIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "astrobio-audit"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "astrobio-audit"


def test_the_key_changes_with_every_part() -> None:
    parts = ("function", "path", "module", "digest")
    keys = {fact_key(*(f"{part}x" if part == changed else part for part in parts)) for changed in (*parts, "")}
    assert len(keys) == 5
