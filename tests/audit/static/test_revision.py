import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from audit.errors import UsageError
from audit.results import Location, Outcome, Result, Severity, Subject, SubjectKind
from audit.static.fingerprints import with_fingerprints
from audit.static.revision import as_of_today, find_revision, target_at
from audit.target import Target

Commit = Callable[[Mapping[str, str]], str]


def git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    git(root, "init", "-q")
    return root


@pytest.fixture
def commit(root: Path) -> Commit:
    """Writes files and commits them."""

    def make(files: Mapping[str, str]) -> str:
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content)
        git(root, "add", "--all")
        git(root, "commit", "-q", "-m", "message")
        return git(root, "rev-parse", "HEAD")

    return make


def test_a_revision_is_a_commit_however_it_is_called(root: Path, commit: Commit) -> None:
    first = commit({"a.py": "x = 1\n"})
    commit({"a.py": "x = 2\n"})
    git(root, "tag", "-a", "v1", "-m", "v1", first)
    assert [find_revision(root, name).commit for name in ("HEAD~1", "v1", first[:8])] == [first] * 3


@pytest.mark.parametrize("name", ["absent", "", "--help", "HEAD:a.py", "a\0b", "HEAD^{tree}"])
def test_what_is_no_revision_is_refused(root: Path, commit: Commit, name: str) -> None:
    commit({"a.py": "x = 1\n"})
    with pytest.raises(UsageError, match="the repository has no such revision"):
        find_revision(root, name)


def test_a_folder_in_no_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is in no git repository"):
        find_revision(tmp_path, "HEAD")


def test_the_files_are_those_of_the_revision_and_only_what_some_rule_reads(
    root: Path, commit: Commit, tmp_path: Path
) -> None:
    commit({"large.csv": "0,1\n" * 2_000_000})
    commit({"zoo/__init__.py": "old\n", "zoo/é b.py": "x = 1\r\n", "README.md": "0\n", "n.ipynb": "{}"})
    commit({"zoo/__init__.py": "new\n", "new.py": ""})
    revision = find_revision(root, "HEAD~1")
    before = target_at(revision, Target.load_tree(root), tmp_path / "before")
    assert before is not None
    found = {path.relative_to(before.root).as_posix(): path.read_bytes() for path in before.root.rglob("*.*")}
    assert found == {"zoo/__init__.py": b"old\n", "zoo/é b.py": b"x = 1\r\n", "n.ipynb": b"{}", "README.md": b"0\n"}


def test_links_that_stay_in_the_tree_are_links_again(root: Path, commit: Commit, tmp_path: Path) -> None:
    links = {
        "zoo/b.py": "a.py",
        "c.py": "zoo/../zoo/a.py",
        "out.py": "../x.py",
        "etc.py": "/etc/passwd",
        "README": "c.py",
    }
    (root / "zoo").mkdir()
    for name, goal in links.items():
        (root / name).symlink_to(goal)
    commit({"zoo/a.py": "x = 1\n"})
    before = target_at(find_revision(root, "HEAD"), Target.load_tree(root), tmp_path / "before")
    assert before is not None
    found = {
        path.relative_to(before.root).as_posix(): path.read_text() for path in before.root.rglob("*") if path.is_file()
    }
    assert found == dict.fromkeys(("zoo/a.py", "zoo/b.py", "c.py"), "x = 1\n")


def test_of_chosen_paths_only_sources_are_taken(root: Path, commit: Commit, tmp_path: Path) -> None:
    commit({"a.py": "x = 1\n", "README.md": "0\n"})
    limited = Target.load_tree(root).limited_to([root / "a.py"])
    before = target_at(find_revision(root, "HEAD"), limited, tmp_path / "before")
    assert before is not None
    assert [path.name for path in before.root.iterdir()] == ["a.py"]


def test_a_target_inside_the_repository_has_its_own_files(root: Path, commit: Commit, tmp_path: Path) -> None:
    commit({"sub/zoo/__init__.py": "x = 1\n", "other.py": ""})
    target = Target.load(root / "sub", package="zoo")
    before = target_at(find_revision(root / "sub", "HEAD"), target, tmp_path / "before")
    assert before is not None
    assert before.package_path == tmp_path / "before" / "zoo"
    assert not (tmp_path / "before" / "other.py").exists()


def test_a_package_or_path_that_did_not_exist_gives_nothing(root: Path, commit: Commit, tmp_path: Path) -> None:
    commit({"a.py": "x = 1\n"})
    commit({"zoo/__init__.py": "", "tests/b.py": ""})
    revision = find_revision(root, "HEAD~1")
    assert target_at(revision, Target.load(root, package="zoo"), tmp_path / "one") is None
    limited = Target.load_tree(root).limited_to([root / "tests"])
    assert target_at(revision, limited, tmp_path / "two") is None


def test_a_renamed_file_is_followed(root: Path, commit: Commit, tmp_path: Path) -> None:
    body = "".join(f"x{number} = {number}\n" for number in range(20))
    commit({"old/a.py": body + "load()\n"})
    (root / "new").mkdir()
    git(root, "mv", "old/a.py", "new/b.py")
    (root / "new" / "b.py").write_text("# one line more\n" + body + "load()\n")
    git(root, "add", "--all")
    revision = find_revision(root, "HEAD")
    assert revision.renames == {"old/a.py": "new/b.py"}
    limited = Target.load_tree(root).limited_to([root / "new"])
    before = target_at(revision, limited, tmp_path / "before")
    assert before is not None
    assert before.paths == (tmp_path / "before" / "old" / "a.py",)

    def finding(path: str, line: int) -> Result:
        return Result(
            check="rules.sec001",
            outcome=Outcome.FAILED,
            reason="wrong",
            severity=Severity.MINOR,
            subject=Subject(kind=SubjectKind.FILE, path=path),
            location=Location(path=path, line=line),
        )

    (then,) = as_of_today(with_fingerprints([finding("old/a.py", 21)], before.root), revision, before.root)
    (today,) = with_fingerprints([finding("new/b.py", 22)], root)
    assert then.fingerprint == today.fingerprint
    assert then.location
    assert then.location.path == "new/b.py"


def test_git_starts_no_program_of_the_repository(root: Path, commit: Commit, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    script = tmp_path / "script.sh"
    script.write_text(f"#!/bin/sh\necho run >> {proof}\ncat\n")
    script.chmod(0o755)
    commit({"a.py": "x = 1\n", ".gitattributes": "*.py filter=evil diff=evil\n"})
    for key in ("filter.evil.smudge", "filter.evil.clean", "diff.evil.command", "diff.evil.textconv"):
        git(root, "config", key, str(script))
    git(root, "config", "core.fsmonitor", str(script))
    (root / "a.py").write_text("x = 2\n")
    before = target_at(find_revision(root, "HEAD"), Target.load_tree(root), tmp_path / "before")
    assert before is not None
    assert (before.root / "a.py").read_text() == "x = 1\n"
    assert not proof.exists()


def test_a_clone_that_lacks_the_files_is_refused(root: Path, commit: Commit, tmp_path: Path) -> None:
    commit({"a.py": "x = 1\n", "b.py": "x = 2\n"})
    blob = git(root, "rev-parse", "HEAD:b.py")
    revision = find_revision(root, "HEAD")
    (root / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(UsageError, match="git does not give its files; fetch the whole commit"):
        target_at(revision, Target.load_tree(root), tmp_path / "before")
